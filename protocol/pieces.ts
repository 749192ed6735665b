/**
 * Pieces: a NAR cut into stretches of one size, so that a host can take it from many peers at once and
 * judge each stretch by itself (SPEC §6.1).
 *
 * The *piece list* is the SHA-256 of every piece, one after the other; its own SHA-256 is the root that
 * a manifest names. A list is a blob like any other: pulled by its hash, believed when it hashes right.
 */
import { concatBytes, toHex } from './bytes.ts'
import { createSha256, sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import type { Hash } from './ids.ts'
import { PIECE_BYTES } from './limits.ts'

const HASH_BYTES = 32

/** Bytes of a NAR: `from` included, `to` excluded. */
export interface PieceSpan {
  readonly from: number
  readonly to: number
}

/** How many pieces a NAR of `narSize` bytes has: all are full but the last. */
export function pieceCount(narSize: number): number {
  return Math.ceil(narSize / PIECE_BYTES)
}

/** Where piece `index` lies in a NAR of `narSize` bytes. */
export function pieceSpan(index: number, narSize: number): PieceSpan {
  const from = index * PIECE_BYTES
  return { from, to: Math.min(from + PIECE_BYTES, narSize) }
}

/** Makes the piece list of a NAR as its bytes come. */
export class PieceLister {
  readonly #hashes: Uint8Array[] = []
  #sha = createSha256()
  #filled = 0

  /** Takes the next bytes of the NAR. */
  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + PIECE_BYTES - this.#filled)
      this.#sha.update(part)
      this.#filled += part.length
      at += part.length
      if (this.#filled === PIECE_BYTES) this.#close()
    }
  }

  /** The list of all that came. Nothing may be added after it. */
  list(): Uint8Array {
    if (this.#filled > 0) this.#close()
    return concatBytes(...this.#hashes)
  }

  #close(): void {
    this.#hashes.push(this.#sha.digest())
    this.#sha = createSha256()
    this.#filled = 0
  }
}

/** The root that a manifest names: the hash of the list. */
export function pieceRoot(list: Uint8Array): Hash {
  return toHex(sha256(list))
}

/**
 * The list of a NAR that is a single piece, which its NAR hash already tells; undefined for a larger
 * one, whose list has to be pulled.
 */
export function soleList(nar: { narHash: Hash; narSize: number }): readonly Hash[] | undefined {
  return pieceCount(nar.narSize) === 1 ? [nar.narHash] : undefined
}

/**
 * The hashes of a NAR's pieces out of its list.
 *
 * Throws BAD_BLOB when the list is not that of `root`, BAD_SHAPE when it has not one hash for each
 * piece of `narSize` bytes: then whoever signed the root was wrong.
 */
export function openPieceList(list: Uint8Array, root: Hash, narSize: number): readonly Hash[] {
  const found = pieceRoot(list)
  if (found !== root) throw refused('BAD_BLOB', `a piece list with hash ${root}`, found)
  const count = pieceCount(narSize)
  if (list.length !== count * HASH_BYTES) {
    throw refused('BAD_SHAPE', `${count} piece hashes in ${root}`, `${list.length} bytes`)
  }
  return Array.from({ length: count }, (_, i) =>
    toHex(list.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)),
  )
}

function refused(code: 'BAD_BLOB' | 'BAD_SHAPE', expected: string, found: string): ProtocolError {
  return new ProtocolError(code, 'reject', `expected ${expected}, found ${found}`)
}
