/** The API's answers about rollouts: one line each, one whole, and why one host stands where it does. */
import { z } from 'zod'
import { AUTHOR, type Author, COUNT, HEX32, RELEASE_REF, type ReleaseRef } from './contract.ts'

/**
 * Where a rollout stands. `wave` is an admitted one with a committed start; `halted` latches and is
 * also shown while hosts are still on their way back.
 */
export type RolloutState =
  | 'proposed'
  | 'rejected'
  | 'admitted'
  | 'wave'
  | 'halted'
  | 'complete'
  | 'reverted'
  | 'superseded'

/** Why no voter admits a plan. Codes are part of the audit log: add, never rename. */
export type RejectCode =
  | 'conflict'
  | 'scope'
  | 'floor'
  | 'stale-base'
  | 'expired'
  | 'downgrade'
  | 'halted'
  | 'supersede'
  | 'malformed'
  | 'revoked'

export interface Rejection {
  readonly code: RejectCode
  /** One sentence for people. */
  readonly why: string
  /** The rollout that has the hosts instead, for `conflict`, `stale-base` and `supersede`. */
  readonly winner?: string | undefined
}

/** One rollout in one line. */
export interface RolloutRow {
  readonly id: string
  readonly release: ReleaseRef
  readonly state: RolloutState
  /** The gate log has closed it. */
  readonly closed: boolean
  /** Index of the newest wave with a start; null before the first. */
  readonly wave: number | null
  readonly waves: number
  readonly hosts: number
  readonly committed: number
  readonly failed: number
  readonly held: boolean
  readonly operator: Author
  readonly strategy: string
  readonly reason: string
  /** The operator's wall clock when the plan was signed. */
  readonly ts: number
  readonly rejected?: Rejection | undefined
}

/** One host in its wave. `phase` is null before the host's first word about this rollout. */
export interface WaveHost {
  readonly name: string
  readonly phase: string | null
  readonly round: number
  /** The newest committed start of this host is not ended by a skip. */
  readonly started: boolean
  /** The code of the transition, of the failure certificate, or of the declared loss. */
  readonly why: string | null
  readonly detail: string | null
  readonly observers: readonly string[]
  /** Observers by their newest verdict in this round. */
  readonly witnesses: { readonly ok: number; readonly fail: number; readonly abstain: number }
  /** Since this node learned the phase. */
  readonly phaseAgeMs: number | null
  /** What it goes to; null while the release's manifest is not held. */
  readonly closure: ClosureRow | null
}

/** Sizes as NARs, each store path counted once. */
export interface RolloutClosures {
  readonly bytes: number
  /** What the hosts' previous generations do not have; all of it where no release put them there. */
  readonly newBytes: number
}

/** One host's closures, and who else said that it holds them. */
export interface ClosureRow extends RolloutClosures {
  readonly holders: readonly string[]
  /** Of the generation that it comes from; null where no release of the fleet put it there. */
  readonly previousHolders: readonly string[] | null
  /** How many others have to hold each before the host's wave starts. */
  readonly needed: number
}

export type WaveState = 'waiting' | 'open' | 'done' | 'halted'

export interface WaveStatus {
  /** From 0. */
  readonly index: number
  readonly state: WaveState
  /** What the wave waits for, in words. */
  readonly waitsFor: string | null
  readonly hosts: readonly WaveHost[]
}

export interface HoldRow {
  readonly id: string
  readonly operator: Author
  readonly why: string
  readonly ts: number
}

export interface HaltRow extends HoldRow {
  readonly revert: boolean
  /** Null: the whole rollout. */
  readonly hosts: readonly string[] | null
}

export interface RolloutPolicy {
  readonly soakMs: number
  readonly confirmMs: number
  readonly startTimeoutMs: number
  /** Hosts that may fail before the rollout is halted, resolved for this group. */
  readonly budget: number
  readonly onFailure: 'halt' | 'revertAll'
  readonly maxInFlight: readonly { readonly hosts: readonly string[]; readonly limit: number }[]
  /** How many others have to hold the closures of a wave, where there are that many. */
  readonly holders: number
}

/** One rollout, whole. */
export interface RolloutStatus
  extends Omit<RolloutRow, 'waves' | 'failed' | 'hosts' | 'committed'> {
  readonly kindOfPlan: 'forward' | 'rollback'
  readonly waves: readonly WaveStatus[]
  readonly policy: RolloutPolicy
  /** Holds that nobody released: voters start nothing while there is one. */
  readonly holds: readonly HoldRow[]
  readonly halts: readonly HaltRow[]
  /** Hosts that count against the budget. */
  readonly failed: readonly string[]
  readonly budget: { readonly limit: number; readonly used: number; readonly breached: boolean }
  /** Null while the release's manifest is not held. */
  readonly closures: RolloutClosures | null
  readonly supersedes: readonly string[]
  /** The rollout that took its hosts over. */
  readonly supersededBy?: string | undefined
  /** Plan or manifest not held yet: what is shown is incomplete. */
  readonly missing: readonly ('plan' | 'manifest')[]
}

/** Why a host stands where it does, in sentences, the deciding one first. */
export interface WhyHost {
  readonly host: string
  readonly rollout: string
  readonly sentences: readonly {
    readonly text: string
    /** The fact or block that the sentence rests on. */
    readonly fact?: string | undefined
    /** Its type; `block` for what the voters decided. */
    readonly type?: string | undefined
    /** Who signed the fact. */
    readonly author?: string | undefined
  }[]
}

export const ROLLOUT_STATE: z.ZodType<RolloutState> = z.enum([
  'proposed',
  'rejected',
  'admitted',
  'wave',
  'halted',
  'complete',
  'reverted',
  'superseded',
])

const REJECTION: z.ZodType<Rejection> = z.strictObject({
  code: z.enum([
    'conflict',
    'scope',
    'floor',
    'stale-base',
    'expired',
    'downgrade',
    'halted',
    'supersede',
    'malformed',
    'revoked',
  ]),
  why: z.string(),
  winner: HEX32.optional(),
})

const common = {
  id: HEX32,
  release: RELEASE_REF,
  state: ROLLOUT_STATE,
  closed: z.boolean(),
  wave: COUNT.nullable(),
  held: z.boolean(),
  operator: AUTHOR,
  strategy: z.string(),
  reason: z.string(),
  ts: COUNT,
  rejected: REJECTION.optional(),
}

export const ROLLOUT_ROW: z.ZodType<RolloutRow> = z.strictObject({
  ...common,
  waves: COUNT,
  hosts: COUNT,
  committed: COUNT,
  failed: COUNT,
})

const WAVE_HOST: z.ZodType<WaveHost> = z.strictObject({
  name: z.string(),
  phase: z.string().nullable(),
  round: COUNT,
  started: z.boolean(),
  why: z.string().nullable(),
  detail: z.string().nullable(),
  observers: z.array(z.string()),
  witnesses: z.strictObject({ ok: COUNT, fail: COUNT, abstain: COUNT }),
  phaseAgeMs: COUNT.nullable(),
  closure: z
    .strictObject({
      ...{ bytes: COUNT, newBytes: COUNT, needed: COUNT },
      holders: z.array(z.string()),
      previousHolders: z.array(z.string()).nullable(),
    })
    .nullable(),
})

const WAVE: z.ZodType<WaveStatus> = z.strictObject({
  index: COUNT,
  state: z.enum(['waiting', 'open', 'done', 'halted']),
  waitsFor: z.string().nullable(),
  hosts: z.array(WAVE_HOST),
})

const hold = { id: HEX32, operator: AUTHOR, why: z.string(), ts: COUNT }

/** The answer's own keys are checked by `stamped`, so this one lets the stamp's keys pass. */
export const ROLLOUT_STATUS: z.ZodType<RolloutStatus> = z.object({
  ...common,
  kindOfPlan: z.enum(['forward', 'rollback']),
  waves: z.array(WAVE),
  policy: z.strictObject({
    soakMs: COUNT,
    confirmMs: COUNT,
    startTimeoutMs: COUNT,
    budget: COUNT,
    onFailure: z.enum(['halt', 'revertAll']),
    maxInFlight: z.array(z.strictObject({ hosts: z.array(z.string()), limit: COUNT })),
    holders: COUNT,
  }),
  holds: z.array(z.strictObject(hold)),
  halts: z.array(
    z.strictObject({ ...hold, revert: z.boolean(), hosts: z.array(z.string()).nullable() }),
  ),
  failed: z.array(z.string()),
  budget: z.strictObject({ limit: COUNT, used: COUNT, breached: z.boolean() }),
  closures: z.strictObject({ bytes: COUNT, newBytes: COUNT }).nullable(),
  supersedes: z.array(HEX32),
  supersededBy: HEX32.optional(),
  missing: z.array(z.enum(['plan', 'manifest'])),
})

export const WHY_HOST: z.ZodType<WhyHost> = z.object({
  host: z.string(),
  rollout: HEX32,
  sentences: z.array(
    z.strictObject({
      text: z.string(),
      fact: z.string().optional(),
      type: z.string().optional(),
      author: z.string().optional(),
    }),
  ),
})
