/**
 * A storm over a simulated fleet: faults and deployments in an order that a seed decides, then calm,
 * then a look at every law.
 *
 * The same kind and seed play the same storm, so that a failing one can be kept and played again.
 */
import { seededRandom } from '../../node/network/memory-hub.ts'
import { DEMO, type HostName } from '../../protocol/index.ts'
import { CHEAP_SIGNER, SimFleet } from './fleet.ts'
import {
  breaksLaw,
  digests,
  forkedLogs,
  restless,
  skippedAndBegun,
  withoutWayBack,
} from './laws.ts'

/** What goes wrong: dying daemons and machines, a full disk, a bad network, lost disks, or all of it. */
export type StormKind = 'crash' | 'disk' | 'network' | 'loss' | 'all'

export interface Storm {
  readonly kind: StormKind
  readonly seed: number
  readonly hosts?: number
  readonly voters?: number
  /** How long it lasts, in virtual ms. */
  readonly ms?: number
}

/** What a storm broke, and what it is worth as a test: nothing, if nothing happened in it. */
export interface Wreckage {
  readonly broken: readonly string[]
  readonly faults: number
  readonly admitted: number
  readonly committed: number
}

const CALM_MS = 150_000
/** Longer than a start that nobody uses, so that whoever may still be started has been. */
const REST_MS = 15_000

/** Plays a storm and looks at every law. */
export async function play(storm: Storm): Promise<Wreckage> {
  const weather = new Weather(storm)
  await weather.fleet.start()
  await weather.rage(storm.ms ?? 40_000)
  return await weather.judge()
}

type Act = () => Promise<void> | void

class Weather {
  readonly fleet: SimFleet
  readonly #random: () => number
  readonly #acts: readonly Act[]
  readonly #broken = new Set<string>()
  readonly #rollouts: string[] = []
  #faults = 0
  #version = 0
  #plannedAt = 0

  constructor({ kind, seed, hosts = 5, voters = 4 }: Storm) {
    this.#random = seededRandom(seed * 7919 + 17)
    this.fleet = new SimFleet({
      ...{ hosts, voters, seed, timing: DEMO, signer: CHEAP_SIGNER },
      log: (host, _, fields, message) => {
        if (breaksLaw(message)) this.#broken.add(`${host}: ${message} ${JSON.stringify(fields)}`)
      },
    })
    const crash = [
      () => this.#crash(),
      () => this.#crash(),
      () => this.#boot(),
      () => this.#reboot(),
    ]
    const disk = [() => this.#fill(), () => this.#free()]
    const network = [() => this.#weather(), () => this.#cut(), () => this.#heal()]
    const loss = [() => this.#lose(), () => this.#boot()]
    const faults: Record<StormKind, readonly Act[]> = {
      ...{ crash, disk, network, loss: [...loss, ...crash] },
      all: [...crash, ...disk, ...network],
    }
    const people = [() => this.#halt(), () => this.#plan()]
    this.#acts = [...faults[kind], ...faults[kind], ...people]
  }

  async rage(ms: number): Promise<void> {
    const { clock } = this.fleet
    const end = clock.bootMs() + ms
    await this.#plan()
    while (clock.bootMs() < end) {
      await clock.advance(50 + Math.floor(this.#random() * 1_200))
      await this.#look()
      await this.#pick(this.#acts)()
      await this.#look()
    }
  }

  /** Everything is mended; within the calm every rollout ends and every node agrees. */
  async judge(): Promise<Wreckage> {
    const { fleet } = this
    fleet.hub.healAll()
    Object.assign(fleet.hub.weather, { dropRate: 0, duplicateRate: 0, latencyMs: [1, 5] })
    for (const name of fleet.names) {
      fleet.host(name).disk.full = false
      if (fleet.host(name).node === undefined) await fleet.boot(name)
    }
    if (!(await this.#comesToRest())) {
      this.#broken.add('the rollouts did not end, or the nodes do not agree')
    }
    await this.#look()
    for (const one of [...forkedLogs(fleet), ...skippedAndBegun(fleet)]) this.#broken.add(one)
    for (const one of await restless(fleet)) this.#broken.add(`at rest ${one}`)
    if (digests(fleet) !== 1) this.#broken.add(`${digests(fleet)} digests`)
    const rollouts = [...(fleet.nodes[0]?.gate.state.rollouts.values() ?? [])]
    return {
      broken: [...this.#broken],
      faults: this.#faults,
      admitted: rollouts.length,
      committed: rollouts.filter((one) => one.status === 'complete').length,
    }
  }

  /** A host that missed its start is started again, also after all others are done. */
  async #comesToRest(): Promise<boolean> {
    const { clock } = this.fleet
    const end = clock.bootMs() + CALM_MS
    while (await this.fleet.until(end - clock.bootMs(), () => this.#isDone(), 500)) {
      await clock.advance(REST_MS)
      if (this.#isDone()) return true
    }
    return false
  }

  #isDone(): boolean {
    const { fleet } = this
    const settled = fleet.nodes.every((node) => {
      const open = [...node.gate.state.rollouts.values()].some((one) => one.status === 'open')
      const { flight, back } = node.host.state
      return !open && flight === undefined && back === undefined
    })
    return settled && digests(fleet) === 1
  }

  async #look(): Promise<void> {
    for (const one of await withoutWayBack(this.fleet)) this.#broken.add(`no way back: ${one}`)
  }

  #crash(): void {
    const name = this.#pick(this.#live())
    const { disk } = this.fleet.host(name)
    this.#faults++
    this.fleet.crash(name, Math.floor(this.#random() * (disk.unsynced + 1)))
  }

  async #boot(): Promise<void> {
    const dead = this.fleet.names.filter((name) => this.fleet.host(name).node === undefined)
    if (dead.length > 0) await this.#start(this.#pick(dead))
  }

  async #reboot(): Promise<void> {
    const name = this.#pick(this.fleet.names)
    this.#faults++
    if (this.fleet.host(name).node !== undefined) this.fleet.crash(name)
    this.fleet.host(name).machine.reboot()
    await this.#start(name)
  }

  /** A daemon that finds its disk full at its first start dies again, and is started later. */
  async #start(name: HostName): Promise<void> {
    await this.fleet.boot(name).catch((error: unknown) => {
      if (!this.fleet.host(name).disk.full) this.#broken.add(`${name} did not start: ${error}`)
      this.fleet.crash(name)
    })
  }

  #fill(): void {
    this.#faults++
    this.fleet.host(this.#pick(this.fleet.names)).disk.full = true
  }

  #free(): void {
    for (const name of this.fleet.names) this.fleet.host(name).disk.full = false
  }

  #weather(): void {
    this.#faults++
    Object.assign(this.fleet.hub.weather, {
      dropRate: this.#random() * 0.4,
      duplicateRate: this.#random() * 0.3,
      latencyMs: [1, 1 + Math.floor(this.#random() * 300)],
    })
  }

  #cut(): void {
    this.#faults++
    const side = this.fleet.names.filter(() => this.#random() < 0.5)
    this.fleet.hub.partition(
      side,
      this.fleet.names.filter((name) => !side.includes(name)),
    )
  }

  #heal(): void {
    this.fleet.hub.healAll()
  }

  /** One disk at a time: the model bears no more. */
  async #lose(): Promise<void> {
    const name = this.#pick(this.fleet.names)
    const others = this.fleet.names.filter((one) => one !== name)
    if (others.some((one) => this.fleet.host(one).node === undefined)) return
    if (this.fleet.host(name).machine.running !== this.fleet.host(name).machine.bootDefault) return
    this.#faults++
    this.fleet.loseDisk(name)
    await this.#start(name)
    await this.fleet.clock.advance(6_000)
  }

  async #plan(): Promise<void> {
    const { clock, names } = this.fleet
    const node = this.fleet.host(this.#pick(this.#live())).node
    if (node === undefined || clock.bootMs() - this.#plannedAt < 8_000) return
    this.#plannedAt = clock.bootMs()
    this.#version++
    const [first = '', ...rest] = names
    const waves = this.#random() < 0.5 ? [[first], rest] : [names]
    const open = [...node.gate.state.rollouts.values()].filter((one) => one.status === 'open')
    const supersedes = [...new Set([...open.map((one) => one.rollout), ...lastOf(node)])].sort()
    const act = async (): Promise<void> => {
      const release = await this.fleet.announce(node, this.#version)
      const budget = { kind: 'count', count: this.#random() < 0.5 ? 0 : 2 } as const
      const onFailure = this.#random() < 0.5 ? 'halt' : 'revertAll'
      const change = { supersedes: supersedes.slice(0, 16) }
      this.#rollouts.push(
        await this.fleet.plan(node, release, waves, change, { budget, onFailure }),
      )
    }
    await act().catch(() => undefined)
  }

  async #halt(): Promise<void> {
    if (this.#rollouts.length === 0 || this.#random() < 0.6) return
    const node = this.fleet.host(this.#pick(this.#live())).node
    const rollout = this.#pick(this.#rollouts)
    if (node === undefined) return
    const body = { rollout, revert: this.#random() < 0.6, why: 'storm' }
    await this.fleet.sign(node, this.fleet.operator, 'rollout.halt', body).catch(() => undefined)
  }

  /** Never none: the last one that lives is spared. */
  #live(): readonly HostName[] {
    const live = this.fleet.names.filter((name) => this.fleet.host(name).node !== undefined)
    return live.length > 1 ? live : this.fleet.names
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#random() * items.length)]
    if (item === undefined) throw new Error('expected something to choose from, found nothing')
    return item
  }
}

/** The rollouts that a new plan has to name because they were halted over its hosts. */
function lastOf(node: NonNullable<ReturnType<SimFleet['host']>['node']>): readonly string[] {
  return [...node.gate.state.hosts.values()].map((host) => host.last)
}
