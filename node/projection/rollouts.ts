/** Rollouts for people: one line each, and one whole with its waves, witnesses, halts and holds. */
import type { FactOf, PlanBody, RolloutId } from '../../protocol/index.ts'
import {
  type GateRollout,
  hostsOf,
  isHeld,
  type Knowledge,
  type RolloutRecord,
  rolloutRecord,
  rolloutStatus,
  roundRecord,
  type Standing,
  standing,
} from '../../rollout/index.ts'
import type {
  RejectCode,
  RolloutPolicy,
  RolloutRow,
  RolloutState,
  RolloutStatus,
  WaveHost,
  WaveStatus,
} from '../api/schema.ts'
import { ClosureView } from './closures.ts'
import { authorOf, manifestOf, releaseOfRollout } from './people.ts'

/** Every plan that is known, newest first. */
export function rolloutRows(knowledge: Knowledge): readonly RolloutRow[] {
  return [...knowledge.view.plans.values()]
    .sort((a, b) => b.ts - a.ts || (a.id < b.id ? 1 : -1))
    .map((fact) => rolloutRow(knowledge, fact))
}

/** One rollout in one line. */
export function rolloutRow(knowledge: Knowledge, fact: FactOf<'rollout.plan'>): RolloutRow {
  const common = commonOf(knowledge, fact)
  const gate = knowledge.state.rollouts.get(fact.id)
  const all = standingsOf(knowledge, fact.id)
  const waves = wavesOf(knowledge, fact.id)
  return {
    ...common,
    waves: waves.length,
    hosts: gate === undefined ? waves.flat().length : hostsOf(gate).length,
    committed: all.filter((one) => one.end === 'committed').length,
    failed: all.filter((one) => one.failure).length,
  }
}

/** One rollout, whole; undefined when no plan of that id is known. */
export function rolloutDetail(
  knowledge: Knowledge,
  id: RolloutId,
  ageOf: (fact: string) => number | null,
): RolloutStatus | undefined {
  const fact = knowledge.view.plans.get(id)
  if (fact === undefined) return undefined
  const plan = knowledge.bodies.plan(fact.body.plan)
  const stage = standing(knowledge, id)
  const record = rolloutRecord(knowledge.view, id)
  const all = standingsOf(knowledge, id)
  const closures = new ClosureView(knowledge, id)
  const missing: ('plan' | 'manifest')[] = []
  if (plan === undefined) missing.push('plan')
  if (manifestOf(knowledge, fact.body.release) === undefined) missing.push('manifest')
  const successor = [...knowledge.state.rollouts.keys()].find((other) => {
    const body = knowledge.bodies.plan(knowledge.view.plans.get(other)?.body.plan ?? '')
    return body?.supersedes.includes(id)
  })
  return {
    ...commonOf(knowledge, fact),
    kindOfPlan: plan?.kind ?? 'forward',
    waves: wavesOf(knowledge, id).map((hosts, index) =>
      waveStatus({ knowledge, id, closures, hosts, index, ageOf }),
    ),
    policy: policyOf(plan, stage?.standing.budget ?? 0),
    holds: openHolds(record).map((hold) => ({ ...actOf(knowledge, hold), why: hold.body.why })),
    halts: [...record.halts.values()].map((halt) => ({
      ...actOf(knowledge, halt),
      why: halt.body.why,
      revert: halt.body.revert,
      hosts: halt.body.hosts ?? null,
    })),
    failed: all.filter((one) => one.failure).map((one) => one.host),
    budget: {
      limit: stage?.standing.budget ?? 0,
      used: stage?.standing.failures ?? 0,
      breached: stage?.standing.breached ?? false,
    },
    closures: closures.total,
    supersedes: plan?.supersedes ?? [],
    ...(successor === undefined ? {} : { supersededBy: successor }),
    missing,
  }
}

function policyOf(plan: PlanBody | undefined, budget: number): RolloutPolicy {
  const policy = plan?.policy
  return {
    soakMs: policy?.soakMs ?? 0,
    confirmMs: policy?.confirmMs ?? 0,
    startTimeoutMs: policy?.startTimeoutMs ?? 0,
    budget,
    onFailure: policy?.onFailure ?? 'halt',
    maxInFlight: policy?.maxInFlight ?? [],
    holders: policy?.holders ?? 0,
  }
}

type Common = Omit<RolloutRow, 'waves' | 'hosts' | 'committed' | 'failed'>

function commonOf(knowledge: Knowledge, fact: FactOf<'rollout.plan'>): Common {
  const plan = knowledge.bodies.plan(fact.body.plan)
  const gate = knowledge.state.rollouts.get(fact.id)
  const status = rolloutStatus(knowledge, fact.id)
  const rejection = status?.rejection
  return {
    id: fact.id,
    release: releaseOfRollout(knowledge, fact.id),
    state: status?.state ?? ('proposed' satisfies RolloutState),
    closed: gate !== undefined && gate.status !== 'open',
    wave: newestWave(gate),
    held: isHeld(rolloutRecord(knowledge.view, fact.id)),
    operator: authorOf(knowledge.trust, fact.author),
    strategy: plan?.strategy ?? 'not held here yet',
    reason: plan?.reason ?? '',
    ts: fact.ts,
    ...(rejection === undefined
      ? {}
      : {
          rejected: {
            code: publicCode(rejection.code),
            why: rejection.why,
            ...(rejection.winner === undefined ? {} : { winner: rejection.winner }),
          },
        }),
  }
}

/** The rules' codes are finer than the published ones. */
function publicCode(code: string): RejectCode {
  switch (code) {
    case 'scope':
    case 'floor':
    case 'conflict':
    case 'stale-base':
    case 'expired':
    case 'downgrade':
    case 'halted':
      return code
    case 'halted-before':
      return 'supersede'
    default:
      return 'malformed'
  }
}

function newestWave(gate: GateRollout | undefined): number | null {
  const started = [...(gate?.starts.values() ?? [])].flat().map((start) => start.wave)
  return started.length === 0 ? null : Math.max(...started)
}

function wavesOf(knowledge: Knowledge, id: RolloutId): readonly (readonly string[])[] {
  const gate = knowledge.state.rollouts.get(id)
  if (gate !== undefined) return gate.waves
  const plan = knowledge.bodies.plan(knowledge.view.plans.get(id)?.body.plan ?? '')
  return plan?.groups.find((part) => part.group === knowledge.trust.config.group)?.waves ?? []
}

function standingsOf(knowledge: Knowledge, id: RolloutId): readonly Standing[] {
  return [...(standing(knowledge, id)?.standing.hosts.values() ?? [])]
}

function openHolds(record: RolloutRecord): readonly FactOf<'rollout.hold'>[] {
  const released = new Set(
    [...record.holds.values()].flatMap(({ body }) => (body.kind === 'off' ? body.releases : [])),
  )
  return [...record.holds.values()].filter(
    ({ id, body }) => body.kind === 'on' && !released.has(id),
  )
}

function actOf(
  knowledge: Knowledge,
  fact: { id: string; author: string; ts: number },
): {
  id: string
  operator: ReturnType<typeof authorOf>
  ts: number
} {
  return { id: fact.id, operator: authorOf(knowledge.trust, fact.author), ts: fact.ts }
}

function waveStatus(input: {
  knowledge: Knowledge
  id: RolloutId
  closures: ClosureView
  hosts: readonly string[]
  index: number
  ageOf: (fact: string) => number | null
}): WaveStatus {
  const { knowledge, id, closures, hosts, index, ageOf } = input
  const stage = standing(knowledge, id)
  const ones = hosts.map((host) => stage?.standing.hosts.get(host))
  const started = ones.some((one) => one?.start !== undefined)
  const done = ones.every((one) => one?.end !== undefined)
  const stopped =
    stage !== undefined &&
    (stage.standing.halted || stage.standing.breached || stage.rollout.status !== 'open')
  const state =
    done && started ? 'done' : stopped && !done ? 'halted' : started ? 'open' : 'waiting'
  return {
    index,
    state,
    waitsFor: state === 'waiting' ? waitsFor({ knowledge, id, closures, index }) : null,
    hosts: hosts.map((host) => waveHost({ knowledge, id, closures, host, ageOf })),
  }
}

function waitsFor(input: {
  knowledge: Knowledge
  id: RolloutId
  closures: ClosureView
  index: number
}): string {
  const { knowledge, id, closures, index } = input
  const stage = standing(knowledge, id)
  if (stage === undefined) return 'the voters to admit the plan'
  if (stage.standing.held) return 'the pause to be released'
  const before = [...stage.standing.hosts.values()].find(
    (one) => one.wave < index && one.end === undefined,
  )
  if (before !== undefined) return `wave ${index}`
  const lacks = closures.lacks(index)
  return lacks === undefined ? 'the voters to start it' : `holders: ${lacks}`
}

function waveHost(input: {
  knowledge: Knowledge
  id: RolloutId
  closures: ClosureView
  host: string
  ageOf: (fact: string) => number | null
}): WaveHost {
  const { knowledge, id, closures, host, ageOf } = input
  const one = standing(knowledge, id)?.standing.hosts.get(host)
  const attests = roundRecord(rolloutRecord(knowledge.view, id), host, one?.round ?? 0).attests
  const verdicts = [...attests.values()].map((windows) => {
    const all = [...windows.values()]
      .map((attest) => attest.subject)
      .sort((a, b) => a.window - b.window)
    return all.some((subject) => subject.verdict === 'fail') ? 'fail' : all.at(-1)?.verdict
  })
  const failing = [...attests.values()]
    .flatMap((windows) => [...windows.values()])
    .find((attest) => attest.subject.verdict === 'fail')
  const count = (verdict: string): number => verdicts.filter((found) => found === verdict).length
  return {
    name: host,
    phase: one?.phase ?? (one?.end === 'skipped' ? 'SKIPPED' : null),
    round: one?.round ?? 0,
    started: one?.start !== undefined && one.end !== 'skipped',
    why:
      one?.transition?.body.why ??
      (one?.end === 'failed'
        ? 'peers'
        : one?.end === 'lost'
          ? 'lost'
          : one?.end === 'skipped'
            ? 'skipped'
            : null),
    detail: one?.transition?.body.detail ?? failing?.subject.why ?? null,
    observers: one?.observers ?? [],
    witnesses: { ok: count('ok'), fail: count('fail'), abstain: count('abstain') },
    phaseAgeMs: one?.transition === undefined ? null : ageOf(one.transition.id),
    closure: closures.row(host),
  }
}
