/** What a host says of itself and of its peers: transitions, health, attestations, holdings (SPEC §6.4–6.6, §6.10). */
import {
  BOOT_ID,
  FACT_ID,
  type HostName,
  LINE,
  NAME,
  type RolloutId,
  STORE_PATH,
  type StorePath,
} from './ids.ts'
import {
  ATTEST_SUBJECTS_MAX,
  CHECKS_MAX,
  HELD_CLOSURES_MAX,
  ROUNDS_MAX,
  WAVES_MAX,
} from './limits.ts'
import { bool, list, oneOf, optional, type Schema, shape, sortedList, uint } from './schema.ts'

/** The phases of a host in a rollout, in the order of `PHASE_RANK`. */
export type Phase =
  | 'QUEUED'
  | 'STAGING'
  | 'READY'
  | 'ACTIVATING'
  | 'PROBATION'
  | 'CONFIRMED'
  | 'SOAKED'
  | 'COMMITTED'
  | 'SKIPPED'
  | 'REVERTING'
  | 'STUCK'
  | 'REVERTED'

/** A register per (rollout, round, host) is the maximum by this rank. */
export const PHASES: readonly Phase[] = [
  'QUEUED',
  'STAGING',
  'READY',
  'ACTIVATING',
  'PROBATION',
  'CONFIRMED',
  'SOAKED',
  'COMMITTED',
  'SKIPPED',
  'REVERTING',
  'STUCK',
  'REVERTED',
]

/** The rank of a phase: a higher one was reached later. */
export function phaseRank(phase: Phase): number {
  return PHASES.indexOf(phase)
}

/** Why a host skipped, went back or is stuck. Part of the audit log: add, never rename. */
export type TransitionWhy =
  | 'activate'
  | 'check'
  | 'reboot'
  | 'peers'
  | 'halt'
  | 'breach'
  | 'closed'
  | 'lost'
  | 'unconfirmed'
  | 'fetch'
  | 'signature'
  | 'no-lease'
  | 'skipped'
  | 'not-revertable'
  | 'missing'

/** Body of `host.transition`. One per rank, rollout and round. */
export interface Transition {
  readonly rollout: RolloutId
  readonly round: number
  readonly from: Phase
  readonly to: Phase
  /** The generation that runs after the transition. */
  readonly generation: StorePath
  readonly boot: string
  readonly why?: TransitionWhy | undefined
  /** One line for people: the failing check, the refused signature. */
  readonly detail?: string | undefined
}

export interface CheckResult {
  readonly name: string
  readonly ok: boolean
}

/** Body of `health.change`: on change, and once a day. */
export interface HealthChange {
  readonly generation: StorePath
  readonly boot: string
  /** `stale`: no quorum of voters has confirmed the host's log for a day. */
  readonly state: 'healthy' | 'unhealthy' | 'drifted' | 'stale'
  readonly checks: readonly CheckResult[]
}

export type Verdict = 'ok' | 'fail' | 'abstain'

/** What one observer saw of one subject in one window. */
export interface AttestSubject {
  readonly host: HostName
  readonly round: number
  readonly window: number
  readonly verdict: Verdict
  readonly ok: number
  readonly ko: number
  readonly elapsedMs: number
  readonly generation: StorePath
  readonly boot: string
  /** The first failed check, or `unreachable`. */
  readonly why?: string | undefined
}

/** Body of `obs.attest`. */
export interface Attestation {
  readonly rollout: RolloutId
  readonly subjects: readonly AttestSubject[]
}

/**
 * Body of `closure.held`: the author holds these closures whole and keeps them until the rollout
 * closes. Its word is for `wave` and for those before it.
 */
export interface ClosureHeld {
  readonly rollout: RolloutId
  readonly wave: number
  /** Each stands for its closure, as a manifest of a release gives it. */
  readonly generations: readonly StorePath[]
}

/** A phase, on the wire and in a host's journal. */
export const PHASE: Schema<Phase> = oneOf(...PHASES)
/** A reason of a transition, on the wire and in a host's journal. */
export const TRANSITION_WHY: Schema<TransitionWhy> = oneOf(
  'activate',
  'check',
  'reboot',
  'peers',
  'halt',
  'breach',
  'closed',
  'lost',
  'unconfirmed',
  'fetch',
  'signature',
  'no-lease',
  'skipped',
  'not-revertable',
  'missing',
)
const ROUND: Schema<number> = uint(ROUNDS_MAX - 1)

export const TRANSITION: Schema<Transition> = shape<Transition>({
  rollout: FACT_ID,
  round: ROUND,
  from: PHASE,
  to: PHASE,
  generation: STORE_PATH,
  boot: BOOT_ID,
  why: optional(TRANSITION_WHY),
  detail: optional(LINE),
})

export const HEALTH_CHANGE: Schema<HealthChange> = shape<HealthChange>({
  generation: STORE_PATH,
  boot: BOOT_ID,
  state: oneOf('healthy', 'unhealthy', 'drifted', 'stale'),
  checks: list(shape<CheckResult>({ name: NAME, ok: bool }), CHECKS_MAX),
})

export const ATTESTATION: Schema<Attestation> = shape<Attestation>({
  rollout: FACT_ID,
  subjects: list(
    shape<AttestSubject>({
      host: NAME,
      round: ROUND,
      window: uint(),
      verdict: oneOf('ok', 'fail', 'abstain'),
      ok: uint(),
      ko: uint(),
      elapsedMs: uint(),
      generation: STORE_PATH,
      boot: BOOT_ID,
      why: optional(LINE),
    }),
    ATTEST_SUBJECTS_MAX,
    1,
  ),
})

export const CLOSURE_HELD: Schema<ClosureHeld> = shape<ClosureHeld>({
  rollout: FACT_ID,
  wave: uint(WAVES_MAX - 1),
  generations: sortedList(STORE_PATH, (path) => path, HELD_CLOSURES_MAX, 1),
})
