/** How often each fault changed something and each decision was made: what a run is worth as a test. */
import { DECISIONS, type Decision, FAULTS, type Fault } from './faults/kinds.ts'

export type Counter = Fault | Decision

/** Names of everything that is counted; a report names all of them, also those at 0. */
export const COUNTERS: readonly Counter[] = [...FAULTS, ...DECISIONS]

export type Counts = Readonly<Record<Counter, number>>

export class Coverage {
  readonly #counts = new Map<Counter, number>()

  add(counter: Counter, times: number = 1): void {
    this.#counts.set(counter, (this.#counts.get(counter) ?? 0) + times)
  }

  take(counts: Counts): void {
    for (const counter of COUNTERS) this.add(counter, counts[counter])
  }

  get counts(): Counts {
    const entries = COUNTERS.map((counter) => [counter, this.#counts.get(counter) ?? 0])
    return Object.fromEntries(entries) as Counts
  }
}
