/** Crashes that wait for their moment: just before or just after a daemon's call into its world. */
import type { HostName } from '../../../protocol/index.ts'
import type { Fault, PortCall } from './kinds.ts'

export type When = 'before' | 'after'

export interface Trap {
  readonly host: HostName
  readonly call: PortCall
  readonly when: When
  /** How many such calls pass first. */
  readonly pass: number
  /** A call at which this does not hold passes too. */
  readonly ready?: () => boolean
  /** Kills the daemon. */
  spring(): void
}

interface SetTrap extends Trap {
  left: number
}

export class Traps {
  readonly #traps: SetTrap[] = []

  set(trap: Trap): void {
    this.#traps.push({ ...trap, left: trap.pass })
  }

  clear(): void {
    this.#traps.length = 0
  }

  /** A daemon's call reaches this point; true if it dies here. */
  reach(host: HostName, call: PortCall, when: When): boolean {
    const at = this.#traps.findIndex(
      (trap) =>
        trap.host === host &&
        trap.call === call &&
        trap.when === when &&
        (trap.ready?.() ?? true) &&
        trap.left-- <= 0,
    )
    if (at < 0) return false
    const [trap] = this.#traps.splice(at, 1)
    trap?.spring()
    return true
  }
}

/** The name that a sprung trap is counted under. */
export function faultOf({ call, when }: Pick<Trap, 'call' | 'when'>): Fault {
  return `crash-${when}-${call}`
}
