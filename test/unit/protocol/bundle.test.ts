import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  BUNDLE_FEED,
  BUNDLE_HEADER,
  BUNDLE_NAR,
  BUNDLE_RECORD_KINDS,
  type BundleFeed,
  type BundleHeader,
  decodeBundleBody,
  encodeBundleBody,
} from '../../../protocol/bundle-records.ts'
import type { BundleRecord } from '../../../protocol/bundle-stream.ts'
import { readVectorFile, writeVectorFile } from '../../../protocol/bundle-vector.ts'
import { concatBytes, fromHex, toHex } from '../../../protocol/bytes.ts'
import { BUNDLE_RECORD_BYTES_MAX } from '../../../protocol/limits.ts'
import { BUNDLE, faultOf, fileOf, itemsOf, type Part, recordsOf } from './bundle-sample.ts'
import { golden } from './golden.ts'

let records: readonly BundleRecord[] = []

beforeAll(async () => {
  records = await recordsOf('bundle', [BUNDLE.bytes])
})

/** The record of this kind, counted from 0. */
function at(kind: Part['kind'], nth = 0): BundleRecord {
  const found = records.filter((record) => record.kind === kind)[nth]
  if (found === undefined) throw new Error(`no ${kind} ${nth}`)
  return found
}

function without(record: BundleRecord): readonly Part[] {
  return records.filter((one) => one !== record)
}

function replaced(record: BundleRecord, ...by: readonly Part[]): readonly Part[] {
  return records.flatMap((one) => (one === record ? by : [one]))
}

function withHeader(change: Partial<BundleHeader>): readonly Part[] {
  const body = encodeBundleBody(BUNDLE_HEADER, { ...BUNDLE.header, ...change })
  return replaced(at('header'), { kind: 'header', body })
}

function withFeed(change: Partial<BundleFeed>): readonly Part[] {
  const feed = decodeBundleBody(BUNDLE_FEED, at('feed').body, 'a feed')
  const body = encodeBundleBody(BUNDLE_FEED, { ...feed, ...change })
  return replaced(at('feed'), { kind: 'feed', body })
}

describe('the golden bundle', () => {
  it('is read to its items, all of them verified, and written again byte for byte', async () => {
    const items = await itemsOf(BUNDLE.bytes)
    expect(items.map((item) => item.kind)).toEqual(records.map((record) => record.kind))
    expect(items[0]).toEqual({ kind: 'header', header: BUNDLE.header })
    expect(toHex(fileOf(records))).toBe(toHex(BUNDLE.bytes))
  })

  it('is checked by a reader that shares nothing with the product', () => {
    const bytes = Buffer.from(BUNDLE.bytes)
    const magic = Buffer.from('nixfleet bundle 1\n')
    const sha = (...parts: Buffer[]): Buffer =>
      createHash('sha256').update(Buffer.concat(parts)).digest().subarray(0, 16)
    expect(bytes.subarray(0, magic.length)).toEqual(magic)
    let check = sha(magic)
    let offset = magic.length
    const kinds: number[] = []
    while (offset < bytes.length) {
      const end = offset + 5 + bytes.readUInt32BE(offset + 1)
      check = sha(check, bytes.subarray(offset, end))
      expect(bytes.subarray(end, end + 16)).toEqual(check)
      kinds.push(bytes.readUInt8(offset))
      offset = end + 16
    }
    expect(kinds).toEqual([1, 2, 2, 3, 4, 4, 3, 4, 5, 6, 6, 7, 8, 10].slice(0, kinds.length))
    expect(kinds).toHaveLength(records.length)
  })

  it('may be looked at without a root hash, and then vouches for itself alone', async () => {
    expect((await itemsOf(BUNDLE.bytes, {})).at(-1)).toEqual({ kind: 'end' })
  })
})

describe('the golden vector file', () => {
  const vector = golden<{ rootHash: string; bytes: string; input: { feeds: [] } }>('bundle-vector')

  it('is read to its input and written again byte for byte', async () => {
    const have = await readVectorFile([fromHex(vector.bytes)], vector.rootHash)
    const { feeds, blobs, nars, ...rest } = have
    expect({ ...rest, feeds: [...feeds], blobs: [...blobs], nars: [...nars] }).toEqual(vector.input)
    expect(toHex(concatBytes(...writeVectorFile(have)))).toBe(vector.bytes)
  })

  it('is refused of another fleet, cut, and as a bundle', async () => {
    const bytes = fromHex(vector.bytes)
    await expect(readVectorFile([bytes], 'ab'.repeat(32))).rejects.toThrow(/WRONG_FLEET|with root/)
    await expect(readVectorFile([bytes.subarray(0, -1)])).rejects.toThrow('the end of the file')
    await expect(readVectorFile([BUNDLE.bytes])).rejects.toThrow('a vector of version 1')
    expect(await faultOf(bytes)).toBe(
      'BAD_BUNDLE at byte 0, record 0: expected the first bytes of a bundle of version 1, found others',
    )
  })
})

describe('a bundle is refused, with its place,', () => {
  it('of another fleet', async () => {
    expect(await faultOf(BUNDLE.bytes, { rootHash: 'ab'.repeat(32) })).toMatch(
      /^WRONG_FLEET at byte 18, record 0 \(header\): expected a bundle of the fleet with root abab/,
    )
    expect(await faultOf(fileOf(withHeader({ fleet: 'ab'.repeat(16) })))).toMatch(/^WRONG_FLEET/)
  })

  it('when a record is left out, moved, or there twice, though every check is good', async () => {
    const faults: string[] = []
    for (const record of records) {
      if (record.kind !== 'end') faults.push(await faultOf(fileOf(without(record))))
      if (record.kind !== 'end')
        faults.push(await faultOf(fileOf(replaced(record, record, record))))
    }
    for (const fault of faults) expect(fault).toMatch(/ at byte \d+, record \d+ \(\w+\): expected /)
    expect(faults).toHaveLength(2 * (records.length - 1))
    const swapped = records.map((record) =>
      record === at('blob') ? at('gate') : record === at('gate') ? at('blob') : record,
    )
    expect(await faultOf(fileOf(swapped))).toMatch(/^BAD_BUNDLE/)
  })

  it('when the contents are not those that the header says', async () => {
    const { contents } = BUNDLE.header
    for (const name of Object.keys(contents) as (keyof typeof contents)[]) {
      for (const change of [1, -1]) {
        const wrong = { ...contents, [name]: contents[name] + change }
        expect(await faultOf(fileOf(withHeader({ contents: wrong })))).toMatch(/as the header says/)
      }
    }
  })

  it('when a feed is not what it says: another length, place or predecessor', async () => {
    expect(await faultOf(fileOf(withFeed({ count: 9 })))).toMatch(/more facts of the feed/)
    expect(await faultOf(fileOf(withFeed({ from: 7 })))).toMatch(/expected sequence 7/)
    expect(await faultOf(fileOf(withFeed({ prev: 'ab'.repeat(32) })))).toMatch(/after abababab/)
    expect(await faultOf(fileOf(withFeed({ author: 'ab'.repeat(32) })))).toMatch(/of a member/)
  })

  it('when the log does not begin, end or hold where it says', async () => {
    const { since, until } = BUNDLE.header
    const block = 'ab'.repeat(32)
    expect(await faultOf(fileOf(withHeader({ since: { ...since, block } })))).toMatch(/genesis/)
    expect(await faultOf(fileOf(withHeader({ since: { ...since, view: 1, block } })))).toMatch(
      /a block on abababab/,
    )
    expect(await faultOf(fileOf(withHeader({ until: { ...until, block } })))).toMatch(/log up to/)
    const halved = { ...at('gate', 1), body: at('gate', 1).body.slice() }
    halved.body[halved.body.length - 1] = (halved.body.at(-1) ?? 0) ^ 1
    expect(await faultOf(fileOf(replaced(at('gate', 1), halved)))).toMatch(
      /^BAD_CERTIFICATE at byte/,
    )
  })

  it('when a NAR or a blob is not the one that is named', async () => {
    const chunk = { kind: 'chunk', body: at('chunk').body.slice() } as const
    chunk.body[0] = (chunk.body[0] ?? 0) ^ 1
    expect(await faultOf(fileOf(replaced(at('chunk'), chunk)))).toMatch(/a NAR with hash/)
    const size = at('chunk').body.length + 1
    const hash = decodeBundleBody(BUNDLE_NAR, at('nar').body, 'a NAR').hash
    const longer = { kind: 'nar', body: encodeBundleBody(BUNDLE_NAR, { hash, size }) } as const
    expect(await faultOf(fileOf(replaced(at('nar'), longer)))).toMatch(/a chunk of/)
    const tag = { kind: 'blob', body: at('blob').body.slice() } as const
    tag.body[0] = 1
    expect(await faultOf(fileOf(replaced(at('blob'), tag)))).toMatch(/^BAD_SHAPE at byte/)
    tag.body[0] = 9
    expect(await faultOf(fileOf(replaced(at('blob'), tag)))).toMatch(
      /a plan, a manifest, a configuration or a root/,
    )
  })

  it('with a signature that does not verify, whose place it names', async () => {
    const fact = { kind: 'fact', body: at('fact').body.slice() } as const
    fact.body[fact.body.length - 1] = (fact.body.at(-1) ?? 0) ^ 1
    const { index, offset } = at('fact')
    expect(await faultOf(fileOf(replaced(at('fact'), fact)))).toMatch(
      new RegExp(`^BAD_SIGNATURE at byte ${offset}, record ${index} \\(fact\\): expected`),
    )
    const document = { kind: 'document', body: at('document', 1).body.slice() } as const
    document.body[document.body.length - 1] = (document.body.at(-1) ?? 0) ^ 1
    expect(await faultOf(fileOf(replaced(at('document', 1), document)))).toMatch(/^BAD_ROOT at/)
  })

  it('with a kind, a length or a tail that no version has', async () => {
    const { offset } = at('feed')
    const changed = BUNDLE.bytes.slice()
    changed[offset] = BUNDLE_RECORD_KINDS.length + 1
    expect(await faultOf(changed)).toMatch(`at byte ${offset}, record 3: expected a kind`)
    const long = BUNDLE.bytes.slice()
    new DataView(long.buffer).setUint32(offset + 1, BUNDLE_RECORD_BYTES_MAX + 1)
    expect(await faultOf(long)).toMatch('record 3 (feed): expected a length of at most')
    expect(await faultOf(concatBytes(BUNDLE.bytes, Uint8Array.of(0)))).toMatch(
      `at byte ${BUNDLE.bytes.length}: expected nothing after the end`,
    )
  })
})
