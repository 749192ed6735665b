/**
 * The host's side of the lease: ask over a fresh nonce, count, arm, begin (SPEC §9.3, S3–S5).
 *
 * A start is only a permit and may be a week old. The lease proves that a quorum has not learned
 * better since: q distinct grants over a nonce that this host made at most ttl ago, by a clock that
 * counts suspend.
 */
import { arm, deadmanTarget, lifeMs } from './host-deadman.ts'
import { goingBack, type HostDraft, ordersOf, put } from './host-draft.ts'
import type { HostEvent } from './host-events.ts'
import { takeOff } from './host-flight.ts'
import type { HostRollout, HostState, Lease } from './host-state.ts'
import type { RolloutOrders } from './orders.ts'

/** What a host in WAITING_LEASE shows. */
export interface WaitingLease {
  readonly rollout: string
  readonly round: number
  readonly lease: Lease | undefined
}

/** The rollout that only lacks its lease, with what the voters answered so far. */
export function waitingLease(state: HostState): WaitingLease | undefined {
  const next = nextToBegin(state)
  if (next === undefined) return undefined
  const { rollout, round } = next.record
  return { rollout, round, lease: leaseOf(state, next.record) }
}

/** Distinct voters whose grants still hold at `now` (bootMs). */
export function freshGrants(lease: Lease, now: number, leaseMs: number): number {
  const age = now - lease.askedAt
  return lease.grants.filter((grant) => age >= 0 && age <= Math.min(grant.ttlMs, leaseMs)).length
}

/** Counts a voter's answer, if it answers the newest question. */
export function onLeaseAnswer(draft: HostDraft, event: HostEvent & { kind: 'leaseAnswer' }): void {
  const { lease, orders } = draft.state
  const { voter, answer } = event
  if (lease === undefined || !draft.rules.voters.includes(voter)) return
  if (!isOfEpoch(draft, lease)) return
  const meant =
    answer.nonce === lease.nonce &&
    answer.rollout === lease.rollout &&
    answer.round === lease.round &&
    answer.host === orders?.host
  if (!meant) return
  const grants = lease.grants.filter((grant) => grant.voter !== voter)
  const refusals = lease.refusals.filter((denial) => denial.voter !== voter)
  const { granted, ttlMs, refusal } = answer
  if (granted) put(draft, { lease: { ...lease, grants: [...grants, { voter, ttlMs }], refusals } })
  else if (refusal !== undefined) {
    put(draft, { lease: { ...lease, grants, refusals: [...refusals, { voter, refusal }] } })
  }
}

/** The deadman is armed: begin, if everything that was true when it was asked for still is. */
export function onDeadmanArmed(draft: HostDraft, token: string): void {
  const { deadman } = draft.state
  if (deadman?.token !== token || deadman.step !== 'arming') return
  put(draft, { deadman: { ...deadman, step: 'armed' } })
  const next = nextToBegin(draft.state)
  const lease = next && leaseOf(draft.state, next.record)
  const mine = lease?.nonce === token && isHeld(draft, lease)
  const right = next && deadman.target === deadmanTarget(draft.state, candidate(next.record))
  if (next && mine && right) takeOff(draft, next.record, next.orders)
  else put(draft, { lease: undefined })
}

/** Asks the voters, again and again until q grants are held at once; then arms the deadman. */
export function progressLease(draft: HostDraft): void {
  const next = nextToBegin(draft.state)
  const lease = next && leaseOf(draft.state, next.record)
  if (lease === undefined && draft.state.lease !== undefined) put(draft, { lease: undefined })
  if (next === undefined || draft.state.deadman !== undefined) return
  if (lease !== undefined && isHeld(draft, lease)) {
    const target = deadmanTarget(draft.state, candidate(next.record))
    arm(draft, {
      token: lease.nonce,
      target,
      afterMs: lifeMs(draft, next.record.rollout),
    })
    return
  }
  const { fresh: nonce, now: askedAt } = draft
  const recent = lease !== undefined && askedAt - lease.askedAt < draft.rules.timing.leaseMs / 2
  const waits = recent && isOfEpoch(draft, lease)
  if (waits || nonce === undefined) return
  const { rollout, round } = next.record
  draft.fresh = undefined
  const { epoch } = draft.rules
  put(draft, { lease: { rollout, round, nonce, epoch, askedAt, grants: [], refusals: [] } })
  draft.effects.push({ kind: 'askLease', voters: draft.rules.voters, rollout, round, nonce })
}

interface Next {
  readonly record: HostRollout
  readonly orders: RolloutOrders
}

/** The rollout that may begin but for its lease and deadman. Nothing else of the host is under way. */
function nextToBegin(state: HostState): Next | undefined {
  if (state.flight !== undefined || state.back !== undefined) return undefined
  if (goingBack(state).length > 0) return undefined
  for (const record of state.rollouts) {
    const orders = ordersOf(state, record.rollout)
    if (orders && mayBegin(record, orders)) return { record, orders }
  }
  return undefined
}

function mayBegin(record: HostRollout, orders: RolloutOrders): boolean {
  const stopped = record.halted || record.revert !== undefined || orders.halted || orders.revert
  const live = orders.status === 'open' || (record.round > 0 && orders.status === 'complete')
  return (
    record.phase === 'READY' &&
    orders.start?.round === record.round &&
    orders.generation === record.generation &&
    orders.last &&
    live &&
    !stopped &&
    !orders.lost &&
    !orders.failed.includes(record.round)
  )
}

function leaseOf({ lease }: HostState, record: HostRollout): Lease | undefined {
  return lease?.rollout === record.rollout && lease.round === record.round ? lease : undefined
}

function isHeld(draft: HostDraft, lease: Lease): boolean {
  const { quorum, timing } = draft.rules
  return isOfEpoch(draft, lease) && freshGrants(lease, draft.now, timing.leaseMs) >= quorum
}

/** Voters of two epochs together are no quorum: what one has learned, the other may not know. */
function isOfEpoch(draft: HostDraft, lease: Lease): boolean {
  return (lease.epoch ?? 1) === draft.rules.epoch
}

function candidate({ rollout, generation = '' }: HostRollout): {
  rollout: string
  generation: string
} {
  return { rollout, generation }
}
