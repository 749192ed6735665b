/**
 * What must come to pass once the network has settled: L1–L8. A run that ends says yes or no to each;
 * the bounds are those of the fleet's own timing, and each caller says which.
 */
import type { HostName, RolloutId } from '../../../protocol/index.ts'

/** L1: a plan that a correct node holds is admitted, or rejected with a reason. */
export function l1Decided(
  plans: readonly { readonly id: RolloutId; readonly at: HostName; readonly waiting: string }[],
): readonly string[] {
  return plans.map(
    ({ id, at, waiting }) => `plan ${id.slice(0, 12)} is undecided at ${at}: ${waiting}`,
  )
}

/** L2: every rollout closes. */
export function l2Closes(
  open: readonly { readonly id: RolloutId; readonly at: HostName; readonly stands: string }[],
): readonly string[] {
  return open.map(({ id, at, stands }) => `rollout ${id.slice(0, 12)} is open at ${at}: ${stands}`)
}

/** L3: a halt that anybody holds is held by everybody, not later than the rounds of sync take. */
export function l3HaltReaches(
  late: readonly { readonly halt: string; readonly host: HostName; readonly ms: number }[],
): readonly string[] {
  return late.map(
    ({ halt, host, ms }) => `halt ${halt.slice(0, 12)} has not reached ${host} after ${ms} ms`,
  )
}

/** L4: a host that nobody confirms is back within one deadman's life and an activation. */
export function l4Back(host: HostName, awayMs: number, boundMs: number): readonly string[] {
  if (awayMs <= boundMs) return []
  return [
    `${host} went forward ${Math.round(awayMs)} ms ago, nobody confirms it, and it is not back after ${boundMs} ms`,
  ]
}

/** L5: an idle group says nothing: no block, no vote, no fact. */
export function l5Silent(messages: number, ms: number): readonly string[] {
  return messages === 0 ? [] : [`${messages} messages and facts within ${ms} ms of an idle group`]
}

/** L6: every node that runs comes to know and derive the same. */
export function l6Converge(digests: ReadonlyMap<string, readonly HostName[]>): readonly string[] {
  if (digests.size <= 1) return []
  const sides = [...digests].map(
    ([digest, names]) => `${digest.slice(0, 8)} at ${names.join(', ')}`,
  )
  return [`${digests.size} digests: ${sides.join('; ')}`]
}

/** L7: a host that holds a halt with revert goes back by itself, whoever else is there. */
export function l7BackAlone(
  host: HostName,
  rollout: RolloutId,
  ms: number,
  boundMs: number,
): readonly string[] {
  if (ms <= boundMs) return []
  return [
    `${host} holds a halt with revert of ${rollout.slice(0, 12)} for ${Math.round(ms)} ms and is not back`,
  ]
}

/** L8: with everybody there again, a good release over all hosts completes and every host runs it. */
export function l8Completes(outcome: string, behind: readonly HostName[]): readonly string[] {
  if (outcome === 'complete' && behind.length === 0) return []
  return [
    `a good release after the storm is ${outcome}; not on it: ${behind.join(', ') || 'nobody'}`,
  ]
}
