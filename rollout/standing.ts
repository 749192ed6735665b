/**
 * Where each host of a rollout stands, from the gate log and the facts (SPEC §7.4, §11).
 *
 * The same facts and the same log give the same answer everywhere; the voters judge starts, skips
 * and closes by it, and people read it in `status`.
 */
import {
  type FactOf,
  type HostName,
  type Manifest,
  type Phase,
  type PlanBody,
  phaseRank,
  type StorePath,
} from '../protocol/index.ts'
import { panelOf } from './assigned.ts'
import { isFailedByPeers, soakedByPeers } from './certificates.ts'
import {
  type FleetView,
  lossOf,
  type RolloutRecord,
  rolloutRecord,
  roundRecord,
} from './fleet-view.ts'
import type { GateRollout, GateStart } from './gate-state.ts'
import type { WitnessesNeeded } from './observers.ts'
import { isHeld } from './steering.ts'
import { budgetCount } from './strategy.ts'
import type { Trust } from './trust.ts'
import { blamesItself, wasUnconfirmed } from './way-back.ts'

/**
 * How a host's part in a rollout ended; undefined while it goes on. `committed` takes the word of the
 * host's observers, not only its own.
 */
export type HostEnd = 'committed' | 'reverted' | 'stuck' | 'skipped' | 'failed' | 'lost'

export interface Standing {
  readonly host: HostName
  readonly wave: number
  /** The newest committed start. */
  readonly start: GateStart | undefined
  /** The round that counts: that of the newest start, 0 before the first. */
  readonly round: number
  readonly phase: Phase | undefined
  /** The host's transition to `phase`. */
  readonly transition: FactOf<'host.transition'> | undefined
  readonly end: HostEnd | undefined
  /** Started, and the start has not ended: it holds a permit. */
  readonly open: boolean
  /** Counts towards a breach, for good. */
  readonly failure: boolean
  /**
   * Went back unconfirmed without anybody's proof of failure, and has not confirmed since: stops
   * further starts, latches nothing.
   */
  readonly inconclusive: boolean
  /** Observers of the newest start, and how many of them decide. */
  readonly observers: readonly HostName[]
  readonly needed: WitnessesNeeded
}

/** Everything that is true of a rollout at one state of knowledge. */
export interface RolloutStanding {
  readonly hosts: ReadonlyMap<HostName, Standing>
  /** Hosts whose start has not ended. */
  readonly open: readonly HostName[]
  /** Hosts whose start was ended by others, and that have not said that they are back. */
  readonly cutOff: readonly Standing[]
  readonly failures: number
  readonly inconclusive: number
  readonly budget: number
  /** More failures than the budget: latches, halts, and with revertAll sends everyone back. */
  readonly breached: boolean
  /** A halt for all hosts is known. */
  readonly halted: boolean
  readonly held: boolean
}

/** What a standing is computed from. */
export interface StandingInput {
  readonly trust: Trust
  readonly view: FleetView
  readonly rollout: GateRollout
  readonly plan: PlanBody
  /** The release's manifest; while it is not held, no host counts as committed. */
  readonly manifest: Manifest | undefined
}

interface Known {
  readonly trust: Trust
  readonly manifest: Manifest | undefined
  readonly standing: RolloutStanding
}

/**
 * Records and rollouts are immutable and a rollout's id fixes its plan, so the same pair under the
 * same trust and manifest has the same standing: asked for often, computed once.
 */
const known = new WeakMap<RolloutRecord, WeakMap<GateRollout, Known>>()

/** The standing of every host of `rollout` at `view`. */
export function standRollout(input: StandingInput): RolloutStanding {
  const { trust, manifest } = input
  const record = rolloutRecord(input.view, input.rollout.rollout)
  const ofRecord = known.get(record) ?? new WeakMap<GateRollout, Known>()
  const before = ofRecord.get(input.rollout)
  if (before?.trust === trust && before.manifest === manifest) return before.standing
  const standing = computeStanding(input, record)
  known.set(record, ofRecord.set(input.rollout, { trust, manifest, standing }))
  return standing
}

function computeStanding(input: StandingInput, record: RolloutRecord): RolloutStanding {
  const { rollout, plan } = input
  const generations = new Map(input.manifest?.hosts.map((one) => [one.host, one.generation]))
  const hosts = new Map<HostName, Standing>()
  rollout.waves.forEach((names, wave) => {
    for (const host of names) {
      const generation = generations.get(host)
      hosts.set(host, standHost({ ...input, record, host, wave, generation }))
    }
  })
  const all = [...hosts.values()]
  const failures = all.filter((standing) => standing.failure).length
  const budget = budgetCount(plan.policy.budget, hosts.size)
  return {
    hosts,
    open: all.filter((standing) => standing.open).map((standing) => standing.host),
    cutOff: all.filter(
      ({ start, end }) => start !== undefined && (end === 'failed' || end === 'lost'),
    ),
    failures,
    inconclusive: all.filter((standing) => standing.inconclusive).length,
    budget,
    breached: failures > budget,
    halted: [...record.halts.values()].some((halt) => halt.body.hosts === undefined),
    held: isHeld(record),
  }
}

interface HostInput extends StandingInput {
  readonly record: RolloutRecord
  readonly host: HostName
  readonly wave: number
  /** What the release gives it; undefined while the manifest is not held. */
  readonly generation: StorePath | undefined
}

function standHost(input: HostInput): Standing {
  const { trust, record, rollout, host, wave } = input
  const starts = rollout.starts.get(host) ?? []
  const start = starts.at(-1)
  const round = start?.round ?? 0
  const transition = highest(record, host, round)
  const phase = transition?.body.to
  const { observers, needed } = panelOf(trust, rollout, host, start)
  const failedRounds = starts.filter((one) => isFailedIn(input, one))
  const lost = lossOf(record, host) !== undefined || rollout.gone?.has(host) === true
  const end = endOf({
    phase,
    committed: start !== undefined && phase === 'COMMITTED' && isWitnessed(input, start),
    skipped: start !== undefined && (rollout.skips.get(host) ?? []).includes(start.round),
    failed: start !== undefined && failedRounds.includes(start),
    lost,
  })
  const failure =
    failedRounds.length > 0 || starts.some((one) => blamesItself(record, host, one.round))
  return {
    host,
    wave,
    start,
    round,
    phase,
    transition,
    end,
    open: start !== undefined && end === undefined && !hasConfirmed(phase),
    failure,
    inconclusive: !failure && !lost && !hasConfirmed(phase) && wasUnconfirmed(record, host, starts),
    observers,
    needed,
  }
}

function isFailedIn(input: HostInput, start: GateStart): boolean {
  const { trust, record, rollout, host } = input
  const { keys, needed } = panelOf(trust, rollout, host, start)
  return isFailedByPeers({
    round: roundRecord(record, host, start.round),
    observerKeys: keys,
    needed: needed.failure,
  })
}

/**
 * Whether peers saw the host through its soak. A host's word for itself never counts: a canary that
 * only says COMMITTED would promote the next wave. Without observers there is nobody else to ask.
 */
function isWitnessed(input: HostInput, start: GateStart): boolean {
  const { trust, record, rollout, host, generation, plan } = input
  if (generation === undefined) return false
  const { keys, needed } = panelOf(trust, rollout, host, start)
  if (needed.health === 0) return true
  return soakedByPeers({
    round: roundRecord(record, host, start.round),
    observerKeys: keys,
    soakMs: plan.policy.soakMs,
    generation,
    needed: needed.health,
  })
}

function highest(
  record: RolloutRecord,
  host: HostName,
  round: number,
): FactOf<'host.transition'> | undefined {
  let best: FactOf<'host.transition'> | undefined
  for (const fact of roundRecord(record, host, round).transitions.values()) {
    if (best === undefined || phaseRank(fact.body.to) > phaseRank(best.body.to)) best = fact
  }
  return best
}

function hasConfirmed(phase: Phase | undefined): boolean {
  return phase === 'CONFIRMED' || phase === 'SOAKED' || phase === 'COMMITTED'
}

function endOf(input: {
  phase: Phase | undefined
  committed: boolean
  skipped: boolean
  failed: boolean
  lost: boolean
}): HostEnd | undefined {
  const { phase, committed, skipped, failed, lost } = input
  if (phase === 'REVERTED') return 'reverted'
  if (phase === 'STUCK') return 'stuck'
  if (failed) return 'failed'
  if (committed) return 'committed'
  if (phase === 'SKIPPED' || skipped) return 'skipped'
  return lost ? 'lost' : undefined
}
