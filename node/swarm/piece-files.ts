/**
 * The pieces that have come so far, on the disk: one sparse file for each NAR, as long as the NAR.
 *
 * The file is no promise. Whoever opens one after a crash hashes every piece of it anew, so that
 * nothing needs to be synced, and a piece that was half written is a piece that is lacking.
 */
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Hash,
  PIECE_BYTES,
  type PieceSpan,
  pieceSpan,
  sha256,
  toHex,
} from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { errorCode } from '../system/durable.ts'
import { contentsOfFile, rangeOfFile } from '../system/nar-disk.ts'

const PART = '.part'

/** A NAR that comes in pieces. */
export interface PiecedNar {
  readonly narHash: Hash
  readonly narSize: number
}

/** The files of one folder. */
export class PieceFiles {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Opens the folder, which is made if it is missing. */
  static async open(folder: string): Promise<PieceFiles> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return new PieceFiles(folder)
  }

  /**
   * Makes the file of a NAR, or finds what an earlier run left: for each piece whether it is there and
   * hashes to what `hashes` says.
   */
  async resume({ narHash, narSize }: PiecedNar, hashes: readonly Hash[]): Promise<boolean[]> {
    // Read and write, without an end to what is there.
    const file = await open(this.#pathOf(narHash), 'a+', 0o600)
    try {
      const { size, blocks } = await file.stat()
      await file.truncate(narSize)
      if (size === 0 || blocks === 0) return hashes.map(() => false)
      const held: boolean[] = []
      const bytes = new Uint8Array(PIECE_BYTES)
      for (const [index, hash] of hashes.entries()) {
        const { from, to } = pieceSpan(index, narSize)
        const { bytesRead } = await file.read(bytes, 0, to - from, from)
        held.push(bytesRead === to - from && toHex(sha256(bytes.subarray(0, to - from))) === hash)
      }
      return held
    } catch (error) {
      throw this.#full(error)
    } finally {
      await file.close()
    }
  }

  /** Puts a piece in its place; the caller has compared its hash. Throws STORE_FULL. */
  async write(narHash: Hash, from: number, bytes: Uint8Array): Promise<void> {
    const file = await open(this.#pathOf(narHash), 'r+')
    try {
      await file.write(bytes, 0, bytes.length, from)
    } catch (error) {
      throw this.#full(error)
    } finally {
      await file.close()
    }
  }

  /** Bytes of a NAR, which the caller knows to be there. */
  read({ narHash, narSize }: PiecedNar, span: PieceSpan): AsyncIterable<Uint8Array> {
    return rangeOfFile({ path: this.#pathOf(narHash), size: narSize }, span.from, span.to)
  }

  /** All of a NAR whose pieces are all there. */
  whole(narHash: Hash): AsyncIterable<Uint8Array> {
    return contentsOfFile(this.#pathOf(narHash))
  }

  async remove(narHash: Hash): Promise<void> {
    await rm(this.#pathOf(narHash), { force: true })
  }

  /** The NARs of which there is a file. */
  async begun(): Promise<readonly Hash[]> {
    const names = await readdir(this.#folder)
    return names.flatMap((name) => (name.endsWith(PART) ? [name.slice(0, -PART.length)] : []))
  }

  /** Removes every file that `needed` does not name. */
  async keepOnly(needed: ReadonlySet<Hash>): Promise<void> {
    for (const nar of await this.begun()) if (!needed.has(nar)) await this.remove(nar)
  }

  #pathOf(narHash: Hash): string {
    return join(this.#folder, `${narHash}${PART}`)
  }

  #full(error: unknown): unknown {
    if (errorCode(error) !== 'ENOSPC') return error
    return new NodeError(
      'STORE_FULL',
      `expected room on the disk of ${this.#folder}, found none`,
      'Free space on that disk; what has come so far is kept.',
      { cause: error },
    )
  }
}
