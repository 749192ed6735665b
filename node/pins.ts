/**
 * What is kept from garbage collection, and the collection itself where the system has none of its own.
 *
 * Kept is what this host needs for itself, and what it holds for others. A pin that fails is tried
 * again, and after every staging all are set anew: only what is in the store can be pinned. Nothing is
 * collected that a pin names. Until both parts are known nothing is pinned anew: the pins of the run
 * before stand.
 */
import type { StorePath } from '../protocol/index.ts'
import { DEPOT_SWEEP_MS } from './limits.ts'
import { backoffMs, Pauses } from './pause.ts'
import type { Clock, Logger, System } from './ports.ts'

export class Pins {
  readonly #system: System
  readonly #clock: Clock
  readonly #log: Logger
  readonly #pauses: Pauses
  #own: readonly StorePath[] | undefined
  #others: readonly StorePath[] | undefined
  #working = false
  #again = false
  #collectedAt: number
  readonly #settled = new Set<() => void>()

  constructor(parts: { system: System; clock: Clock; log: Logger }) {
    this.#system = parts.system
    this.#clock = parts.clock
    this.#log = parts.log
    this.#pauses = new Pauses(parts.clock)
    this.#collectedAt = parts.clock.bootMs()
  }

  /** What the run before kept for this host. */
  load(generations: readonly StorePath[]): void {
    this.#own = generations
  }

  /** From now on exactly these are kept for this host. */
  keep(generations: readonly StorePath[]): void {
    this.#own = generations
    this.refresh()
  }

  /** From now on exactly these are kept for others. */
  keepAlso(generations: readonly StorePath[]): void {
    const before = this.#others
    if (before?.length === generations.length && generations.every((one, i) => one === before[i]))
      return
    this.#others = generations
    this.refresh()
  }

  /** Something was staged: what could not be pinned before may be now. */
  refresh(): void {
    this.#again = true
    if (this.#working || this.#own === undefined || this.#others === undefined) return
    this.#working = true
    this.#work()
      .catch((error: unknown) =>
        this.#log.warn({ error: String(error) }, 'what is not needed could not be collected'),
      )
      .finally(() => {
        this.#working = false
        if (this.#again) this.refresh()
        else this.#settle()
      })
  }

  /** Resolves once every pin that was asked for is set. */
  settled(): Promise<void> {
    if (!this.#working && !this.#again) return Promise.resolve()
    return new Promise((resolve) => void this.#settled.add(resolve))
  }

  stop(): void {
    this.#pauses.stop()
  }

  #settle(): void {
    for (const resolve of this.#settled) resolve()
    this.#settled.clear()
  }

  async #work(): Promise<void> {
    for (let tries = 1; this.#again; tries++) {
      this.#again = false
      const wanted = [...new Set([...(this.#own ?? []), ...(this.#others ?? [])])].sort()
      try {
        await this.#system.pin(wanted)
      } catch (error) {
        this.#log.warn({ error: String(error) }, 'generations could not be pinned: trying again')
        this.#again = true
        await this.#pauses.wait(backoffMs(tries))
      }
    }
    const now = this.#clock.bootMs()
    if (now - this.#collectedAt < DEPOT_SWEEP_MS) return
    this.#collectedAt = now
    await this.#system.collect?.()
  }
}
