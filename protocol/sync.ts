/**
 * Anti-entropy between two nodes: afterwards both hold what either held (SPEC §8.2).
 *
 * One side asks, the other answers. The asker walks the peer's tree into the buckets that differ,
 * fetches what it lacks, then sends what the peer lacks. Equal vectors cost one short round trip. The
 * two functions decide; who calls them carries bytes, reads feeds and hands envelopes to ingest.
 */
import type { Hex } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import { type FeedKey, feedKey } from './feed.ts'
import {
  BATCH_BYTES_MAX,
  SYNC_BATCHES_MAX,
  SYNC_FACTS_MAX,
  SYNC_LOOKS_MAX,
  SYNC_LOOKS_TOTAL_MAX,
  SYNC_RANGES_MAX,
} from './limits.ts'
import type { FeedRange, RangePosition, SyncAnswer, SyncQuestion } from './sync-messages.ts'
import {
  bucketOf,
  differingParts,
  type FeedState,
  feedsUnder,
  type SyncNode,
  type SyncPrefix,
  treeRoot,
  type VectorTree,
} from './sync-tree.ts'

/** Envelopes of some ranges in their order, and where the reading stopped. */
export interface Batch {
  readonly facts: readonly Uint8Array[]
  readonly next: RangePosition
}

/** An asker in the middle of a sync. `tree` is what it held at the start. */
export interface SyncState {
  readonly phase: 'hello' | 'walk' | 'fetch' | 'offer' | 'done'
  readonly tree: VectorTree
  /** Buckets that differ and were not looked at; the first ones are in the open question. */
  readonly buckets: readonly SyncPrefix[]
  readonly looked: number
  /** What the peer has more of, and what it has less of. */
  readonly wants: readonly FeedRange[]
  readonly offers: readonly FeedRange[]
  readonly batches: number
}

export type SyncEvent =
  | { readonly kind: 'answer'; readonly answer: SyncAnswer }
  /** What a `read` effect brought. */
  | { readonly kind: 'batch'; readonly batch: Batch }

export type SyncEffect =
  | { readonly kind: 'ask'; readonly question: SyncQuestion }
  /** Read these of our own feeds into one batch. */
  | { readonly kind: 'read'; readonly ranges: readonly FeedRange[] }
  /** Hand these to ingest, before the next question. */
  | { readonly kind: 'take'; readonly facts: readonly Uint8Array[] }
  /** The author signed two facts for one place; both sides now exchange them as proof. */
  | {
      readonly kind: 'fork'
      readonly feed: FeedKey
      readonly seq: number
      readonly ours: Hex
      readonly theirs: Hex
    }
  | { readonly kind: 'done' }

export interface SyncStep {
  readonly state: SyncState
  readonly effects: readonly SyncEffect[]
}

/** Begins a sync with a peer. `gate` is the gate's summary, opaque here. */
export function startSync(tree: VectorTree, gate?: Uint8Array): SyncStep {
  const state: SyncState = {
    phase: 'hello',
    tree,
    buckets: [],
    looked: 0,
    wants: [],
    offers: [],
    batches: 0,
  }
  return ask(state, { kind: 'hello', root: treeRoot(tree), gate })
}

/**
 * Goes on after an answer or a batch.
 *
 * Throws BAD_SHAPE (`reject`) for an answer that does not fit the question; the sync is then over.
 */
export function stepSync(state: SyncState, event: SyncEvent): SyncStep {
  if (event.kind === 'batch') return offerBatch(state, event.batch)
  const { answer } = event
  if (state.phase === 'hello' && answer.kind === 'same') return finish(state)
  if (state.phase === 'hello' && answer.kind === 'nodes') {
    return learn({ ...state, phase: 'walk', buckets: [''] }, answer.nodes)
  }
  if (state.phase === 'walk' && answer.kind === 'nodes') return learn(state, answer.nodes)
  if (state.phase === 'fetch' && answer.kind === 'facts') return fetched(state, answer)
  if (state.phase === 'offer' && answer.kind === 'took') return offer(state)
  throw unfit(`an answer to ${state.phase}`, answer.kind)
}

/** What an answerer must do: send `answer`, or read ranges for one, or take facts and then answer. */
export type SyncReply =
  | { readonly kind: 'answer'; readonly answer: SyncAnswer }
  /** Read these and answer `facts` with the batch. */
  | { readonly kind: 'read'; readonly ranges: readonly FeedRange[] }
  /** Hand these to ingest and answer `took`. */
  | { readonly kind: 'take'; readonly facts: readonly Uint8Array[] }

/** The answer to a peer's question. `tree` is what this node holds now. */
export function answerSync(tree: VectorTree, question: SyncQuestion, gate?: Uint8Array): SyncReply {
  switch (question.kind) {
    case 'hello':
      return question.root === treeRoot(tree)
        ? { kind: 'answer', answer: { kind: 'same', gate } }
        : { kind: 'answer', answer: { kind: 'nodes', nodes: [bucketOf(tree, '')], gate } }
    case 'look': {
      const nodes = question.prefixes.map((prefix) => bucketOf(tree, prefix))
      return { kind: 'answer', answer: { kind: 'nodes', nodes } }
    }
    case 'want':
      return { kind: 'read', ranges: question.ranges }
    case 'give':
      return { kind: 'take', facts: question.facts }
  }
}

/**
 * Reads ranges into one batch: at most `BATCH_BYTES_MAX` bytes, whole envelopes, in order.
 *
 * `read` gives the envelopes of one range from its start on; it may give fewer than asked for when
 * the feed is not held that far. Their sequences must follow each other.
 */
export async function collectBatch(
  ranges: readonly FeedRange[],
  read: (range: FeedRange) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Batch> {
  const facts: Uint8Array[] = []
  let bytes = 0
  for (const [index, range] of ranges.entries()) {
    let seq = range.from
    for await (const envelope of read(range)) {
      if (seq > range.to) break
      bytes += envelope.length
      if (bytes > BATCH_BYTES_MAX || facts.length >= SYNC_FACTS_MAX) {
        return { facts, next: { range: index, seq } }
      }
      facts.push(envelope)
      seq++
    }
  }
  return { facts, next: { range: ranges.length, seq: 0 } }
}

/** Compares the peer's buckets with ours; deeper where they split, feed by feed where they do not. */
function learn(state: SyncState, nodes: readonly SyncNode[]): SyncStep {
  const asked = nextLooks(state)
  if (nodes.length !== asked.length || nodes.some(({ prefix }, i) => prefix !== asked[i])) {
    throw unfit(`the buckets ${asked.join(' ')}`, nodes.map(({ prefix }) => prefix).join(' '))
  }
  const deeper: SyncPrefix[] = []
  const wants: FeedRange[] = []
  const offers: FeedRange[] = []
  const effects: SyncEffect[] = []
  for (const node of nodes) {
    if ('children' in node) deeper.push(...parts(state.tree, node))
    else {
      const compared = compareFeeds(feedsUnder(state.tree, node.prefix), node.feeds)
      wants.push(...compared.wants)
      offers.push(...compared.offers)
      effects.push(...compared.forks)
    }
  }
  const next = walk({
    ...state,
    buckets: [...state.buckets.slice(asked.length), ...deeper],
    looked: state.looked + asked.length,
    wants: [...state.wants, ...wants],
    offers: [...state.offers, ...offers],
  })
  return { state: next.state, effects: [...effects, ...next.effects] }
}

function parts(
  tree: VectorTree,
  node: SyncNode & { children: readonly Hex[] },
): readonly SyncPrefix[] {
  if (node.prefix.length >= 64) throw unfit('a bucket of at most one feed', 'one that splits')
  return differingParts(tree, node.prefix, node.children)
}

function walk(state: SyncState): SyncStep {
  const prefixes = nextLooks(state)
  if (prefixes.length === 0) return fetch({ ...state, phase: 'fetch', buckets: [] })
  return ask(state, { kind: 'look', prefixes })
}

/** The buckets of the next or the open question; none when this sync has looked at enough. */
function nextLooks(state: SyncState): readonly SyncPrefix[] {
  const room = SYNC_LOOKS_TOTAL_MAX - state.looked
  return state.buckets.slice(0, Math.min(SYNC_LOOKS_MAX, room))
}

interface Comparison {
  readonly wants: readonly FeedRange[]
  readonly offers: readonly FeedRange[]
  readonly forks: readonly SyncEffect[]
}

/** Feed by feed: who has more, and where two facts stand in one place. */
function compareFeeds(ours: readonly FeedState[], theirs: readonly FeedState[]): Comparison {
  const wants: FeedRange[] = []
  const offers: FeedRange[] = []
  const forks: SyncEffect[] = []
  const held = new Map(ours.map((feed) => [feedKey(feed.author, feed.session), feed]))
  for (const their of theirs) {
    const feed = feedKey(their.author, their.session)
    const our = held.get(feed)
    held.delete(feed)
    const seq = our?.seq ?? -1
    if (seq < their.seq) wants.push(rangeOf(their, seq + 1, their.seq))
    else if (seq > their.seq) offers.push(rangeOf(their, their.seq + 1, seq))
    else if (our !== undefined && our.head !== their.head) {
      forks.push({ kind: 'fork', feed, seq, ours: our.head, theirs: their.head })
      wants.push(rangeOf(their, seq, seq))
      offers.push(rangeOf(their, seq, seq))
    }
  }
  for (const our of held.values()) offers.push(rangeOf(our, 0, our.seq))
  return { wants, offers, forks }
}

function rangeOf({ author, session }: FeedState, from: number, to: number): FeedRange {
  return { author, session, from, to }
}

function fetch(state: SyncState): SyncStep {
  const ranges = state.wants.slice(0, SYNC_RANGES_MAX)
  if (ranges.length === 0 || state.batches >= SYNC_BATCHES_MAX) {
    return offer({ ...state, phase: 'offer', wants: [] })
  }
  return ask({ ...state, batches: state.batches + 1 }, { kind: 'want', ranges })
}

function fetched(state: SyncState, answer: SyncAnswer & { kind: 'facts' }): SyncStep {
  const wants = afterPosition(state.wants, SYNC_RANGES_MAX, answer.next)
  const next = fetch({ ...state, wants })
  const take: SyncEffect = { kind: 'take', facts: answer.facts }
  return {
    state: next.state,
    effects: answer.facts.length > 0 ? [take, ...next.effects] : next.effects,
  }
}

function offer(state: SyncState): SyncStep {
  const ranges = state.offers.slice(0, SYNC_RANGES_MAX)
  if (ranges.length === 0 || state.batches >= SYNC_BATCHES_MAX) return finish(state)
  return { state, effects: [{ kind: 'read', ranges }] }
}

function offerBatch(state: SyncState, batch: Batch): SyncStep {
  if (state.phase !== 'offer') throw unfit('a batch while offering', `one in ${state.phase}`)
  const offers = afterPosition(state.offers, SYNC_RANGES_MAX, batch.next)
  const next = { ...state, offers, batches: state.batches + 1 }
  return batch.facts.length > 0 ? ask(next, { kind: 'give', facts: batch.facts }) : offer(next)
}

/** The ranges that are left when reading the first `count` of them stopped at `next`. */
function afterPosition(
  ranges: readonly FeedRange[],
  count: number,
  next: RangePosition,
): readonly FeedRange[] {
  const asked = Math.min(count, ranges.length)
  if (next.range >= asked) return ranges.slice(asked)
  const stopped = ranges[next.range]
  const left = ranges.slice(next.range + 1)
  if (stopped === undefined || next.seq > stopped.to) return left
  const moved = next.range > 0 || next.seq > stopped.from
  if (!moved || next.seq < stopped.from) {
    throw unfit(
      `progress beyond sequence ${stopped.from}`,
      `range ${next.range}, sequence ${next.seq}`,
    )
  }
  return [{ ...stopped, from: next.seq }, ...left]
}

function ask(state: SyncState, question: SyncQuestion): SyncStep {
  return { state, effects: [{ kind: 'ask', question }] }
}

function finish(state: SyncState): SyncStep {
  return { state: { ...state, phase: 'done', wants: [], offers: [] }, effects: [{ kind: 'done' }] }
}

function unfit(expected: string, found: string): ProtocolError {
  return new ProtocolError('BAD_SHAPE', 'reject', `expected ${expected} in a sync, found ${found}`)
}
