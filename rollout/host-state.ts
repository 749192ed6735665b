/**
 * What a host remembers of its own rollouts (SPEC §12): plain data, journaled as a whole.
 *
 * The node writes `HOST_STATE` with fsync before any effect of the same step leaves, and loads it
 * after a crash. Only `orders` is left out: they are derived again from facts, and until they are,
 * nothing goes forward.
 */
import {
  BOOT_ID,
  bool,
  FACT_ID,
  type HostName,
  type LeaseRefusal,
  list,
  NAME,
  type Nonce,
  OBSERVERS_MAX,
  oneOf,
  optional,
  PHASE,
  PHASES,
  type Phase,
  POLICY_MS_MAX,
  ROUNDS_MAX,
  type RolloutId,
  type Schema,
  SESSION,
  STORE_PATH,
  type StorePath,
  shape,
  TRANSITION,
  TRANSITION_WHY,
  type Transition,
  type TransitionWhy,
  text,
  uint,
  VOTERS_MAX,
} from '../protocol/index.ts'
import { HOST_ROLLOUTS_MAX, STACK_ENTRIES_MAX, UNSIGNED_MAX } from './host-limits.ts'
import type { Orders } from './orders.ts'

/** One committed generation. Its provenance is the rollout, never the store path. */
export interface StackEntry {
  readonly rollout: RolloutId
  readonly generation: StorePath
  /** A release that ran here later says that this generation must not run again. Latches. */
  readonly barred: boolean
}

/** The rollout of the stack's bottom: the generation that the host was enrolled with. */
export const ENROLMENT: RolloutId = '0'.repeat(64)

/** One rollout as this host went through it. Only the newest round is kept: rounds only rise. */
export interface HostRollout {
  readonly rollout: RolloutId
  readonly round: number
  readonly phase: Phase
  /** Why it is SKIPPED, or goes or went back. */
  readonly why?: TransitionWhy | undefined
  /** What was signed in this round: a rank is signed at most once. */
  readonly signed: readonly Phase[]
  readonly generation?: StorePath | undefined
  /** First sight of this round's start, in bootMs. */
  readonly startSeenAt?: number | undefined
  /** A halt or breach was seen: it never begins any more. */
  readonly halted: boolean
  /** It was told to go back, and by what. */
  readonly revert?: 'halt' | 'breach' | undefined
  /** It entered ACTIVATING in some round, so what its release forbids to go back to counts. */
  readonly ran: boolean
}

/** The one rollout in ACTIVATING..SOAKED. */
export interface Flight {
  readonly rollout: RolloutId
  readonly round: number
  readonly generation: StorePath
  readonly boot: string
  /** When it entered ACTIVATING, in bootMs. */
  readonly activatedAt: number
  /** The rollout was open then: its close without this host sends the host back. */
  readonly open: boolean
  /** How long the deadman lives without confirmation: activateMs + confirmMs. */
  readonly lifeMs: number
  /** The observers that were asked and those that said yes. */
  readonly confirm?: ConfirmRound | undefined
  /** Enough confirmed: the deadman is to be renewed. */
  readonly confirmed: boolean
  readonly renewedAt: number
  readonly checks: OwnChecks
  /** How far SOAKED → COMMITTED is. */
  readonly commit: 'no' | 'renew' | 'boot' | 'disarm'
}

export interface ConfirmRound {
  readonly nonce: Nonce
  readonly askedAt: number
  readonly by: readonly HostName[]
}

/** The host's own look at itself. */
export interface OwnChecks {
  readonly askedAt: number
  /** Consecutive bad results. */
  readonly bad: number
  /** Good without a break since then, in bootMs. */
  readonly okSince?: number | undefined
}

/** A lease as far as it is collected; while it stands the host is WAITING_LEASE. */
export interface Lease {
  readonly rollout: RolloutId
  readonly round: number
  readonly nonce: Nonce
  /** The epoch whose voters were asked; absent is the first. */
  readonly epoch?: number | undefined
  /** When the nonce was made, in bootMs: the lease lasts from here. */
  readonly askedAt: number
  readonly grants: readonly LeaseGrant[]
  readonly refusals: readonly LeaseDenial[]
}
export interface LeaseGrant {
  readonly voter: HostName
  readonly ttlMs: number
}
export interface LeaseDenial {
  readonly voter: HostName
  readonly refusal: LeaseRefusal
}

/** The deadman as this machine last asked for it or was told about it. */
export interface HeldDeadman {
  readonly token: string
  readonly target: StorePath
  /** `ending`: it had its time to go back, and is ended before the host goes back itself. */
  readonly step: 'arming' | 'armed' | 'renewing' | 'disarming' | 'fired' | 'ending'
  /** What the newest renewal was for. */
  readonly purpose?: RenewPurpose | undefined
  /** When it fires if nobody renews it; in step `fired`, when that was learned. In bootMs. */
  readonly at: number
}
export type RenewPurpose = 'confirm' | 'target' | 'commit' | 'back'

/** A switch of this host, by its rollout and round. */
export interface Switch {
  readonly rollout: RolloutId
  readonly round: number
}

/** Going back was tried and cannot be done. */
export interface Stuck {
  readonly target: StorePath
  readonly at: number
  readonly why: 'missing' | 'not-revertable' | 'failed'
}

export interface HostState {
  readonly boot: string
  /** What runs; undefined while that is in doubt, which counts as different from everything. */
  readonly running: StorePath | undefined
  /** What boots next; undefined while in doubt. */
  readonly bootDefault: StorePath | undefined
  /** Committed generations, oldest first; the bottom is the enrolment and stays. */
  readonly stack: readonly StackEntry[]
  /** In the order in which the host learned of them. */
  readonly rollouts: readonly HostRollout[]
  readonly flight: Flight | undefined
  readonly lease: Lease | undefined
  readonly deadman: HeldDeadman | undefined
  /** The `activate` under way: until it is answered, nothing but a `revert` after it says what runs. */
  readonly activating: Switch | undefined
  /** The generation that a `revert` under way goes back to. */
  readonly back: StorePath | undefined
  /** The generation that a `setBootDefault` under way sets. */
  readonly settingBoot: StorePath | undefined
  readonly stuck: Stuck | undefined
  /** Decided, but not yet known to be in the feed: signed again after a crash. */
  readonly unsigned: readonly Transition[]
  readonly pinned: readonly StorePath[]
  /** The newest orders. Not journaled. */
  readonly orders: Orders | undefined
}

/** The state of a host that was just enrolled and runs `generation`. */
export function initialHost(input: { generation: StorePath; boot: string }): HostState {
  const { generation, boot } = input
  return {
    boot,
    running: generation,
    bootDefault: generation,
    stack: [{ rollout: ENROLMENT, generation, barred: false }],
    rollouts: [],
    flight: undefined,
    lease: undefined,
    deadman: undefined,
    activating: undefined,
    back: undefined,
    settingBoot: undefined,
    stuck: undefined,
    unsigned: [],
    pinned: [],
    orders: undefined,
  }
}

const AT: Schema<number> = uint()
const ROUND: Schema<number> = uint(ROUNDS_MAX - 1)
const TOKEN: Schema<string> = text(64, /^[0-9a-zA-Z._-]+$/, 1)

const ROLLOUT: Schema<HostRollout> = shape<HostRollout>({
  rollout: FACT_ID,
  round: ROUND,
  phase: PHASE,
  why: optional(TRANSITION_WHY),
  signed: list(PHASE, PHASES.length),
  generation: optional(STORE_PATH),
  startSeenAt: optional(AT),
  halted: bool,
  revert: optional(oneOf('halt', 'breach')),
  ran: bool,
})

const FLIGHT: Schema<Flight> = shape<Flight>({
  rollout: FACT_ID,
  round: ROUND,
  generation: STORE_PATH,
  boot: BOOT_ID,
  activatedAt: AT,
  open: bool,
  lifeMs: AT,
  confirm: optional(
    shape<ConfirmRound>({ nonce: SESSION, askedAt: AT, by: list(NAME, OBSERVERS_MAX) }),
  ),
  confirmed: bool,
  renewedAt: AT,
  checks: shape<OwnChecks>({ askedAt: AT, bad: uint(), okSince: optional(AT) }),
  commit: oneOf('no', 'renew', 'boot', 'disarm'),
})

const REFUSAL: Schema<LeaseRefusal> = oneOf(
  'no-start',
  'ended',
  'halted',
  'breached',
  'forbidden-by-vote',
  'superseded',
  'not-a-voter',
  'wrong-peer',
)

const LEASE: Schema<Lease> = shape<Lease>({
  rollout: FACT_ID,
  round: ROUND,
  nonce: SESSION,
  askedAt: AT,
  epoch: optional(uint(2 ** 32, 1)),
  grants: list(shape<LeaseGrant>({ voter: NAME, ttlMs: uint(POLICY_MS_MAX) }), VOTERS_MAX),
  refusals: list(shape<LeaseDenial>({ voter: NAME, refusal: REFUSAL }), VOTERS_MAX),
})

const DEADMAN: Schema<HeldDeadman> = shape<HeldDeadman>({
  token: TOKEN,
  target: STORE_PATH,
  step: oneOf('arming', 'armed', 'renewing', 'disarming', 'fired', 'ending'),
  purpose: optional(oneOf('confirm', 'target', 'commit', 'back')),
  at: AT,
})

type Journaled = Omit<HostState, 'orders'>

const JOURNALED: Schema<Journaled> = shape<Journaled>({
  boot: BOOT_ID,
  running: optional(STORE_PATH),
  bootDefault: optional(STORE_PATH),
  stack: list(
    shape<StackEntry>({ rollout: FACT_ID, generation: STORE_PATH, barred: bool }),
    STACK_ENTRIES_MAX + 1,
    1,
  ),
  rollouts: list(ROLLOUT, HOST_ROLLOUTS_MAX),
  flight: optional(FLIGHT),
  lease: optional(LEASE),
  deadman: optional(DEADMAN),
  activating: optional(shape<Switch>({ rollout: FACT_ID, round: ROUND })),
  back: optional(STORE_PATH),
  settingBoot: optional(STORE_PATH),
  stuck: optional(
    shape<Stuck>({
      target: STORE_PATH,
      at: AT,
      why: oneOf('missing', 'not-revertable', 'failed'),
    }),
  ),
  unsigned: list(TRANSITION, UNSIGNED_MAX),
  pinned: list(STORE_PATH, HOST_ROLLOUTS_MAX),
})

/** The journal's form of `HostState`, without `orders`: nesting is at most 5. */
export const HOST_STATE: Schema<HostState> = {
  decode: (value, path) => ({ ...EMPTY, ...JOURNALED.decode(value, path), orders: undefined }),
  encode: (state) => JOURNALED.encode(state),
}

/** `shape` leaves absent keys out; in memory every key of the state is there. */
const EMPTY: Pick<
  HostState,
  | 'running'
  | 'bootDefault'
  | 'flight'
  | 'lease'
  | 'deadman'
  | 'activating'
  | 'back'
  | 'settingBoot'
  | 'stuck'
> = {
  running: undefined,
  bootDefault: undefined,
  flight: undefined,
  lease: undefined,
  deadman: undefined,
  activating: undefined,
  back: undefined,
  settingBoot: undefined,
  stuck: undefined,
}
