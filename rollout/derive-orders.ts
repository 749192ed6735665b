/** Orders and duties out of the committed log and everything held (SPEC §11). */
import type { HostName, Manifest, ManifestHost, RolloutId } from '../protocol/index.ts'
import { panelOf } from './assigned.ts'
import { isFailedByPeers, soakedByPeers } from './certificates.ts'
import {
  type Bodies,
  type FleetView,
  lossOf,
  type RolloutRecord,
  rolloutRecord,
  roundRecord,
} from './fleet-view.ts'
import { type GateRollout, type GateStart, type GateState, hostsOf } from './gate-state.ts'
import type { Duty, Orders, RolloutOrders } from './orders.ts'
import { manifestOf, planOf, type Scene, type Stage, stageOf } from './scene.ts'
import type { RolloutStanding, Standing } from './standing.ts'
import { haltCovers, revertCovers } from './steering.ts'
import type { Trust } from './trust.ts'

/** What derivations look at: the committed state and everything held, no clock. */
export interface Knowledge {
  readonly trust: Trust
  readonly state: GateState
  /** What counts at `state`. */
  readonly view: FleetView
  readonly bodies: Bodies
}

/** Everything that the fleet's knowledge asks of `host`. */
export function ordersFor(knowledge: Knowledge, host: HostName): Orders {
  const mine = rolloutsByAdmission(knowledge.state).filter((rollout) =>
    hostsOf(rollout).includes(host),
  )
  return {
    host,
    rollouts: mine.flatMap((rollout) => rolloutOrders(knowledge, rollout, host) ?? []),
  }
}

/** The hosts that `observer` has to watch now. */
export function dutiesFor(knowledge: Knowledge, observer: HostName): readonly Duty[] {
  return rolloutsByAdmission(knowledge.state).flatMap((rollout) => {
    const stage = standing(knowledge, rollout.rollout)
    if (stage === undefined) return []
    return [...stage.standing.hosts.values()].flatMap(
      (one) => duty(knowledge, stage, one, observer) ?? [],
    )
  })
}

/** The manifest's entry of a host under a rollout's release, once all of it is held. */
export function releaseEntry(
  knowledge: Pick<Knowledge, 'view' | 'bodies'>,
  rollout: RolloutId,
  host: HostName,
): { entry: ManifestHost; manifest: Manifest } | undefined {
  const plan = planOf(knowledge, rollout)
  const manifest = plan === undefined ? undefined : manifestOf(knowledge, plan)
  const entry = manifest?.hosts.find((one) => one.host === host)
  return entry === undefined || manifest === undefined ? undefined : { entry, manifest }
}

/** A rollout's standing over everything held. */
export function standing(knowledge: Knowledge, rollout: RolloutId): Stage | undefined {
  return stageOf(sceneOf(knowledge), rollout)
}

/**
 * Standings of the rollouts that timeouts still count in, for `noteTimes`: those that are open, those
 * with a start that has not ended, and those with a voter that may be switching though its start did.
 */
export function timedStandings(knowledge: Knowledge): ReadonlyMap<RolloutId, RolloutStanding> {
  const { voters } = knowledge.trust.config
  const timed = new Map<RolloutId, RolloutStanding>()
  for (const { rollout, status, starts } of knowledge.state.rollouts.values()) {
    if (status !== 'open' && starts.size === 0) continue
    const stage = standing(knowledge, rollout)
    if (stage === undefined) continue
    const { open, cutOff } = stage.standing
    const counts = open.length > 0 || cutOff.some(({ host }) => voters.includes(host))
    if (status === 'open' || counts) timed.set(rollout, stage.standing)
  }
  return timed
}

/** The scene of derivations: no clock, no grants, so no timeout has passed and none lasts. */
export function sceneOf(knowledge: Knowledge, wallMs: number = 0): Scene {
  const local = { now: 0, wallMs, times: new Map(), timeless: true, granted: () => false }
  return { ...knowledge, local }
}

function rolloutsByAdmission(state: GateState): readonly GateRollout[] {
  return [...state.rollouts.values()].sort((a, b) => a.admitted.slot - b.admitted.slot)
}

/** Whether a breach counts: while open over everything held, afterwards as the close saw it. */
function breachCounts(stage: Stage): boolean {
  return stage.rollout.status === 'open'
    ? stage.standing.breached
    : stage.rollout.closedBreached === true
}

function rolloutOrders(
  knowledge: Knowledge,
  rollout: GateRollout,
  host: HostName,
): RolloutOrders | undefined {
  const stage = standing(knowledge, rollout.rollout)
  const one = stage?.standing.hosts.get(host)
  if (stage === undefined || one === undefined) return undefined
  const { trust, view } = knowledge
  const record = rolloutRecord(view, rollout.rollout)
  const known = releaseEntry(knowledge, rollout.rollout, host)
  const skipped = rollout.skips.get(host) ?? []
  const live = one.start !== undefined && !skipped.includes(one.start.round) ? one.start : undefined
  const breached = breachCounts(stage)
  const sentBack = revertCovers(record, host)
  const breachReverts =
    breached && stage.plan.policy.onFailure === 'revertAll' && !isSuperseded(rollout)
  return {
    rollout: rollout.rollout,
    generation: known?.entry.generation,
    checks: known?.entry.checks ?? [],
    policy: stage.plan.policy,
    last: knowledge.state.hosts.get(host)?.last === rollout.rollout,
    status: rollout.status,
    start: live === undefined ? undefined : { round: live.round, block: live.block },
    unanswered: isUnanswered(record, one, live),
    skipped,
    halted: haltCovers(record, host) || breached,
    revert: sentBack || breachReverts,
    revertWhy: sentBack ? 'halt' : breachReverts ? 'breach' : undefined,
    failed: roundsWhere(rollout, host, (start) => isFailedRound(knowledge, rollout, host, start)),
    soaked: roundsWhere(rollout, host, (start) => {
      if (known === undefined) return false
      const { keys, needed } = panelOf(trust, rollout, host, start)
      return soakedByPeers({
        round: roundRecord(record, host, start.round),
        observerKeys: keys,
        soakMs: stage.plan.policy.soakMs,
        generation: known.entry.generation,
        needed: needed.health,
      })
    }),
    lost: lossOf(record, host) !== undefined || rollout.gone?.has(host) === true,
    observers: one.observers,
    confirmations: one.needed.confirm,
    notRevertable: view.releases.get(stage.plan.release)?.body.notRevertable ?? [],
  }
}

/** Whether a start has not ended, and the host never said that it begins what that lets it begin. */
function isUnanswered(
  record: RolloutRecord,
  { host, open }: Standing,
  start: GateStart | undefined,
): boolean {
  if (start === undefined || !open) return false
  return !roundRecord(record, host, start.round).transitions.has('ACTIVATING')
}

function isSuperseded(rollout: GateRollout): boolean {
  return rollout.status === 'superseded'
}

function roundsWhere(
  rollout: GateRollout,
  host: HostName,
  holds: (start: GateStart) => boolean,
): readonly number[] {
  return (rollout.starts.get(host) ?? []).filter(holds).map((start) => start.round)
}

function isFailedRound(
  knowledge: Knowledge,
  rollout: GateRollout,
  host: HostName,
  start: GateStart,
): boolean {
  const { keys, needed } = panelOf(knowledge.trust, rollout, host, start)
  return isFailedByPeers({
    round: roundRecord(rolloutRecord(knowledge.view, rollout.rollout), host, start.round),
    observerKeys: keys,
    needed: needed.failure,
  })
}

function duty(
  knowledge: Knowledge,
  stage: Stage,
  one: Standing,
  observer: HostName,
): Duty | undefined {
  const { rollout, plan } = stage
  if (!one.observers.includes(observer) || one.start === undefined) return undefined
  const done = one.end !== undefined && one.end !== 'committed'
  if (done || (rollout.status !== 'open' && one.end === 'committed')) return undefined
  if (rollout.status !== 'open' && !one.open && one.end === undefined && !isCatchingUp(one))
    return undefined
  const known = releaseEntry(knowledge, rollout.rollout, one.host)
  if (known === undefined) return undefined
  const record = rolloutRecord(knowledge.view, rollout.rollout)
  return {
    rollout: rollout.rollout,
    round: one.start.round,
    host: one.host,
    generation: known.entry.generation,
    checks: known.entry.checks,
    soakMs: plan.policy.soakMs,
    activating: roundRecord(record, one.host, one.start.round).transitions.has('ACTIVATING'),
    beginByMs: plan.policy.startTimeoutMs + knowledge.trust.config.timing.leaseMs,
    committed: one.end === 'committed',
    halted: haltCovers(record, one.host),
  }
}

/** After a close complete only a host in a later round is still on its way. */
function isCatchingUp(one: Standing): boolean {
  return (one.start?.round ?? 0) > 0
}
