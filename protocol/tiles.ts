/**
 * The tlog-tiles layout: where the hashes and entries of a tree lie as static files (SPEC §15.2).
 *
 * A tile holds up to 256 hashes, an entry bundle up to 256 entries. Only the last of each level is
 * partial, and its width stands in its name, so that a name always means the same bytes.
 */
import { concatBytes } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import { ENTRY_BYTES_MAX, TILE_WIDTH } from './limits.ts'
import type { MerkleTree } from './merkle.ts'

/** One tile: `width` hashes from hash `index` · 256 of its level on. */
export interface Tile {
  readonly level: number
  readonly index: number
  readonly width: number
}

/** `tile/<level>/<index>[.p/<width>]`. */
export function tilePath({ level, index, width }: Tile): string {
  return `tile/${level}/${numberPath(index)}${partial(width)}`
}

/** `tile/entries/<index>[.p/<width>]`: the entries under the tile of level 0 with the same name. */
export function bundlePath({ index, width }: Omit<Tile, 'level'>): string {
  return `tile/entries/${numberPath(index)}${partial(width)}`
}

/** The tiles of a tree of `size` leaves, level by level. */
export function tilesOf(size: number): readonly Tile[] {
  const tiles: Tile[] = []
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const full = Math.floor(count / TILE_WIDTH)
    for (let index = 0; index < full; index++) tiles.push({ level, index, width: TILE_WIDTH })
    if (count % TILE_WIDTH > 0) tiles.push({ level, index: full, width: count % TILE_WIDTH })
  }
  return tiles
}

/** The bytes of a tile of `tree`. Throws RangeError where the tree is too small for it. */
export function tileBytes(tree: MerkleTree, { level, index, width }: Tile): Uint8Array {
  const hashes = Array.from({ length: width }, (_, i) =>
    tree.subtree(level * TILE_HEIGHT, index * TILE_WIDTH + i),
  )
  return concatBytes(...hashes)
}

/** Entries as a bundle: each behind its length, big-endian in two bytes. Throws TOO_LARGE. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    ...entries.flatMap((entry) => {
      if (entry.length > ENTRY_BYTES_MAX) {
        throw new ProtocolError(
          'TOO_LARGE',
          'reject',
          `expected an entry of at most ${ENTRY_BYTES_MAX} bytes, found ${entry.length}`,
        )
      }
      return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry]
    }),
  )
}

/** The entries of a bundle. Throws BAD_SHAPE where it ends within one, or holds more than a tile does. */
export function decodeBundle(source: Uint8Array, whose: string): readonly Uint8Array[] {
  const entries: Uint8Array[] = []
  for (let at = 0; at < source.length; ) {
    const end = at + 2 + (source[at] ?? 0) * 256 + (source[at + 1] ?? 0)
    if (at + 2 > source.length || end > source.length || entries.length === TILE_WIDTH) {
      throw new ProtocolError(
        'BAD_SHAPE',
        'reject',
        `expected at most ${TILE_WIDTH} whole entries in ${whose}, found another end at byte ${at}`,
      )
    }
    entries.push(source.subarray(at + 2, end))
    at = end
  }
  return entries
}

/** Levels of the tree that one tile spans. */
const TILE_HEIGHT = Math.log2(TILE_WIDTH)

/** Three digits a folder, all but the last behind an `x`. */
function numberPath(index: number): string {
  const digits = String(index)
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0')
  const groups = padded.match(/.{3}/g) ?? []
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/')
}

function partial(width: number): string {
  return width === TILE_WIDTH ? '' : `.p/${width}`
}
