/**
 * Why a host did what it did, or what it waits for: plain sentences with the facts that prove them.
 *
 * What stops everybody comes first, then what the host itself said, then what it waits for.
 */
import {
  type BlockId,
  type Fact,
  type FactId,
  type FactOf,
  type FactType,
  type HostName,
  type KeyId,
  phaseRank,
  ROUNDS_MAX,
  type RolloutId,
} from '../protocol/index.ts'
import { type Knowledge, sceneOf } from './derive-orders.ts'
import { lossOf, rolloutRecord, roundRecord } from './fleet-view.ts'
import { judgeCommand } from './gate-rules.ts'
import type { GatePoint } from './gate-state.ts'
import { rolloutStatus } from './gate-status.ts'
import { accusedVoters, frozenBy } from './lies.ts'
import { permitsOf } from './permits.ts'
import { type Scene, type Stage, stageOf } from './scene.ts'
import type { Standing } from './standing.ts'
import { authorHost, hostNamed, operatorOfKey, type Trust } from './trust.ts'

/** One reason, and what was signed that says so, when something was: a fact, or a block of the log. */
export interface WhySentence {
  readonly text: string
  /** The id of the fact, or of the block. */
  readonly fact?: FactId | BlockId | undefined
  /** The fact's type; `block` for a decision of the voters. */
  readonly type?: FactType | 'block' | undefined
  /** Who signed the fact, by name; absent for a block, which a quorum signed. */
  readonly author?: string | undefined
}

type Proof = Omit<WhySentence, 'text'>

/** The reasons for where `host` stands in `rollout`; never empty. */
export function whyHost(
  knowledge: Knowledge,
  rollout: RolloutId,
  host: HostName,
): readonly WhySentence[] {
  const scene = sceneOf(knowledge)
  const stage = stageOf(scene, rollout)
  if (stage === undefined) return [whyNotAdmitted(knowledge, rollout)]
  const standing = stage.standing.hosts.get(host)
  if (standing === undefined) return [{ text: `${host} is not part of this rollout.` }]
  return [
    ...whyGone(scene, stage, host),
    ...whyFrozen(knowledge, stage),
    ...whyStopped(scene, stage, host),
    ...whyBreached(scene, stage),
    ...whyClosed(stage),
    ...whyPaused(scene, stage),
    ...whyAccused(scene, stage, standing),
    ...whyOwnWord(scene, standing),
    ...whyEnded(scene, stage, standing),
    ...whyWaiting(scene, stage, standing),
  ]
}

/** What one fact proves. */
function saidBy(trust: Trust, fact: Pick<Fact, 'id' | 'author' | 'type'> | undefined): Proof {
  if (fact === undefined || fact.type === 'foreign') return {}
  return { fact: fact.id, type: fact.type, author: authorOf(trust, fact.author) }
}

/** What the voters decided. */
function decidedBy(point: GatePoint | undefined): Proof {
  return point === undefined ? {} : { fact: point.block, type: 'block' }
}

function whyGone(scene: Scene, { rollout }: Stage, host: HostName): readonly WhySentence[] {
  if (hostNamed(scene.trust, host) === undefined) {
    const { epochs } = scene.state
    const left = epochs.find(({ config }) => !config.hosts.some(({ name }) => name === host))
    const since = left === undefined ? '' : ` since epoch ${left.epoch}`
    return [{ text: `${host} is no member of the group${since}: it is lost to every rollout.` }]
  }
  if (rollout.gone?.has(host) !== true) return []
  return [{ text: `${host} left the group during this rollout and is lost to it.` }]
}

function whyFrozen({ trust, view }: Knowledge, { rollout }: Stage): readonly WhySentence[] {
  const why = rollout.status === 'open' ? frozenBy(trust, view) : undefined
  if (why === undefined) return []
  const accused = accusedVoters(trust, view)
  const proof = [...view.lies.values()].find(({ lie }) => accused.has(lie.accused))
  return [{ text: `The group is frozen: ${why}.`, ...saidBy(trust, proof?.fact) }]
}

function whyNotAdmitted(knowledge: Knowledge, rollout: RolloutId): WhySentence {
  if (knowledge.state.rollouts.has(rollout)) {
    return { text: 'The rollout is admitted, but this node does not hold its plan yet.' }
  }
  const plan = knowledge.view.plans.get(rollout)
  if (plan === undefined) return { text: 'This node does not know the plan.' }
  const said = saidBy(knowledge.trust, plan)
  const { rejection, waiting } = rolloutStatus(knowledge, rollout)
  if (rejection) return { text: `The plan was refused: ${rejection.why}.`, ...said }
  return { text: `The plan is not admitted: ${waiting ?? 'the voters have not decided'}.`, ...said }
}

function whyStopped(scene: Scene, stage: Stage, host: HostName): readonly WhySentence[] {
  const { halts } = rolloutRecord(scene.view, stage.rollout.rollout)
  return inOrder(halts)
    .filter(({ body }) => body.hosts?.includes(host) ?? true)
    .map((halt) => {
      const what = halt.body.revert ? 'halted and sent back' : 'halted'
      const whom = halt.body.hosts === undefined ? 'the rollout' : host
      const by = authorOf(scene.trust, halt.author)
      return { text: `${by} ${what} ${whom}: ${halt.body.why}`, ...saidBy(scene.trust, halt) }
    })
}

function whyBreached(scene: Scene, stage: Stage): readonly WhySentence[] {
  const { rollout, standing, plan } = stage
  const counts = rollout.status === 'open' ? standing.breached : rollout.closedBreached === true
  if (!counts) return []
  const failed = [...standing.hosts.values()].filter((one) => one.failure)
  const then = plan.policy.onFailure === 'revertAll' ? 'everyone goes back' : 'nobody else starts'
  const hosts = failed.length === 1 ? '1 host' : `${failed.length} hosts`
  const text = `${hosts} failed, the budget is ${standing.budget}: ${then}.`
  return [
    { text },
    ...failed.map(({ host, transition }) => {
      const record = rolloutRecord(scene.view, rollout.rollout)
      const [seen] = accusations(scene, record, host)
      const proof =
        transition === undefined && seen ? seenBy(seen) : saidBy(scene.trust, transition)
      return { text: `${host} failed.`, ...proof }
    }),
  ]
}

function whyClosed({ rollout }: Stage): readonly WhySentence[] {
  if (rollout.status === 'open') return []
  const where = rollout.closed === undefined ? '' : ` at slot ${rollout.closed.slot}`
  if (rollout.status !== 'superseded') {
    return [{ text: `The rollout closed ${rollout.status}${where}.`, ...decidedBy(rollout.closed) }]
  }
  const text = `A newer plan superseded the rollout${where}: it starts nobody any more.`
  return [{ text, ...decidedBy(rollout.closed) }]
}

function whyPaused(scene: Scene, { rollout, standing }: Stage): readonly WhySentence[] {
  if (!standing.held) return []
  const holds = inOrder(rolloutRecord(scene.view, rollout.rollout).holds)
  const released = new Set(holds.flatMap(({ body }) => (body.kind === 'off' ? body.releases : [])))
  return holds
    .filter(({ id, body }) => body.kind === 'on' && !released.has(id))
    .map((hold) => {
      const by = authorOf(scene.trust, hold.author)
      return { text: `${by} paused the rollout: ${hold.body.why}`, ...saidBy(scene.trust, hold) }
    })
}

/** What its observers saw fail, each named. */
function whyAccused(scene: Scene, { rollout }: Stage, standing: Standing): readonly WhySentence[] {
  const { host, observers } = standing
  const record = rolloutRecord(scene.view, rollout.rollout)
  const seen = accusations(scene, record, host).filter(({ by }) => observers.includes(by))
  const needed = standing.needed.failure
  const sentences = seen.map((one) => {
    return { text: `${one.by} saw it fail in round ${one.round}: ${one.why}.`, ...seenBy(one) }
  })
  if (seen.length === 0 || standing.failure) return sentences
  return [...sentences, { text: `It takes ${needed} observers to prove a failure.` }]
}

interface Accusation {
  readonly by: HostName
  readonly round: number
  readonly why: string
  readonly fact: FactId
}

function seenBy({ by, fact }: Accusation): Proof {
  return { fact, type: 'obs.attest', author: by }
}

/** The first FAIL of each member in each round. */
function accusations(
  scene: Scene,
  record: ReturnType<typeof rolloutRecord>,
  host: HostName,
): readonly Accusation[] {
  return [...(record.hosts.get(host) ?? [])].flatMap(([round, { attests }]) =>
    [...attests].flatMap(([key, said]) => {
      const [first] = [...said.values()]
        .filter(({ subject }) => subject.verdict === 'fail')
        .sort((a, b) => a.seq - b.seq)
      const by = authorHost(scene.trust, key)?.name
      if (first === undefined || by === undefined) return []
      return [{ by, round, why: first.subject.why ?? 'no reason given', fact: first.fact }]
    }),
  )
}

function whyOwnWord(scene: Scene, { transition, round }: Standing): readonly WhySentence[] {
  if (transition === undefined) return []
  const { to, why, detail } = transition.body
  const reason = [why, detail].filter((part) => part !== undefined).join(', ')
  const text = `In round ${round} it says ${to}${reason === '' ? '' : ` (${reason})`}.`
  return [{ text, ...saidBy(scene.trust, transition) }]
}

function whyEnded(scene: Scene, stage: Stage, standing: Standing): readonly WhySentence[] {
  const { host, end, round, phase } = standing
  const sentences: WhySentence[] = []
  const lost = lossOf(rolloutRecord(scene.view, stage.rollout.rollout), host)
  if (lost !== undefined) {
    const by = authorOf(scene.trust, lost.author)
    const text = `${by} gave the host up: ${lost.body.why}`
    sentences.push({ text, ...saidBy(scene.trust, lost) })
  }
  if (end === 'skipped' && phase !== 'SKIPPED') {
    const text = `It did not begin in time: the voters skipped it in round ${round}.`
    sentences.push({ text })
  }
  if (end !== undefined && end !== 'committed')
    sentences.push(...whyNoReturn(scene, stage, standing))
  return sentences
}

function whyNoReturn(scene: Scene, stage: Stage, standing: Standing): readonly WhySentence[] {
  const { host, round, failure } = standing
  if (failure || standing.end === 'stuck') return []
  const next = round + 1
  const { rollout } = stage.rollout
  const ruling = judgeCommand(scene, { kind: 'start', rollout, round: next, hosts: [host] })
  if (ruling.kind === 'yes') return [{ text: `It may catch up: the voters start round ${next}.` }]
  const verb = ruling.kind === 'wait' ? 'may catch up later' : 'does not catch up'
  const rounds = `round ${next + 1} of ${ROUNDS_MAX}`
  return [{ text: `It ${verb} (${next < ROUNDS_MAX ? rounds : 'no round left'}): ${ruling.why}.` }]
}

function whyWaiting(scene: Scene, stage: Stage, standing: Standing): readonly WhySentence[] {
  const { end, start, host, phase } = standing
  if (end !== undefined) return end === 'committed' ? [{ text: 'It is done.' }] : []
  if (start === undefined) return whyNotStarted(scene, stage, host)
  if (phase === undefined || phaseRank(phase) < phaseRank('READY')) {
    const text = `It was started at slot ${start.slot} and is still fetching its closure.`
    return [{ text, ...decidedBy(start) }]
  }
  if (phase === 'READY') return whyNoLease(scene, stage, standing)
  return whyUnderWay(scene, stage, standing)
}

function whyNotStarted(scene: Scene, stage: Stage, host: HostName): readonly WhySentence[] {
  const { rollout } = stage.rollout
  const ruling = judgeCommand(scene, { kind: 'start', rollout, round: 0, hosts: [host] })
  if (ruling.kind === 'yes') return [{ text: 'It may start: the voters have not decided yet.' }]
  const underWay = [...permitsOf(scene).open.keys()].sort()
  const busy = underWay.length === 0 ? '' : ` Under way: ${underWay.join(', ')}.`
  return [{ text: `It is not started: ${ruling.why}.${ruling.kind === 'wait' ? busy : ''}` }]
}

function whyNoLease(scene: Scene, stage: Stage, { start, host }: Standing): readonly WhySentence[] {
  const { quorum, voters } = scene.trust.config
  const started = `It was started at slot ${start?.slot ?? 0}`
  if (scene.state.hosts.get(host)?.last !== stage.rollout.rollout) {
    const text = `${started}, but a newer rollout was admitted for it: no voter gives a lease.`
    return [{ text, ...decidedBy(scene.state.hosts.get(host)?.touched) }]
  }
  const needs = `${quorum} of ${voters.length} voters have to give it a fresh lease`
  return [{ text: `${started} and is READY: ${needs}.` }]
}

function whyUnderWay(scene: Scene, stage: Stage, standing: Standing): readonly WhySentence[] {
  const { phase, observers, host, round } = standing
  const { confirm, health } = standing.needed
  const names = observers.join(', ')
  if (observers.length === 0) return [{ text: 'Nobody observes it: it decides alone.' }]
  if (phase === 'ACTIVATING') return [{ text: 'It is switching to the new generation.' }]
  if (phase === 'REVERTING') return [{ text: 'It is on its way back.' }]
  if (phase === 'PROBATION') {
    return [{ text: `It needs ${confirm} confirmations of its observers (${names}).` }]
  }
  const record = rolloutRecord(scene.view, stage.rollout.rollout)
  const witnesses = [...roundRecord(record, host, round).attests.entries()].flatMap(
    ([key, said]) => {
      const by = authorHost(scene.trust, key)?.name
      const good = [...said.values()].some(({ subject }) => subject.verdict === 'ok')
      return by !== undefined && good && observers.includes(by) ? [by] : []
    },
  )
  const soak = `${health} observers have to see it well for ${stage.plan.policy.soakMs} ms`
  const seen = witnesses.length === 0 ? 'none has yet' : `${witnesses.join(', ')} began`
  return [{ text: `It soaks: ${soak}; ${seen}.` }]
}

function authorOf(trust: Trust, key: KeyId): string {
  return operatorOfKey(trust, key)?.name ?? authorHost(trust, key)?.name ?? key.slice(0, 12)
}

/** Facts of several authors in the order that people expect; clocks are only for reading here. */
function inOrder<T extends FactOf<'rollout.halt'> | FactOf<'rollout.hold'>>(
  facts: ReadonlyMap<FactId, T>,
): readonly T[] {
  return [...facts.values()].sort((a: Fact, b: Fact) => a.ts - b.ts || (a.id < b.id ? -1 : 1))
}
