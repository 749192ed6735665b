/**
 * `npm run simulate`: whole fleets of shipped daemons in virtual time, seed after seed. See
 * `options.ts` for what it takes; progress goes to stderr, the report to stdout.
 */
import '../../node/shims.ts'
import { loadavg } from 'node:os'
import { HELP, type Options, readOptions } from './options.ts'
import { type Played, play } from './play.ts'
import { readRegression, writeRegression } from './regression.ts'
import { type SimulationReport, Tally, tableOf, textOf, uncovered } from './report.ts'
import { rolloutOf, type Scenario, scenarioOf } from './scenario.ts'
import { shrink } from './shrink.ts'
import type { Violation } from './violation.ts'
import { shareOut } from './workers.ts'

const MINUTE_MS = 60_000
/** Seeds from which on `--minutes` is held to `--cover`. */
const COVERED_SEEDS = 500

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  let options: Options
  try {
    options = readOptions(argv)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${HELP}`)
    return 64
  }
  if (options.help) {
    process.stdout.write(HELP)
    return 0
  }
  const tally = new Tally()
  const isWorker = options.step > 1
  const next =
    options.jobs > 1 ? await shareOut(options, argv, tally) : await playSeeds(options, tally)
  if (options.minutes !== undefined && !isWorker) tell(`to go on from here: --from ${next}\n`)
  return conclude(options, tally.report())
}

/** Gives the first seed that was not played. */
async function playSeeds(options: Options, tally: Tally): Promise<number> {
  const endsAt =
    options.minutes === undefined
      ? Number.POSITIVE_INFINITY
      : performance.now() + options.minutes * MINUTE_MS
  const stop = { asked: false }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stop.asked = true
    })
  }
  for (const scenario of scenarios(options)) {
    if (stop.asked || performance.now() >= endsAt) break
    const played = await play(scenario, options.trace ? { print } : {})
    const violations = await violationsOf(scenario, played, options)
    tally.add(played, violations)
    for (const violation of violations) tell(`${textOf(violation)}\n`)
    if (process.stderr.isTTY)
      tell(`\rseed ${scenario.seed}: ${tally.violations.length} violations `)
    if (violations.length > 0 && options.stopAtFirst) break
  }
  if (process.stderr.isTTY) tell('\n')
  return options.from + tally.seeds * options.step
}

function* scenarios(options: Options): Generator<Scenario> {
  if (options.scenario !== undefined) {
    yield readRegression(options.scenario).scenario
    return
  }
  for (let i = 0; i < (options.seeds ?? Number.POSITIVE_INFINITY); i++) {
    const seed = options.from + i * options.step
    const { rollout, hosts, pace } = options
    yield rollout && hosts !== undefined && pace !== undefined
      ? rolloutOf(seed, hosts, pace)
      : scenarioOf(seed, options)
  }
}

async function violationsOf(
  scenario: Scenario,
  played: Played,
  options: Options,
): Promise<readonly Violation[]> {
  const [first] = played.found
  if (first === undefined) return []
  let replay = replayOf(scenario, options)
  if (options.shrink) {
    const small = await shrink(scenario, async (smaller) =>
      (await play(smaller)).found.some((one) => one.invariant === first.invariant),
    )
    const regression = { broke: first.invariant, why: first.evidence, scenario: small }
    if (options.keep === undefined) print(JSON.stringify(regression, null, 1))
    else {
      const file = writeRegression(options.keep, regression)
      replay = `npm run simulate -- --scenario ${file} --trace`
    }
  }
  return played.found.map((one) => ({ ...one, seed: scenario.seed, replay }))
}

function replayOf({ seed }: Scenario, options: Options): string {
  const parts = [
    ...(options.scenario === undefined ? [`--seed ${seed}`] : [`--scenario ${options.scenario}`]),
    ...(options.rollout ? ['--rollout'] : []),
    ...(options.hosts === undefined ? [] : [`--hosts ${options.hosts}`]),
    ...(options.pace === undefined ? [] : [`--pace ${options.pace}`]),
    ...(options.only === undefined ? [] : [`--only ${options.only.join(',') || 'none'}`]),
  ]
  return `npm run simulate -- ${parts.join(' ')} --trace`
}

function conclude(options: Options, report: SimulationReport): number {
  const rare = options.cover > 0 ? uncovered(report, options.cover) : []
  // A slow machine plays few seeds in its minutes: that says nothing of what the seeds hold.
  const isShort = options.minutes !== undefined && report.seeds < COVERED_SEEDS
  const missing = isShort ? [] : rare
  if (options.json) print(JSON.stringify(report))
  else process.stdout.write(tableOf(report, settingOf(options)))
  if (rare.length > 0) tell(`expected each at least ${options.cover} times: ${rare.join(', ')}\n`)
  if (rare.length > 0 && isShort)
    tell(`not held against ${report.seeds} seeds: it is from ${COVERED_SEEDS} on\n`)
  const sawNothing = report.seeds === 0 || report.events === 0
  if (sawNothing) tell('expected at least one seed with events, found none\n')
  return report.violations.length > 0 || sawNothing || missing.length > 0 ? 1 : 0
}

function settingOf({ rollout, hosts, pace, jobs }: Options): string {
  const [load = 0] = loadavg()
  const processes = jobs === 1 ? '1 process' : `${jobs} processes`
  const what = rollout ? 'one rollout of the default policy, ' : ''
  return `${what}${hosts ?? '1 to 7'} hosts, ${pace ?? 'brisk and demo'} pace, ${processes}, load ${load.toFixed(1)}`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function tell(text: string): void {
  process.stderr.write(text)
}
