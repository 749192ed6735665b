/** What the network noticed of members that are not connected, and of strangers: for `doctor`. */
import type { HostName } from '../../protocol/index.ts'
import { DENIED_MS_MAX, STRANGERS_MAX } from '../limits.ts'
import type { Absence } from '../ports.ts'
import { type DialFault, dialFault } from './dial-fault.ts'

export class Sightings {
  readonly #faults = new Map<HostName, DialFault>()
  readonly #dialed = new Map<HostName, number>()
  readonly #announced = new Set<HostName>()
  readonly #strangers = new Set<string>()

  /** Peer ids on the LAN that are no members of this group. */
  get strangers(): number {
    return this.#strangers.size
  }

  /** A member announced itself on the LAN. */
  heard(name: HostName): void {
    this.#announced.add(name)
  }

  /** Somebody who is no member announced itself; the first of them are counted. */
  heardStranger(peer: string): void {
    if (this.#strangers.size < STRANGERS_MAX) this.#strangers.add(peer)
  }

  failed(name: HostName, error: unknown): void {
    this.#faults.set(name, dialFault(error))
  }

  /** Our dial of it came through at `nowMs`. That does not yet mean that it lets us in. */
  reached(name: HostName, nowMs: number): void {
    this.#dialed.set(name, nowMs)
    this.#faults.delete(name)
  }

  /** Its connection went down: at once after a dial means that it does not know us. */
  lost(name: HostName, nowMs: number): void {
    const dialed = this.#dialed.get(name)
    this.#dialed.delete(name)
    if (dialed === undefined || nowMs - dialed > DENIED_MS_MAX) return
    this.#faults.set(name, { kind: 'denied', detail: 'it hung up right after our greeting' })
  }

  /** What is known of a member that is not connected. */
  absence(name: HostName, addresses: readonly string[]): Absence {
    const fault = this.#faults.get(name)
    return { peer: name, addresses, announced: this.#announced.has(name), fault }
  }
}
