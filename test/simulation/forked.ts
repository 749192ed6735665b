/** A member that forks its own feed: two facts for one place, each told to another peer. */
import { feedKey, type HostName, NO_FACT, sealFact } from '../../protocol/index.ts'
import type { World } from './world.ts'

/** Signs two reports for the next place of the host's feed and hands each to one of its peers. */
export function forkFeed(world: World, name: HostName): void {
  const { fleet } = world
  const { keys, session, node } = fleet.host(name)
  const key = keys.fact
  const head = node?.facts.head(feedKey(key.publicKey, session))
  const place = { session, seq: (head?.seq ?? -1) + 1, prev: head?.id ?? NO_FACT }
  const peers = fleet.names.filter((one) => one !== name)
  for (const [i, peer] of peers.slice(0, 2).entries()) {
    const body = { generation: `branch-${i}`, boot: 'b', state: 'healthy', checks: [] } as const
    const draft = { type: 'health.change', body, ...place, epoch: 1, ts: 0 } as const
    const { bytes } = sealFact(draft, { fleet: fleet.trust.fleet, key, signer: fleet.signer })
    const told = fleet.host(peer).node
    if (told !== undefined) world.spawn(told.run(() => told.take([bytes], name)))
  }
}
