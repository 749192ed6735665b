/**
 * Before flight: QUEUED → STAGING → READY, or SKIPPED, and catching up (SPEC §12).
 *
 * Staging begins as soon as the rollout is admitted, so that a started host only has to switch.
 */
import { ROUNDS_MAX, type RolloutId, type TransitionWhy } from '../protocol/index.ts'
import { barEntries, generationsBack } from './host-back.ts'
import {
  type HostDraft,
  isQueued,
  move,
  ordersOf,
  put,
  putRollout,
  rolloutOf,
} from './host-draft.ts'
import type { HostEvent } from './host-events.ts'
import { HOST_ROLLOUTS_MAX } from './host-limits.ts'
import type { HostRollout, HostState } from './host-state.ts'
import type { Orders, RolloutOrders } from './orders.ts'

/** Takes in what is new in the orders: rollouts, starts, and stops, which latch. */
export function readOrders(draft: HostDraft): void {
  const { orders } = draft.state
  if (orders === undefined) return
  for (const one of orders.rollouts) {
    const record = rolloutOf(draft.state, one.rollout) ?? meet(draft, one)
    if (record !== undefined) putRollout(draft, one.rollout, seen(record, one, draft.now))
  }
  put(draft, { stack: barEntries(draft.state, orders) })
  forget(draft, orders)
}

/** SKIPPED, for whatever waits in vain. */
export function leaveQueue(draft: HostDraft): void {
  for (const record of draft.state.rollouts) {
    if (!isQueued(record.phase)) continue
    const why = record.revert ?? (record.halted ? 'halt' : vainly(draft, record))
    if (why !== undefined) move(draft, record.rollout, 'SKIPPED', { why })
  }
}

/** Opens the next round for a host that is back and may still be wanted. */
export function catchUp(draft: HostDraft): void {
  for (const record of draft.state.rollouts) {
    const orders = ordersOf(draft.state, record.rollout)
    if (orders === undefined || !mayReturn(record, orders)) continue
    putRollout(draft, record.rollout, {
      round: record.round + 1,
      phase: 'QUEUED',
      why: undefined,
      signed: [],
      startSeenAt: undefined,
    })
    readOrders(draft)
  }
}

/** Begins to stage what is queued and known. */
export function progressQueue(draft: HostDraft): void {
  for (const { rollout, phase } of draft.state.rollouts) {
    const generation = ordersOf(draft.state, rollout)?.generation
    if (phase !== 'QUEUED' || generation === undefined) continue
    putRollout(draft, rollout, { generation })
    move(draft, rollout, 'STAGING')
    draft.effects.push({ kind: 'stage', rollout, generation })
  }
}

/** Staging ended. */
export function onStaged(draft: HostDraft, event: HostEvent & { kind: 'staged' }): void {
  if (rolloutOf(draft.state, event.rollout)?.phase !== 'STAGING') return
  if (event.ok) move(draft, event.rollout, 'READY')
  else move(draft, event.rollout, 'SKIPPED', { why: event.why, detail: event.detail })
}

/** Keeps from garbage collection what back, flight, queue and the running system need. */
export function keepPinned(draft: HostDraft): void {
  const { state } = draft
  const wanted = pinsOf(state)
  if (wanted.length === state.pinned.length && wanted.every((one, i) => one === state.pinned[i])) {
    return
  }
  put(draft, { pinned: wanted })
  draft.effects.push({ kind: 'pin', generations: wanted })
}

function pinsOf(state: HostState): readonly string[] {
  const active = state.rollouts.filter((one) => isActive(one)).map((one) => one.generation)
  const all = [...generationsBack(state.stack), ...active, state.running, state.bootDefault]
  return [...new Set(all.filter((one) => one !== undefined))].sort()
}

/**
 * A rollout that is over for this host and not on its stack is not worth a record of its own, unless
 * everybody else waits for what became of a start that this host never saw (SPEC §12).
 */
function meet(draft: HostDraft, orders: RolloutOrders): HostRollout | undefined {
  const { rollout, generation, start } = orders
  const committed = draft.state.stack.some((entry) => entry.rollout === rollout)
  const isOver = orders.status !== 'open' && !orders.last
  if (isOver && !committed && !orders.unanswered) return undefined
  const record: HostRollout = {
    rollout,
    round: committed || (isOver && orders.unanswered) ? (start?.round ?? 0) : 0,
    phase: committed ? 'COMMITTED' : 'QUEUED',
    signed: committed ? ['COMMITTED'] : [],
    generation: committed ? generation : undefined,
    halted: false,
    ran: committed,
  }
  put(draft, { rollouts: [...draft.state.rollouts, record] })
  return record
}

function seen(record: HostRollout, orders: RolloutOrders, now: number): Partial<HostRollout> {
  const revert = orders.revert ? (orders.revertWhy ?? 'halt') : undefined
  const starts = isQueued(record.phase) && orders.start?.round === record.round
  return {
    halted: record.halted || orders.halted || orders.revert,
    revert: record.revert ?? revert,
    startSeenAt: record.startSeenAt ?? (starts ? now : undefined),
  }
}

/** Drops the oldest records that nothing needs, so that the journal stays bounded. */
function forget(draft: HostDraft, orders: Orders): void {
  const { rollouts, stack } = draft.state
  const spare = rollouts.length - HOST_ROLLOUTS_MAX
  if (spare <= 0) return
  const needed = new Set<RolloutId>(stack.map((entry) => entry.rollout))
  for (const one of orders.rollouts) if (one.status === 'open' || one.last) needed.add(one.rollout)
  const idle = rollouts.filter((one) => !needed.has(one.rollout) && !isActive(one))
  const dropped = new Set(idle.slice(0, spare))
  put(draft, { rollouts: rollouts.filter((one) => !dropped.has(one)) })
}

function isActive({ phase }: HostRollout): boolean {
  return phase !== 'SKIPPED' && phase !== 'REVERTED' && phase !== 'COMMITTED'
}

/** Why waiting is over, without a halt. */
function vainly(draft: HostDraft, record: HostRollout): TransitionWhy | undefined {
  const orders = ordersOf(draft.state, record.rollout)
  if (orders === undefined) return undefined
  if (orders.skipped.includes(record.round)) return 'skipped'
  const late = record.round > 0 && orders.status === 'complete' && orders.last
  if (orders.status !== 'open' && !late) return orders.lost ? 'lost' : 'closed'
  const { startSeenAt } = record
  if (startSeenAt === undefined) return undefined
  return draft.now - startSeenAt >= orders.policy.startTimeoutMs ? 'no-lease' : undefined
}

/** Three rounds in all, of the last rollout admitted for this host, unhalted. */
function mayReturn(record: HostRollout, orders: RolloutOrders): boolean {
  const { phase, why, round } = record
  const skipped = phase === 'SKIPPED' && (why === 'skipped' || why === 'no-lease')
  const unconfirmed =
    phase === 'REVERTED' && why === 'unconfirmed' && !orders.failed.includes(round)
  const live = orders.status === 'open' || orders.status === 'complete'
  const stopped = record.halted || orders.halted || orders.revert || orders.lost
  return (skipped || unconfirmed) && live && orders.last && !stopped && round + 1 < ROUNDS_MAX
}
