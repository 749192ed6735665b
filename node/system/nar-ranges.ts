/**
 * Any stretch of a store path's NAR, straight from the disk: what peers and substituters ask for.
 *
 * The layouts of the paths asked for last are kept, so that a peer that takes a path piece by piece
 * costs one look at its directories. Store paths never change; what replaces one has another name.
 */
import { indexNar, type NarIndex, narRange } from '../../protocol/index.ts'
import { NAR_INDEX_BYTES_MAX, NAR_INDEXES_MAX } from '../limits.ts'
import { type DiskFile, diskNode, rangeOfFile } from './nar-disk.ts'

/** The layouts of some store paths, the most recently used last. */
export class NarRanges {
  readonly #indexes = new Map<string, NarIndex<DiskFile>>()
  readonly #making = new Map<string, Promise<NarIndex<DiskFile>>>()
  #held = 0
  readonly #assertSize: (path: string, size: number) => Promise<void>

  /** `assertSize` throws when the NAR of a tree has another size than it must have. */
  constructor(assertSize: (path: string, size: number) => Promise<void> = async () => undefined) {
    this.#assertSize = assertSize
  }

  /** Layouts that are kept now. */
  get count(): number {
    return this.#indexes.size
  }

  /**
   * Bytes `from` to `to` (excluded) of the NAR of the tree at `path`, cut to its end; with `recycled` a
   * chunk is good until the next is asked for.
   *
   * Throws SYSTEM_FAILED on what no NAR holds, what `assertSize` throws, NAR_MALFORMED when a file has another size than when
   * it was first looked at, and what the disk says when the path is gone.
   */
  async *read(
    path: string,
    from: number,
    to: number,
    recycled: boolean = false,
  ): AsyncGenerator<Uint8Array, void> {
    for (const part of narRange(await this.#indexOf(path), from, to)) {
      if (part.kind === 'bytes') yield part.bytes
      else yield* rangeOfFile(part.contents, part.from, part.to, recycled)
    }
  }

  async #indexOf(path: string): Promise<NarIndex<DiskFile>> {
    const known = this.#indexes.get(path)
    if (known !== undefined) {
      this.#indexes.delete(path)
      this.#indexes.set(path, known)
      return known
    }
    const making = this.#making.get(path) ?? this.#make(path)
    this.#making.set(path, making)
    // A path that could not be read is looked at anew the next time.
    return await making.finally(() => this.#making.delete(path))
  }

  async #make(path: string): Promise<NarIndex<DiskFile>> {
    const index = await indexNar(await diskNode(path), { whose: path })
    await this.#assertSize(path, index.size)
    this.#indexes.set(path, index)
    this.#held += index.held
    this.#shrink()
    return index
  }

  /** Drops the least recently used while there are too many, or they are too large together. */
  #shrink(): void {
    for (const [path, { held }] of this.#indexes) {
      const fits = this.#indexes.size <= NAR_INDEXES_MAX && this.#held <= NAR_INDEX_BYTES_MAX
      if (fits || this.#indexes.size <= 1) return
      this.#indexes.delete(path)
      this.#held -= held
    }
  }
}
