/**
 * NARs from whoever holds them, for one staging: peers die, and one of them may lie.
 *
 * Bytes go straight into the host's store, which checks their hash at the end. When a whole was wrong,
 * the next try takes it from one peer alone: who then gives a wrong whole has lied and is not asked
 * again. So no member can talk a host out of a release, and no try is lost to a peer that went away.
 */
import type { Hash, HostName, ManifestPath } from '../protocol/index.ts'
import { NodeError } from './errors.ts'
import { NAR_LIARS_MAX } from './limits.ts'
import type { Logger, Network, Random } from './ports.ts'
import { shuffled } from './shuffle.ts'
import type { RootedNar } from './swarm/piece-lists.ts'
import type { Swarm, SwarmLease } from './swarm/swarm.ts'

/** This node itself, in place of a peer: its depot and its own store. */
const SELF = ''

/** What was tried for one NAR. */
interface Pulled {
  /** Who gave bytes in the newest try. */
  givers: HostName[]
  /** The newest try ended because nobody had the rest. */
  broke: boolean
  /** A mixture was wrong: one peer has to give the whole. */
  alone: boolean
  readonly tried: Set<HostName>
  readonly liars: Set<HostName>
}

export interface NarSourceParts {
  readonly network: Pick<Network, 'peers' | 'pull'>
  readonly random: Random
  readonly log: Logger
  /** Takes NARs whose manifest names their pieces; without it each comes whole from one peer. */
  readonly swarm?: Swarm | undefined
  /** How many other members there are: more than all of them cannot lie. */
  readonly others: number
  /** What this node holds itself. */
  own(hash: Hash): Promise<AsyncIterable<Uint8Array> | undefined>
}

export class NarSource {
  readonly #parts: NarSourceParts
  readonly #pulled = new Map<Hash, Pulled>()
  #newest: Hash | undefined
  #lease: SwarmLease | undefined
  #leased: ReadonlySet<Hash> = new Set()

  constructor(parts: NarSourceParts) {
    this.#parts = parts
  }

  /** A new try of the same staging begins. */
  begin(): void {
    this.#newest = undefined
  }

  /** These will be asked for: the swarm brings all of them at once. */
  expect(paths: readonly ManifestPath[]): void {
    const { swarm } = this.#parts
    if (swarm === undefined) return
    const rooted = paths.filter(isRooted)
    const before = this.#lease
    this.#lease = swarm.lease(rooted)
    this.#leased = new Set(rooted.map(({ narHash }) => narHash))
    void before?.end()
  }

  /** The staging is over, however it ended. */
  async end(): Promise<void> {
    await this.#lease?.end()
    this.#lease = undefined
  }

  /** The bytes of a NAR, from this node or its peers. Throws NodeError BLOB_MISSING when nobody has the rest. */
  async *nar({ narHash, narSize }: ManifestPath): AsyncGenerator<Uint8Array> {
    const pulled = this.#startOf(narHash)
    const own = pulled.liars.has(SELF) ? undefined : await this.#parts.own(narHash)
    if (own !== undefined) {
      pulled.givers.push(SELF)
      return yield* own
    }
    if (this.#lease !== undefined && this.#leased.has(narHash)) {
      return yield* this.#lease.nar(narHash)
    }
    let offset = 0
    for (const peer of this.#candidates(pulled)) {
      try {
        for await (const chunk of this.#parts.network.pull(peer, narHash, offset)) {
          if (!pulled.givers.includes(peer)) pulled.givers.push(peer)
          offset += chunk.length
          yield chunk
        }
        if (offset >= narSize) return
      } catch (error) {
        this.#parts.log.debug(
          { peer, hash: narHash, offset, error: String(error) },
          'no more of a NAR from here',
        )
      }
    }
    pulled.broke = true
    throw missing(narHash, offset)
  }

  /**
   * The newest NAR was whole and wrong: notes who lied, as far as that can be told. False when there is
   * nothing to be gained from another try.
   */
  distrust(): boolean {
    const pulled = this.#newest === undefined ? undefined : this.#pulled.get(this.#newest)
    if (pulled === undefined) return false
    if (pulled.broke) return true
    const [giver, ...others] = pulled.givers
    if (giver === undefined) return false
    if (others.length > 0) pulled.alone = true
    else {
      pulled.liars.add(giver)
      const peer = giver === SELF ? 'this host' : giver
      this.#parts.log.warn({ peer, hash: this.#newest }, 'wrong bytes for a NAR')
    }
    const liars = [...pulled.liars].filter((name) => name !== SELF).length
    return liars < Math.min(NAR_LIARS_MAX, this.#parts.others)
  }

  #startOf(hash: Hash): Pulled {
    const before = this.#pulled.get(hash)
    const pulled = before ?? {
      ...{ givers: [], broke: false, alone: false },
      ...{ tried: new Set<HostName>(), liars: new Set<HostName>() },
    }
    pulled.givers = []
    pulled.broke = false
    this.#pulled.set(hash, pulled)
    this.#newest = hash
    return pulled
  }

  /** In random order, so that a release spreads as a tree; alone, one that has not had its turn. */
  #candidates(pulled: Pulled): readonly HostName[] {
    const { network, random } = this.#parts
    const honest = shuffled(
      network.peers().filter((peer) => !pulled.liars.has(peer)),
      random,
    )
    if (!pulled.alone) return honest
    const fresh = honest.filter((peer) => !pulled.tried.has(peer))
    const [next] = fresh.length > 0 ? fresh : honest
    if (fresh.length === 0) pulled.tried.clear()
    if (next === undefined) return []
    pulled.tried.add(next)
    return [next]
  }
}

function isRooted(path: ManifestPath): path is ManifestPath & RootedNar {
  return path.pieces !== undefined
}

function missing(hash: Hash, offset: number): NodeError {
  return new NodeError(
    'BLOB_MISSING',
    `expected the NAR ${hash} at this host or a peer, found ${offset === 0 ? 'it at none' : `only ${offset} bytes of it`}`,
    'Bring a host up that holds it, or create the release again on the machine that built it.',
  )
}
