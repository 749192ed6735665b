/** The group that the host under test belongs to, and orders for its rollouts. */
import type { RolloutId } from '../../../protocol/index.ts'
import type { HostRules } from '../../../rollout/host-events.ts'
import type { RolloutOrders } from '../../../rollout/orders.ts'

export const HOST = 'web-1'
export const OLD = 'gen-0'
export const RULES: HostRules = {
  epoch: 1,
  voters: ['v-1', 'v-2', 'v-3'],
  quorum: 2,
  timing: { probeMs: 1_000, leaseMs: 20_000, activateMs: 30_000 },
}
export const CONFIRM_MS = 30_000
export const SOAK_MS = 10_000
export const START_TIMEOUT_MS = 120_000

/** The id of the nth rollout, from 1. */
export function rolloutId(n: number): RolloutId {
  return n.toString(16).padStart(64, '0')
}

/** Orders for a rollout that was just admitted: its generation is known, nothing is started. */
export function ordersFor(n: number, fields: Partial<RolloutOrders> = {}): RolloutOrders {
  return {
    rollout: rolloutId(n),
    generation: `gen-${n}`,
    checks: [],
    policy: {
      soakMs: SOAK_MS,
      confirmMs: CONFIRM_MS,
      startTimeoutMs: START_TIMEOUT_MS,
      budget: { kind: 'count', count: 0 },
      onFailure: 'halt',
      maxInFlight: [],
    },
    last: true,
    status: 'open',
    start: undefined,
    unanswered: false,
    skipped: [],
    halted: false,
    revert: false,
    revertWhy: undefined,
    failed: [],
    soaked: [],
    lost: false,
    observers: ['o-1', 'o-2', 'o-3'],
    confirmations: 2,
    notRevertable: [],
    ...fields,
  }
}

/** A committed start. */
export function started(round: number = 0): Pick<RolloutOrders, 'start'> {
  return { start: { round, block: 'b'.repeat(64) } }
}
