/**
 * What a node holds as a bundle (SPEC §8.5): the moment is noted first, then everything up to it is
 * written, so that what comes meanwhile is not in it.
 */
import {
  type BlockId,
  BUNDLE_BLOB_KINDS,
  BUNDLE_CHUNK_BYTES_MAX,
  BUNDLE_DOCUMENT_KINDS,
  BUNDLE_FEED,
  BUNDLE_HEADER,
  BUNDLE_NAR,
  type BundleBlobKind,
  type BundleFeed,
  type BundleHeader,
  type BundleNar,
  type BundlePlace,
  type BundleReach,
  BundleWriter,
  concatBytes,
  createSha256,
  encodeBundleBody,
  type FeedHead,
  type FeedKey,
  feedKey,
  type Hash,
  type HaveVector,
  NO_FACT,
  splitFeedKey,
  toHex,
  treeRoot,
  type Vector,
  vectorTree,
} from '../protocol/index.ts'
import { NodeError } from './errors.ts'
import { encodeGateMessage } from './gate-wire.ts'
import type { Runtime } from './runtime.ts'

/** What goes into one bundle. */
export interface BundleWish {
  readonly place: BundlePlace
  /** The signed documents as received. */
  readonly roots: readonly Uint8Array[]
  readonly groups: readonly Uint8Array[]
  /** What the other side holds; absent: nothing. */
  readonly since?: HaveVector | undefined
  /** NARs to carry, in any order. */
  readonly nars: readonly BundleNar[]
  /** The bytes of a NAR, from this node or its peers. */
  readonly openNar: (nar: BundleNar) => AsyncIterable<Uint8Array>
}

interface Moment {
  readonly vector: Vector
  readonly view: number
  readonly block: BlockId
  readonly blobs: ReadonlyMap<Hash, BundleBlobKind>
}

/** The bytes of the bundle, record by record. Throws NodeError BLOB_MISSING, BLOB_CORRUPT; the file is then cut. */
export async function* exportBundle(
  node: Runtime,
  wish: BundleWish,
): AsyncGenerator<Uint8Array, void> {
  const moment = await node.run(() => momentOf(node))
  const since = await sinceOf(node, wish, moment)
  const feeds = await feedsAfter(node, wish.since?.feeds ?? new Map(), moment.vector)
  const blobs = [...moment.blobs].filter(([hash]) => !wish.since?.blobs.has(hash)).sort(byName)
  const nars = [...wish.nars].sort((a, b) => (a.hash < b.hash ? -1 : 1))
  const header: BundleHeader = {
    ...wish.place,
    since,
    until: reachOf(moment),
    contents: {
      documents: wish.roots.length + wish.groups.length,
      feeds: feeds.length,
      facts: feeds.reduce((sum, feed) => sum + feed.count, 0),
      blobs: blobs.length,
      blocks: await countBlocks(node, since.view, moment.view),
      nars: nars.length,
      narBytes: nars.reduce((sum, nar) => sum + nar.size, 0),
    },
  }
  const writer = new BundleWriter('bundle')
  yield writer.write('header', encodeBundleBody(BUNDLE_HEADER, header))
  for (const document of documentsOf(wish)) yield writer.write('document', document)
  for (const feed of feeds) yield* writeFeed(node, writer, feed)
  for (const [hash, kind] of blobs) yield writer.write('blob', await blobBody(node, hash, kind))
  yield* writeBlocks(node, writer, since.view, moment.view)
  for (const nar of nars) yield* writeNar(writer, nar, wish.openNar(nar))
  yield writer.end()
}

/** Where the node's knowledge reaches now; inside the mailbox, so that all of it is one moment. */
function momentOf(node: Runtime): Moment {
  const { view, bodies } = node.knowledge()
  const { committed } = node.gate.machine
  const blobs = new Map<Hash, BundleBlobKind>()
  for (const { body } of view.plans.values())
    if (bodies.plan(body.plan) !== undefined) blobs.set(body.plan, 'plan')
  for (const { body } of view.releases.values())
    if (bodies.manifest(body.manifest) !== undefined) blobs.set(body.manifest, 'manifest')
  for (const { body } of view.configs.values())
    if (bodies.config(body.config) !== undefined) blobs.set(body.config, 'config')
  for (const { body } of view.roots.values())
    if (bodies.root?.(body.root) !== undefined) blobs.set(body.root, 'root')
  return { vector: node.facts.vector(), view: committed.view, block: committed.state.head, blobs }
}

/** What the node holds, for whoever makes a bundle for it. Inside the mailbox. */
export function haveOf(node: Runtime, place: BundlePlace, nars: ReadonlySet<Hash>): HaveVector {
  const { vector, view, block, blobs } = momentOf(node)
  return { ...place, view, block, feeds: vector, blobs: new Set(blobs.keys()), nars }
}

function reachOf({ vector, view, block }: Moment): BundleReach {
  return { vector: treeRoot(vectorTree(vector)), view, block }
}

/** The log goes on from the other side's head where that is in ours; else it is carried whole. */
async function sinceOf(
  node: Runtime,
  { since, place }: BundleWish,
  moment: Moment,
): Promise<BundleReach> {
  const vector = treeRoot(vectorTree(since?.feeds ?? new Map()))
  const whole = { vector, view: 0, block: node.parts.trust.genesis }
  if (since === undefined || since.view === 0) return whole
  if (since.group !== place.group || since.epoch !== place.epoch) return whole
  if (since.view >= moment.view) return { vector, view: moment.view, block: moment.block }
  for await (const { block } of node.gate.log.committed({
    epoch: place.epoch,
    view: since.view,
  })) {
    if (block.body.parent !== since.block) break
    return { vector, view: since.view, block: since.block }
  }
  return whole
}

/** The stretches of feeds that the other side lacks, in ascending order. */
async function feedsAfter(
  node: Runtime,
  theirs: Vector,
  ours: Vector,
): Promise<readonly BundleFeed[]> {
  const feeds: BundleFeed[] = []
  for (const [key, head] of [...ours].sort(byName)) {
    const held = theirs.get(key)
    if (held !== undefined && held.seq >= head.seq) continue
    const from = await branchesOff(node, key, held)
    const { author, session } = splitFeedKey(key)
    const prev = from === 0 ? NO_FACT : (held?.id ?? NO_FACT)
    feeds.push({ author, session, from, prev, count: head.seq - from + 1 })
  }
  return feeds
}

/** The sequence after what they hold; 0 where they hold another branch, so that both see the fork. */
async function branchesOff(
  node: Runtime,
  key: FeedKey,
  held: FeedHead | undefined,
): Promise<number> {
  if (held === undefined) return 0
  const next = await node.facts.find(key, held.seq + 1)
  return next?.prev === held.id ? held.seq + 1 : 0
}

async function countBlocks(node: Runtime, above: number, upTo: number): Promise<number> {
  let count = 0
  if (upTo <= above) return count
  for await (const { block } of node.gate.log.committed({
    epoch: node.parts.trust.config.epoch,
    view: above,
  })) {
    if (block.body.view > upTo) break
    count++
  }
  return count
}

function* documentsOf({ roots, groups }: BundleWish): Generator<Uint8Array, void> {
  for (const root of roots) yield tagged(BUNDLE_DOCUMENT_KINDS.indexOf('root') + 1, root)
  for (const group of groups) yield tagged(BUNDLE_DOCUMENT_KINDS.indexOf('group') + 1, group)
}

async function* writeFeed(
  node: Runtime,
  writer: BundleWriter,
  feed: BundleFeed,
): AsyncGenerator<Uint8Array, void> {
  const { author, session, from, count } = feed
  yield writer.write('feed', encodeBundleBody(BUNDLE_FEED, feed))
  const envelopes = node.facts.envelopes(feedKey(author, session), from, from + count - 1)
  for await (const bytes of envelopes) yield writer.write('fact', bytes)
}

async function blobBody(node: Runtime, hash: Hash, kind: BundleBlobKind): Promise<Uint8Array> {
  const bytes = await node.blobs.read(hash)
  if (bytes === undefined) throw missing(`the ${kind} ${hash}`)
  return tagged(BUNDLE_BLOB_KINDS.indexOf(kind) + 1, bytes)
}

async function* writeBlocks(
  node: Runtime,
  writer: BundleWriter,
  above: number,
  upTo: number,
): AsyncGenerator<Uint8Array, void> {
  if (upTo <= above) return
  for await (const { block, certificate } of node.gate.log.committed({
    epoch: node.parts.trust.config.epoch,
    view: above,
  })) {
    if (block.body.view > upTo) break
    yield writer.write('gate', encodeGateMessage({ kind: 'block', block }))
    yield writer.write('gate', encodeGateMessage({ kind: 'certificate', certificate }))
  }
}

/** In chunks of one size, however the bytes came. */
async function* writeNar(
  writer: BundleWriter,
  nar: BundleNar,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  yield writer.write('nar', encodeBundleBody(BUNDLE_NAR, nar))
  const sha = createSha256()
  let size = 0
  let held: Uint8Array[] = []
  let heldBytes = 0
  for await (const chunk of bytes) {
    sha.update(chunk)
    size += chunk.length
    if (size > nar.size) break
    for (let at = 0; at < chunk.length; ) {
      const some = chunk.subarray(at, at + BUNDLE_CHUNK_BYTES_MAX - heldBytes)
      at += some.length
      heldBytes += some.length
      // A copy: whoever gives the bytes may use their buffer again.
      held.push(some.slice())
      if (heldBytes < BUNDLE_CHUNK_BYTES_MAX) continue
      yield writer.write('chunk', concatBytes(...held))
      held = []
      heldBytes = 0
    }
  }
  if (heldBytes > 0) yield writer.write('chunk', concatBytes(...held))
  if (size === nar.size && toHex(sha.digest()) === nar.hash) return
  throw new NodeError(
    'BLOB_CORRUPT',
    `expected a NAR of ${nar.size} bytes with hash ${nar.hash}, found other bytes`,
    'Look at the disk of this host; the bundle was not finished.',
  )
}

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(tag), bytes)
}

function missing(what: string): NodeError {
  return new NodeError(
    'BLOB_MISSING',
    `expected ${what} on this disk, found none`,
    'Wait until this host has fetched it from its peers, or export at another peer.',
  )
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1
}
