/** Fetching a blob from peers that die, lie, or do not have it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NodeError } from '../../../node/errors.ts'
import { type BlobSink, fetchBlob } from '../../../node/network/blob-fetch.ts'
import type { Logger } from '../../../node/ports.ts'
import { sha256, toHex } from '../../../protocol/index.ts'

const SILENT: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
function ignore(): void {}

/** How a peer serves a blob. */
type Manner =
  | { readonly kind: 'honest' }
  | { readonly kind: 'missing' }
  /** Breaks off after so many bytes of each pull. */
  | { readonly kind: 'dies'; readonly after: number }
  /** Ends without an error after so many bytes. */
  | { readonly kind: 'ends'; readonly after: number }
  /** Changes the byte at this place. */
  | { readonly kind: 'lies'; readonly at: number }
  | { readonly kind: 'endless' }

class Collector implements BlobSink {
  parts: Uint8Array[] = []

  async write(chunk: Uint8Array): Promise<void> {
    this.parts.push(chunk.slice())
  }

  async restart(): Promise<void> {
    this.parts = []
  }

  get whole(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.parts))
  }
}

const CHUNK = 7

function peersOf(blob: Uint8Array, manners: Readonly<Record<string, Manner>>) {
  const pulled: [string, number][] = []
  async function* pull(peer: string, _hash: string, offset: number): AsyncGenerator<Uint8Array> {
    pulled.push([peer, offset])
    const manner = manners[peer] ?? { kind: 'missing' }
    if (manner.kind === 'missing')
      throw new NodeError('BLOB_MISSING', `none at ${peer}`, 'Ask another.')
    const bytes = blob.slice()
    if (manner.kind === 'lies') bytes[manner.at] = (bytes[manner.at] ?? 0) ^ 1
    for (let at = offset, sent = 0; at < bytes.length || manner.kind === 'endless'; ) {
      if (manner.kind === 'dies' && sent >= manner.after) throw new Error('gone')
      if (manner.kind === 'ends' && sent >= manner.after) return
      const chunk =
        manner.kind === 'endless' ? new Uint8Array(CHUNK) : bytes.subarray(at, at + CHUNK)
      yield chunk
      at += chunk.length
      sent += chunk.length
    }
  }
  return { network: { pull }, pulled, logger: SILENT }
}

const blob = Uint8Array.from({ length: 100 }, (_, i) => (i * 37) & 255)
const hash = toHex(sha256(blob))

async function fetchFrom(manners: Readonly<Record<string, Manner>>, bytes = blob.length) {
  const from = peersOf(blob, manners)
  const sink = new Collector()
  await fetchBlob({ hash, bytes, peers: Object.keys(manners), sink }, from)
  return { sink, pulled: from.pulled }
}

describe('fetching a blob', () => {
  it('brings exactly the named bytes whenever one honest peer is asked, whatever the others do', async () => {
    const manner = fc.oneof(
      fc.constant<Manner>({ kind: 'missing' }),
      fc.record({ kind: fc.constant('dies' as const), after: fc.nat(99) }),
      fc.record({ kind: fc.constant('ends' as const), after: fc.nat(99) }),
      fc.record({ kind: fc.constant('lies' as const), at: fc.nat(99) }),
      fc.constant<Manner>({ kind: 'endless' }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(manner, { maxLength: 6 }), fc.nat(6), async (others, place) => {
        const all: Manner[] = [...others]
        all.splice(place, 0, { kind: 'honest' })
        const { sink, pulled } = await fetchFrom(
          Object.fromEntries(all.map((one, i) => [`peer-${i}`, one])),
        )
        expect(sink.whole).toEqual(blob)
        expect(pulled.length).toBeLessThanOrEqual(64)
      }),
      { numRuns: 400 },
    )
  })

  it('goes on where a peer broke off', async () => {
    const { pulled } = await fetchFrom({
      ash: { kind: 'dies', after: 42 },
      elm: { kind: 'honest' },
    })
    expect(pulled).toEqual([
      ['ash', 0],
      ['elm', 42],
    ])
  })

  it('puts a blob together from peers that each give a part', async () => {
    const { sink } = await fetchFrom({
      ash: { kind: 'dies', after: 14 },
      elm: { kind: 'ends', after: 21 },
    })
    expect(sink.whole).toEqual(blob)
  })

  it('asks a liar once and takes nothing of what it gave', async () => {
    const { sink, pulled } = await fetchFrom({
      ash: { kind: 'lies', at: 3 },
      elm: { kind: 'honest' },
    })
    expect(sink.whole).toEqual(blob)
    expect(pulled).toEqual([
      ['ash', 0],
      ['elm', 0],
    ])
  })

  it('finds the liar among several whose bytes it mixed', async () => {
    const { sink, pulled } = await fetchFrom({
      ash: { kind: 'dies', after: 42 },
      elm: { kind: 'lies', at: 90 },
      oak: { kind: 'honest' },
    })
    expect(sink.whole).toEqual(blob)
    expect(pulled.at(-1)).toEqual(['oak', 0])
  })

  it('mixes the honest again once the liar among them is found', async () => {
    const { sink } = await fetchFrom({
      ash: { kind: 'dies', after: 50 },
      elm: { kind: 'lies', at: 80 },
      oak: { kind: 'dies', after: 50 },
    })
    expect(sink.whole).toEqual(blob)
  })

  it('says BLOB_CORRUPT of liars by name, BLOB_MISSING when nobody has it all, and ends', async () => {
    const lies: Manner = { kind: 'lies', at: 5 }
    await expect(fetchFrom({ ash: lies, elm: lies })).rejects.toMatchObject({
      code: 'BLOB_CORRUPT',
      message: expect.stringMatching(/ash, elm/),
    })
    await expect(fetchFrom({ ash: { kind: 'endless' } })).rejects.toMatchObject({
      code: 'BLOB_CORRUPT',
    })
    await expect(fetchFrom({ ash: { kind: 'missing' } })).rejects.toMatchObject({
      code: 'BLOB_MISSING',
    })
    await expect(fetchFrom({})).rejects.toMatchObject({ code: 'BLOB_MISSING' })
    await expect(fetchFrom({ ash: { kind: 'dies', after: 0 } })).rejects.toMatchObject({
      code: 'BLOB_MISSING',
    })
  })

  it('lets an error of the sink, and an abort, through at once', async () => {
    const from = peersOf(blob, { ash: { kind: 'honest' }, elm: { kind: 'honest' } })
    const sink = new Collector()
    sink.write = async () => {
      throw new NodeError('STORE_FULL', 'no room', 'Free some.')
    }
    const wanted = { hash, bytes: blob.length, peers: ['ash', 'elm'], sink }
    await expect(fetchBlob(wanted, from)).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(from.pulled).toHaveLength(1)
    const signal = AbortSignal.abort(new Error('stopping'))
    await expect(fetchBlob({ ...wanted, signal }, from)).rejects.toThrow('stopping')
  })
})
