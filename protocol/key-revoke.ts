/** A key that counts no more (SPEC §6.12): stolen, lost, or not needed. */
import { KEY_ID, type KeyId, LINE, SESSION, type Session } from './ids.ts'
import { REVOKED_FEEDS_MAX } from './limits.ts'
import { type Schema, shape, sortedList, uint } from './schema.ts'

/** How far one feed of the key still counts. */
export interface RevokedFeed {
  readonly session: Session
  /** The last sequence that its owner vouches for. */
  readonly seq: number
}

/** Body of `key.revoke`, by an admin or by the key itself. */
export interface KeyRevoke {
  readonly key: KeyId
  /** Feeds that are not named count as far as the log has pinned them. */
  readonly feeds: readonly RevokedFeed[]
  readonly why: string
}

export const KEY_REVOKE: Schema<KeyRevoke> = shape<KeyRevoke>({
  key: KEY_ID,
  feeds: sortedList(
    shape<RevokedFeed>({ session: SESSION, seq: uint() }),
    (feed) => feed.session,
    REVOKED_FEEDS_MAX,
  ),
  why: LINE,
})
