/** What a node is made of, and what it tells those who watch it. */
import type {
  Block,
  Fact,
  GroupConfig,
  HealthCheck,
  HostKeys,
  HostName,
  Session,
  Signer,
} from '../protocol/index.ts'
import type { Trust } from '../rollout/index.ts'
import type { Clock, Logger, Network, Random, Store, System } from './ports.ts'
import type { OpenedSwarm } from './swarm/open-swarm.ts'

/** Everything that a node is made of. The daemon passes real adapters, the simulator virtual ones. */
export interface RuntimeParts {
  readonly name: HostName
  readonly keys: HostKeys
  /** A fresh session: what a store that has none yet begins with. */
  readonly session: Session
  readonly trust: Trust
  /** Configurations after the first that were found beside it, the oldest first: whom to dial while the log is behind. */
  readonly newer?: readonly GroupConfig[] | undefined
  readonly clock: Clock
  readonly random: Random
  readonly store: Store
  readonly network: Network
  readonly system: System
  readonly log: Logger
  readonly signer?: Signer | undefined
  /** Public keys whose signatures on store paths this host takes. */
  readonly cacheKeys: readonly string[]
  /** Checks of this host besides those of its release. */
  readonly checks: readonly HealthCheck[]
  /** The network's name of a transport key, where it has one. */
  readonly peerIdOf?: ((transport: string) => string) | undefined
  /** NARs that were handed to this node and are not in its system's store. */
  readonly depot?: Depot | undefined
  /** Takes and gives NARs in pieces; absent: they come whole, from one peer each. */
  readonly swarm?: OpenedSwarm | undefined
  /** The documents as signed, for whoever is let in; absent where nobody can be. */
  readonly documents?: { readonly root: Uint8Array; readonly group: Uint8Array } | undefined
  /** Answers the operators' API over the network; absent where there is none. */
  readonly api?: ((bytes: Uint8Array) => Promise<Uint8Array>) | undefined
}

/** Bulk bytes outside the system's store, by hash. */
export interface Depot {
  has(hash: string): boolean
  read(hash: string, offset: number): Promise<AsyncIterable<Uint8Array> | undefined>
}

/** A fact that was handed in, and whether this node did not hold it before. */
export interface Submission {
  readonly fact: Fact
  readonly isNew: boolean
}

/** What a node tells those who watch it: every fact that it takes, and every commit. */
export type RuntimeEvent =
  | { readonly kind: 'fact'; readonly fact: Fact }
  | { readonly kind: 'committed'; readonly block: Block }
