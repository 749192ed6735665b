/**
 * Feeds: an author's append-only, gap-free chain, and the vector over all of them (SPEC §5.2, §8).
 */
import type { Hex } from './bytes.ts'
import { type Fact, NO_FACT } from './facts.ts'
import type { FactId, KeyId, Session } from './ids.ts'

/** `<author>/<session>`, both hex: one feed. */
export type FeedKey = string

/** The newest fact of a feed. */
export interface FeedHead {
  readonly seq: number
  readonly id: FactId
}

/** What one node holds, feed by feed: since feeds have no gaps this is a complete summary. */
export type Vector = ReadonlyMap<FeedKey, FeedHead>

/** The key of the feed that `author` writes under `session`. */
export function feedKey(author: KeyId, session: Session): FeedKey {
  return `${author}/${session}`
}

/** The feed that a fact belongs to. */
export function feedOf(fact: Pick<Fact, 'author' | 'session'>): FeedKey {
  return feedKey(fact.author, fact.session)
}

/** The author and session of a feed key. */
export function splitFeedKey(key: FeedKey): { author: Hex; session: Hex } {
  return { author: key.slice(0, 64), session: key.slice(65) }
}

/** How a fact relates to the feed as it is held. */
export type Placement =
  | { readonly kind: 'append' }
  /** It stands there already; or its place is filled by what this node has since pruned. */
  | { readonly kind: 'duplicate' }
  /** Facts before it are missing: sync will bring them. */
  | { readonly kind: 'gap'; readonly expected: number }
  /**
   * The author signed two facts for one place. `held` is what stands there; undefined where only
   * the predecessors differ, so that the fork lies further back.
   */
  | { readonly kind: 'fork'; readonly held: FactId | undefined }

/**
 * Where `fact` goes. `at` gives the held fact's id at a sequence of this feed, undefined where it
 * was pruned: without the held fact there is no proof of a fork, and nothing to be learned.
 */
export function placeFact(
  fact: Pick<Fact, 'id' | 'seq' | 'prev'>,
  head: FeedHead | undefined,
  at: (seq: number) => FactId | undefined,
): Placement {
  const next = head === undefined ? 0 : head.seq + 1
  if (fact.seq > next) return { kind: 'gap', expected: next }
  if (fact.seq < next) {
    const held = at(fact.seq)
    const known = held === undefined || held === fact.id
    return known ? { kind: 'duplicate' } : { kind: 'fork', held }
  }
  const expected = head === undefined ? NO_FACT : head.id
  return fact.prev === expected ? { kind: 'append' } : { kind: 'fork', held: undefined }
}
