/**
 * What happened in a run, in its order: one hash over all of it, and on demand one readable line for
 * each event. Two runs of one seed have the same hash, or the simulator is not deterministic.
 */
import type { HostName } from '../../protocol/index.ts'

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

export interface TraceOptions {
  /** Takes every line; absent where nobody reads them. */
  readonly print?: ((line: string) => void) | undefined
  readonly nowMs: () => number
}

export class Trace {
  #low = FNV_OFFSET
  #high = FNV_PRIME
  readonly #options: TraceOptions

  constructor(options: TraceOptions) {
    this.#options = options
  }

  /** The hash over every event so far. */
  get hash(): string {
    return [this.#high, this.#low].map((part) => part.toString(16).padStart(8, '0')).join('')
  }

  /** Notes one event. `detail` is asked for only when somebody reads it; what identifies the event belongs into `event`. */
  note(host: HostName, event: string, detail?: () => string): void {
    const { nowMs, print } = this.#options
    this.#mix(`${nowMs()} ${host} ${event}`)
    if (print === undefined) return
    const at = Math.round(nowMs() - 1_000_000)
    print(
      `${String(at).padStart(7)} ms  ${host.padEnd(9)} ${event}${detail ? `  ${detail()}` : ''}`,
    )
  }

  #mix(text: string): void {
    let low = this.#low
    let high = this.#high
    for (let i = 0; i < text.length; i++) {
      low = Math.imul(low ^ text.charCodeAt(i), FNV_PRIME)
      high = Math.imul(high ^ low, FNV_PRIME) + i
    }
    this.#low = low >>> 0
    this.#high = high >>> 0
  }
}
