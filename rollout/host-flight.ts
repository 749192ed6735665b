/**
 * In flight: ACTIVATING → PROBATION → CONFIRMED → SOAKED → COMMITTED (SPEC §12, S7, S9).
 *
 * CONFIRMED and COMMITTED are signed only after the deadman's rename was won. The last step is
 * taken in four, each journaled, so that no crash leaves the host without a way back:
 *
 * | journaled step | running | boots | top | deadman     | after a crash here                       |
 * |----------------|---------|-------|-----|-------------|------------------------------------------|
 * | ACTIVATING     | any     | old   | old | armed       | activate again; reboot: old, REVERTING   |
 * | .. SOAKED      | new     | old   | old | armed       | go on; reboot: old, REVERTING            |
 * | commit renew   | new     | old   | old | armed       | renew again, so that it cannot fire next |
 * | commit boot    | new     | any   | old | armed, full | back to renew; reboot: REVERTING         |
 * | commit disarm  | new     | new   | new | armed or off| disarm again, or know that it was won    |
 * | COMMITTED      | new     | new   | new | off         | sign again                               |
 *
 * A deadman that fired in between is found by the next poll or by `restarted`; the pushed entry is
 * taken off again and the host is REVERTING. Before ACTIVATING the deadman leads to what runs.
 */
import { wantedBoot, wayBack, withEntry } from './host-back.ts'
import { deadmanTarget, disarm, isArmed, lifeMs, renew } from './host-deadman.ts'
import {
  type HostDraft,
  move,
  ordersOf,
  put,
  putRollout,
  rolloutOf,
  setBoot,
} from './host-draft.ts'
import type { HostEvent } from './host-events.ts'
import { BAD_CHECKS_MAX, CONFIRM_PROBES, RENEWALS_PER_LIFE } from './host-limits.ts'
import { turnAround } from './host-return.ts'
import type { Flight, HostRollout } from './host-state.ts'
import type { RolloutOrders } from './orders.ts'

/** READY → ACTIVATING. The caller has checked start, lease, halts and deadman. */
export function takeOff(draft: HostDraft, record: HostRollout, orders: RolloutOrders): void {
  const { rollout, round, generation } = record
  const { running, boot } = draft.state
  if (generation === undefined) return
  const { now } = draft
  const flight: Flight = {
    rollout,
    round,
    generation,
    boot,
    activatedAt: now,
    open: orders.status === 'open',
    lifeMs: lifeMs(draft, rollout),
    confirmed: false,
    renewedAt: now,
    checks: { askedAt: now, bad: 0 },
    commit: 'no',
  }
  put(draft, { flight, lease: undefined, stuck: undefined })
  putRollout(draft, rollout, { ran: true })
  move(draft, rollout, 'ACTIVATING')
  if (running === generation) move(draft, rollout, 'PROBATION')
  else activate(draft, flight)
}

/** Runs the generation; until the answer, what runs is in doubt. */
export function activate(draft: HostDraft, { rollout, round, generation }: Flight): void {
  const { activateMs: timeoutMs } = draft.rules.timing
  put(draft, { running: undefined, activating: { rollout, round } })
  draft.effects.push({ kind: 'activate', rollout, round, generation, timeoutMs })
}

/** The switch returned. */
export function onActivated(draft: HostDraft, event: HostEvent & { kind: 'activated' }): void {
  const { flight, activating } = draft.state
  if (activating?.rollout !== event.rollout || activating.round !== event.round) return
  put(draft, { activating: undefined })
  if (flight?.rollout !== event.rollout || flight.round !== event.round) return
  if (rolloutOf(draft.state, flight.rollout)?.phase !== 'ACTIVATING') return
  if (!event.ok) {
    turnAround(draft, 'activate', event.detail)
    return
  }
  put(draft, { running: flight.generation })
  move(draft, flight.rollout, 'PROBATION')
}

/** An observer looked; enough of them over one nonce renew the deadman. */
export function onConfirmAnswer(
  draft: HostDraft,
  event: HostEvent & { kind: 'confirmAnswer' },
): void {
  const { flight, boot, orders: all } = draft.state
  const { answer, observer } = event
  const orders = flight === undefined ? undefined : ordersOf(draft.state, flight.rollout)
  if (flight?.confirm === undefined || orders === undefined) return
  const { confirm, rollout, round, generation } = flight
  const meant =
    answer.nonce === confirm.nonce &&
    answer.rollout === rollout &&
    answer.round === round &&
    answer.generation === generation &&
    answer.boot === boot &&
    answer.host === all?.host
  const isNew = orders.observers.includes(observer) && !confirm.by.includes(observer)
  if (!meant || !answer.ok || !isNew) return
  const by = [...confirm.by, observer]
  const enough = by.length >= orders.confirmations
  const next = enough ? { confirm: undefined, confirmed: true } : { confirm: { ...confirm, by } }
  put(draft, { flight: { ...flight, ...next } })
}

/** The host looked at itself. Two bad results in a row send it back. */
export function onChecks(draft: HostDraft, event: HostEvent & { kind: 'checks' }): void {
  const { flight } = draft.state
  const phase = flight === undefined ? undefined : rolloutOf(draft.state, flight.rollout)?.phase
  if (flight === undefined || phase === 'ACTIVATING') return
  const { generation } = event
  put(draft, { running: generation === flight.generation ? generation : undefined })
  const bad = badResult(flight, event)
  if (bad === undefined) {
    confirmAlone(draft, flight)
    return
  }
  const checks = { askedAt: flight.checks.askedAt, bad: flight.checks.bad + 1 }
  put(draft, { flight: { ...flight, checks } })
  if (checks.bad >= BAD_CHECKS_MAX) turnAround(draft, 'check', bad)
}

/** The deadman was won for another while. */
export function onRenewed(draft: HostDraft, purpose: string | undefined): void {
  const { flight } = draft.state
  if (flight === undefined) return
  if (purpose === 'commit') {
    put(draft, { flight: { ...flight, commit: 'boot' } })
    return
  }
  if (purpose !== 'confirm') return
  put(draft, { flight: { ...flight, confirmed: false, renewedAt: draft.now } })
  if (rolloutOf(draft.state, flight.rollout)?.phase === 'PROBATION') {
    move(draft, flight.rollout, 'CONFIRMED')
  }
}

/** The deadman is off and was won: the rollout is COMMITTED. */
export function onDisarmed(draft: HostDraft): void {
  const { flight } = draft.state
  if (flight?.commit !== 'disarm') return
  move(draft, flight.rollout, 'COMMITTED')
  put(draft, { flight: undefined })
}

/** Takes whatever step of the flight is due. */
export function progressFlight(draft: HostDraft): void {
  const { flight } = draft.state
  if (flight === undefined) return
  keepWayBack(draft, flight)
  const orders = ordersOf(draft.state, flight.rollout)
  // What came while the daemon was dead is read before the rollout is called good.
  if (orders !== undefined || flight.commit === 'disarm') commit(draft)
  const phase = rolloutOf(draft.state, flight.rollout)?.phase
  if (orders === undefined || phase === 'ACTIVATING') return
  if (phase === 'CONFIRMED') soak(draft, flight, orders)
  if (phase === 'PROBATION' || phase === 'CONFIRMED') confirm(draft, orders, phase)
  watch(draft, orders)
}

/** Deadman and boot default follow the stack, also when a halt takes an entry below the flight. */
function keepWayBack(draft: HostDraft, flight: Flight): void {
  const target = deadmanTarget(draft.state, flight)
  if (isArmed(draft.state) && draft.state.deadman?.target !== target) {
    renew(draft, { target, purpose: 'target' })
  }
  const barred = flight.commit === 'no' && wayBack(draft.state).barred
  if (!barred) setBoot(draft, wantedBoot(draft.state))
}

/** SOAKED → COMMITTED, one journaled step at a time; see the table above. */
function commit(draft: HostDraft): void {
  const { flight, deadman, bootDefault, stack } = draft.state
  if (flight === undefined || flight.commit === 'no' || deadman?.step !== 'armed') return
  const { rollout, generation, lifeMs: afterMs } = flight
  if (flight.commit === 'renew') {
    renew(draft, { target: deadman.target, purpose: 'commit', afterMs })
    return
  }
  if (flight.commit === 'boot') {
    if (bootDefault !== generation) return
    const pushed = withEntry(stack, { rollout, generation, barred: false })
    put(draft, { stack: pushed, flight: { ...flight, commit: 'disarm' } })
  }
  disarm(draft)
}

/** CONFIRMED → SOAKED: own health, the peers' certificates, one boot, one generation. */
function soak(draft: HostDraft, flight: Flight, orders: RolloutOrders): void {
  const { running, boot } = draft.state
  const { okSince } = flight.checks
  if (okSince === undefined || running !== flight.generation || boot !== flight.boot) return
  const alone = orders.confirmations === 0
  const soaked = alone
    ? draft.now - okSince >= orders.policy.soakMs
    : orders.soaked.includes(flight.round)
  if (!soaked) return
  move(draft, flight.rollout, 'SOAKED')
  put(draft, { flight: { ...flight, commit: 'renew' } })
  commit(draft)
}

/** Renews the deadman when enough confirmed, and asks the observers when it is time. */
function confirm(draft: HostDraft, orders: RolloutOrders, phase: string): void {
  const { flight, boot } = draft.state
  if (flight === undefined || flight.commit !== 'no') return
  if (flight.confirmed) {
    const target = deadmanTarget(draft.state, flight)
    renew(draft, { target, purpose: 'confirm', afterMs: flight.lifeMs })
    return
  }
  if (orders.confirmations === 0 || draft.fresh === undefined) return
  if (!isTimeToAsk(draft, flight, phase)) return
  const { rollout, round, generation } = flight
  const { fresh: nonce, now: askedAt } = draft
  draft.fresh = undefined
  put(draft, { flight: { ...flight, confirm: { nonce, askedAt, by: [] } } })
  const { observers } = orders
  draft.effects.push({ kind: 'askConfirm', observers, rollout, round, nonce, generation, boot })
}

function isTimeToAsk(draft: HostDraft, flight: Flight, phase: string): boolean {
  const { now } = draft
  const { probeMs } = draft.rules.timing
  if (flight.confirm) return now - flight.confirm.askedAt >= CONFIRM_PROBES * probeMs
  return phase === 'PROBATION' || isTimeToRenew(draft, flight)
}

function isTimeToRenew(draft: HostDraft, flight: Flight): boolean {
  const every = Math.max(draft.rules.timing.probeMs, flight.lifeMs / RENEWALS_PER_LIFE)
  return draft.now - flight.renewedAt >= every
}

/** Has the host look at itself once per probe period. */
function watch(draft: HostDraft, { checks }: RolloutOrders): void {
  const { flight } = draft.state
  if (flight === undefined || draft.now - flight.checks.askedAt < draft.rules.timing.probeMs) return
  const { rollout, generation } = flight
  put(draft, { flight: { ...flight, checks: { ...flight.checks, askedAt: draft.now } } })
  draft.effects.push({ kind: 'runChecks', rollout, generation, checks })
}

/** A good look at itself; without observers it stands in for their confirmation. */
function confirmAlone(draft: HostDraft, flight: Flight): void {
  const okSince = flight.checks.okSince ?? draft.now
  const alone = ordersOf(draft.state, flight.rollout)?.confirmations === 0
  const phase = rolloutOf(draft.state, flight.rollout)?.phase
  const due = phase === 'PROBATION' || (phase === 'CONFIRMED' && isTimeToRenew(draft, flight))
  put(draft, {
    flight: {
      ...flight,
      confirmed: flight.confirmed || (alone && due),
      checks: { askedAt: flight.checks.askedAt, bad: 0, okSince },
    },
  })
}

function badResult(flight: Flight, event: HostEvent & { kind: 'checks' }): string | undefined {
  if (event.generation !== flight.generation) {
    return `expected ${flight.generation} to run, found ${event.generation}`
  }
  const failed = event.results.find((result) => !result.ok)
  if (failed === undefined) return undefined
  return failed.why === undefined ? failed.name : `${failed.name}: ${failed.why}`
}
