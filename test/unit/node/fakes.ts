/** Fakes for the node's parts: a log that remembers, a system whose every act can be made to fail. */
import type { Logger, System } from '../../../node/ports.ts'
import {
  createMemorySystem,
  type MemoryBehaviour,
  MemoryMachine,
} from '../../../node/system/memory.ts'
import type { StorePath } from '../../../protocol/index.ts'
import { VirtualClock } from '../../simulation/virtual-clock.ts'

/** A logger that remembers its lines as `level: message`. */
export interface Recorder extends Logger {
  readonly lines: string[]
}

export function recorder(): Recorder {
  const lines: string[] = []
  const at =
    (level: string) =>
    (_: object, message: string): void =>
      void lines.push(`${level}: ${message}`)
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export const OLD: StorePath = '00000000000000000000000000000000-old'
export const NEW: StorePath = '00000000000000000000000000000001-new'

/** A machine in virtual time with both generations in its store, and its system with faults. */
export class FaultySystem {
  readonly clock = new VirtualClock()
  readonly machine: MemoryMachine
  readonly system: System
  /** How often each act fails from now on. */
  readonly failures = new Map<string, number>()
  /** Every act that reached the machine, in order. */
  readonly acts: string[] = []

  constructor(behaviour: (generation: StorePath) => MemoryBehaviour = () => ({})) {
    this.machine = new MemoryMachine({ clock: this.clock, initial: OLD, behaviour })
    this.machine.held.set(NEW, [])
    const inner = createMemorySystem(this.machine, () => undefined)
    const { deadman } = inner
    this.system = {
      ...inner,
      activate: (generation, timeoutMs) =>
        this.#act('activate', () => inner.activate(generation, timeoutMs)),
      setBootDefault: (generation) =>
        this.#act('setBootDefault', () => inner.setBootDefault(generation)),
      endActivation: () => this.#act('endActivation', () => inner.endActivation()),
      pin: (generations) => this.#act('pin', () => inner.pin(generations)),
      deadman: {
        arm: (arming) => this.#act('arm', () => deadman.arm(arming)),
        renew: (arming) => this.#act('renew', () => deadman.renew(arming)),
        disarm: (token) => this.#act('disarm', () => deadman.disarm(token)),
        end: () => this.#act('end', () => deadman.end()),
        state: () => deadman.state(),
      },
    }
  }

  async #act<T>(name: string, run: () => Promise<T>): Promise<T> {
    const left = this.failures.get(name) ?? 0
    this.failures.set(name, left - 1)
    if (left > 0) throw new Error(`${name} fails`)
    this.acts.push(name)
    return await run()
  }
}
