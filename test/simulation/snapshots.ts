/**
 * Disks that are lost, and disks that come back as they were: one in a run, as the model bears no
 * more.
 *
 * A host with an empty disk enrols anew, with another session. One that was put back from a snapshot
 * finds its old session on the disk, and has to ask its peers what it said since.
 */
import { MemoryDisk } from '../../node/store/memory.ts'
import type { HostName } from '../../protocol/index.ts'
import type { ActOf } from './scenario.ts'
import type { World } from './world.ts'

/** While the moment is not right it is waited for, in ms of the brisk pace. */
const AGAIN_MS = 300

export class Snapshots {
  readonly #world: World
  readonly #copies = new Map<HostName, MemoryDisk>()
  #spent = false

  constructor(world: World) {
    this.#world = world
  }

  /** Copies the synced part of a disk, as a backup of a running machine would. */
  take(name: HostName): void {
    const { disk } = this.#world.fleet.host(name)
    const copy = new MemoryDisk()
    const ops = disk.slice('', '~').map(([key, value]) => ({ key, value }))
    copy.apply(ops, true)
    this.#copies.set(name, copy)
  }

  /**
   * Only while everybody else is there to say what this host has said, and nothing of it is in the air:
   * as soon as that is so, within the storm.
   */
  lose(act: ActOf<'lose-disk'>): void {
    const { fleet, coverage, liars, members, monitor, scenario } = this.#world
    const name = this.#world.name(act.host)
    const copy = this.#copies.get(name)
    const alone = monitor.chronicle.trust.config.voters.length < 3
    const never = this.#spent || alone || liars.has(name) || (act.restored && copy === undefined)
    if (
      never ||
      !members.includes(name) ||
      this.#world.nowMs >= scenario.stormMs * this.#world.scale
    )
      return
    if (!this.#isQuietAround(name)) {
      this.#world.after(AGAIN_MS, () => this.lose(act))
      return
    }
    this.#spent = true
    coverage.add(act.restored ? 'disk-restored' : 'disk-lost')
    this.#world.crash(name, 1)
    fleet.loseDisk(name)
    if (act.restored && copy !== undefined) fleet.host(name).disk = copy
    monitor.diskChanged(name)
    this.#world.after(act.downMs, () => this.#world.boot(name))
  }

  #isQuietAround(name: HostName): boolean {
    const { fleet, members } = this.#world
    const { machine } = fleet.host(name)
    const quiet = machine.running === machine.bootDefault && machine.deadman.now.kind !== 'armed'
    return quiet && members.every((one) => one === name || fleet.host(one).node !== undefined)
  }
}
