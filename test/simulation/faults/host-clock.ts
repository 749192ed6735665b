/** A host's own clock: it may run fast or slow, and its wall time may jump. It never goes backwards. */
import type { Cancel, Clock } from '../../../node/ports.ts'
import type { VirtualClock } from '../virtual-clock.ts'

export class HostClock implements Clock {
  readonly #base: VirtualClock
  #rate = 1
  #wallAhead = 0
  /** Where the rate was last set: true time and this clock's. */
  #since: number
  #shown: number

  constructor(base: VirtualClock) {
    this.#base = base
    this.#since = base.bootMs()
    this.#shown = this.#since
  }

  bootMs(): number {
    return this.#shown + (this.#base.bootMs() - this.#since) * this.#rate
  }

  wallMs(): number {
    return this.#base.wallMs() + this.#wallAhead
  }

  after(ms: number, run: () => void): Cancel {
    return this.#base.after(ms / this.#rate, run)
  }

  /** From now on it shows `rate` ms for each true one. Timers that are set keep their time. */
  drift(rate: number): void {
    this.#shown = this.bootMs()
    this.#since = this.#base.bootMs()
    this.#rate = rate
  }

  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.#wallAhead += ms
  }
}
