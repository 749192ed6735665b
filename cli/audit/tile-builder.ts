/**
 * The tiles of a log that is read entry by entry: memory grows with the logarithm of its size.
 *
 * The writer of a pull puts what comes out on the disk, the verifier compares it with what lies there.
 */
import {
  appendLeaf,
  concatBytes,
  EMPTY_FRONTIER,
  type Frontier,
  frontierRoot,
  TILE_WIDTH,
  type Tile,
} from '../../protocol/index.ts'

export class TileBuilder {
  readonly #emit: (tile: Tile, bytes: Uint8Array) => void
  /** The hashes of each level's last tile, and how many full ones came before it. */
  readonly #rows: Uint8Array[][] = []
  readonly #full: number[] = []
  #frontier: Frontier = EMPTY_FRONTIER

  /** `emit` is called with each full tile as soon as it is, and at the end with the partial ones. */
  constructor(emit: (tile: Tile, bytes: Uint8Array) => void) {
    this.#emit = emit
  }

  get size(): number {
    return this.#frontier.size
  }

  /** The root of what was appended so far. */
  get root(): Uint8Array {
    return frontierRoot(this.#frontier)
  }

  append(leaf: Uint8Array): void {
    this.#frontier = appendLeaf(this.#frontier, leaf)
    this.#push(0, leaf)
  }

  /** Emits the partial tiles. */
  finish(): void {
    this.#rows.forEach((row, level) => {
      const index = this.#full[level] ?? 0
      if (row.length > 0) this.#emit({ level, index, width: row.length }, concatBytes(...row))
    })
  }

  #push(level: number, hash: Uint8Array): void {
    const row = this.#rows[level] ?? []
    this.#rows[level] = row
    row.push(hash)
    if (row.length < TILE_WIDTH) return
    const index = this.#full[level] ?? 0
    this.#emit({ level, index, width: TILE_WIDTH }, concatBytes(...row))
    this.#full[level] = index + 1
    this.#rows[level] = []
    this.#push(level + 1, frontierRoot(row.reduce(appendLeaf, EMPTY_FRONTIER)))
  }
}
