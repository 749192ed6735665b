/**
 * Keys that count no more (SPEC §6.12): how far their feeds still go. Revocations only grow, so that
 * every node stops at the same fact, whatever it heard first.
 */
import {
  type BlockBody,
  type FeedHead,
  type FeedKey,
  feedKey,
  type KeyId,
  splitFeedKey,
} from '../protocol/index.ts'
import type { FleetView } from './fleet-view.ts'
import { revokesItself } from './trust.ts'

type Revocations = Pick<FleetView, 'revocations'>

/** Whether a revocation of `key` is known. */
export function isRevoked({ revocations }: Revocations, key: KeyId): boolean {
  return (revocations.get(key)?.size ?? 0) > 0
}

/** Every revoked key. */
export function revokedKeys({ revocations }: Revocations): ReadonlySet<KeyId> {
  return new Set(revocations.keys())
}

/**
 * The sequence up to which a feed of a revoked key counts, −1 for nothing of it: the lowest that a
 * revocation names, and at least what the log has pinned. Undefined for a key that nobody revoked.
 */
export function revokedLimit(
  { revocations }: Revocations,
  feed: FeedKey,
  pinned: Pick<FeedHead, 'seq'> | undefined,
): number | undefined {
  const { author, session } = splitFeedKey(feed)
  const known = revocations.get(author)
  if (known === undefined || known.size === 0) return undefined
  const facts = [...known.values()]
  const named = facts.map(
    ({ body }) => body.feeds.find((one) => one.session === session)?.seq ?? -1,
  )
  const carries = facts.some((fact) => revokesItself(fact) && fact.session === session)
  return Math.max(Math.min(...named), pinned?.seq ?? -1, carries ? 0 : -1)
}

/** Why a block may not stand: it moves a feed of a revoked key past what counts of it. */
export function movesRevoked(
  view: Revocations,
  { basis }: Pick<BlockBody, 'basis'>,
  pinned: FleetView['vector'],
): string | undefined {
  const moved = basis.find(({ author, session, seq }) => {
    const feed = feedKey(author, session)
    const limit = revokedLimit(view, feed, pinned.get(feed))
    return limit !== undefined && seq > limit
  })
  if (moved === undefined) return undefined
  return `the basis moves ${moved.author.slice(0, 12)}, whose key is revoked, to ${moved.seq}`
}
