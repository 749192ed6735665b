/** What every log of a pull must show: whole bundles, the tiles of its entries, and its head. */
import { equalBytes, leafHash, tilePath, toBase64 } from '../../protocol/index.ts'
import type { Report } from './findings.ts'
import type { LogPlace } from './layout.ts'
import { readBundles, readHead, readTile, type StoredEntry } from './log-files.ts'
import { TileBuilder } from './tile-builder.ts'

/** One entry on its way through a verifier, with the tree up to and with it. */
export interface SeenEntry extends StoredEntry {
  readonly index: number
  /** The root of the tree that ends with this entry. */
  root(): Uint8Array
}

/**
 * Yields the entries of a log. What is wrong with its files is reported on the way; entries of a
 * bundle that is missing are not yielded, so that the caller's own index tells what is.
 */
export function* verifyLog(
  place: LogPlace,
  expected: { readonly origin: string; readonly certified: boolean; readonly whose: string },
  report: Report,
): Generator<SeenEntry> {
  const { name } = place
  const head = readHead(place)
  if (head === undefined) {
    report({
      code: 'HEAD',
      where: `${name}/head`,
      text: 'expected origin, size and root, found none',
    })
    return
  }
  if (head.origin !== expected.origin)
    report({
      code: 'HEAD',
      where: `${name}/head`,
      text: `expected the origin ${expected.origin}, found ${head.origin}`,
    })
  const tiles = new TileBuilder((tile, bytes) => {
    const found = readTile(place, tile)
    const where = `${name}/${tilePath(tile)}`
    if (found === undefined) report({ code: 'TILE', where, text: 'expected this tile, found none' })
    else if (!equalBytes(found, bytes))
      report({ code: 'TILE', where, text: 'expected the hashes of the entries, found others' })
  })
  let whole = true
  for (const bundle of readBundles(place, head.size, expected.certified)) {
    for (const text of bundle.problems) {
      const from = bundle.index * 256
      const range = `entries ${from} to ${from + bundle.width - 1} of ${expected.whose}`
      report({ code: 'BUNDLE', where: name, text: `${text}: ${range}` })
    }
    if (bundle.problems.length > 0) whole = false
    for (const stored of bundle.entries) {
      tiles.append(leafHash(stored.entry))
      yield { ...stored, index: tiles.size - 1, root: () => tiles.root }
    }
  }
  // Tiles above a hole would all differ: the hole is the finding.
  if (!whole) return
  tiles.finish()
  if (equalBytes(tiles.root, head.root)) return
  const text = `expected the root ${toBase64(tiles.root)} of ${tiles.size} entries, found ${toBase64(head.root)}`
  report({ code: 'HEAD', where: `${name}/head`, text })
}
