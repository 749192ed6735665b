/**
 * Two bounds that hold at every moment of a run, whoever is reachable: who is not confirmed goes back
 * in time (L4), and so does who holds a halt with revert (L7).
 */
import type { HostName, RolloutId } from '../../protocol/index.ts'
import type { HostState } from '../../rollout/index.ts'
import { l4Back, l7BackAlone } from './invariants/liveness.ts'
import type { Bench } from './monitor.ts'

/** Events between two looks at the clocks: bounds are seconds, events are milliseconds apart. */
const LOOK_EVERY = 40

export class DeadlineWatch {
  readonly #bench: Bench
  /** Since when a halt with revert could have been obeyed, by host and rollout, on the host's clock. */
  readonly #halted = new Map<string, number>()
  #events = 0

  constructor(bench: Bench) {
    this.#bench = bench
  }

  /** After an event. */
  look(): void {
    if (this.#events++ % LOOK_EVERY !== 0) return
    const { members, liars, chronicle } = this.#bench
    for (const name of members()) {
      const state = chronicle.states.get(name)
      if (state === undefined || liars.has(name)) continue
      this.#unconfirmed(name, state)
      this.#sentBack(name, state)
    }
  }

  /** One deadman's life, the way back, and a slow disk's time in which to say so. */
  #unconfirmed(host: HostName, { flight }: HostState): void {
    const { fleet, accuse, bootMs } = this.#bench
    const { machine } = fleet.host(host)
    const { activateMs, probeMs } = fleet.trust.config.timing
    if (flight === undefined || flight.renewedAt !== flight.activatedAt) return
    if (flight.confirmed || machine.running !== flight.generation) return
    if (machine.bootDefault === flight.generation) return
    const awayMs = bootMs(host) - flight.activatedAt
    accuse('L4', l4Back(host, awayMs, flight.lifeMs + activateMs + probeMs * 4))
  }

  #sentBack(host: HostName, state: HostState): void {
    const { chronicle, fleet, accuse, bootMs } = this.#bench
    const { node, disk } = fleet.host(host)
    const { activateMs, probeMs } = fleet.trust.config.timing
    for (const { body } of chronicle.halts.get(host) ?? []) {
      const { rollout, revert, hosts } = body
      if (!revert || hosts?.includes(host) === false) continue
      const key = `${host} ${rollout}`
      const able = node?.host.loaded !== undefined && !disk.full && isOn(state, rollout)
      if (!able) this.#halted.delete(key)
      const since = this.#halted.get(key) ?? bootMs(host)
      if (able) this.#halted.set(key, since)
      accuse('L7', l7BackAlone(host, rollout, bootMs(host) - since, activateMs * 3 + probeMs * 8))
    }
  }
}

/** Whether the rollout is still what the host runs or goes to, and can be left. */
function isOn({ stack, flight, stuck }: HostState, rollout: RolloutId): boolean {
  if (stuck !== undefined) return false
  return flight?.rollout === rollout || stack.some((entry) => entry.rollout === rollout)
}
