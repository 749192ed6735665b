/** The substituter of a running node: its store, its depot, its swarm, and the releases that it knows. */
import { type Listening, listenTcp } from '../api/listen.ts'
import type { FileDepot } from '../depot.ts'
import { manifestOf } from '../projection/people.ts'
import { releaseRows } from '../projection/releases.ts'
import type { Runtime } from '../runtime.ts'
import type { Environment } from '../system/program.ts'
import { createCacheApp } from './cache-app.ts'
import { KnownPaths, type ManifestShelf } from './known-paths.ts'
import { NarSupply } from './nar-supply.ts'
import { PeerHoldings } from './peer-holdings.ts'
import { Substituter } from './substituter.ts'

/** Where it listens, and what stands behind it. */
export interface SubstituterOptions {
  readonly listen: { readonly host: string; readonly port: number }
  readonly caches: readonly string[]
  /** The whole environment of Nix. */
  readonly env: Environment
  readonly depot: FileDepot
}

/** Listens as a binary cache on loopback. Throws NodeError PORT_IN_USE. */
export async function openSubstituter(
  node: Runtime,
  { listen, caches, env, depot }: SubstituterOptions,
): Promise<Listening> {
  const { clock, log, swarm } = node.parts
  const isLiar = (peer: string): boolean => swarm?.swarm.liars.has(peer) ?? false
  const holdings = new PeerHoldings({ ...node.parts, isLiar })
  const supply = new NarSupply({
    ...node.parts,
    ...{ depot, holdings },
    others: () => node.parts.trust.config.hosts.length - 1,
  })
  const cache = new Substituter({
    ...{ clock, log, caches, env },
    known: new KnownPaths(shelfOf(node)),
    holdings,
    held: (path) => supply.held(path),
    own: (hash, from) => supply.own(hash, from),
    fetch: (path) => supply.fetch(path),
  })
  return await listenTcp(createCacheApp({ cache, log }), listen)
}

function shelfOf(node: Runtime): ManifestShelf {
  return {
    // A manifest counts once its release is announced and it is here: either may be the second to come.
    version: () => node.blobs.count + node.knowledge().view.releases.size,
    manifests: () => {
      const knowledge = node.knowledge()
      return releaseRows(knowledge).flatMap(({ id }) => manifestOf(knowledge, id) ?? [])
    },
  }
}
