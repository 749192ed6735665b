/**
 * What goes into the host machine and what comes out (SPEC §12).
 *
 * How the node carries effects out:
 * - in the order given, after the journal is on the disk; effects on the system (`activate`,
 *   `setBootDefault`, `revert`) one after the other, but `revert` first ends a running `activate`, and
 *   with `overtakes` a way back that the deadman has begun and not finished;
 * - `activate` is not begun once the deadman has fired: it then answers `ok: false`;
 * - each that has an answer is answered exactly once, unless the daemon dies: then `restarted` tells
 *   what the disk says and the machine asks again for what is still wanted. All are idempotent;
 * - `sign` appends to the feed unless the feed already holds that (rollout, round, to), and is
 *   answered by `signed` once the fact is on the disk.
 */
import type {
  ConfirmAnswer,
  HealthCheck,
  HostName,
  LeaseAnswer,
  Nonce,
  Phase,
  RolloutId,
  StorePath,
  Timing,
  Transition,
} from '../protocol/index.ts'
import type { HostState } from './host-state.ts'
import type { Orders } from './orders.ts'

/** What the group's configuration says to the host machine. */
export interface HostRules {
  readonly voters: readonly HostName[]
  /** The epoch of these voters: grants of another count for nothing. */
  readonly epoch: number
  /** Distinct fresh grants that make a lease. */
  readonly quorum: number
  readonly timing: Pick<Timing, 'probeMs' | 'leaseMs' | 'activateMs'>
}

/** What the disk says about the deadman; the same shape as the node's port reports. */
export type DeadmanReport =
  | { readonly kind: 'idle' }
  | { readonly kind: 'armed'; readonly token: string; readonly target: StorePath }
  | {
      readonly kind: 'fired'
      readonly token: string
      readonly target: StorePath
      readonly done: boolean
      readonly ok: boolean
    }

/** One result of the host's own checks. */
export interface OwnCheckResult {
  readonly name: string
  readonly ok: boolean
  readonly why?: string | undefined
}

export type HostEvent =
  /** Facts changed. `fresh` is a new random nonce: it is used at most once. */
  | { readonly kind: 'orders'; readonly orders: Orders; readonly fresh: Nonce }
  /** About every probeMs / 2. */
  | { readonly kind: 'tick'; readonly fresh: Nonce }
  /** The first event after every start of the daemon. */
  | {
      readonly kind: 'restarted'
      readonly boot: string
      readonly running: StorePath
      readonly bootDefault: StorePath
      readonly deadman: DeadmanReport
    }
  | {
      readonly kind: 'signed'
      readonly rollout: RolloutId
      readonly round: number
      readonly to: Phase
    }
  /** `ok: false` only when staging gave up; passing trouble is retried below. */
  | { readonly kind: 'staged'; readonly rollout: RolloutId; readonly ok: true }
  | {
      readonly kind: 'staged'
      readonly rollout: RolloutId
      readonly ok: false
      readonly why: 'fetch' | 'signature'
      readonly detail: string
    }
  /** Signature, voter and nonce were verified against what was asked. */
  | { readonly kind: 'leaseAnswer'; readonly voter: HostName; readonly answer: LeaseAnswer }
  | { readonly kind: 'deadmanArmed'; readonly token: string }
  | { readonly kind: 'deadmanRenewed'; readonly token: string; readonly ok: boolean }
  /** Also the answer, with `won`, to an arming that failed: then nothing is armed. */
  | { readonly kind: 'deadmanDisarmed'; readonly token: string; readonly won: boolean }
  /** Polled from the disk while a deadman is held; again when `done` turns true. */
  | {
      readonly kind: 'deadmanFired'
      readonly token: string
      readonly target: StorePath
      readonly done: boolean
      readonly ok: boolean
    }
  | {
      readonly kind: 'activated'
      readonly rollout: RolloutId
      readonly round: number
      readonly ok: boolean
      readonly detail: string
    }
  /** Signature and observer were verified. */
  | { readonly kind: 'confirmAnswer'; readonly observer: HostName; readonly answer: ConfirmAnswer }
  /** The answer to `runChecks`; `generation` is what ran while they were made. */
  | {
      readonly kind: 'checks'
      readonly results: readonly OwnCheckResult[]
      readonly generation: StorePath
    }
  | { readonly kind: 'bootDefaultSet'; readonly generation: StorePath }
  | {
      readonly kind: 'reverted'
      readonly generation: StorePath
      readonly ok: boolean
      /** The generation is not in the store. */
      readonly missing: boolean
      readonly detail: string
    }
  /** What the system says runs now: how drift is seen. */
  | { readonly kind: 'running'; readonly generation: StorePath }

export type HostEffect =
  /** Append `host.transition` to the own feed, with fsync. Answer: `signed`. */
  | { readonly kind: 'sign'; readonly transition: Transition }
  /** Answer: `staged`. */
  | { readonly kind: 'stage'; readonly rollout: RolloutId; readonly generation: StorePath }
  /** Answers: `leaseAnswer`, from whichever voter answers. */
  | {
      readonly kind: 'askLease'
      readonly voters: readonly HostName[]
      readonly rollout: RolloutId
      readonly round: number
      readonly nonce: Nonce
    }
  /** Answer: `deadmanArmed`. */
  | ({ readonly kind: 'armDeadman' } & Arming)
  /** Answer: `deadmanRenewed`. */
  | ({ readonly kind: 'renewDeadman' } & Arming)
  /** Answer: `deadmanDisarmed`. */
  | { readonly kind: 'disarmDeadman'; readonly token: string }
  /** Answer: `activated`. */
  | {
      readonly kind: 'activate'
      readonly rollout: RolloutId
      readonly round: number
      readonly generation: StorePath
      readonly timeoutMs: number
    }
  /** Answer: `bootDefaultSet`, when it is. */
  | { readonly kind: 'setBootDefault'; readonly generation: StorePath }
  /** Activate `generation` and make it the boot default; never fetches. Answer: `reverted`. */
  | {
      readonly kind: 'revert'
      readonly generation: StorePath
      readonly timeoutMs: number
      readonly overtakes: boolean
    }
  /** Answers: `confirmAnswer`, from whichever observer answers. */
  | {
      readonly kind: 'askConfirm'
      readonly observers: readonly HostName[]
      readonly rollout: RolloutId
      readonly round: number
      readonly nonce: Nonce
      readonly generation: StorePath
      readonly boot: string
    }
  /** Answer: `checks`. */
  | {
      readonly kind: 'runChecks'
      readonly rollout: RolloutId
      readonly generation: StorePath
      readonly checks: readonly HealthCheck[]
    }
  /** Keep exactly these from garbage collection; some may not be staged yet. */
  | { readonly kind: 'pin'; readonly generations: readonly StorePath[] }

interface Arming {
  readonly token: string
  readonly target: StorePath
  readonly afterMs: number
}

/** The machine after an event, and what the node has to do, in order. */
export interface HostStep {
  readonly state: HostState
  readonly effects: readonly HostEffect[]
}
