/**
 * What becomes of the second operator's rights: an admin revokes the key, or signs a root that takes the
 * role. What is still said with the key afterwards has to count nowhere.
 */
import type { Runtime } from '../../node/runtime.ts'
import { blobOf, rootHashOf, signRoot } from '../../protocol/index.ts'
import type { SimFleet } from './fleet.ts'

/** An admin revokes the key at `at`; nothing of it counts but what the log has pinned. */
export async function revokeRival(fleet: SimFleet, at: Runtime): Promise<string> {
  return await fleet.sign(at, fleet.admin, 'key.revoke', {
    ...{ key: fleet.rival.publicKey, feeds: [], why: 'stolen' },
  })
}

/** The admin signs the next root after `at`'s, in which the second operator only reads, and announces it. */
export async function demoteRival(fleet: SimFleet, at: Runtime): Promise<string> {
  const { root } = at.knowledge().trust
  const operators = root.operators.map((one) =>
    one.key === fleet.rival.publicKey ? { ...one, role: 'readonly' as const } : one,
  )
  const version = root.version + 1
  const next = { ...root, version, previous: rootHashOf(root), operators }
  const blob = blobOf(signRoot(next, [fleet.admin], fleet.trust.fleet).bytes)
  const fact = await fleet.sign(at, fleet.admin, 'fleet.root', {
    ...{ version, root: blob.hash, rootBytes: blob.bytes.length, why: 'a test' },
  })
  await at.blobs.put(blob.hash, 'root', blob.bytes)
  at.blobArrived()
  return fact
}
