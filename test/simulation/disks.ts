/** Snapshots of simulated disks, and what the fleet holds against its hosts afterwards. */
import { MemoryDisk } from '../../node/store/memory.ts'
import type { FactBodies, FactType, HostName } from '../../protocol/index.ts'
import type { SimFleet } from './fleet.ts'

/** A disk as it would be after a snapshot of now was put back: everything on it is synced. */
export function snapshotOf(disk: MemoryDisk): MemoryDisk {
  const copy = new MemoryDisk()
  const ops = disk.slice('', '~').map(([key, value]) => ({ key, value }))
  copy.apply(ops, true)
  return copy
}

/** The daemon dies, its disk is put back from the snapshot, and it is started again. */
export async function restore(fleet: SimFleet, name: HostName, from: MemoryDisk): Promise<void> {
  fleet.crash(name)
  fleet.host(name).disk = snapshotOf(from)
  await fleet.boot(name)
}

/** A host signs a fact of its own, as its services would. */
export async function write<T extends FactType>(
  fleet: SimFleet,
  name: HostName,
  type: T,
  body: FactBodies[T],
): Promise<void> {
  const { node } = fleet.host(name)
  if (node === undefined) throw new Error(`${name} does not run`)
  await node.run(() => node.author(type, body))
}

/** A report that nobody has heard yet. */
export function report(boot: string): FactBodies['health.change'] {
  return { generation: 'g', boot, state: 'healthy', checks: [] }
}

/** Who stands accused at any node, by what. */
export function accusedIn(fleet: SimFleet): readonly string[] {
  return fleet.nodes.flatMap((node) => {
    const { forks, lies } = node.knowledge().view
    return [...forks.keys(), ...lies.keys()].map((key) => `${node.parts.name}: ${key}`)
  })
}

/** Whether every node that runs has derived the same. */
export function agree(fleet: SimFleet): boolean {
  return new Set(fleet.nodes.map((node) => node.digest())).size === 1
}
