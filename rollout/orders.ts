/**
 * What the group's knowledge asks of one host, and of one observer (SPEC §11).
 *
 * Pure derivations from gate state and fleet view: the host machine and the observer machine see
 * nothing else of the fleet.
 */
import type {
  BlockId,
  HealthCheck,
  HostName,
  Outcome,
  Policy,
  RolloutId,
  StorePath,
} from '../protocol/index.ts'

/** Every rollout that this host has a stake in, in the order of their admission. */
export interface Orders {
  readonly host: HostName
  readonly rollouts: readonly RolloutOrders[]
}

/** One rollout, as far as it concerns this host. */
export interface RolloutOrders {
  readonly rollout: RolloutId
  /** This host's generation under the release; undefined until the manifest is held. */
  readonly generation: StorePath | undefined
  readonly checks: readonly HealthCheck[]
  readonly policy: Policy
  /** No later rollout was admitted for this host. */
  readonly last: boolean
  readonly status: 'open' | Outcome
  /** The newest committed start of this host, unless a skip of that round is committed. */
  readonly start: { readonly round: number; readonly block: BlockId } | undefined
  /** That start has not ended, and no ACTIVATING of its round is held: whoever never learned of it may say so. */
  readonly unanswered: boolean
  /** Rounds of this host that a committed skip ended. */
  readonly skipped: readonly number[]
  /** Forbids to begin: a halt that covers this host, or a budget breach. Latches. */
  readonly halted: boolean
  /** Sends the host back: halt{revert} that covers it, or a breach with revertAll. Latches. */
  readonly revert: boolean
  readonly revertWhy: 'halt' | 'breach' | undefined
  /** Rounds of this host for which a failure certificate is held. */
  readonly failed: readonly number[]
  /** Rounds of this host whose health certificates cover the soak. */
  readonly soaked: readonly number[]
  readonly lost: boolean
  /** Observers of the newest start, by name. */
  readonly observers: readonly HostName[]
  /** How many distinct confirmations the host needs; 0 when it has no observers (`selfOnly`). */
  readonly confirmations: number
  /** Generations that must not be gone back to. */
  readonly notRevertable: readonly StorePath[]
}

/** One host that this observer has to watch now. */
export interface Duty {
  readonly rollout: RolloutId
  readonly round: number
  readonly host: HostName
  readonly generation: StorePath
  readonly checks: readonly HealthCheck[]
  readonly soakMs: number
  /** ACTIVATING of this round is held: only then, or after `beginByMs`, may it be FAILed. */
  readonly activating: boolean
  /** startTimeoutMs + leaseMs: how long after first sight of the start silence is not failure. */
  readonly beginByMs: number
  /** The host has COMMITTED: unreachable alone never counts against it any more. */
  readonly committed: boolean
  /** A held halt names or covers it: no FAIL. */
  readonly halted: boolean
}
