/** Whether this node's peers hold a NAR between them, before a client is told that it can have it. */
import {
  concatBytes,
  decodePieceHaves,
  encodePieceQuestion,
  type Hash,
  type HostName,
  holdsPiece,
  type ManifestPath,
  PIECE_HAVE_BYTES_MAX,
  PIECE_NARS_MAX,
  type PieceHave,
  pieceCount,
} from '../../protocol/index.ts'
import type { Clock, Logger, Network } from '../ports.ts'
import { Gather } from './gather.ts'
import { GATHER_MS, HOLDINGS_MAX, HOLDINGS_MS, HOLDINGS_MS_MAX } from './limits.ts'

export interface PeerHoldingsParts {
  readonly network: Pick<Network, 'peers' | 'pieces' | 'pull'>
  readonly clock: Clock
  readonly log: Logger
  /** Whether a peer sent a wrong piece: what it says that it holds is worth nothing then. */
  isLiar(peer: HostName): boolean
}

export class PeerHoldings {
  readonly #parts: PeerHoldingsParts
  readonly #gather: Gather<Hash, readonly PieceHave[]>
  readonly #known = new Map<Hash, { readonly held: boolean; readonly until: number }>()

  constructor(parts: PeerHoldingsParts) {
    this.#parts = parts
    this.#gather = new Gather({
      clock: parts.clock,
      waitMs: GATHER_MS,
      most: PIECE_NARS_MAX,
      ask: (nars) => this.#askAll(nars),
    })
  }

  /** Whether every piece of the NAR is at some peer, as was found out within the last ten seconds. */
  async has(path: ManifestPath): Promise<boolean> {
    const known = this.#known.get(path.narHash)
    if (known !== undefined && known.until > this.#parts.clock.bootMs()) return known.held
    return await this.look(path)
  }

  /** The same, as of now. */
  async look(path: ManifestPath): Promise<boolean> {
    const { narHash, narSize } = path
    const held =
      path.pieces === undefined
        ? await this.#hasWhole(path)
        : isCovered(await this.#gather.ask(narHash), pieceCount(narSize))
    this.#known.delete(narHash)
    this.#known.set(narHash, { held, until: this.#parts.clock.bootMs() + HOLDINGS_MS })
    const [oldest] = this.#known.keys()
    if (this.#known.size > HOLDINGS_MAX && oldest !== undefined) this.#known.delete(oldest)
    return held
  }

  #honest(): readonly HostName[] {
    return this.#parts.network.peers().filter((peer) => !this.#parts.isLiar(peer))
  }

  /** What each peer holds of `nars`. */
  async #askAll(nars: readonly Hash[]): Promise<readonly (readonly PieceHave[])[]> {
    const peers = this.#honest()
    const answers = await Promise.all(peers.map((peer) => this.#ask(peer, nars)))
    return nars.map((_, i) => answers.flatMap((answer) => answer[i] ?? []))
  }

  async #ask(peer: HostName, nars: readonly Hash[]): Promise<readonly PieceHave[]> {
    const { network, log } = this.#parts
    const question = encodePieceQuestion({ kind: 'have', nars })
    const chunks: Uint8Array[] = []
    let size = 0
    try {
      const signal = AbortSignal.timeout(HOLDINGS_MS_MAX)
      for await (const chunk of network.pieces(peer, question, signal)) {
        size += chunk.length
        if (size > PIECE_HAVE_BYTES_MAX) throw new Error('an answer that is too long')
        chunks.push(chunk)
      }
      return decodePieceHaves(concatBytes(...chunks), nars.length)
    } catch (error) {
      log.debug({ peer, error: String(error) }, 'a peer did not say what it holds')
      return []
    }
  }

  /** A NAR without pieces comes whole: its last byte is as good a proof as all of it. */
  async #hasWhole({ narHash, narSize }: ManifestPath): Promise<boolean> {
    for (const peer of this.#honest()) {
      try {
        for await (const _ of this.#parts.network.pull(peer, narHash, narSize - 1)) return true
      } catch {
        // It does not hold it: another may.
      }
    }
    return false
  }
}

/** Whether each of `count` pieces is held by one of those who stated `haves`. */
export function isCovered(haves: readonly PieceHave[], count: number): boolean {
  if (haves.some(({ kind }) => kind === 'all')) return true
  for (let index = 0; index < count; index++) {
    if (!haves.some((have) => holdsPiece(have, index))) return false
  }
  return haves.length > 0
}
