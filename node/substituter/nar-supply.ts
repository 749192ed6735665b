/** Where a node's substituter takes NARs from that some release names: its own store, then its peers. */
import {
  type Hash,
  type ManifestPath,
  PIECE_NARS_MAX,
  ProtocolError,
} from '../../protocol/index.ts'
import type { FileDepot } from '../depot.ts'
import { NodeError } from '../errors.ts'
import { NarSource } from '../nar-source.ts'
import type { RuntimeParts } from '../runtime-parts.ts'
import { Gather } from './gather.ts'
import { GATHER_MS, LOOK_AGAIN_MS, SETTLE_MS } from './limits.ts'
import type { PeerHoldings } from './peer-holdings.ts'

export interface NarSupplyParts
  extends Pick<RuntimeParts, 'network' | 'random' | 'log' | 'clock' | 'system' | 'swarm'> {
  /** Takes NARs whose manifest names no pieces: they can be judged only when they are whole. */
  readonly depot: Pick<FileDepot, 'has' | 'read' | 'write'>
  readonly holdings: Pick<PeerHoldings, 'look'>
  /** How many other members there are. */
  others(): number
}

export class NarSupply {
  readonly #parts: NarSupplyParts
  readonly #gather: Gather<Hash, boolean>

  constructor(parts: NarSupplyParts) {
    this.#parts = parts
    this.#gather = new Gather({
      clock: parts.clock,
      waitMs: GATHER_MS,
      most: PIECE_NARS_MAX,
      ask: async (hashes) => {
        const held = await parts.system.heldNars(hashes)
        return hashes.map((hash) => held.has(hash))
      },
    })
  }

  /** Whether this host has the NAR whole; a path that came by another way than staging counts from now on. */
  async held(path: ManifestPath): Promise<boolean> {
    const { depot, system } = this.#parts
    if (depot.has(path.narHash) || (await this.#gather.ask(path.narHash))) return true
    return (await system.adopt?.(path)) ?? false
  }

  /** The bytes of such a NAR from `from` on; a chunk is good until the next is asked for. */
  async own(hash: Hash, from: number): Promise<AsyncIterable<Uint8Array> | undefined> {
    const { depot, system } = this.#parts
    return (await depot.read(hash, from)) ?? (await system.nar(hash, from, true))
  }

  /**
   * All bytes of a NAR out of the peers, each piece checked before it is given; empty chunks while pieces
   * come. Throws BLOB_MISSING when nobody has the rest.
   */
  async *fetch(path: ManifestPath): AsyncGenerator<Uint8Array> {
    const { network, random, log, swarm } = this.#parts
    const source = new NarSource({
      ...{ network, random, log },
      swarm: swarm?.swarm,
      others: this.#parts.others(),
      own: async () => undefined,
    })
    try {
      source.expect([path])
      if (swarm !== undefined && path.pieces !== undefined) yield* this.#whileHeld(path, source)
      else yield* await this.#whole(path, source)
    } finally {
      await source.end()
      this.#settleLater(path)
    }
  }

  /** The client waits for each NAR: as soon as nobody has the rest any more, it must hear so. */
  async *#whileHeld(path: ManifestPath, source: NarSource): AsyncGenerator<Uint8Array> {
    const chunks = source.nar(path)
    try {
      for (;;) {
        const coming = chunks.next()
        let next = await this.#within(coming)
        while (next === undefined) {
          if (!(await this.#parts.holdings.look(path))) throw missing(path)
          next = await this.#within(coming)
        }
        if (next.done) return
        yield next.value
      }
    } finally {
      // What is still under way there ends by itself, once the lease is over.
      chunks.return(undefined).catch(() => undefined)
    }
  }

  /** What `coming` brings, or undefined when that takes long. */
  async #within<T>(coming: Promise<T>): Promise<T | undefined> {
    let cancel = (): void => undefined
    const late = new Promise<undefined>((resolve) => {
      cancel = this.#parts.clock.after(LOOK_AGAIN_MS, () => resolve(undefined))
    })
    return await Promise.race([coming, late]).finally(cancel)
  }

  /** Into the depot first, which takes right bytes alone; who lied is not asked again. */
  async #whole(path: ManifestPath, source: NarSource): Promise<AsyncIterable<Uint8Array>> {
    const { depot } = this.#parts
    for (;;) {
      source.begin()
      try {
        await depot.write(path.narHash, source.nar(path), path.narSize)
        break
      } catch (error) {
        if (!(error instanceof ProtocolError) || !source.distrust()) throw error
      }
    }
    const chunks = await depot.read(path.narHash, 0)
    if (chunks === undefined) throw new Error(`${path.path} is not in the depot any more`)
    return chunks
  }

  /** The client has it in this host's own store by then, mostly: what came in is not kept twice. */
  #settleLater(path: ManifestPath): void {
    const { clock, system, swarm, log } = this.#parts
    if (system.adopt === undefined) return
    clock.after(SETTLE_MS, () => {
      this.held(path)
        .then((held) => (held ? swarm?.swarm.settle(path.narHash) : undefined))
        .catch((error: unknown) => log.debug({ error: String(error) }, 'a NAR is kept twice'))
    })
  }
}

function missing({ path }: ManifestPath): NodeError {
  return new NodeError(
    'BLOB_MISSING',
    `expected the rest of ${path} at some peer, found it at none`,
    'Bring a host up that holds it.',
  )
}
