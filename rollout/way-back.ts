/** A host's word against itself: that it goes back, and whether that is a failure (SPEC §7.4). */
import { type HostName, type Phase, ROUNDS_MAX, type TransitionWhy } from '../protocol/index.ts'
import { type RolloutRecord, roundRecord } from './fleet-view.ts'
import type { GateStart } from './gate-state.ts'

/** Reasons to go back that are failures in every round. */
const FAILURES: readonly TransitionWhy[] = ['activate', 'check', 'reboot']

/** Whether the host says of this round that it goes or went back for this reason. */
export function wentBack(
  record: RolloutRecord,
  place: { readonly host: HostName; readonly round: number },
  why: TransitionWhy,
): boolean {
  const { transitions } = roundRecord(record, place.host, place.round)
  return [...transitions.values()].some(({ body }) => isWayBack(body.to) && body.why === why)
}

/** A host's word against itself counts at once: from REVERTING on, not only when it is back. */
export function blamesItself(record: RolloutRecord, host: HostName, round: number): boolean {
  const last = round === ROUNDS_MAX - 1
  const reasons = last ? [...FAILURES, 'unconfirmed' as const] : FAILURES
  return reasons.some((why) => wentBack(record, { host, round }, why))
}

/**
 * Went back unconfirmed in a round that it may repeat. A further start does not clear it: only a
 * confirmation, or an operator who gives the host up, shows what the silence was.
 */
export function wasUnconfirmed(
  record: RolloutRecord,
  host: HostName,
  starts: readonly GateStart[],
): boolean {
  return starts.some(
    ({ round }) => round < ROUNDS_MAX - 1 && wentBack(record, { host, round }, 'unconfirmed'),
  )
}

function isWayBack(phase: Phase): boolean {
  return phase === 'REVERTING' || phase === 'REVERTED' || phase === 'STUCK'
}
