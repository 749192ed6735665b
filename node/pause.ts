/**
 * Waiting between tries, on the node's clock: longer each time, and over at once when the node stops
 * or when somebody knows better.
 */
import { RETRY_MS_MAX, RETRY_MS_MIN } from './limits.ts'
import type { Cancel, Clock } from './ports.ts'

/** How long to wait before try number `tries`, in ms: 1 is the wait after the first failure. */
export function backoffMs(tries: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(tries - 1, 16))
}

/** Waits of one owner. After `stop` none of them ends, and none is begun. */
export class Pauses {
  readonly #clock: Clock
  readonly #waiting = new Map<() => void, Cancel>()
  #stopped = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether the owner was stopped. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Resolves after `ms`, or when `wake` is called; never once the owner is stopped. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stopped) return
      const done = (): void => {
        this.#waiting.get(done)?.()
        this.#waiting.delete(done)
        resolve()
      }
      this.#waiting.set(done, this.#clock.after(ms, done))
    })
  }

  /** Asks until it is answered, with a longer pause after each failure; `failed` hears of every one. */
  async insist<T>(ask: () => Promise<T>, failed: (error: unknown) => void): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await ask()
      } catch (error) {
        failed(error)
        await this.wait(backoffMs(tries))
      }
    }
  }

  /** Ends every wait now: something has come that may help. */
  wake(): void {
    for (const done of [...this.#waiting.keys()]) done()
  }

  stop(): void {
    this.#stopped = true
    for (const cancel of this.#waiting.values()) cancel()
    this.#waiting.clear()
  }
}
