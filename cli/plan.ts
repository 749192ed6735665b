/** From what the operator asked for to a plan's body. Pure: everything comes in as arguments. */
import type { PlanBase, ReleaseDetail } from '../node/index.ts'
import type { Budget, GroupConfig, HostName, PlanBody, Policy } from '../protocol/index.ts'
import {
  checkFloors,
  describeStrategy,
  type FloorViolation,
  matchesSelector,
  parseSelector,
  parseStrategy,
  type Result,
  resolveWaves,
} from '../rollout/index.ts'
import { CliError, usage } from './errors.ts'
import { plural, shortId, span } from './words.ts'

/** What the operator asked for, as text and numbers. */
export interface PlanWish {
  readonly on?: string | undefined
  readonly hosts: readonly HostName[]
  readonly strategy?: string | undefined
  readonly waves?: string | undefined
  readonly wavesBy?: string | undefined
  readonly soakMs?: number | undefined
  readonly confirmMs?: number | undefined
  readonly startMs?: number | undefined
  readonly maxUnhealthy?: string | undefined
  readonly maxInFlight?: number | undefined
  readonly onFailure?: string | undefined
  /** How many others have to hold the closures of a wave; 2 if absent. */
  readonly holders?: number | undefined
  /** Full ids of rollouts that the plan knowingly replaces. */
  readonly supersede: readonly string[]
  readonly reason: string
}

/** A plan with what a reader wants to see of it. */
export interface MadePlan {
  readonly body: PlanBody
  readonly waves: readonly (readonly HostName[])[]
  /** Hosts of the group that the release does not have. */
  readonly without: readonly HostName[]
}

/** Probe periods that fit one soak, one confirmation, one start, when the operator says nothing. */
const SOAK_PROBES = 60
const SOAK_PROBES_SHORT = 10
const CONFIRM_PROBES = 12
const START_PROBES = 60
/** A release outlives one disk beside the host's own. */
const HOLDERS = 2

/** Makes the plan. Throws CliError: NF-2110, NF-2108, NF-2113, NF-2117. */
export function makePlan(input: {
  readonly wish: PlanWish
  readonly config: GroupConfig
  readonly base: PlanBase
  readonly release: ReleaseDetail
}): MadePlan {
  const { wish, config, base, release } = input
  const inRelease = new Set(release.generations.map((row) => row.host))
  const selected = selectHosts(config, wish)
  const hosts = selected.filter((host) => inRelease.has(host.name))
  const without = selected.filter((host) => !inRelease.has(host.name)).map((host) => host.name)
  if (hosts.length === 0) {
    throw new CliError('NF-2110', 'the selection has no host of the release', {
      why: [
        `selected: ${selected.map((host) => host.name).join(', ') || 'none'}`,
        `in release ${release.name}: ${[...inRelease].join(', ')}`,
      ],
    })
  }
  const strategy = unwrap(parseStrategy(wish))
  const waves = unwrap(resolveWaves({ strategy, hosts, manifest: release.manifest }))
  const names = hosts.map((host) => host.name)
  assertSupersedes(base, names, wish.supersede)
  const policy = policyOf(wish, config)
  const violations = checkFloors({
    waves,
    policy,
    floors: config.floors,
    groupSize: config.hosts.length,
  })
  if (violations.length > 0) {
    throw new CliError('NF-2113', "the plan falls below the group's floors", {
      why: violations.map(violationLine),
    })
  }
  const body: PlanBody = {
    release: release.id,
    kind: 'forward',
    groups: [{ group: config.group, base: baseOf(base, names), waves }],
    policy,
    supersedes: [...wish.supersede].sort(),
    strategy: describeStrategy(strategy),
    reason: wish.reason,
  }
  return { body, waves, without }
}

/** The hosts that --on and --host name; all of the group without either. Throws NF-2110, NF-2117. */
export function selectHosts(
  config: GroupConfig,
  wish: Pick<PlanWish, 'on' | 'hosts'>,
): GroupConfig['hosts'] {
  const unknown = wish.hosts.filter((name) => !config.hosts.some((host) => host.name === name))
  if (unknown.length > 0) {
    throw new CliError('NF-2110', `${unknown.join(', ')}: not in group ${config.group}`, {
      why: [`its hosts are ${config.hosts.map((host) => host.name).join(', ')}`],
    })
  }
  if (wish.on === undefined) {
    return wish.hosts.length === 0
      ? config.hosts
      : config.hosts.filter((host) => wish.hosts.includes(host.name))
  }
  const selector = unwrap(parseSelector(wish.on))
  const found = config.hosts.filter(
    (host) => wish.hosts.includes(host.name) || matchesSelector(selector, host),
  )
  if (found.length > 0) return found
  throw new CliError('NF-2110', `no host of group ${config.group} matches ${wish.on}`)
}

/** The newest block that touched any of the hosts: what the voters compare the plan's base with. */
export function baseOf(base: PlanBase, names: readonly HostName[]): string {
  let newest: { block: string; slot: number } | undefined
  for (const row of base.hosts) {
    if (!names.includes(row.host) || row.base === null) continue
    if (newest === undefined || row.base.slot > newest.slot) newest = row.base
  }
  return newest?.block ?? base.genesis
}

/** `2` or `10%` as a budget. */
export function budgetOf(text: string): Budget {
  const percent = /^(\d{1,3})%$/.exec(text)
  if (percent && Number(percent[1]) <= 100) return { kind: 'percent', percent: Number(percent[1]) }
  if (/^\d{1,3}$/.test(text)) return { kind: 'count', count: Number(text) }
  throw usage(`expected a number of hosts or a percentage after --max-unhealthy, found ${text}`)
}

function policyOf(wish: PlanWish, config: GroupConfig): Policy {
  const { probeMs, preset } = config.timing
  const soak = (preset === 'production' ? SOAK_PROBES : SOAK_PROBES_SHORT) * probeMs
  const failure = wish.onFailure ?? 'rollback'
  if (failure !== 'halt' && failure !== 'rollback') {
    throw usage(`expected halt or rollback after --on-failure, found ${failure}`)
  }
  return {
    soakMs: wish.soakMs ?? Math.max(config.floors.soakMsMin, soak),
    confirmMs: wish.confirmMs ?? CONFIRM_PROBES * probeMs,
    startTimeoutMs: wish.startMs ?? START_PROBES * probeMs,
    budget: budgetOf(wish.maxUnhealthy ?? '0'),
    onFailure: failure === 'halt' ? 'halt' : 'revertAll',
    maxInFlight: wish.maxInFlight === undefined ? [] : [{ hosts: [], limit: wish.maxInFlight }],
    // Absent is none: a plan that asks for none is one that older nodes take as well.
    ...(wish.holders === 0 ? {} : { holders: wish.holders ?? HOLDERS }),
  }
}

/** Nobody replaces an open or a halted rollout unawares; the voters would refuse it anyway. */
function assertSupersedes(
  base: PlanBase,
  names: readonly HostName[],
  supersede: readonly string[],
): void {
  const missing = new Map<string, { hosts: string[]; why: string }>()
  for (const row of base.hosts) {
    if (!names.includes(row.host)) continue
    const reason = row.claimedBy ?? (row.lastHalted ? row.last : null)
    if (reason === null || supersede.includes(reason)) continue
    const known = missing.get(reason) ?? { hosts: [], why: row.claimedBy ? 'open' : 'halted' }
    missing.set(reason, { ...known, hosts: [...known.hosts, row.host] })
  }
  if (missing.size === 0) return
  throw new CliError('NF-2108', 'hosts belong to a rollout that this plan does not name', {
    why: [...missing].map(
      ([id, { hosts, why }]) => `${hosts.join(', ')}: rollout ${shortId(id)}, ${why}`,
    ),
    fix: [
      `look: nixfleet rollout status ${shortId([...missing.keys()][0] ?? '')}`,
      `then add ${[...missing.keys()].map((id) => `--supersede ${shortId(id)}`).join(' ')}`,
    ],
  })
}

function violationLine(violation: FloorViolation): string {
  const { floor, expected, found, wave } = violation
  switch (floor) {
    case 'canaryMin':
      return `the first wave needs at least ${plural(expected, 'host')}, found ${found}`
    case 'soakMsMin':
      return `the soak must be at least ${span(expected)}, found ${span(found)}`
    case 'wavePercentMax':
      return `wave ${(wave ?? 0) + 1} may have at most ${plural(expected, 'host')}, found ${found}`
    case 'budgetMax':
      return `at most ${plural(expected, 'host')} may be allowed to fail, found ${found}`
  }
}

function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value
  const { error } = result
  throw new CliError('NF-2117', error.message, { why: [], fix: [error.fix], cause: error })
}
