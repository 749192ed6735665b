/**
 * What each host is, from facts and connections (design D12): whose word, how old, and `unknown`
 * where there is none.
 */
import type { FactOf, GroupHost, HostName, Phase } from '../../protocol/index.ts'
import { phaseRank } from '../../protocol/index.ts'
import {
  type GateRollout,
  haltCovers,
  hostsOf,
  type Knowledge,
  releaseEntry,
  rolloutRecord,
  type Standing,
  standing,
} from '../../rollout/index.ts'
import type { HostDetail, HostRow, HostState, ReachRow } from '../api/schema.ts'
import { releaseRunning } from './people.ts'

/** What only the answering node knows of a host: its own state, or how it is reached. */
export interface Sighting {
  readonly path: 'local' | 'direct' | 'none'
  readonly seenAgeMs: number | null
  readonly address: string | null
  readonly rttMs: number | null
  readonly reach: ReachRow
  /** Only of oneself: what the host machine waits for. */
  readonly waitingLease?: boolean | undefined
  /** Only of oneself: why it takes up no rollout. */
  readonly held?: string | undefined
}

/** One host in one line. */
export function hostRow(knowledge: Knowledge, host: GroupHost, sighting: Sighting): HostRow {
  const { name } = host
  const { rollout, one } = currentStanding(knowledge, name)
  const health = knowledge.view.health.get(name)
  const generation = runningGeneration(knowledge, name)
  const target = targetGeneration(knowledge, name)
  const release = generation === null ? undefined : releaseRunning(knowledge, name, generation)
  const targetRelease = target === null ? undefined : releaseRunning(knowledge, name, target)
  const transition = one?.transition?.body
  const why =
    sighting.held ??
    transition?.detail ??
    transition?.why ??
    (one?.end === 'failed' ? 'peers' : undefined)
  return {
    name,
    state: stateOf({ one, health, sighting, generation, target, rollout }),
    voter: knowledge.trust.config.voters.includes(name),
    tags: host.tags,
    generation,
    target,
    ...(release === undefined ? {} : { release }),
    ...(targetRelease === undefined ? {} : { targetRelease }),
    health: health === undefined ? null : counted(health.body.checks),
    path: sighting.path,
    seenAgeMs: sighting.seenAgeMs,
    reach: sighting.reach,
    ...(rollout === undefined ? {} : { rollout: rollout.rollout }),
    ...(one?.phase === undefined ? {} : { phase: one.phase }),
    ...(why === undefined ? {} : { why }),
    ...(transition?.boot === undefined ? {} : { boot: transition.boot }),
  }
}

/** One host, whole. */
export function hostDetail(knowledge: Knowledge, host: GroupHost, sighting: Sighting): HostDetail {
  const transitions = transitionsOf(knowledge, host.name)
  const reverted = new Set(
    transitions.filter((one) => one.body.to === 'REVERTED').map((one) => one.body.rollout),
  )
  return {
    ...hostRow(knowledge, host, sighting),
    addresses: host.addresses,
    keys: { transport: host.transport, fact: host.fact, cosign: host.cosign },
    checks: knowledge.view.health.get(host.name)?.body.checks ?? [],
    committed: transitions
      .filter(({ body }) => body.to === 'COMMITTED' && !reverted.has(body.rollout))
      .map(({ body }) => ({ rollout: body.rollout, generation: body.generation })),
    transitions: transitions.slice(0, TRANSITIONS_SHOWN).map(({ id, ts, body }) => ({
      rollout: body.rollout,
      round: body.round,
      phase: body.to,
      ...(body.why === undefined ? {} : { why: body.why }),
      ...(body.detail === undefined ? {} : { detail: body.detail }),
      ts,
      fact: id,
    })),
  }
}

const TRANSITIONS_SHOWN = 50

/** The host's transitions over all rollouts, newest first. */
export function transitionsOf(
  knowledge: Knowledge,
  host: HostName,
): readonly FactOf<'host.transition'>[] {
  const facts: FactOf<'host.transition'>[] = []
  for (const record of knowledge.view.rollouts.values()) {
    for (const round of record.hosts.get(host)?.values() ?? [])
      facts.push(...round.transitions.values())
  }
  return newestFirst(facts)
}

/**
 * Of one session the later place is the newer word. A host that lost its disk begins a session at
 * place 0: of two sessions the one that spoke last by its own clock is the newer.
 */
function newestFirst<F extends Spoken>(facts: readonly F[]): F[] {
  const spokeLast = new Map<string, number>()
  for (const { session, ts } of facts)
    spokeLast.set(session, Math.max(ts, spokeLast.get(session) ?? 0))
  const last = ({ session }: F): number => spokeLast.get(session) ?? 0
  return [...facts].sort((a, b) =>
    a.session === b.session ? b.seq - a.seq : last(b) - last(a) || (a.session < b.session ? 1 : -1),
  )
}

type Spoken = Pick<FactOf<'host.transition'>, 'session' | 'seq' | 'ts'>

/** Whether `a` was said after `b`, by one author. */
function isAfter(a: Spoken, b: Spoken): boolean {
  return a.session === b.session ? a.seq > b.seq : a.ts > b.ts
}

/** The host in the last rollout that was admitted for it. */
export function currentStanding(
  knowledge: Knowledge,
  host: HostName,
): { rollout: GateRollout | undefined; one: Standing | undefined } {
  const last = knowledge.state.hosts.get(host)?.last
  const rollout = last === undefined ? undefined : knowledge.state.rollouts.get(last)
  const one = last === undefined ? undefined : standing(knowledge, last)?.standing.hosts.get(host)
  return { rollout, one }
}

/** By the host's own newest word: its health report or its last transition, whichever is later. */
function runningGeneration(knowledge: Knowledge, host: HostName): string | null {
  const health = knowledge.view.health.get(host)
  const [transition] = transitionsOf(knowledge, host)
  if (health === undefined) return transition?.body.generation ?? null
  if (transition === undefined || isAfter(health, transition)) return health.body.generation
  return transition.body.generation
}

/** What it should rest on: the release of the last complete or open rollout that was not sent back. */
function targetGeneration(knowledge: Knowledge, host: HostName): string | null {
  const mine = [...knowledge.state.rollouts.values()]
    .filter((rollout) => hostsOf(rollout).includes(host))
    .sort((a, b) => b.admitted.slot - a.admitted.slot)
    .filter((rollout) => stillAims(knowledge, rollout, host))
  for (const rollout of mine) {
    const generation = releaseEntry(knowledge, rollout.rollout, host)?.entry.generation
    if (generation !== undefined) return generation
  }
  const back = transitionsOf(knowledge, host).find(({ body }) => body.to === 'REVERTED')
  return back?.body.generation ?? null
}

function stillAims(knowledge: Knowledge, rollout: GateRollout, host: HostName): boolean {
  if (rollout.status !== 'complete' && rollout.status !== 'open') return false
  if (haltCovers(rolloutRecord(knowledge.view, rollout.rollout), host)) return false
  return standing(knowledge, rollout.rollout)?.standing.breached !== true
}

const FLIGHT: Partial<Record<Phase, HostState>> = {
  STAGING: 'staging',
  READY: 'staging',
  ACTIVATING: 'activating',
  PROBATION: 'probation',
  CONFIRMED: 'confirmed',
  SOAKED: 'soaked',
  REVERTING: 'reverting',
  STUCK: 'stuck',
}

interface StateInput {
  readonly one: Standing | undefined
  readonly health: FactOf<'health.change'> | undefined
  readonly sighting: Sighting
  readonly generation: string | null
  readonly target: string | null
  readonly rollout: GateRollout | undefined
}

function stateOf(input: StateInput): HostState {
  const { one, health, sighting } = input
  if (sighting.waitingLease) return 'waiting-lease'
  const flying = flightState(input)
  if (flying !== undefined) return flying
  // Its own newest word counts while somebody hears it; `reach` says who.
  if (sighting.path !== 'none' || sighting.reach.state === 'alive') return restingState(input)
  if (wasPassedOver(input)) return 'behind'
  return health === undefined && one === undefined ? 'unseen' : 'unknown'
}

/** The rest went on without it: the voters' own decision, true also of a host that is away. */
function wasPassedOver({ one, rollout }: StateInput): boolean {
  return one?.end === 'skipped' && rollout?.status === 'complete'
}

/** On its way somewhere, as far as its own word goes; after a close, that is catching up or going back. */
function flightState({ one, rollout }: StateInput): HostState | undefined {
  const phase = one?.phase
  if (phase === undefined) return undefined
  const back = phaseRank(phase) >= phaseRank('REVERTING') && phase !== 'REVERTED'
  const catchesUp = one?.end === undefined && phaseRank(phase) >= phaseRank('ACTIVATING')
  return rollout?.status === 'open' || back || catchesUp ? FLIGHT[phase] : undefined
}

function restingState(input: StateInput): HostState {
  const { one, health, generation, target } = input
  const transition = one?.transition
  const later = health !== undefined && (transition === undefined || isAfter(health, transition))
  if (later && health.body.state === 'drifted') return 'drifted'
  if (one?.phase === 'REVERTED') return 'reverted'
  if (later && health.body.state === 'unhealthy') return 'unhealthy'
  if (one?.end === 'failed') return 'unhealthy'
  if (later && health.body.state === 'stale') return 'unknown'
  if (target !== null && generation !== null && generation !== target) return 'behind'
  if (wasPassedOver(input)) return 'behind'
  return health === undefined && one?.phase !== 'COMMITTED' ? 'unknown' : 'healthy'
}

function counted(checks: readonly { ok: boolean }[]): { ok: number; total: number } {
  return { ok: checks.filter((check) => check.ok).length, total: checks.length }
}
