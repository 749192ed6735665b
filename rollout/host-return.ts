/**
 * Going back: REVERTING → REVERTED | STUCK (SPEC §12, S5, S9, S18).
 *
 * Several rollouts may be on their way back at once; they arrive together, because back is one
 * place: the top of the stack. An armed deadman is renewed first, so that script and daemon never
 * go back at the same time, and stays armed until the host is back. One that has fired is waited
 * for, and ended when it takes too long.
 */
import type { RolloutId, StorePath, TransitionWhy } from '../protocol/index.ts'
import { topOf, wantedBoot, wayBack, withoutEntry } from './host-back.ts'
import { deadmanTarget, isArmed, lifeMs, mustWaitFor, renew } from './host-deadman.ts'
import { goingBack, type HostDraft, move, ordersOf, put, rolloutOf, setBoot } from './host-draft.ts'
import type { HostEvent } from './host-events.ts'
import type { Flight, HostRollout, Stuck } from './host-state.ts'
import type { RolloutOrders } from './orders.ts'

/** The rollout in flight goes back. */
export function turnAround(draft: HostDraft, why: TransitionWhy, detail?: string): void {
  const { flight } = draft.state
  if (flight !== undefined) leave(draft, flight.rollout, why, detail)
}

/** Turns back whatever the orders no longer carry. */
export function obeyStops(draft: HostDraft): void {
  for (const { rollout, phase, revert } of draft.state.rollouts) {
    if (phase === 'COMMITTED' && revert !== undefined) leave(draft, rollout, revert)
  }
  const { flight } = draft.state
  if (flight === undefined) return
  const why = stopOf(draft, flight)
  if (why !== undefined) turnAround(draft, why)
}

/** Takes the next step back, if anything is on its way. */
export function progressBack(draft: HostDraft): void {
  const { state } = draft
  if (state.flight !== undefined) {
    arriveBelow(draft)
    return
  }
  const under = state.rollouts.filter((one) => one.phase === 'REVERTING' || one.phase === 'STUCK')
  if (under.length === 0 || state.back !== undefined || mustWaitFor(draft, state.deadman)) return
  const { generation: target, barred } = topOf(state.stack)
  // What runs is certain only when nothing can change it any more.
  const settled = state.activating === undefined && state.deadman?.step !== 'fired'
  if (state.running === target && settled) {
    if (state.bootDefault === target) arrive(draft, under)
    else setBoot(draft, target)
    return
  }
  if (goingBack(state).length === 0 && !isWorthTrying(draft, state.stuck)) return
  if (barred) {
    strand(draft, 'not-revertable', `${target} must not run again`)
  } else goBack(draft, target, under)
}

/** The system went back, or could not. */
export function onReverted(draft: HostDraft, event: HostEvent & { kind: 'reverted' }): void {
  const { generation, ok, missing, detail } = event
  if (draft.state.back !== generation) return
  const { deadman } = draft.state
  const left = deadman?.step === 'ending' ? undefined : deadman
  put(draft, { back: undefined, activating: undefined, deadman: left })
  if (ok) {
    put(draft, { running: generation, bootDefault: generation, stuck: undefined })
    return
  }
  if (generation !== topOf(draft.state.stack).generation) return
  strand(draft, missing ? 'missing' : 'failed', missing ? `${generation} is missing` : detail)
}

/** Wins the deadman for the time that it takes, if one is armed, or ends one that fired; then goes. */
function goBack(draft: HostDraft, target: StorePath, under: readonly HostRollout[]): void {
  const { deadman } = draft.state
  if (deadman?.step === 'armed' && !(deadman.purpose === 'back' && deadman.target === target)) {
    const afterMs = Math.max(...under.map((one) => lifeMs(draft, one.rollout)))
    renew(draft, { target, purpose: 'back', afterMs })
    return
  }
  const { activateMs: timeoutMs } = draft.rules.timing
  const overtakes = deadman?.step === 'fired'
  if (overtakes) put(draft, { deadman: { ...deadman, step: 'ending' } })
  put(draft, { back: target, running: undefined, bootDefault: undefined, settingBoot: undefined })
  draft.effects.push({ kind: 'revert', generation: target, timeoutMs, overtakes })
}

function leave(draft: HostDraft, rollout: RolloutId, why: TransitionWhy, detail?: string): void {
  move(draft, rollout, 'REVERTING', { why, detail })
  const { stack, flight } = draft.state
  put(draft, {
    stack: withoutEntry(stack, rollout),
    flight: flight?.rollout === rollout ? undefined : flight,
  })
}

/** Why the rollout in flight may not go on. */
function stopOf(draft: HostDraft, flight: Flight): TransitionWhy | undefined {
  const orders = ordersOf(draft.state, flight.rollout)
  const revert = rolloutOf(draft.state, flight.rollout)?.revert
  if (revert !== undefined || orders === undefined) return revert
  if (orders.lost) return 'lost'
  if (orders.failed.includes(flight.round)) return 'peers'
  return isClosedOver(orders, flight) ? 'closed' : undefined
}

/** Closed while this host was on its way; catching up goes on after `complete`. */
function isClosedOver(orders: RolloutOrders, flight: Flight): boolean {
  return orders.status !== 'open' && (flight.open || orders.status !== 'complete')
}

/**
 * Another rollout is in flight above what went back: it goes on. The entry is off the stack for good
 * once neither the deadman nor the boot default leads to it.
 */
function arriveBelow(draft: HostDraft): void {
  const { state } = draft
  const { flight, deadman, bootDefault } = state
  if (flight === undefined || !isArmed(state)) return
  if (deadman?.target !== deadmanTarget(state, flight) || bootDefault !== wantedBoot(state)) return
  for (const { rollout, why } of goingBack(state)) move(draft, rollout, 'REVERTED', { why })
}

function arrive(draft: HostDraft, under: readonly HostRollout[]): void {
  for (const { rollout, why } of under) move(draft, rollout, 'REVERTED', { why })
  put(draft, { stuck: undefined })
}

/** A STUCK host tries again when back leads elsewhere, after a restart, and for a missing path now and then. */
function isWorthTrying(draft: HostDraft, stuck: Stuck | undefined): boolean {
  if (stuck === undefined || stuck.target !== wayBack(draft.state).generation) return true
  return stuck.why === 'missing' && draft.now - stuck.at >= draft.rules.timing.activateMs
}

/** STUCK. What sent the host back stays the reason where the way back itself was there. */
function strand(draft: HostDraft, why: Stuck['why'], detail: string): void {
  const target = topOf(draft.state.stack).generation
  put(draft, { stuck: { target, at: draft.now, why } })
  for (const record of goingBack(draft.state)) {
    move(draft, record.rollout, 'STUCK', { why: why === 'failed' ? record.why : why, detail })
  }
}
