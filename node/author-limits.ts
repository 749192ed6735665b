/**
 * How much of one author a node takes from gossip (SPEC §8.3): a token bucket of facts, and one of
 * new sessions. What is over it is not refused for ever: sync brings it, at the pace of sync.
 *
 * Only facts whose signature holds cost their author anything, so nobody uses up another's share.
 */
import type { KeyId } from '../protocol/index.ts'
import {
  ATTESTS_PER_HOUR,
  GOSSIP_FACTS_BURST_MAX,
  GOSSIP_FACTS_PER_HOUR_MAX,
  GOSSIP_SCALE_MAX,
  GOSSIP_SESSIONS_PER_HOUR_MAX,
  GOSSIP_WINDOW_MS,
} from './limits.ts'

const HOUR_MS = 3600_000

/** What the group does now, as far as it decides how much an honest author says. */
export interface Pace {
  /** The shortest window of attestations in force, in ms. */
  readonly windowMs: number
  readonly openRollouts: number
}

/** Tokens for `perHour` acts, up to `burst` of them at once. */
export interface BucketRules {
  readonly perHour: number
  readonly burst: number
}

/** One author's bucket. */
export interface Bucket {
  readonly tokens: number
  readonly at: number
}

/** The bucket after one more act at `now`, or undefined when it is empty. A new one is full. */
export function takeToken(
  bucket: Bucket | undefined,
  rules: BucketRules,
  now: number,
): Bucket | undefined {
  const gained = bucket === undefined ? 0 : ((now - bucket.at) * rules.perHour) / HOUR_MS
  const tokens = Math.min(rules.burst, (bucket?.tokens ?? rules.burst) + Math.max(0, gained))
  return tokens < 1 ? undefined : { tokens: tokens - 1, at: now }
}

/** How many facts of one author gossip brings: more while rollouts are open, more where windows are short. */
export function factRules({ windowMs, openRollouts }: Pace): BucketRules {
  const scale = scaleOf(windowMs)
  return {
    perHour: scale * (GOSSIP_FACTS_PER_HOUR_MAX + ATTESTS_PER_HOUR * openRollouts),
    burst: scale * GOSSIP_FACTS_BURST_MAX,
  }
}

/** How many new sessions of one author gossip brings. */
export function sessionRules({ windowMs }: Pace): BucketRules {
  const perHour = scaleOf(windowMs) * GOSSIP_SESSIONS_PER_HOUR_MAX
  return { perHour, burst: perHour }
}

function scaleOf(windowMs: number): number {
  return Math.min(GOSSIP_SCALE_MAX, Math.max(1, GOSSIP_WINDOW_MS / windowMs))
}

/** The buckets of every author that the root names. */
export class AuthorLimits {
  readonly #facts = new Map<KeyId, Bucket>()
  readonly #sessions = new Map<KeyId, Bucket>()

  /** Whether gossip may bring this fact of `author` now; if so, it is counted. */
  take(author: KeyId, pace: Pace, now: number, options: { newSession: boolean }): boolean {
    const fact = takeToken(this.#facts.get(author), factRules(pace), now)
    if (fact === undefined) return false
    if (options.newSession) {
      const session = takeToken(this.#sessions.get(author), sessionRules(pace), now)
      if (session === undefined) return false
      this.#sessions.set(author, session)
    }
    this.#facts.set(author, fact)
    return true
  }
}
