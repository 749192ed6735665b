/** Makes one mutant after the other and sees who notices. */
import { attempt, type Outcome } from './attempt.ts'
import { type Mutant, type Trial, trialsOf } from './mutant.ts'
import { Workspace } from './workspace.ts'

/** What became of one mutant. */
export interface Verdict {
  readonly name: string
  readonly rule: string
  /** The invariant that its change broke; null: nobody noticed. */
  readonly caughtBy: string | null
  /** Seeds or cases until then. */
  readonly seeds: number
  /** Why this proves nothing: the change does not apply, or the check fails without it. */
  readonly problem?: string
  readonly seconds: number
}

/** Hunts `mutants` with so many workers; `told` hears of each verdict as it comes. */
export async function hunt(
  mutants: readonly Mutant[],
  jobs: number,
  told: (verdict: Verdict) => void,
): Promise<readonly Verdict[]> {
  const baseline = new Map<string, Promise<Outcome>>()
  const queue = [...mutants]
  const verdicts = new Map<string, Verdict>()
  const worker = async (): Promise<void> => {
    const hunter = new Hunter(baseline)
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const verdict = await hunter.hunt(next)
        verdicts.set(next.name, verdict)
        told(verdict)
      }
    } finally {
      hunter.leave()
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs, mutants.length) }, worker))
  return mutants.flatMap(({ name }) => verdicts.get(name) ?? [])
}

class Hunter {
  readonly #workspace = new Workspace()
  /** What each command finds in the source as it ships: run once, by whoever needs it first. */
  readonly #baseline: Map<string, Promise<Outcome>>

  constructor(baseline: Map<string, Promise<Outcome>>) {
    this.#baseline = baseline
  }

  leave(): void {
    this.#workspace.remove()
  }

  async hunt(mutant: Mutant): Promise<Verdict> {
    const startedAt = performance.now()
    const { name, rule } = mutant
    const end = (found: Pick<Verdict, 'caughtBy' | 'seeds' | 'problem'>): Verdict => {
      const seconds = Math.round(performance.now() - startedAt) / 1000
      return { name, rule, ...found, seconds }
    }
    let seeds = 0
    for (const trial of trialsOf(mutant.catch)) {
      const sound = await this.#sound(trial)
      if (sound !== undefined) return end({ caughtBy: null, seeds, problem: sound })
      const outcome = await this.#try(mutant, trial)
      if (outcome.kind === 'failed') return end({ caughtBy: null, seeds, problem: outcome.why })
      if (outcome.kind === 'broken') {
        return end({ caughtBy: outcome.invariant, seeds: seeds + outcome.seeds })
      }
      seeds++
    }
    return end({ caughtBy: null, seeds })
  }

  async #try(mutant: Mutant, trial: Trial): Promise<Outcome> {
    try {
      this.#workspace.apply(mutant.edits)
      return await attempt(this.#workspace.path, trial)
    } catch (error) {
      return { kind: 'failed', why: error instanceof Error ? error.message : String(error) }
    } finally {
      this.#workspace.revert()
    }
  }

  /** Why a command proves nothing, if the source as it ships does not pass it. */
  async #sound(trial: Trial): Promise<string | undefined> {
    const known = this.#baseline.get(trial.name) ?? attempt(this.#workspace.path, trial)
    this.#baseline.set(trial.name, known)
    const outcome = await known
    if (outcome.kind === 'holds') return undefined
    if (outcome.kind === 'failed') return outcome.why
    return `without the change ${trial.name} breaks ${outcome.invariant}`
  }
}
