/**
 * How many hosts may be switching at once, over all rollouts together (SPEC §7.4, invariant S10).
 *
 * Every start takes a permit and gives it back when it ends. Counting starts instead of hosts that say
 * they switch is what bounds them: a start that committed may be used at any moment.
 */
import {
  crashesSurvived,
  type GroupConfig,
  type HostName,
  type InFlightLimit,
  type RolloutId,
} from '../protocol/index.ts'
import { sinceMs } from './local-times.ts'
import { type Ruling, type Scene, type Stage, stageOf, wait, YES } from './scene.ts'

/** The permits of a scene, before any further start. */
export interface Permits {
  /** Hosts with a start that has not ended, with the rollout that it belongs to. */
  readonly open: ReadonlyMap<HostName, RolloutId>
  /** Voters whose start was ended by others and who may still be switching. */
  readonly lingering: readonly HostName[]
  readonly limits: readonly Limit[]
  /** A rollout that cannot be counted because its plan is not held: nothing may be started. */
  readonly unknown: RolloutId | undefined
}

interface Limit {
  /** Undefined: of all. */
  readonly hosts: ReadonlySet<HostName> | undefined
  readonly limit: number
}

const counted = new WeakMap<Scene, Permits>()

/** Counts the permits that are out. */
export function permitsOf(scene: Scene): Permits {
  const before = counted.get(scene)
  if (before !== undefined) return before
  const permits = countPermits(scene)
  counted.set(scene, permits)
  return permits
}

/** Whether `hosts` of `stage` may start as well. */
export function roomFor(scene: Scene, stage: Stage, hosts: readonly HostName[]): Ruling {
  const permits = permitsOf(scene)
  if (permits.unknown !== undefined) return wait(`the plan of ${permits.unknown} is not held`)
  const taken = new Set([...permits.open.keys(), ...permits.lingering, ...hosts])
  const own = stage.rollout.status === 'open' ? [] : limitsOf(stage.plan.policy.maxInFlight)
  for (const { hosts: named, limit } of [...permits.limits, ...own]) {
    if (named !== undefined && !hosts.some((host) => named.has(host))) continue
    const count =
      named === undefined ? taken.size : [...taken].filter((one) => named.has(one)).length
    if (count > limit) return wait(`${count} hosts would be in flight, the limit is ${limit}`)
  }
  return votersRoom(scene, taken, hosts)
}

/** So many voters may be away that the others still decide; in groups too small for that, one. */
function votersRoom(
  scene: Scene,
  taken: ReadonlySet<HostName>,
  hosts: readonly HostName[],
): Ruling {
  const { voters } = scene.trust.config
  return hosts.some((host) => voters.includes(host)) ? withinQuorum(scene.trust.config, taken) : YES
}

/** Whether the hosts that are under way now could be voters of `config`: as many as its starts could be. */
export function votersUnderWay(
  scene: Scene,
  config: Pick<GroupConfig, 'voters' | 'quorum'>,
): Ruling {
  const permits = permitsOf(scene)
  if (permits.unknown !== undefined) return wait(`the plan of ${permits.unknown} is not held`)
  return withinQuorum(config, new Set([...permits.open.keys(), ...permits.lingering]))
}

function withinQuorum(
  { voters, quorum }: Pick<GroupConfig, 'voters' | 'quorum'>,
  taken: ReadonlySet<HostName>,
): Ruling {
  const limit = Math.max(1, crashesSurvived({ n: voters.length, q: quorum }))
  const count = voters.filter((voter) => taken.has(voter)).length
  return count > limit ? wait(`${count} voters would be in flight, the limit is ${limit}`) : YES
}

function countPermits(scene: Scene): Permits {
  const open = new Map<HostName, RolloutId>()
  const lingering: HostName[] = []
  const limits: Limit[] = []
  let unknown: RolloutId | undefined
  for (const { rollout, status, starts } of scene.state.rollouts.values()) {
    if (status !== 'open' && starts.size === 0) continue
    const stage = stageOf(scene, rollout)
    if (stage === undefined) {
      unknown ??= rollout
      continue
    }
    for (const host of stage.standing.open) open.set(host, rollout)
    lingering.push(...lingeringVoters(scene, stage))
    if (status === 'open') limits.push(...limitsOf(stage.plan.policy.maxInFlight))
  }
  return { open, lingering, limits, unknown }
}

function limitsOf(limits: readonly InFlightLimit[]): readonly Limit[] {
  return limits.map(({ hosts, limit }) => ({
    hosts: hosts.length === 0 ? undefined : new Set(hosts),
    limit,
  }))
}

/**
 * Voters whose start was ended by others (certificate or `host.lost`): for a lease, an activation and
 * a confirmation longer they may be switching all the same. What this voter has not seen ending
 * counts from now.
 */
function lingeringVoters(scene: Scene, stage: Stage): readonly HostName[] {
  const { trust, local } = scene
  const { leaseMs, activateMs } = trust.config.timing
  const lingerMs = leaseMs + activateMs + stage.plan.policy.confirmMs
  return stage.standing.cutOff
    .filter(({ host, round }) => {
      if (local.timeless || !trust.config.voters.includes(host)) return false
      const sight = { kind: 'ended', rollout: stage.rollout.rollout, host, round } as const
      return sinceMs(local.times, sight, local.now) < lingerMs
    })
    .map((one) => one.host)
}
