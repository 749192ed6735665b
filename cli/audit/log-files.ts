/**
 * One log on the disk of an auditor: read bundle by bundle, and written so that a pull that was
 * interrupted goes on where it stopped.
 *
 * `head` is written last, and a partial bundle is replaced before its old file goes: whatever moment
 * the power fails at, what `head` says is there.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  bundlePath,
  checkpointText,
  decodeBundle,
  encodeBundle,
  leafHash,
  parseCheckpoint,
  TILE_WIDTH,
  type Tile,
  tilePath,
} from '../../protocol/index.ts'
import { besideBundle, type LogPlace } from './layout.ts'
import { TileBuilder } from './tile-builder.ts'

/** One entry with what lies beside it. */
export interface StoredEntry {
  readonly entry: Uint8Array
  readonly signature: Uint8Array
  /** Gate logs only. */
  readonly certificate?: Uint8Array | undefined
}

/** A bundle as it lies there; what could not be read is said, never guessed. */
export interface StoredBundle {
  readonly index: number
  readonly width: number
  readonly entries: readonly StoredEntry[]
  readonly problems: readonly string[]
}

/** The head of a log in a pull: what it says of itself. Undefined where there is none or no good one. */
export function readHead(
  place: LogPlace,
): { readonly origin: string; readonly size: number; readonly root: Uint8Array } | undefined {
  try {
    return parseCheckpoint(readFileSync(join(place.folder, 'head'), 'utf8'), place.name)
  } catch {
    return undefined
  }
}

/** Bundles of the first `size` entries, in order. `certified`: certificates lie beside them. */
export function* readBundles(
  place: LogPlace,
  size: number,
  certified: boolean,
): Generator<StoredBundle> {
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH)
    yield readBundle(place, { index, width }, certified)
  }
}

function readBundle(
  place: LogPlace,
  at: { index: number; width: number },
  certified: boolean,
): StoredBundle {
  const problems: string[] = []
  const entries = readList(place, bundlePath(at), problems)
  const signatures = readFile(place, besideBundle('signatures', at), problems)
  const beside = besideBundle('certificates', at)
  const certificates = certified ? readList(place, beside, problems) : []
  if (entries.length !== at.width && problems.length === 0)
    problems.push(`${bundlePath(at)} holds ${entries.length} entries, expected ${at.width}`)
  if (signatures.length !== entries.length * 64)
    problems.push(
      `${besideBundle('signatures', at)} holds ${signatures.length} bytes, expected ${entries.length * 64}`,
    )
  if (certified && certificates.length !== entries.length)
    problems.push(`${beside} holds ${certificates.length} certificates, expected ${entries.length}`)
  const stored = entries.map((entry, i) => ({
    entry,
    signature: signatures.subarray(i * 64, i * 64 + 64),
    certificate: certificates[i],
  }))
  return { ...at, entries: stored, problems }
}

function readList(place: LogPlace, path: string, problems: string[]): readonly Uint8Array[] {
  const bytes = readFile(place, path, problems)
  try {
    return decodeBundle(bytes, path)
  } catch {
    problems.push(`${path} ends within an entry`)
    return []
  }
}

function readFile(place: LogPlace, path: string, problems: string[]): Uint8Array {
  const file = join(place.folder, path)
  if (existsSync(file)) return new Uint8Array(readFileSync(file))
  problems.push(`${path} is missing`)
  return new Uint8Array(0)
}

/** Entries with their signatures in one file, the two behind each other; undefined where there is none. */
export function readTail(file: string): readonly StoredEntry[] | undefined {
  if (!existsSync(file)) return undefined
  const parts = decodeBundle(new Uint8Array(readFileSync(file)), file)
  return Array.from({ length: Math.floor(parts.length / 2) }, (_, i) => ({
    entry: parts[2 * i] ?? new Uint8Array(0),
    signature: parts[2 * i + 1] ?? new Uint8Array(0),
  }))
}

/** Writes what `readTail` reads. */
export function writeTail(file: string, entries: readonly StoredEntry[]): void {
  writeWhole(file, encodeBundle(entries.flatMap(({ entry, signature }) => [entry, signature])))
}

/** A tile as it lies there; undefined where it is missing. */
export function readTile(place: LogPlace, tile: Tile): Uint8Array | undefined {
  const file = join(place.folder, tilePath(tile))
  return existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined
}

/** Appends to a log on the disk. */
export class LogWriter {
  readonly #place: LogPlace
  readonly #origin: string
  readonly #certified: boolean
  readonly #tiles: TileBuilder
  #waiting: StoredEntry[] = []
  #last: StoredEntry | undefined
  /** Files of partial tiles and bundles that the next ones replace. */
  #stale: string[] = []

  /** Opens a log where the last run left it; a log that cannot be read is begun again. */
  constructor(place: LogPlace, origin: string, options: { readonly certified: boolean }) {
    this.#place = place
    this.#origin = origin
    this.#certified = options.certified
    this.#tiles = new TileBuilder((tile, bytes) => this.#write(tilePath(tile), bytes))
    const size = readHead(place)?.size ?? 0
    for (const bundle of readBundles(place, size, this.#certified)) {
      if (bundle.problems.length > 0) break
      for (const one of bundle.entries) this.append(one)
      if (bundle.width < TILE_WIDTH) this.#stale.push(...this.#partials(bundle))
    }
  }

  /** Entries held, those that are not on the disk yet among them. */
  get size(): number {
    return this.#tiles.size
  }

  /** The newest entry. */
  get last(): StoredEntry | undefined {
    return this.#last
  }

  append(entry: StoredEntry): void {
    this.#tiles.append(leafHash(entry.entry))
    this.#waiting.push(entry)
    this.#last = entry
    if (this.#waiting.length < TILE_WIDTH) return
    this.#writeBundle()
    this.#writeHead()
    this.#waiting = []
  }

  /** Writes what is left, and the head. */
  finish(): void {
    if (this.#waiting.length > 0) this.#writeBundle()
    this.#tiles.finish()
    this.#writeHead()
    const kept = new Set(this.#waiting.length > 0 ? this.#partials(this.#lastBundle()) : [])
    for (const path of this.#stale.filter((one) => !kept.has(one)))
      rmSync(join(this.#place.folder, path), { force: true })
  }

  #lastBundle(): { index: number; width: number } {
    return { index: Math.floor((this.size - 1) / TILE_WIDTH), width: this.#waiting.length }
  }

  #partials(at: { index: number; width: number }): readonly string[] {
    const rooms = this.#certified
      ? (['signatures', 'certificates'] as const)
      : (['signatures'] as const)
    return [
      bundlePath(at),
      tilePath({ level: 0, ...at }),
      ...rooms.map((room) => besideBundle(room, at)),
    ]
  }

  #writeBundle(): void {
    const at = this.#lastBundle()
    const entries = this.#waiting
    this.#write(bundlePath(at), encodeBundle(entries.map((one) => one.entry)))
    this.#write(besideBundle('signatures', at), Buffer.concat(entries.map((one) => one.signature)))
    if (!this.#certified) return
    const certificates = entries.map((one) => one.certificate ?? new Uint8Array(0))
    this.#write(besideBundle('certificates', at), encodeBundle(certificates))
  }

  #writeHead(): void {
    const text = checkpointText({ origin: this.#origin, size: this.size, root: this.#tiles.root })
    this.#write('head', new TextEncoder().encode(text))
  }

  #write(path: string, bytes: Uint8Array): void {
    writeWhole(join(this.#place.folder, path), bytes)
  }
}

/** Writes a file so that it is there whole or not at all. */
export function writeWhole(file: string, bytes: Uint8Array | string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.part`, bytes)
  renameSync(`${file}.part`, file)
}
