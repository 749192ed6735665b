/**
 * The demo's report, computed from what the nodes stored and signed, never from what the script
 * meant to do (design D15). Pure: `reporter.ts` reads, in a process of its own.
 */
import type { Replay } from '../../node/index.ts'
import type { Command, Fact, FactOf, Transition } from '../../protocol/index.ts'
import { type Act, STEP_NAMES, type StepName } from './steps.ts'

export type StepOutcome = 'complete' | 'halted' | 'reverted' | 'superseded' | 'open'
export type Cause = 'self' | 'peers' | 'operator'

export interface StepReport {
  readonly name: StepName
  readonly outcome: StepOutcome
  readonly seconds: number
  readonly started: number
  readonly reverted: number
  readonly secondsToAllBack: number | null
  readonly cause: Cause | null
  readonly killed: readonly string[]
}

export interface DemoReport {
  readonly kind: 'DemoReport'
  readonly apiVersion: 'nixfleet/v1'
  readonly hosts: number
  readonly voters: number
  readonly quorum: number
  readonly steps: readonly StepReport[]
  readonly missing: readonly string[]
  readonly agreement: { readonly nodes: number; readonly distinctDigests: number }
  readonly audit: { readonly facts: number; readonly verified: number }
}

/** A digest as a node gave it. */
export interface NodeDigest {
  readonly host: string
  readonly digest: string
}

/**
 * Puts the report together from every node's stored log and the digests. Nodes agree when what each
 * said while it ran and what each disk says without it are one digest.
 */
export function composeReport(input: {
  readonly hosts: number
  readonly voters: number
  readonly quorum: number
  readonly acts: readonly Act[]
  /** Every node's disk, replayed. */
  readonly logs: readonly Replay[]
  readonly digests: readonly NodeDigest[]
}): DemoReport {
  const { hosts, voters, quorum, acts, logs, digests } = input
  const facts = new Map(logs.flatMap((log) => log.facts).map((fact) => [fact.id, fact]))
  const commands = longest(logs.map((log) => log.commands))
  const steps = acts.map((act) => stepReport(act, [...facts.values()], commands))
  const sum = (count: (log: Replay) => number): number =>
    logs.reduce((total, log) => total + count(log), 0)
  return {
    kind: 'DemoReport',
    apiVersion: 'nixfleet/v1',
    hosts,
    voters,
    quorum,
    steps,
    missing: STEP_NAMES.filter((name) => !steps.some((step) => step.name === name)),
    agreement: {
      nodes: digests.length,
      distinctDigests: new Set([...digests, ...logs].map((one) => one.digest)).size,
    },
    audit: { facts: sum((log) => log.stored), verified: sum((log) => log.facts.length) },
  }
}

function stepReport(act: Act, facts: readonly Fact[], commands: readonly Command[]): StepReport {
  const mine = transitionsOf(facts, act.rollout)
  const plan = facts.find((fact) => fact.id === act.rollout)
  const back = mine.filter(({ body }) => body.to === 'REVERTED')
  const firstBad = beginningOfTheEnd(facts, act.rollout)
  const last = Math.max(...mine.map((fact) => fact.ts), plan?.ts ?? 0)
  const allBack =
    back.length === 0 || firstBad === undefined
      ? null
      : Math.max(...back.map((fact) => fact.ts)) - firstBad
  return {
    name: act.name,
    outcome: outcomeOf(act.rollout, facts, commands),
    seconds: round((last - (plan?.ts ?? last)) / 1000),
    started: hostsIn(mine, 'ACTIVATING').size,
    reverted: hostsIn(mine, 'REVERTED').size,
    secondsToAllBack: allBack === null ? null : round(allBack / 1000),
    cause: back.length === 0 ? null : causeOf(facts, act.rollout),
    killed: act.killed,
  }
}

/** What the gate log says; a rollout that was sent back after its close is reverted all the same. */
function outcomeOf(
  rollout: string,
  facts: readonly Fact[],
  commands: readonly Command[],
): StepOutcome {
  const close = commands.find((command) => command.kind === 'close' && command.rollout === rollout)
  const sentBack = facts.some(
    (fact) => fact.type === 'rollout.halt' && fact.body.rollout === rollout && fact.body.revert,
  )
  if (sentBack) return 'reverted'
  return close?.kind === 'close' ? close.outcome : 'open'
}

function causeOf(facts: readonly Fact[], rollout: string): Cause {
  if (facts.some((fact) => fact.type === 'rollout.halt' && fact.body.rollout === rollout))
    return 'operator'
  const own = transitionsOf(facts, rollout).some(
    ({ body }) =>
      body.to === 'REVERTING' &&
      (body.why === 'check' || body.why === 'activate' || body.why === 'reboot'),
  )
  return own || failsOf(facts, rollout).length === 0 ? 'self' : 'peers'
}

/** The first signed word of trouble: an operator's halt, an observer's FAIL, or a host that turns back. */
function beginningOfTheEnd(facts: readonly Fact[], rollout: string): number | undefined {
  const halts = facts.filter(
    (fact) => fact.type === 'rollout.halt' && fact.body.rollout === rollout,
  )
  const turns = transitionsOf(facts, rollout).filter(({ body }) => body.to === 'REVERTING')
  const times = [...halts, ...failsOf(facts, rollout), ...turns].map((fact) => fact.ts)
  return times.length === 0 ? undefined : Math.min(...times)
}

function failsOf(facts: readonly Fact[], rollout: string): readonly FactOf<'obs.attest'>[] {
  return facts.filter(
    (fact): fact is FactOf<'obs.attest'> =>
      fact.type === 'obs.attest' &&
      fact.body.rollout === rollout &&
      fact.body.subjects.some((subject) => subject.verdict === 'fail'),
  )
}

function transitionsOf(
  facts: readonly Fact[],
  rollout: string,
): readonly FactOf<'host.transition'>[] {
  return facts.filter(
    (fact): fact is FactOf<'host.transition'> =>
      fact.type === 'host.transition' && fact.body.rollout === rollout,
  )
}

function hostsIn(
  facts: readonly FactOf<'host.transition'>[],
  to: Transition['to'],
): ReadonlySet<string> {
  return new Set(facts.filter(({ body }) => body.to === to).map((fact) => fact.author))
}

function longest(logs: readonly (readonly Command[])[]): readonly Command[] {
  return logs.reduce((best, log) => (log.length > best.length ? log : best), [])
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10
}

interface Wanted {
  readonly outcome: StepOutcome
  readonly started: number
  readonly reverted: number
  readonly cause: Cause | null
}

/** What each act must come to in a fleet of `hosts`; written by hand, compared with what was signed. */
function wantedSteps(hosts: number): Readonly<Record<StepName, Wanted>> {
  return {
    canary: { outcome: 'complete', started: hosts, reverted: 0, cause: null },
    'lose-entry-peer': { outcome: 'complete', started: hosts, reverted: 0, cause: null },
    'lose-host-in-wave': { outcome: 'complete', started: hosts, reverted: 1, cause: 'peers' },
    'broken-release': { outcome: 'halted', started: 1, reverted: 1, cause: 'peers' },
    'late-failure': { outcome: 'reverted', started: 0, reverted: 0, cause: 'peers' },
    'operator-rollback': {
      outcome: 'reverted',
      started: hosts,
      reverted: hosts,
      cause: 'operator',
    },
  }
}

/** Sentences for everything that is not as it should be; none when all is. */
export function faultsOf(report: DemoReport, acts: readonly Act[]): readonly string[] {
  const wanted = wantedSteps(report.hosts)
  const faults = [
    ...acts.flatMap((act) => act.faults.map((fault) => `${act.name}: ${fault}`)),
    ...report.steps.flatMap((step) => stepFaults(step, wanted[step.name])),
  ]
  if (report.agreement.distinctDigests !== 1 || report.agreement.nodes !== report.hosts) {
    faults.push(
      `expected one digest of ${report.hosts} nodes, found ${report.agreement.distinctDigests} of ${report.agreement.nodes}`,
    )
  }
  if (report.audit.facts === 0 || report.audit.verified !== report.audit.facts) {
    faults.push(
      `expected every stored fact to verify, found ${report.audit.verified} of ${report.audit.facts}`,
    )
  }
  return faults
}

function stepFaults(step: StepReport, wanted: Wanted): string[] {
  const faults: string[] = []
  const expect = (what: string, expected: unknown, found: unknown): void => {
    if (expected !== found)
      faults.push(`${step.name}: expected ${what} ${expected}, found ${found}`)
  }
  expect('outcome', wanted.outcome, step.outcome)
  expect('cause', wanted.cause, step.cause)
  if (step.name === 'late-failure') {
    if (step.started < 2)
      faults.push(`late-failure: expected two hosts or more to start, found ${step.started}`)
    expect('reverted', step.started, step.reverted)
    return faults
  }
  expect('started', wanted.started, step.started)
  expect('reverted', wanted.reverted, step.reverted)
  return faults
}
