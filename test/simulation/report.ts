/** What a run of many seeds found, for machines and for people. */
import { COUNTERS, type Counts, Coverage } from './coverage.ts'
import { FAULTS } from './faults/kinds.ts'
import type { Played } from './play.ts'
import type { Violation } from './violation.ts'

export interface SimulationReport {
  readonly kind: 'SimulationReport'
  readonly seeds: number
  readonly events: number
  readonly violations: readonly Violation[]
  readonly coverage: Counts
  readonly simulatedSeconds: number
  readonly wallSeconds: number
}

/** Adds up what seeds did. */
export class Tally {
  readonly #coverage = new Coverage()
  readonly #violations: Violation[] = []
  readonly #startedAt = performance.now()
  #seeds = 0
  #events = 0
  #simulatedMs = 0

  get violations(): readonly Violation[] {
    return this.#violations
  }

  get seeds(): number {
    return this.#seeds
  }

  add(played: Played, violations: readonly Violation[]): void {
    this.#seeds++
    this.#events += played.events
    this.#simulatedMs += played.simulatedMs
    this.#coverage.take(played.counts)
    this.#violations.push(...violations)
  }

  /** Takes what another process found. */
  merge(report: SimulationReport): void {
    this.#seeds += report.seeds
    this.#events += report.events
    this.#simulatedMs += report.simulatedSeconds * 1000
    this.#coverage.take(report.coverage)
    this.#violations.push(...report.violations)
  }

  report(): SimulationReport {
    return {
      kind: 'SimulationReport',
      seeds: this.#seeds,
      events: this.#events,
      violations: [...this.#violations].sort((a, b) => a.seed - b.seed),
      coverage: this.#coverage.counts,
      simulatedSeconds: Math.round(this.#simulatedMs / 1000),
      wallSeconds: Math.round(performance.now() - this.#startedAt) / 1000,
    }
  }
}

/** Counters below `least`, by name. */
export function uncovered(report: SimulationReport, least: number): readonly string[] {
  return COUNTERS.filter((counter) => report.coverage[counter] < least)
}

/** The report as a short table. `setting` says what was simulated on what. */
export function tableOf(report: SimulationReport, setting: string): string {
  const { seeds, events, simulatedSeconds, wallSeconds, violations } = report
  const ratio = wallSeconds > 0 ? Math.round(simulatedSeconds / wallSeconds) : 0
  const cells = COUNTERS.map((counter) => `${counter.padEnd(24)}${report.coverage[counter]}`)
  const faults = cells.slice(0, FAULTS.length)
  const decisions = cells.slice(FAULTS.length)
  const lines = faults.map((cell, i) => `  ${cell.padEnd(36)}${decisions[i] ?? ''}`.trimEnd())
  return [
    `${seeds} seeds, ${events} events, ${simulatedSeconds} s of fleets in ${wallSeconds} s (${ratio} times as fast)`,
    setting,
    '',
    `  ${'fault'.padEnd(36)}decision`,
    ...lines,
    '',
    ...violations.map(textOf),
    violations.length === 0 ? 'no violation' : `${violations.length} violations`,
    '',
  ].join('\n')
}

export function textOf({ invariant, seed, atMs, evidence, replay }: Violation): string {
  return `${invariant}  seed ${seed}, ${atMs} ms: ${evidence}\n    ${replay}`
}
