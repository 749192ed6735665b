/**
 * `rollback`: how long until every host of a rollout is back, with production clocks.
 *
 * One fleet plays all runs. Each run rolls a new release out to every host at once (voters one by
 * one, as the protocol has it), waits until all of them have confirmed and soak under their peers'
 * eyes, and then goes wrong in one of three ways:
 *
 * - `error`: the page answers 500 at once, to visitors alone; the hosts' own checks stay green.
 * - `hang`: the page never answers visitors.
 * - `operator`: nothing fails; an operator runs `nixfleet rollback --all`.
 *
 * The first failing probe is the first visit that met the fault, as the service saw it. A host is
 * back at the time of its signed REVERTED, read afterwards from the log of a node. Everything
 * happens on one machine, so there is one wall clock.
 */
import type { HostDetail } from '../../node/index.ts'
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  loadNow,
  pause,
  round,
  type Spread,
  spreadOf,
  target,
  until,
} from './bench.ts'
import { type BenchFleet, FIRST_GENERATION, hostAt, rolloutAt, withFleet } from './fleet.ts'

/** Way above what a run takes: the soak must not end before the fault is found. */
const SOAK = '2h'
/** From the plan to the last host's confirmation: voters start one after the other. */
const CONFIRM_MS_MAX = 600_000
/** From the fault to the last host back; far above the bound that is promised. */
const BACK_MS_MAX = 180_000
const CLOSE_MS_MAX = 120_000
/** The fault comes at any moment of a probe period. */
const PROBE_MS = 5_000
const POLL_MS = 250
const ERROR_S_MAX = 20
const HANG_S_MAX = 30
const OPERATOR_S_MAX = 5
/** Runs of the other two kinds beside ten of the first: enough to print, and to see them fail. */
const SHARE_OF_OTHERS = 3 / 10

export const bench: Bench = { hosts: 20, runs: 10, run }

type Kind = 'error' | 'hang' | 'operator'

/** One host's way back, in ms since the run's beginning of counting. */
interface WayBack {
  readonly host: string
  readonly reverting: number
  readonly reverted: number
  readonly why: string
}

/** One run. */
interface Run {
  readonly kind: Kind
  readonly rollout: string
  /** From the plan's signing until every host had confirmed. */
  readonly rolloutMs: number
  /** From the fault's switch-on, or the start of the operator's command, until it was noticed. */
  readonly faultToFirstMs: number
  readonly hosts: readonly WayBack[]
  readonly load: readonly number[]
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const { runs, tell } = options
  const others = Math.max(1, Math.round(runs * SHARE_OF_OTHERS))
  const kinds: Kind[] = [
    ...Array<Kind>(runs).fill('error'),
    ...Array<Kind>(others).fill('hang'),
    ...Array<Kind>(others).fill('operator'),
  ]
  return await withFleet(options, async (fleet) => {
    const done: Run[] = []
    for (const [i, kind] of kinds.entries()) {
      const one = await playRun(fleet, options, { kind, number: i + 1, before: done.at(-1) })
      done.push(one)
      const last = Math.max(...one.hosts.map((host) => host.reverted))
      tell(
        `run ${i + 1} of ${kinds.length}, ${kind}: rolled out in ${seconds(one.rolloutMs)} s, last host back after ${seconds(last)} s, load ${one.load[0]}`,
      )
    }
    return summarise(done, fleet)
  })
}

async function playRun(
  fleet: BenchFleet,
  options: BenchOptions,
  { kind, number, before }: { kind: Kind; number: number; before: Run | undefined },
): Promise<Run> {
  const generation = `release-${number}`
  const release = await fleet.release(generation)
  const startedAt = Date.now()
  const rollout = await deploy(fleet, release, before?.rollout)
  await untilConfirmed(fleet, options, rollout)
  const rolloutMs = Date.now() - startedAt
  await pause(Math.random() * PROBE_MS, options.signal)
  const faultAt = Date.now()
  if (kind === 'operator') await fleet.cli('rollback', '--all', '--detach')
  else fleet.services.breakWith({ kind, generation })
  await untilBack(fleet, options)
  const [first] = fleet.services.mend()
  const from = kind === 'operator' ? faultAt : first?.at
  if (from === undefined) throw new Error('expected a probe that met the fault, found none')
  await untilClosed(fleet, options, rollout)
  const hosts = await waysBack(fleet, { rollout, from, kind })
  return {
    kind,
    rollout,
    rolloutMs,
    faultToFirstMs: from - faultAt,
    hosts,
    load: loadNow().average,
  }
}

async function deploy(
  fleet: BenchFleet,
  release: string,
  before: string | undefined,
): Promise<string> {
  const plan = ['--strategy', 'all-at-once', '--soak', SOAK, '--max-unhealthy', '0']
  const replaces = before === undefined ? [] : ['--supersede', before]
  const submitted = await fleet.cli<{ readonly rollout: string }>(
    ...['deploy', release, ...plan, '--on-failure', 'rollback', ...replaces, '--detach'],
  )
  return submitted.rollout
}

async function untilConfirmed(
  fleet: BenchFleet,
  { signal }: BenchOptions,
  rollout: string,
): Promise<void> {
  const [asked] = fleet.site.hosts
  if (asked === undefined) throw new TypeError('expected hosts')
  const all = async (): Promise<boolean> => {
    const status = await rolloutAt(fleet, asked, rollout)
    if (status.state === 'rejected')
      throw new Error(`the plan was rejected: ${status.rejected?.why}`)
    const hosts = status.waves.flatMap((wave) => wave.hosts)
    const lost = hosts.find((host) =>
      ['REVERTING', 'REVERTED', 'SKIPPED'].includes(host.phase ?? ''),
    )
    if (lost !== undefined)
      throw new Error(`${lost.name} is ${lost.phase}: ${lost.why} ${lost.detail}`)
    return hosts.every((host) => host.phase === 'CONFIRMED')
  }
  const ways = { withinMs: CONFIRM_MS_MAX, everyMs: POLL_MS * 4, signal }
  await until('every host confirmed', all, ways)
}

/** Every host serves what it served before, whatever anybody says about it. */
async function untilBack(fleet: BenchFleet, { signal }: BenchOptions): Promise<void> {
  const all = async (): Promise<boolean> =>
    fleet.site.hosts.every((host) => fleet.services.active(host) === FIRST_GENERATION)
  await until('every host back', all, { withinMs: BACK_MS_MAX, everyMs: POLL_MS, signal })
}

async function untilClosed(
  fleet: BenchFleet,
  { signal }: BenchOptions,
  rollout: string,
): Promise<void> {
  const [asked] = fleet.site.hosts
  if (asked === undefined) throw new TypeError('expected hosts')
  const closed = async (): Promise<boolean> => (await rolloutAt(fleet, asked, rollout)).closed
  const ways = { withinMs: CLOSE_MS_MAX, everyMs: POLL_MS * 4, signal }
  await until('the rollout closed', closed, ways)
}

/** What the hosts signed, from the log of one node. Throws when a host went back for another reason. */
async function waysBack(
  fleet: BenchFleet,
  { rollout, from, kind }: { rollout: string; from: number; kind: Kind },
): Promise<readonly WayBack[]> {
  const [asked] = fleet.site.hosts
  if (asked === undefined) throw new TypeError('expected hosts')
  const details = await Promise.all(fleet.site.hosts.map((host) => hostAt(fleet, asked, host.name)))
  return details.map((detail) => {
    const reverting = transition(detail, rollout, 'REVERTING')
    const reverted = transition(detail, rollout, 'REVERTED')
    const why = reverting.why ?? ''
    const expected = kind === 'operator' ? ['halt'] : ['breach', 'peers']
    if (!expected.includes(why)) {
      throw new Error(`expected ${detail.name} back for ${expected.join(' or ')}, found ${why}`)
    }
    return {
      host: detail.name,
      reverting: reverting.ts - from,
      reverted: reverted.ts - from,
      why,
    }
  })
}

function transition(
  detail: HostDetail,
  rollout: string,
  phase: string,
): HostDetail['transitions'][number] {
  const found = detail.transitions.find((one) => one.rollout === rollout && one.phase === phase)
  if (found !== undefined) return found
  throw new Error(`expected ${phase} of ${detail.name}, found none`)
}

/** How one kind went: seconds from the first failing probe, or from the operator's command. */
interface KindFigures {
  readonly runs: number
  /** All hosts of all runs. */
  readonly hostSeconds: Spread
  /** The last host of each run. */
  readonly lastHostSeconds: Spread
  /** The same from the moment at which the fault was switched on: stricter. */
  readonly hostSecondsFromFault: Spread
  /** Until a host began to go back: found, agreed and spread. */
  readonly decisionSeconds: Spread
  /** From a host's REVERTING to its REVERTED: its activation and what that waits for. */
  readonly activationSeconds: Spread
}

function figuresOf(runs: readonly Run[]): KindFigures {
  const all = runs.flatMap((one) => one.hosts.map((host) => ({ ...host, run: one })))
  const spread = (of: (host: (typeof all)[number]) => number): Spread =>
    spreadOf(all.map((host) => of(host) / 1000))
  return {
    runs: runs.length,
    hostSeconds: spread((host) => host.reverted),
    lastHostSeconds: spreadOf(
      runs.map((one) => Math.max(...one.hosts.map((host) => host.reverted)) / 1000),
    ),
    hostSecondsFromFault: spread((host) => host.reverted + host.run.faultToFirstMs),
    decisionSeconds: spread((host) => host.reverting),
    activationSeconds: spread((host) => host.reverted - host.reverting),
  }
}

function summarise(runs: readonly Run[], fleet: BenchFleet): BenchResult {
  const of = (kind: Kind): KindFigures => figuresOf(runs.filter((one) => one.kind === kind))
  const error = of('error')
  const hang = of('hang')
  const operator = of('operator')
  const line = (name: string, figures: KindFigures): string => {
    const { hostSeconds, lastHostSeconds, decisionSeconds, activationSeconds } = figures
    return `${name.padEnd(9)} back: p50 ${hostSeconds.p50} s, p99 ${hostSeconds.p99} s, last ${lastHostSeconds.max} s (decided p99 ${decisionSeconds.p99} s, activation p99 ${activationSeconds.p99} s; ${figures.runs} runs, ${hostSeconds.count} ways back)`
  }
  return {
    figures: { error, hang, operator },
    targets: [
      target('an instant 500, p99 of all hosts, s', ERROR_S_MAX, error.hostSeconds.p99),
      target('a hanging page, p99 of all hosts, s', HANG_S_MAX, hang.hostSeconds.p99),
      target('rollback until a host begins, p99, s', OPERATOR_S_MAX, operator.decisionSeconds.p99),
    ],
    commands: [
      `${fleet.command}  (${fleet.site.hosts.length} of them)`,
      `nixfleet deploy <release> --strategy all-at-once --soak ${SOAK} --max-unhealthy 0 --on-failure rollback`,
      'nixfleet rollback --all',
    ],
    notes: [
      'timing preset production: a probe each 5 s, failed after 3 bad ones in a row',
      'counted from the first visit that met the fault, until the host signed REVERTED',
      'an activation is a shell script here; a real switch adds its own time to each way back',
      `of the fault's own moment: p99 ${error.hostSecondsFromFault.p99} s (500), ${hang.hostSecondsFromFault.p99} s (hanging)`,
    ],
    lines: [line('error', error), line('hang', hang), line('operator', operator)],
    raw: runs,
  }
}

function seconds(ms: number): number {
  return round(ms / 1000)
}
