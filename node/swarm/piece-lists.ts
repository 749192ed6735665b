/**
 * Piece lists: kept on the disk by their root, made from NARs that are held, pulled from peers.
 *
 * A list is believed when it hashes to the root that a signed manifest names, wherever it came from.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  concatBytes,
  type Hash,
  type HostName,
  openPieceList,
  PieceLister,
  pieceCount,
  pieceRoot,
  soleList,
} from '../../protocol/index.ts'
import { PIECE_LISTS_MAX } from '../limits.ts'
import { fetchBlob } from '../network/blob-fetch.ts'
import type { Logger, Network } from '../ports.ts'
import { writeDurably } from '../system/durable.ts'
import type { PiecedNar } from './piece-files.ts'

const HASH_BYTES = 32
const ROOT = /^[0-9a-f]{64}$/

/** A NAR whose manifest names the root of its pieces. */
export interface RootedNar extends PiecedNar {
  readonly pieces: Hash
}

export interface PieceListParts {
  readonly folder: string
  readonly network: Pick<Network, 'pull'>
  readonly log: Logger
  /** The NAR whose pieces have this root, as any manifest says that this node knows. */
  narOf(root: Hash): PiecedNar | undefined
  /** All bytes of a NAR that this node holds whole. */
  whole(nar: Hash): Promise<AsyncIterable<Uint8Array> | undefined>
}

export class PieceLists {
  readonly #parts: PieceListParts
  /** The lists used last, by root. */
  readonly #lists = new Map<Hash, Uint8Array>()
  /** Lists being made: a second question for one waits for the first. */
  readonly #making = new Map<Hash, Promise<Uint8Array | undefined>>()

  private constructor(parts: PieceListParts) {
    this.#parts = parts
  }

  static async open(parts: PieceListParts): Promise<PieceLists> {
    await mkdir(parts.folder, { recursive: true, mode: 0o700 })
    // What a run that was killed in the middle of a write left.
    for (const name of await readdir(parts.folder)) {
      if (!ROOT.test(name)) await rm(join(parts.folder, name), { force: true })
    }
    return new PieceLists(parts)
  }

  /** The list with this root, for a peer: from the disk, or made out of a NAR that is held. */
  async read(root: Hash): Promise<Uint8Array | undefined> {
    const known = await this.#stored(root)
    if (known !== undefined) return known
    const making = this.#making.get(root) ?? this.#make(root)
    this.#making.set(root, making)
    return await making.finally(() => this.#making.delete(root))
  }

  /**
   * The hashes of a NAR's pieces, from here or from `peers`. Throws BLOB_MISSING while nobody has the
   * list, BAD_SHAPE when the list that was signed is not one of this NAR.
   */
  async hashesOf(
    nar: RootedNar,
    { peers, signal }: { peers: readonly HostName[]; signal: AbortSignal },
  ): Promise<readonly Hash[]> {
    const sole = soleList(nar)
    if (sole !== undefined) return sole
    const stored = await this.#stored(nar.pieces)
    if (stored !== undefined) return openPieceList(stored, nar.pieces, nar.narSize)
    const list = await this.#pull(nar, peers, signal)
    const hashes = openPieceList(list, nar.pieces, nar.narSize)
    await this.#keep(nar.pieces, list)
    return hashes
  }

  /** Removes the list of every NAR that `needed` does not name. */
  async keepOnly(needed: ReadonlySet<Hash>): Promise<void> {
    for (const name of await readdir(this.#parts.folder)) {
      const nar = this.#parts.narOf(name)
      if (nar !== undefined && needed.has(nar.narHash)) continue
      this.#lists.delete(name)
      await rm(join(this.#parts.folder, name), { force: true })
    }
  }

  async #pull(
    nar: RootedNar,
    peers: readonly HostName[],
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    const sink = {
      write: async (chunk: Uint8Array) => void chunks.push(chunk),
      restart: async () => void chunks.splice(0),
    }
    const bytes = pieceCount(nar.narSize) * HASH_BYTES
    const { network, log } = this.#parts
    await fetchBlob({ hash: nar.pieces, bytes, peers, sink, signal }, { network, logger: log })
    return concatBytes(...chunks)
  }

  async #make(root: Hash): Promise<Uint8Array | undefined> {
    const nar = this.#parts.narOf(root)
    const chunks = nar === undefined ? undefined : await this.#parts.whole(nar.narHash)
    if (chunks === undefined) return undefined
    const lister = new PieceLister()
    for await (const chunk of chunks) lister.update(chunk)
    const list = lister.list()
    // Another root: the manifest's author was wrong, or this disk is.
    if (pieceRoot(list) !== root) return undefined
    await this.#keep(root, list)
    return list
  }

  async #stored(root: Hash): Promise<Uint8Array | undefined> {
    if (!ROOT.test(root)) return undefined
    const known = this.#lists.get(root)
    if (known !== undefined) return known
    const bytes = await readFile(join(this.#parts.folder, root)).catch(() => undefined)
    if (bytes === undefined || pieceRoot(bytes) !== root) return undefined
    this.#remember(root, new Uint8Array(bytes))
    return this.#lists.get(root)
  }

  async #keep(root: Hash, list: Uint8Array): Promise<void> {
    await writeDurably(join(this.#parts.folder, root), list)
    this.#remember(root, list)
  }

  #remember(root: Hash, list: Uint8Array): void {
    this.#lists.set(root, list)
    const [oldest] = this.#lists.keys()
    if (this.#lists.size > PIECE_LISTS_MAX && oldest !== undefined) this.#lists.delete(oldest)
  }
}
