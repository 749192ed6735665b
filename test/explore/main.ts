/**
 * `npm run explore -- [--quick | --deep] [--case NAME] [--max-states N] [--json]`: searches every
 * state that a small group's gate log can reach, on the shipped reducer.
 *
 * The table goes to stderr with `--json`, and the report is the last line of stdout. Exit code 1 when
 * a law is broken, a control broke none, a cap was hit, or a case saw nothing; 64 for a wrong call.
 */
import { parseArgs } from 'node:util'
import { CASES, casesOf, type ExploreCase, type Profile } from './cases.ts'
import { type CaseReport, HEAD, lineOf, reportOf, runCase } from './report.ts'
import type { Progress } from './search.ts'

/** Enough for every case of `ci` and `deep`; a state of three voters takes about 20 bytes. */
const STATES_MAX = 200_000_000

interface Call {
  readonly cases: readonly ExploreCase[]
  readonly statesMax: number
  readonly json: boolean
}

process.exitCode = main(process.argv.slice(2))

function main(argv: readonly string[]): number {
  const call = read(argv)
  if (typeof call === 'string') {
    process.stderr.write(`${call}\n`)
    return 64
  }
  const say = (line: string): void => {
    process[call.json ? 'stderr' : 'stdout'].write(`${line}\n`)
  }
  say(HEAD)
  const done = call.cases.map((one) => {
    const { legend, ...report } = runCase(one, call.statesMax, (progress) =>
      process.stderr.write(`${one.name}: ${tellOf(progress)}\n`),
    )
    say(lineOf(report))
    if (report.problem !== undefined)
      for (const line of traceOf(report, legend)) say(`      ${line}`)
    return report
  })
  const report = reportOf(done)
  say(`${report.cases.length} cases, ${report.states} states, ${report.seconds.toFixed(0)} s`)
  if (call.json) process.stdout.write(`${JSON.stringify(report)}\n`)
  return report.ok ? 0 : 1
}

function tellOf({ done, seen, seconds }: Progress): string {
  return `${done} of ${seen} states are done after ${seconds.toFixed(0)} s`
}

function traceOf({ violations }: CaseReport, legend: readonly string[]): readonly string[] {
  const [first] = violations
  if (first === undefined) return []
  return [first.what, ...legend, ...first.trace]
}

function read(argv: readonly string[]): Call | string {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      deep: { type: 'boolean', default: false },
      case: { type: 'string' },
      'max-states': { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const profile: Profile = values.quick ? 'quick' : values.deep ? 'deep' : 'ci'
  const named = values.case
  const cases = named === undefined ? casesOf(profile) : casesCalled(named)
  if (cases.length === 0) {
    return `expected a case, found none called ${named}; there are:\n${CASES.map((one) => `  ${one.name}`).join('\n')}`
  }
  const statesMax = Number(values['max-states'] ?? STATES_MAX)
  if (!Number.isSafeInteger(statesMax) || statesMax < 1) {
    return `expected --max-states to be a number from 1, found ${values['max-states']}`
  }
  return { cases, statesMax, json: values.json }
}

/** The case of that name; where there is none, all whose names hold it. */
function casesCalled(name: string): readonly ExploreCase[] {
  const exact = CASES.filter((one) => one.name === name)
  return exact.length > 0 ? exact : CASES.filter((one) => one.name.includes(name))
}
