/**
 * The deadman as seen from the machine: asked for, answered, fired (SPEC §12, S9).
 *
 * Nothing here waits for time: the timer lives outside the daemon, and who wins its rename goes on.
 * One question is under way at a time, so every answer belongs to the newest question.
 */
import type { StorePath } from '../protocol/index.ts'
import { forbids, topOf, wayBack } from './host-back.ts'
import { goingBack, type HostDraft, ordersOf, put } from './host-draft.ts'
import { FIRED_ACTIVATIONS } from './host-limits.ts'
import type { Flight, HeldDeadman, HostState, RenewPurpose } from './host-state.ts'

/** Whether the deadman is armed and no question about it is under way. */
export function isArmed(state: HostState): boolean {
  return state.deadman?.step === 'armed'
}

/**
 * Where the deadman of `flight` has to lead. A generation that may not be gone back to is never
 * its target: it then points at the flight's own, goes nowhere, and the host ends STUCK.
 */
export function deadmanTarget(
  state: HostState,
  flight: Pick<Flight, 'rollout' | 'generation'>,
): StorePath {
  const { generation, barred } = wayBack(state)
  const closed = barred || forbids(state.orders, flight.rollout, generation)
  return closed ? flight.generation : generation
}

/** Arms it for the rollout that is about to begin. */
export function arm(
  draft: HostDraft,
  arming: { token: string; target: StorePath; afterMs: number },
): void {
  const { token, target, afterMs } = arming
  put(draft, { deadman: { token, target, step: 'arming', at: draft.now + afterMs } })
  draft.effects.push({ kind: 'armDeadman', token, target, afterMs })
}

/** Renews an armed deadman; without `afterMs` it keeps its time and only changes its target. */
export function renew(
  draft: HostDraft,
  renewal: { target: StorePath; purpose: RenewPurpose; afterMs?: number },
): void {
  const { deadman } = draft.state
  if (deadman?.step !== 'armed') return
  const { target, purpose } = renewal
  const afterMs = renewal.afterMs ?? Math.max(1, deadman.at - draft.now)
  const at = draft.now + afterMs
  put(draft, { deadman: { ...deadman, target, purpose, step: 'renewing', at } })
  draft.effects.push({ kind: 'renewDeadman', token: deadman.token, target, afterMs })
}

/** Asks to end it. */
export function disarm(draft: HostDraft): void {
  const { deadman } = draft.state
  if (deadman?.step !== 'armed') return
  put(draft, { deadman: { ...deadman, step: 'disarming' } })
  draft.effects.push({ kind: 'disarmDeadman', token: deadman.token })
}

/** Whether the machine has to let the deadman finish before it goes back by itself. */
export function mustWaitFor(draft: HostDraft, deadman: HeldDeadman | undefined): boolean {
  if (deadman === undefined || deadman.step === 'armed') return false
  if (deadman.step !== 'fired') return true
  return draft.now - deadman.at < FIRED_ACTIVATIONS * draft.rules.timing.activateMs
}

/** Ends a deadman that nothing needs any more. A STUCK host keeps it for one more try. */
export function tidyDeadman(draft: HostDraft): void {
  const { state } = draft
  if (state.flight !== undefined || goingBack(state).length > 0) return
  const top = topOf(state.stack).generation
  if (state.stuck?.why === 'failed' && state.deadman?.target === top) return
  disarm(draft)
}

/** How long a deadman lives for a rollout: an activation and the confirmation after it. */
export function lifeMs(draft: HostDraft, rollout: string): number {
  const confirmMs = ordersOf(draft.state, rollout)?.policy.confirmMs ?? 0
  return draft.rules.timing.activateMs + confirmMs
}
