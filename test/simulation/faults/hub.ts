/** The wires of a simulated fleet, worse than a memory hub's, with a count of what they did. */
import { MemoryHub, seededRandom } from '../../../node/network/memory-hub.ts'
import type { Clock, PeerName } from '../../../node/ports.ts'
import type { HostName } from '../../../protocol/index.ts'
import type { Fault } from './kinds.ts'

export type CutKind = Extract<Fault, `partition-${string}`>

/** A message that takes longer is late: more than the fastest probe of any preset waits. */
const LATE_MS = 150
/** Peers that a message is handed on to: gossip is the fast path and may miss somebody. */
const FANOUT = 3

export class FaultyHub extends MemoryHub {
  /** Share of messages that are lost, from 0 to 1. */
  dropRate = 0
  readonly #dice: () => number
  readonly #count: (fault: Fault) => void
  readonly #kinds = new Map<string, CutKind>()
  readonly #newest = new Map<string, number>()
  #sent = 0

  constructor(options: { clock: Clock; seed: number; count: (fault: Fault) => void }) {
    const { clock, seed } = options
    super({ clock, seed, fanout: FANOUT, weather: { latencyMs: [2, 2] } })
    this.#dice = seededRandom(options.seed ^ 0x5bd1e995)
    this.#count = options.count
  }

  /** Cuts the way from each of `from` to each of `to`; one way, unless it is called for both. */
  sever(from: readonly HostName[], to: readonly HostName[], kind: CutKind): void {
    for (const a of from) {
      for (const b of to) {
        if (a === b) continue
        this.#kinds.set(`${a}>${b}`, kind)
        this.cutOneWay(a, b)
      }
    }
  }

  /** Opens what `sever` cut between the two sides, in both directions. */
  mend(one: readonly HostName[], other: readonly HostName[]): void {
    for (const a of one) {
      for (const b of other) {
        this.#kinds.delete(`${a}>${b}`)
        this.#kinds.delete(`${b}>${a}`)
        if (a !== b) this.heal(a, b)
      }
    }
  }

  /** Opens everything and is a good network from now on. */
  calm(): void {
    this.#kinds.clear()
    this.healAll()
    this.dropRate = 0
    Object.assign(this.weather, { duplicateRate: 0, latencyMs: [2, 2] })
  }

  override carry(from: PeerName, to: PeerName, arrive: () => void): void {
    if (this.dropRate > 0 && this.#dice() < this.dropRate) {
      this.#count('drop')
      return
    }
    const cut = this.#kinds.get(`${from}>${to}`)
    if (cut !== undefined) this.#count(cut)
    const number = this.#sent++
    let arrivals = 0
    super.carry(from, to, () => {
      if (arrivals++ > 0) this.#count('duplicate')
      else this.#noteOrder(`${from}>${to}`, number)
      arrive()
    })
  }

  override latency(): number {
    const ms = super.latency()
    if (ms > LATE_MS) this.#count('delay')
    return ms
  }

  #noteOrder(wire: string, number: number): void {
    const newest = this.#newest.get(wire) ?? -1
    if (number < newest) this.#count('reorder')
    else this.#newest.set(wire, number)
  }
}
