/** How much may be under way at once: for each peer and for all of them. */
import type { PeerName } from '../ports.ts'

export interface QuotaLimits {
  readonly perPeer: number
  readonly total: number
}

/** Counts what is under way; above a limit there is no place and nothing waits. */
export class Quota {
  readonly #limits: QuotaLimits
  readonly #taken = new Map<PeerName, number>()
  #total = 0

  constructor(limits: QuotaLimits) {
    this.#limits = limits
  }

  /** Takes a place, to be given back with `give`; false when there is none. */
  take(peer: PeerName): boolean {
    const taken = this.#taken.get(peer) ?? 0
    if (taken >= this.#limits.perPeer || this.#total >= this.#limits.total) return false
    this.#taken.set(peer, taken + 1)
    this.#total++
    return true
  }

  /** Gives a place back. */
  give(peer: PeerName): void {
    const left = (this.#taken.get(peer) ?? 0) - 1
    if (left < 0) return
    if (left === 0) this.#taken.delete(peer)
    else this.#taken.set(peer, left)
    this.#total--
  }
}
