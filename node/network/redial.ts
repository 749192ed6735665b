/**
 * Keeps a host connected: libp2p gives up after five tries and never dials whom it discovers.
 *
 * Every round dials voters, and others until enough are connected, those first who have waited
 * longest. The round is the time in which a healed partition is noticed.
 */
import type { HostName } from '../../protocol/index.ts'
import { CONNECTIONS_WANTED, REDIAL_PARALLEL_MAX } from '../limits.ts'
import type { BookEntry } from './peer-book.ts'

/** What a round knows of one member. */
export interface RedialCandidate extends Pick<BookEntry, 'name' | 'voter'> {
  readonly connected: boolean
  /** A dial to it is under way. */
  readonly dialing: boolean
  /** The round of the last try, or of the first sight of a member that is left the first try. */
  readonly lastTried: number | undefined
}

/** How much a round may do. */
export interface RedialLimits {
  readonly wanted: number
  readonly parallel: number
}

const LIMITS: RedialLimits = { wanted: CONNECTIONS_WANTED, parallel: REDIAL_PARALLEL_MAX }

/** Whom to dial now: who was never tried comes first, and voters before others. */
export function chooseDials(
  candidates: readonly RedialCandidate[],
  limits: RedialLimits = LIMITS,
): readonly HostName[] {
  const count = (which: (candidate: RedialCandidate) => boolean): number =>
    candidates.filter(which).length
  const missing = limits.wanted - count(({ connected }) => connected)
  const places = Math.max(0, limits.parallel - count(({ dialing }) => dialing))
  return candidates
    .filter(({ connected, dialing, voter }) => !connected && !dialing && (voter || missing > 0))
    .sort((a, b) => tried(a) - tried(b) || Number(b.voter) - Number(a.voter))
    .slice(0, places)
    .map(({ name }) => name)
}

function tried(candidate: RedialCandidate): number {
  return candidate.lastTried ?? -1
}
