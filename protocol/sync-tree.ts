/**
 * A vector as a 16-ary hash tree, so that two nodes find where they differ in few bytes (SPEC §8.2).
 *
 * A feed's place is SHA-256 of its key, nibble by nibble. The hash of a bucket depends only on the
 * feeds in it: zero for none, over the feeds for a few, over its sixteen buckets for more.
 */
import { concatBytes, fromHex, type Hex, utf8 } from './bytes.ts'
import { sha256Hex } from './crypto.ts'
import { type FeedHead, type FeedKey, splitFeedKey, type Vector } from './feed.ts'
import { SYNC_LEAF_FEEDS_MAX } from './limits.ts'

/** The path of a bucket: hex digits, none for the root. */
export type SyncPrefix = string

/** One feed and how far it is held. */
export interface FeedState {
  readonly author: Hex
  readonly session: Hex
  readonly seq: number
  readonly head: Hex
}

/** A bucket: the hashes of its sixteen parts, or its few feeds in the order of their paths. */
export type SyncNode =
  | { readonly prefix: SyncPrefix; readonly children: readonly Hex[] }
  | { readonly prefix: SyncPrefix; readonly feeds: readonly FeedState[] }

/** A vector, sorted by path. The two maps only remember what was calculated. */
export interface VectorTree {
  readonly entries: readonly TreeEntry[]
  readonly paths: ReadonlyMap<FeedKey, Hex>
  readonly hashes: Map<SyncPrefix, Hex>
}

interface TreeEntry {
  readonly path: Hex
  readonly key: FeedKey
  readonly head: FeedHead
}

/** The hash of a bucket without feeds. */
export const EMPTY_BUCKET: Hex = '0'.repeat(64)

const DIGITS: readonly string[] = [...'0123456789abcdef']
const LEAF = Uint8Array.of(0)
const INNER = Uint8Array.of(1)

/** The tree of `vector`. `before`, an earlier tree, saves the hashing of keys that it knows. */
export function vectorTree(vector: Vector, before?: VectorTree): VectorTree {
  const paths = new Map<FeedKey, Hex>()
  const entries = [...vector].map(([key, head]) => {
    const path = before?.paths.get(key) ?? sha256Hex(utf8(key))
    paths.set(key, path)
    return { path, key, head }
  })
  entries.sort((a, b) => (a.path < b.path ? -1 : 1))
  return { entries, paths, hashes: new Map() }
}

/** The hash over all feeds. */
export function treeRoot(tree: VectorTree): Hex {
  return bucketHash(tree, '')
}

/** The hash of the bucket at `prefix`. */
export function bucketHash(tree: VectorTree, prefix: SyncPrefix): Hex {
  const known = tree.hashes.get(prefix)
  if (known !== undefined) return known
  const node = bucketOf(tree, prefix)
  const hash = 'feeds' in node ? feedsHash(node.feeds) : partsHash(node.children)
  tree.hashes.set(prefix, hash)
  return hash
}

/** The bucket at `prefix` as it is sent. */
export function bucketOf(tree: VectorTree, prefix: SyncPrefix): SyncNode {
  const feeds = feedsUnder(tree, prefix)
  if (feeds.length <= SYNC_LEAF_FEEDS_MAX) return { prefix, feeds }
  return { prefix, children: DIGITS.map((digit) => bucketHash(tree, prefix + digit)) }
}

/** Every feed of the bucket at `prefix`, in the order of their paths. */
export function feedsUnder(tree: VectorTree, prefix: SyncPrefix): readonly FeedState[] {
  const first = firstAtOrAfter(tree.entries, prefix)
  const feeds: FeedState[] = []
  for (let i = first; tree.entries[i]?.path.startsWith(prefix); i++) {
    const entry = tree.entries[i]
    if (entry !== undefined) feeds.push(stateOf(entry))
  }
  return feeds
}

/** The buckets right under `prefix` whose hash is not that of `children`, a peer's. */
export function differingParts(
  tree: VectorTree,
  prefix: SyncPrefix,
  children: readonly Hex[],
): readonly SyncPrefix[] {
  return DIGITS.map((digit) => prefix + digit).filter(
    (part, i) => bucketHash(tree, part) !== children[i],
  )
}

function feedsHash(feeds: readonly FeedState[]): Hex {
  if (feeds.length === 0) return EMPTY_BUCKET
  const parts = feeds.flatMap(({ author, session, seq, head }) => [
    fromHex(author),
    fromHex(session),
    seqBytes(seq),
    fromHex(head),
  ])
  return sha256Hex(concatBytes(LEAF, ...parts))
}

function partsHash(children: readonly Hex[]): Hex {
  return sha256Hex(concatBytes(INNER, ...children.map(fromHex)))
}

/** 8 bytes, big-endian. */
function seqBytes(seq: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(seq))
  return bytes
}

function stateOf({ key, head }: TreeEntry): FeedState {
  return { ...splitFeedKey(key), seq: head.seq, head: head.id }
}

function firstAtOrAfter(entries: readonly TreeEntry[], path: string): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((entries[middle]?.path ?? '') < path) low = middle + 1
    else high = middle
  }
  return low
}
