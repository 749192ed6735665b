/**
 * After a start of the daemon: what the journal says, held against the disk (SPEC §12, S9).
 *
 * Everything that was under way is void: questions are asked again, answers that come late do not
 * match. A lease is never carried over. The host goes on or goes back, it never forgets.
 */
import { topOf } from './host-back.ts'
import { goingBack, type HostDraft, put, putRollout, rolloutOf } from './host-draft.ts'
import type { DeadmanReport, HostEvent } from './host-events.ts'
import { activate, onDisarmed } from './host-flight.ts'
import { turnAround } from './host-return.ts'
import type { HeldDeadman } from './host-state.ts'

/** Takes up after a restart, a crash or a reboot. */
export function onRestarted(draft: HostDraft, event: HostEvent & { kind: 'restarted' }): void {
  const { running, bootDefault, boot } = event
  const rebooted = boot !== draft.state.boot
  for (const transition of draft.state.unsigned) draft.effects.push({ kind: 'sign', transition })
  put(draft, { running, bootDefault, boot, lease: undefined, pinned: [] })
  put(draft, {
    activating: undefined,
    back: undefined,
    settingBoot: undefined,
    stuck: undefined,
    orders: undefined,
  })
  if (rebooted) restartClocks(draft)
  const whole = rebooted || isBackBy(event.deadman, draft.state.deadman)
  takeUpDeadman(draft, event.deadman, rebooted)
  const { flight } = draft.state
  // A way back that was cut short may have left half a system.
  if (flight === undefined && goingBack(draft.state).length > 0 && !whole) {
    put(draft, { running: undefined })
  }
  if (rebooted && flight?.commit !== 'disarm') turnAround(draft, 'reboot')
  else takeUpFlight(draft)
  stageAgain(draft)
}

/** Boot time begins again at every boot: what was counted in it counts from now. */
function restartClocks(draft: HostDraft): void {
  for (const { rollout, startSeenAt } of draft.state.rollouts) {
    if (startSeenAt !== undefined) putRollout(draft, rollout, { startSeenAt: draft.now })
  }
  const { deadman } = draft.state
  if (deadman !== undefined) put(draft, { deadman: { ...deadman, at: draft.now } })
}

/** The disk decides what became of the deadman. */
function takeUpDeadman(draft: HostDraft, report: DeadmanReport, rebooted: boolean): void {
  const { deadman } = draft.state
  if (report.kind !== 'idle' && report.token !== deadman?.token) {
    leaveStranger(draft, report)
    takeUpLost(draft)
    return
  }
  if (report.kind === 'idle' || deadman === undefined) {
    takeUpLost(draft)
    return
  }
  const { target } = report
  if (report.kind === 'armed') {
    const held: HeldDeadman = { token: deadman.token, target, step: 'armed', at: deadman.at }
    put(draft, { deadman: held })
    return
  }
  const fired: HeldDeadman = { ...deadman, target, step: 'fired', at: draft.now }
  // A script that was cut short by a boot is not coming back.
  put(draft, { deadman: report.done || rebooted ? undefined : fired })
  turnAround(draft, 'unconfirmed')
}

/**
 * It is not there any more. If the entry is on the stack already, it was disarmed by our own last
 * wish; else the way back is lost.
 */
function takeUpLost(draft: HostDraft): void {
  put(draft, { deadman: undefined })
  onDisarmed(draft)
  if (draft.state.flight?.boot === draft.state.boot) turnAround(draft, 'unconfirmed')
}

/** A deadman of which the journal knows nothing is ended where it could only do harm. */
function leaveStranger(draft: HostDraft, report: DeadmanReport & { token: string }): void {
  const { running, bootDefault, stack, flight } = draft.state
  const top = topOf(stack).generation
  if (report.kind !== 'armed' || flight !== undefined) return
  if (running !== top || bootDefault !== top) return
  draft.effects.push({ kind: 'disarmDeadman', token: report.token })
}

/** An activation that was cut short is run again; own checks count from now. */
function takeUpFlight(draft: HostDraft): void {
  const { flight } = draft.state
  if (flight === undefined) return
  const { now } = draft
  const next = {
    ...flight,
    confirm: undefined,
    confirmed: false,
    checks: { askedAt: now, bad: 0 },
    commit: flight.commit === 'boot' ? ('renew' as const) : flight.commit,
  }
  put(draft, { flight: next })
  if (rolloutOf(draft.state, flight.rollout)?.phase === 'ACTIVATING') activate(draft, next)
}

/** Whether our own deadman went back, and whole. What an earlier one left on the disk says nothing. */
function isBackBy(report: DeadmanReport, held: HeldDeadman | undefined): boolean {
  return report.kind === 'fired' && report.token === held?.token && report.done && report.ok
}

function stageAgain(draft: HostDraft): void {
  for (const { rollout, phase, generation } of draft.state.rollouts) {
    if (phase !== 'STAGING' || generation === undefined) continue
    draft.effects.push({ kind: 'stage', rollout, generation })
  }
}
