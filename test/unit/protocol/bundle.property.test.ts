import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { BUNDLE_RECORD_KINDS, type BundleRecordKind } from '../../../protocol/bundle-records.ts'
import type { BundleRecord } from '../../../protocol/bundle-stream.ts'
import {
  type HaveVector,
  readVectorFile,
  writeVectorFile,
} from '../../../protocol/bundle-vector.ts'
import { concatBytes } from '../../../protocol/bytes.ts'
import { BUNDLE, faultOf, fileOf, recordsOf } from './bundle-sample.ts'

let records: readonly BundleRecord[] = []

beforeAll(async () => {
  records = await recordsOf('bundle', [BUNDLE.bytes])
})

/** The record in which byte `at` of the file lies. */
function recordAt(at: number): BundleRecord {
  const found = [...records].reverse().find((record) => record.offset <= at)
  if (found === undefined) throw new Error(`no record at byte ${at}`)
  return found
}

function cut(bytes: Uint8Array, lengths: readonly number[]): readonly Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = 1 + (lengths[i % lengths.length] ?? 0)
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  return chunks
}

const anyKind = fc.constantFrom<BundleRecordKind>(
  ...BUNDLE_RECORD_KINDS.filter((kind) => kind !== 'end'),
)
const anyPart = fc.record({ kind: anyKind, body: fc.uint8Array({ maxLength: 300 }) })

describe('a bundle', () => {
  it('gives back the records that were written, however it is cut', async () => {
    const cuts = fc.array(fc.nat(40), { minLength: 1, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(fc.array(anyPart, { maxLength: 12 }), cuts, async (parts, lengths) => {
        const bytes = fileOf([...parts, { kind: 'end', body: new Uint8Array(0) }])
        const read = await recordsOf('bundle', cut(bytes, lengths))
        expect(read.slice(0, -1).map(({ kind, body }) => ({ kind, body }))).toEqual(parts)
        expect(read.at(-1)?.kind).toBe('end')
      }),
    )
  })

  it('that ends early is refused wherever it ends, with the record that is not whole', async () => {
    const total = BUNDLE.bytes.length
    const starts = records.flatMap(({ offset }) => [offset - 1, offset, offset + 1, offset + 5])
    const random = fc.sample(fc.integer({ min: 0, max: total - 1 }), { numRuns: 100, seed: 1 })
    const lengths = [0, 1, ...starts, ...random, total - 1].filter((length) => length < total)
    expect(lengths.length).toBeGreaterThan(100)
    for (const length of lengths) {
      const fault = await faultOf(BUNDLE.bytes.subarray(0, length))
      if (length < (records[0]?.offset ?? 0)) expect(fault).toMatch(/at byte 0, record 0: expected/)
      else {
        const { index, offset } = recordAt(length)
        expect(fault).toContain(`at byte ${offset}, record ${index}`)
        expect(fault).toContain('found the end of the file')
      }
    }
  })

  it('with any byte changed is refused in the record in which that byte lies', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), async (place, xor) => {
        const changed = BUNDLE.bytes.slice()
        const at = place % changed.length
        changed[at] = (changed[at] ?? 0) ^ xor
        const fault = await faultOf(changed)
        if (at < (records[0]?.offset ?? 0)) expect(fault).toMatch(/at byte 0, record 0/)
        else {
          const { index, offset } = recordAt(at)
          expect(fault).toContain(`at byte ${offset}, record ${index}`)
        }
      }),
      { numRuns: 500 },
    )
  })
})

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((some) => Buffer.from(some).toString('hex'))
const anyHave: fc.Arbitrary<HaveVector> = fc.record({
  fleet: hex(16),
  root: hex(32),
  group: fc.constantFrom('berlin', 'a'),
  epoch: fc.integer({ min: 1, max: 9 }),
  maker: fc.constant('web-1'),
  view: fc.nat(),
  block: hex(32),
  feeds: fc
    .array(fc.tuple(hex(32), hex(16), fc.nat(), hex(32)), { maxLength: 20 })
    .map((rows) => new Map(rows.map(([a, s, seq, id]) => [`${a}/${s}`, { seq, id }]))),
  blobs: fc.array(hex(32), { maxLength: 5 }).map((all) => new Set(all)),
  nars: fc.array(hex(32), { maxLength: 5 }).map((all) => new Set(all)),
})

describe('a vector file', () => {
  it('gives back what was written, in one form', async () => {
    await fc.assert(
      fc.asyncProperty(anyHave, async (have) => {
        const bytes = concatBytes(...writeVectorFile(have))
        const read = await readVectorFile([bytes], have.root)
        expect(read).toEqual(have)
        expect(concatBytes(...writeVectorFile(read))).toEqual(bytes)
      }),
    )
  })

  it('larger than one record is whole as well', async () => {
    const [have] = fc.sample(anyHave, { numRuns: 1, seed: 7 })
    if (have === undefined) throw new Error('no sample')
    const many = new Set(Array.from({ length: 3000 }, (_, i) => i.toString(16).padStart(64, '0')))
    const read = await readVectorFile([concatBytes(...writeVectorFile({ ...have, blobs: many }))])
    expect(read.blobs).toEqual(many)
  })
})
