/** A bound on bytes in a second, over everything that shares it. */
import type { Clock } from '../ports.ts'

/** Lets bytes through no faster than `bytesPerSecond`; 0 is without a bound. */
export class Rate {
  readonly #clock: Clock
  readonly #bytesPerMs: number
  /** When everything let through so far will have had its time, in ms. */
  #paidUntil = 0

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock
    this.#bytesPerMs = bytesPerSecond / 1000
  }

  /** Resolves when `bytes` may pass. Whoever comes first goes first. */
  async pass(bytes: number): Promise<void> {
    if (this.#bytesPerMs <= 0) return
    const now = this.#clock.bootMs()
    const start = Math.max(now, this.#paidUntil)
    this.#paidUntil = start + bytes / this.#bytesPerMs
    if (start <= now) return
    await new Promise<void>((resolve) => void this.#clock.after(start - now, resolve))
  }
}
