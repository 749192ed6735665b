/**
 * Strategies into waves of named hosts, and what a plan must not fall below (SPEC §11).
 *
 * The order of the hosts is fixed by the release's manifest, so that nobody chooses the canary and
 * everybody can compute it again: ascending SHA-256(manifest hash ‖ name).
 */
import {
  type Budget,
  concatBytes,
  fromHex,
  type Hash,
  type HostName,
  type Policy,
  type PolicyFloors,
  sha256,
  toHex,
  utf8,
} from '../protocol/index.ts'
import { bad, good, type Result, RolloutError } from './errors.ts'
import { matchesSelector, type Selectable } from './selector.ts'
import type { Strategy, WaveSize } from './strategy-text.ts'

/** A floor that a plan falls below or a ceiling that it exceeds. */
export interface FloorViolation {
  readonly floor: keyof PolicyFloors
  /** The bound: hosts, ms or failed hosts. For `wavePercentMax`, the hosts that one wave may have. */
  readonly expected: number
  readonly found: number
  /** The wave that is wrong, from 0. */
  readonly wave?: number | undefined
}

/**
 * The waves of `strategy` over `hosts`: every host exactly once, no wave empty.
 *
 * `manifest` is the hash of the release's manifest. Sizes are taken of the hosts that remain,
 * percentages rounded up; when the list of sizes ends before the hosts do, its last size repeats. With
 * selectors a host belongs to the first that takes it. Errors: NO_HOSTS, HOST_TWICE, HOST_UNMATCHED.
 */
export function resolveWaves(input: {
  readonly strategy: Strategy
  readonly hosts: readonly Selectable[]
  readonly manifest: Hash
}): Result<readonly (readonly HostName[])[]> {
  const { strategy, hosts, manifest } = input
  const names = new Set(hosts.map((host) => host.name))
  if (names.size === 0) return bad(noHosts())
  const twice = hosts.find((host, i) => hosts.findIndex((other) => other.name === host.name) !== i)
  if (twice !== undefined) return bad(hostTwice(twice.name))
  const ordered = orderHosts(hosts, manifest)
  if (strategy.kind === 'selectors') return bySelectors(strategy, ordered)
  return good(bySizes(strategy.sizes, ordered))
}

/** The hosts in the order that the release's manifest gives them. */
export function orderHosts<T extends { readonly name: HostName }>(
  hosts: readonly T[],
  manifest: Hash,
): readonly T[] {
  const seed = fromHex(manifest)
  return hosts
    .map((host) => ({ host, rank: toHex(sha256(concatBytes(seed, utf8(host.name)))) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ host }) => host)
}

/**
 * Every floor of the group that a plan's part violates; empty when it respects all.
 *
 * `canaryMin`: the first wave has at least as many hosts, or all hosts of a smaller plan.
 * `wavePercentMax`: no wave has more than that share of the whole group (rounded up, at least one
 * host); the first wave may have `canaryMin` hosts even so. The share binds the first wave too, or a
 * plan of one wave would be bound by nothing. `soakMsMin` and `budgetMax`: as they are named, the
 * budget counted over the hosts of the plan.
 */
export function checkFloors(input: {
  readonly waves: readonly (readonly HostName[])[]
  readonly policy: Policy
  readonly floors: PolicyFloors
  readonly groupSize: number
}): readonly FloorViolation[] {
  const { waves, policy, floors, groupSize } = input
  const hosts = waves.reduce((sum, wave) => sum + wave.length, 0)
  const violations: FloorViolation[] = []
  const canary = waves[0]?.length ?? 0
  const canaryMin = Math.min(floors.canaryMin, hosts)
  if (canary < canaryMin) {
    violations.push({ floor: 'canaryMin', expected: canaryMin, found: canary, wave: 0 })
  }
  if (policy.soakMs < floors.soakMsMin) {
    violations.push({ floor: 'soakMsMin', expected: floors.soakMsMin, found: policy.soakMs })
  }
  const share = Math.max(1, Math.ceil((groupSize * floors.wavePercentMax) / 100))
  waves.forEach(({ length }, wave) => {
    const expected = wave === 0 ? Math.max(share, floors.canaryMin) : share
    if (length > expected)
      violations.push({ floor: 'wavePercentMax', expected, found: length, wave })
  })
  const failures = budgetCount(policy.budget, hosts)
  if (failures > floors.budgetMax) {
    violations.push({ floor: 'budgetMax', expected: floors.budgetMax, found: failures })
  }
  return violations
}

/**
 * How many of `hosts` may fail; one more is a breach. A percentage is rounded down: more than 10 % of
 * 5 hosts have failed as soon as one has.
 */
export function budgetCount(budget: Budget, hosts: number): number {
  return budget.kind === 'count' ? budget.count : Math.floor((hosts * budget.percent) / 100)
}

function bySizes(sizes: readonly WaveSize[], ordered: readonly Selectable[]): HostName[][] {
  const waves: HostName[][] = []
  let rest = ordered.map((host) => host.name)
  while (rest.length > 0) {
    const size = sizes[waves.length] ?? sizes.at(-1) ?? { kind: 'percent', percent: 100 }
    const count = size.kind === 'count' ? size.count : Math.ceil((rest.length * size.percent) / 100)
    const taken = Math.max(1, count)
    waves.push(rest.slice(0, taken))
    rest = rest.slice(taken)
  }
  return waves
}

function bySelectors(
  strategy: Strategy & { readonly kind: 'selectors' },
  ordered: readonly Selectable[],
): Result<readonly (readonly HostName[])[]> {
  const waves = strategy.selectors.map((): HostName[] => [])
  for (const host of ordered) {
    const first = strategy.selectors.findIndex((selector) => matchesSelector(selector, host))
    const wave = waves[first]
    if (wave === undefined) return bad(unmatched(host.name))
    wave.push(host.name)
  }
  return good(waves.filter((wave) => wave.length > 0))
}

function noHosts(): RolloutError {
  const message = 'expected at least one host for the waves, found none'
  return new RolloutError(
    'NO_HOSTS',
    message,
    'Choose hosts that are in the group and the release.',
  )
}

function hostTwice(name: HostName): RolloutError {
  const message = `expected every host once, found ${name} twice`
  return new RolloutError('HOST_TWICE', message, 'Name each host once.')
}

function unmatched(name: HostName): RolloutError {
  const message = `expected a wave for every host, found none that takes ${name}`
  return new RolloutError('HOST_UNMATCHED', message, 'End the waves with * to take the rest.')
}
