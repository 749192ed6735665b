/**
 * Where and when: an operator's plan and the facts that steer a rollout (SPEC §6.2, §6.3).
 *
 * The plan fact is small and names its body by hash; the body, with every wave resolved to named
 * hosts, is a blob.
 */
import {
  BLOCK_ID,
  type BlockId,
  FACT_ID,
  type FactId,
  type GroupName,
  HASH,
  type Hash,
  type HostName,
  LINE,
  NAME,
  type RolloutId,
} from './ids.ts'
import {
  GROUP_HOSTS_MAX,
  GROUPS_MAX,
  HALT_HOSTS_MAX,
  HOLD_RELEASES_MAX,
  HOLDERS_MAX,
  IN_FLIGHT_LIMITS_MAX,
  PLAN_BYTES_MAX,
  POLICY_MS_MAX,
  SOAK_MS_MIN,
  SUPERSEDES_MAX,
  WAVES_MAX,
} from './limits.ts'
import {
  bool,
  list,
  oneOf,
  optional,
  type Schema,
  shape,
  sortedList,
  tagged,
  uint,
  where,
} from './schema.ts'

/** How many hosts may fail before the rollout is over: strictly more breach it. */
export type Budget =
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'percent'; readonly percent: number }

/** At most `limit` of `hosts` (empty: of all) are started and not ended at once. */
export interface InFlightLimit {
  readonly hosts: readonly HostName[]
  readonly limit: number
}

export interface Policy {
  readonly soakMs: number
  readonly confirmMs: number
  readonly startTimeoutMs: number
  readonly budget: Budget
  readonly onFailure: 'halt' | 'revertAll'
  readonly maxInFlight: readonly InFlightLimit[]
  /** How many other hosts have to hold the closures of a wave before it starts; absent is none. */
  readonly holders?: number | undefined
}

/** One group's part of a plan. */
export interface PlanGroup {
  readonly group: GroupName
  /** The last block that touched any of the hosts when the plan was made (compare-and-swap). */
  readonly base: BlockId
  /** Named hosts, wave by wave; no host stands twice. */
  readonly waves: readonly (readonly HostName[])[]
}

/** The body of a plan. */
export interface PlanBody {
  readonly release: FactId
  readonly kind: 'forward' | 'rollback'
  readonly groups: readonly PlanGroup[]
  readonly policy: Policy
  /** Open or halted rollouts that this plan knowingly replaces. */
  readonly supersedes: readonly RolloutId[]
  /** The strategy as the operator wrote it, for people. */
  readonly strategy: string
  readonly reason: string
}

/** Body of `rollout.plan`: what the voters admit. */
export interface PlanFact {
  readonly plan: Hash
  readonly planBytes: number
  readonly release: FactId
  readonly groups: readonly GroupName[]
}

/** Body of `rollout.halt`. With `hosts` it latches for those alone. */
export interface Halt {
  readonly rollout: RolloutId
  readonly revert: boolean
  readonly hosts?: readonly HostName[] | undefined
  readonly why: string
}

/** Body of `rollout.hold`: pause, or the release of named pauses. */
export type Hold =
  | { readonly kind: 'on'; readonly rollout: RolloutId; readonly why: string }
  | {
      readonly kind: 'off'
      readonly rollout: RolloutId
      readonly releases: readonly FactId[]
      readonly why: string
    }

/** Body of `host.lost`: a dead host must not hold a rollout. */
export interface HostLost {
  readonly host: HostName
  readonly rollout: RolloutId
  readonly why: string
}

const MS: Schema<number> = uint(POLICY_MS_MAX)

const BUDGET: Schema<Budget> = tagged<Budget>('kind', {
  count: shape<Budget & { kind: 'count' }>({
    kind: oneOf('count'),
    count: uint(GROUP_HOSTS_MAX),
  }) as Schema<Budget>,
  percent: shape<Budget & { kind: 'percent' }>({
    kind: oneOf('percent'),
    percent: uint(100),
  }) as Schema<Budget>,
})

export const POLICY: Schema<Policy> = shape<Policy>({
  soakMs: uint(POLICY_MS_MAX, SOAK_MS_MIN),
  confirmMs: MS,
  startTimeoutMs: MS,
  budget: BUDGET,
  onFailure: oneOf('halt', 'revertAll'),
  maxInFlight: list(
    shape<InFlightLimit>({ hosts: list(NAME, GROUP_HOSTS_MAX), limit: uint(GROUP_HOSTS_MAX, 1) }),
    IN_FLIGHT_LIMITS_MAX,
  ),
  holders: optional(uint(HOLDERS_MAX)),
})

/** A host that stood twice would be started twice, and a wave would wait for itself. */
const PLAN_GROUP: Schema<PlanGroup> = where(
  shape<PlanGroup>({
    group: NAME,
    base: BLOCK_ID,
    waves: list(list(NAME, GROUP_HOSTS_MAX, 1), WAVES_MAX, 1),
  }),
  ({ waves }) => {
    const hosts = waves.flat()
    if (hosts.length > GROUP_HOSTS_MAX) return `at most ${GROUP_HOSTS_MAX} hosts in all waves`
    return new Set(hosts).size === hosts.length ? undefined : 'every host in one wave only'
  },
)

export const PLAN_BODY: Schema<PlanBody> = shape<PlanBody>({
  release: FACT_ID,
  kind: oneOf('forward', 'rollback'),
  groups: sortedList(PLAN_GROUP, (part) => part.group, GROUPS_MAX, 1),
  policy: POLICY,
  supersedes: sortedList(FACT_ID, (id) => id, SUPERSEDES_MAX),
  strategy: LINE,
  reason: LINE,
})

export const PLAN_FACT: Schema<PlanFact> = shape<PlanFact>({
  plan: HASH,
  planBytes: uint(PLAN_BYTES_MAX),
  release: FACT_ID,
  groups: sortedList(NAME, (name) => name, GROUPS_MAX, 1),
})

export const HALT: Schema<Halt> = shape<Halt>({
  rollout: FACT_ID,
  revert: bool,
  hosts: optional(list(NAME, HALT_HOSTS_MAX, 1)),
  why: LINE,
})

type HoldOn = Hold & { kind: 'on' }
type HoldOff = Hold & { kind: 'off' }
export const HOLD: Schema<Hold> = tagged<Hold>('kind', {
  on: shape<HoldOn>({ kind: oneOf('on'), rollout: FACT_ID, why: LINE }) as Schema<Hold>,
  off: shape<HoldOff>({
    kind: oneOf('off'),
    rollout: FACT_ID,
    releases: list(FACT_ID, HOLD_RELEASES_MAX, 1),
    why: LINE,
  }) as Schema<Hold>,
})

export const HOST_LOST: Schema<HostLost> = shape<HostLost>({
  host: NAME,
  rollout: FACT_ID,
  why: LINE,
})
