/** What the exploration found, and whether that is what it should have found. */
import type { CaseOutcome, ExploreCase } from './cases.ts'
import type { Progress, Violation } from './search.ts'

export interface CaseReport {
  readonly name: string
  readonly expected: string | null
  readonly states: number
  readonly transitions: number
  /** Distinct states of one voter: how often the shipped reducer had something new to do. */
  readonly locals: number
  readonly exhaustive: boolean
  readonly violations: readonly Violation[]
  readonly seconds: number
  /** Undefined in the JSON when all is as it should be. */
  readonly problem?: string
}

export interface ExploreReport {
  readonly kind: 'ExploreReport'
  readonly cases: readonly CaseReport[]
  readonly states: number
  readonly seconds: number
  readonly ok: boolean
}

/** Runs one case and judges what came of it. */
export function runCase(
  one: ExploreCase,
  statesMax: number,
  told: (progress: Progress) => void = () => {},
): CaseReport & { legend: readonly string[] } {
  const { legend, ...outcome } = one.run(statesMax, told)
  const problem = problemOf(one, outcome, statesMax)
  return {
    name: one.name,
    expected: one.expects ?? null,
    ...outcome,
    ...(problem === undefined ? {} : { problem }),
    legend,
  }
}

/** The report over all cases. */
export function reportOf(cases: readonly CaseReport[]): ExploreReport {
  return {
    kind: 'ExploreReport',
    cases,
    states: cases.reduce((sum, one) => sum + one.states, 0),
    seconds: cases.reduce((sum, one) => sum + one.seconds, 0),
    ok: cases.length > 0 && cases.every((one) => one.problem === undefined),
  }
}

/** What is wrong with an outcome: a law broken, a control that broke none, a cap, nothing seen. */
export function problemOf(
  { expects }: Pick<ExploreCase, 'expects'>,
  outcome: Omit<CaseOutcome, 'legend'>,
  statesMax: number,
): string | undefined {
  if (outcome.states < 2 || outcome.transitions === 0) return 'expected states, saw none'
  const found = outcome.violations.map((one) => one.invariant)
  const other = found.find((invariant) => invariant !== expects)
  if (other !== undefined) return `expected ${other} to hold, found it broken`
  if (expects !== undefined) {
    return found.includes(expects) ? undefined : `expected ${expects} broken, found it to hold`
  }
  return outcome.exhaustive
    ? undefined
    : `expected to see every state, stopped at the cap of ${statesMax}`
}

/** One line of the table. */
export function lineOf(report: CaseReport): string {
  const { name, states, locals, exhaustive, violations, seconds, problem } = report
  const seen = violations.map((one) => one.invariant).join(' ')
  const verdict =
    seen === '' ? (exhaustive ? 'holds, exhaustive' : 'holds so far') : `${seen} broken`
  const columns = [
    problem === undefined ? 'ok ' : 'NOT',
    name.padEnd(52),
    String(states).padStart(9),
    String(locals).padStart(6),
    `${seconds.toFixed(1)}s`.padStart(7),
    ` ${verdict}`,
  ]
  return problem === undefined ? columns.join(' ') : `${columns.join(' ')}: ${problem}`
}

/** The table's head. */
export const HEAD: string = [
  '   ',
  'case'.padEnd(52),
  'states'.padStart(9),
  'locals'.padStart(6),
  'time'.padStart(7),
].join(' ')
