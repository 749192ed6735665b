/** Replays of simulated disks, held against what the nodes on them derive. */
import { expect } from 'vitest'
import { replayStore } from '../../node/offline.ts'
import type { Replay } from '../../node/replay.ts'
import type { Signer } from '../../protocol/index.ts'
import { snapshotOf } from './disks.ts'
import type { SimFleet } from './fleet.ts'

/** Every node that runs, replayed from its disk alone: all of it verifies, and the digest is the live one. */
export async function assertReplays(fleet: SimFleet, signer?: Signer): Promise<readonly Replay[]> {
  const replays: Replay[] = []
  for (const node of fleet.nodes) {
    const { name } = node.parts
    const disk = snapshotOf(fleet.host(name).disk)
    const live = node.digest()
    const again = await replayStore(disk.open(), fleet.trust, signer)
    expect(again.findings, name).toEqual([])
    expect(again.digest, name).toBe(live)
    expect(again.facts.length, name).toBe(again.stored)
    replays.push(again)
  }
  expect(replays.length).toBeGreaterThan(0)
  return replays
}
