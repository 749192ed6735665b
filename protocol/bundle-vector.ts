/**
 * A vector file: what one node holds, for whoever makes the next bundle for it (SPEC §8.5).
 *
 * It asks for nothing and proves nothing: a wrong one makes a bundle that is too large, or one with a
 * gap that its importer names.
 */
import {
  BUNDLE_END,
  BUNDLE_HAVE,
  type BundleHave,
  type BundlePlace,
  decodeBundleBody,
  encodeBundleBody,
  VECTOR_HEADER,
  type VectorHeader,
} from './bundle-records.ts'
import {
  type BundleRecord,
  BundleWriter,
  broken,
  brokenAt,
  readBundleRecords,
} from './bundle-stream.ts'
import { ProtocolError } from './errors.ts'
import { type FeedHead, type FeedKey, feedKey, splitFeedKey, type Vector } from './feed.ts'
import type { BlockId, Hash } from './ids.ts'
import { BUNDLE_HAVES_MAX, BUNDLE_HAVES_TOTAL_MAX } from './limits.ts'

/** What a node holds. */
export interface HaveVector extends BundlePlace {
  /** The newest committed block, and its view; the genesis and 0 before the first. */
  readonly view: number
  readonly block: BlockId
  readonly feeds: Vector
  readonly blobs: ReadonlySet<Hash>
  readonly nars: ReadonlySet<Hash>
}

/** The bytes of the file, record by record; the same for the same content. */
export function* writeVectorFile(have: HaveVector): Generator<Uint8Array, void> {
  const { fleet, root, group, epoch, maker, view, block } = have
  const feeds = [...have.feeds].sort(([a], [b]) => (a < b ? -1 : 1))
  const blobs = [...have.blobs].sort()
  const nars = [...have.nars].sort()
  const contents = { feeds: feeds.length, blobs: blobs.length, nars: nars.length }
  const header: VectorHeader = { fleet, root, group, epoch, maker, view, block, contents }
  const writer = new BundleWriter('vector')
  yield writer.write('header', encodeBundleBody(VECTOR_HEADER, header))
  const part = (body: BundleHave): Uint8Array =>
    writer.write('have', encodeBundleBody(BUNDLE_HAVE, body))
  for (const some of parts(feeds)) {
    const states = some.map(([key, { seq, id }]) => ({ ...splitFeedKey(key), seq, head: id }))
    yield part({ kind: 'feeds', feeds: states })
  }
  for (const some of parts(blobs)) yield part({ kind: 'blobs', hashes: some })
  for (const some of parts(nars)) yield part({ kind: 'nars', hashes: some })
  yield writer.end()
}

/**
 * Reads a vector file. Throws BAD_BUNDLE with the place of what is wrong, WRONG_FLEET when `rootHash`
 * is given and is not the file's, TOO_LARGE for one that lists more than any node holds.
 */
export async function readVectorFile(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  rootHash?: Hash,
): Promise<HaveVector> {
  const reading = new Reading(rootHash)
  for await (const record of readBundleRecords('vector', chunks)) {
    try {
      reading.take(record)
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.message.startsWith('at byte ')) throw error
      throw brokenAt(record, error)
    }
  }
  return reading.have()
}

class Reading {
  readonly #rootHash: Hash | undefined
  readonly #feeds = new Map<FeedKey, FeedHead>()
  readonly #hashes = { blobs: new Set<Hash>(), nars: new Set<Hash>() }
  #header: VectorHeader | undefined

  constructor(rootHash: Hash | undefined) {
    this.#rootHash = rootHash
  }

  take(record: BundleRecord): void {
    if ((record.kind === 'header') !== (this.#header === undefined)) {
      throw broken(record, 'one header, at the beginning', `a ${record.kind}`)
    }
    if (record.kind === 'header') this.#head(record)
    else if (record.kind === 'have') this.#add(record)
    else if (record.kind === 'end') this.#end(record)
    else throw broken(record, 'a record of a vector file', 'one of a bundle')
  }

  have(): HaveVector {
    if (this.#header === undefined) throw new TypeError('a vector file without header')
    const { contents, ...header } = this.#header
    void contents
    return { ...header, feeds: this.#feeds, ...this.#hashes }
  }

  #head(record: BundleRecord): void {
    const header = decodeBundleBody(VECTOR_HEADER, record.body, 'the header')
    const { root, contents } = header
    if (this.#rootHash !== undefined && root !== this.#rootHash) {
      throw new ProtocolError(
        'WRONG_FLEET',
        'reject',
        `expected a vector of the fleet with root ${this.#rootHash}, found one of ${root}`,
      )
    }
    const total = contents.feeds + contents.blobs + contents.nars
    if (total > BUNDLE_HAVES_TOTAL_MAX) {
      throw new ProtocolError(
        'TOO_LARGE',
        'reject',
        `expected at most ${BUNDLE_HAVES_TOTAL_MAX} feeds and hashes, found ${total}`,
      )
    }
    this.#header = header
  }

  #add(record: BundleRecord): void {
    const have = decodeBundleBody(BUNDLE_HAVE, record.body, 'a part of a vector')
    const before = this.#feeds.size + this.#hashes.blobs.size + this.#hashes.nars.size
    if (before >= BUNDLE_HAVES_TOTAL_MAX) throw broken(record, 'no more of it', 'more')
    if (have.kind !== 'feeds') {
      for (const hash of have.hashes) this.#hashes[have.kind].add(hash)
      return
    }
    for (const { author, session, seq, head } of have.feeds) {
      this.#feeds.set(feedKey(author, session), { seq, id: head })
    }
  }

  #end(record: BundleRecord): void {
    const { records } = decodeBundleBody(BUNDLE_END, record.body, 'the end')
    const expected = this.#header?.contents
    const found = {
      feeds: this.#feeds.size,
      blobs: this.#hashes.blobs.size,
      nars: this.#hashes.nars.size,
    }
    const whole =
      records === record.index &&
      (['feeds', 'blobs', 'nars'] as const).every((name) => expected?.[name] === found[name])
    if (!whole) {
      throw broken(record, JSON.stringify({ records, ...expected }), JSON.stringify(found))
    }
  }
}

function* parts<T>(items: readonly T[]): Generator<readonly T[], void> {
  for (let at = 0; at < items.length; at += BUNDLE_HAVES_MAX) {
    yield items.slice(at, at + BUNDLE_HAVES_MAX)
  }
}
