/**
 * A host's way through its rollouts (SPEC §12, invariants S3–S5, S9, S17, S18).
 *
 *   QUEUED → STAGING → READY → ACTIVATING → PROBATION → CONFIRMED → SOAKED → COMMITTED
 *   READY or before → SKIPPED      ACTIVATING..COMMITTED → REVERTING → REVERTED | STUCK
 *
 * Pure: one event in, the next state and what to do out. The state is journaled before anything is
 * done, so after a crash at any step the host goes on or goes back. Every step ends the same way:
 * stops first, then the way back, then the flight, then what may begin. What a step does depends on
 * nothing but what is known, so the order in which facts arrive does not matter in the end.
 */
import type { RolloutId, StorePath } from '../protocol/index.ts'
import { topOf } from './host-back.ts'
import { tidyDeadman } from './host-deadman.ts'
import { goingBack, type HostDraft, put } from './host-draft.ts'
import type { HostEvent, HostRules, HostStep } from './host-events.ts'
import {
  onActivated,
  onChecks,
  onConfirmAnswer,
  onDisarmed,
  onRenewed,
  progressFlight,
} from './host-flight.ts'
import { onDeadmanArmed, onLeaseAnswer, progressLease, waitingLease } from './host-lease.ts'
import {
  catchUp,
  keepPinned,
  leaveQueue,
  onStaged,
  progressQueue,
  readOrders,
} from './host-queue.ts'
import { onRestarted } from './host-restart.ts'
import { obeyStops, onReverted, progressBack, turnAround } from './host-return.ts'
import type { HostState } from './host-state.ts'

/**
 * The state after `event`, and the effects that the node carries out once it is journaled.
 *
 * `now` is bootMs: a clock of one machine that counts suspend. `rules` come from the group's
 * configuration.
 */
export function stepHost(
  state: HostState,
  event: HostEvent,
  now: number,
  rules: HostRules,
): HostStep {
  const fresh = event.kind === 'orders' || event.kind === 'tick' ? event.fresh : undefined
  const draft: HostDraft = { state, fresh, effects: [], now: Math.floor(now), rules }
  take(draft, event)
  settle(draft)
  return { state: draft.state, effects: draft.effects }
}

/** What a host is doing, in one word, for people and for probes. */
export type HostCondition =
  | { readonly kind: 'steady'; readonly generation: StorePath }
  | { readonly kind: 'drifted'; readonly running: StorePath; readonly top: StorePath }
  | { readonly kind: 'waiting-lease'; readonly rollout: RolloutId; readonly round: number }
  | { readonly kind: 'in-flight'; readonly rollout: RolloutId; readonly round: number }
  | { readonly kind: 'going-back'; readonly rollouts: readonly RolloutId[] }
  | { readonly kind: 'stuck'; readonly target: StorePath; readonly why: string }

/**
 * The host's condition. A drifted host runs what no rollout of its own put there; it is left alone
 * until the next start or halt, and never counts as healthy.
 */
export function hostCondition(state: HostState): HostCondition {
  const { flight, stuck, running } = state
  if (flight) return { kind: 'in-flight', rollout: flight.rollout, round: flight.round }
  const back = goingBack(state)
  if (back.length > 0) return { kind: 'going-back', rollouts: back.map((one) => one.rollout) }
  if (stuck) return { kind: 'stuck', target: stuck.target, why: stuck.why }
  const waiting = waitingLease(state)
  if (waiting) return { kind: 'waiting-lease', rollout: waiting.rollout, round: waiting.round }
  const top = topOf(state.stack).generation
  return running === undefined || running === top
    ? { kind: 'steady', generation: top }
    : { kind: 'drifted', running, top }
}

function take(draft: HostDraft, event: HostEvent): void {
  switch (event.kind) {
    case 'tick':
      return
    case 'orders':
      put(draft, { orders: event.orders })
      return
    case 'restarted':
      onRestarted(draft, event)
      return
    case 'signed':
      onSigned(draft, event)
      return
    case 'staged':
      onStaged(draft, event)
      return
    case 'leaseAnswer':
      onLeaseAnswer(draft, event)
      return
    case 'activated':
      onActivated(draft, event)
      return
    case 'confirmAnswer':
      onConfirmAnswer(draft, event)
      return
    case 'checks':
      onChecks(draft, event)
      return
    case 'bootDefaultSet':
      onBootDefaultSet(draft, event.generation)
      return
    case 'reverted':
      onReverted(draft, event)
      return
    case 'running':
      onRunning(draft, event.generation)
      return
    default:
      takeDeadman(draft, event)
      return
  }
}

type DeadmanEvent = Extract<HostEvent, { readonly token: string }>

function takeDeadman(draft: HostDraft, event: DeadmanEvent): void {
  const { deadman } = draft.state
  if (deadman?.token !== event.token) return
  switch (event.kind) {
    case 'deadmanArmed':
      onDeadmanArmed(draft, event.token)
      return
    case 'deadmanRenewed':
      if (deadman.step !== 'renewing') return
      if (!event.ok) {
        fire(draft)
        return
      }
      put(draft, { deadman: { ...deadman, step: 'armed' } })
      onRenewed(draft, deadman.purpose)
      return
    case 'deadmanDisarmed':
      if (!event.won) {
        fire(draft)
        return
      }
      put(draft, { deadman: undefined, lease: undefined })
      onDisarmed(draft)
      return
    case 'deadmanFired':
      onFired(draft, event)
      return
  }
}

/** The deadman won: whatever flew goes back. */
function fire(draft: HostDraft): void {
  const { deadman } = draft.state
  if (deadman !== undefined && deadman.step !== 'fired' && deadman.step !== 'ending') {
    put(draft, { deadman: { ...deadman, step: 'fired', at: draft.now }, running: undefined })
  }
  turnAround(draft, 'unconfirmed')
}

function onFired(draft: HostDraft, event: HostEvent & { kind: 'deadmanFired' }): void {
  fire(draft)
  if (!event.done) return
  // A switch that was asked for and not answered may still come, after all that the script did.
  const sure = event.ok && draft.state.activating === undefined
  put(draft, { deadman: undefined, running: sure ? event.target : undefined })
}

function onSigned(draft: HostDraft, event: HostEvent & { kind: 'signed' }): void {
  const { rollout, round, to } = event
  const unsigned = draft.state.unsigned.filter(
    (one) => one.rollout !== rollout || one.round !== round || one.to !== to,
  )
  put(draft, { unsigned })
}

function onBootDefaultSet(draft: HostDraft, generation: StorePath): void {
  const { back, settingBoot } = draft.state
  if (back !== undefined) return
  put(draft, {
    bootDefault: generation,
    settingBoot: settingBoot === generation ? undefined : settingBoot,
  })
}

/**
 * Somebody looked at what runs. While something of ours changes it, the look says nothing; in flight
 * a look that does not fit may be an old one, and only puts in doubt what runs.
 */
function onRunning(draft: HostDraft, generation: StorePath): void {
  const { flight, activating, back, deadman } = draft.state
  if (activating !== undefined || back !== undefined || deadman?.step === 'fired') return
  if (goingBack(draft.state).length > 0) return
  const expected = flight?.generation ?? generation
  put(draft, { running: generation === expected ? generation : undefined })
}

function settle(draft: HostDraft): void {
  readOrders(draft)
  obeyStops(draft)
  leaveQueue(draft)
  progressBack(draft)
  progressFlight(draft)
  catchUp(draft)
  progressQueue(draft)
  progressLease(draft)
  tidyDeadman(draft)
  keepPinned(draft)
}
