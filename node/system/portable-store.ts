/**
 * The store of a portable host: verified trees under names that their contents give them (D7).
 *
 * A path is in the store when it lies there whole: it is unpacked beside it, compared with what the
 * manifest says, synced, and moved in by one rename. `meta/<name>` is written before that rename, so
 * whatever a crash leaves is either a path with its record or rubbish that opening clears away.
 */
import { chmod, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  fromHex,
  type Hash,
  type ManifestPath,
  NAR_BYTES_MAX,
  parseStoreName,
  portableStoreName,
  type StorePath,
} from '../../protocol/index.ts'
import { NAR_STALL_MS_MAX } from '../limits.ts'
import type { StageOutcome, StageSource } from '../ports.ts'
import { removeTree, syncDirectory, writeDurably } from './durable.ts'
import { narOfDisk, piecesOfDisk, unpackNar } from './nar-disk.ts'
import { NarRanges } from './nar-ranges.ts'
import { withoutStalls } from './stall.ts'

/** What is kept of a path beside its tree. */
export interface PathRecord {
  readonly narHash: Hash
  readonly narSize: number
  readonly references: readonly StorePath[]
}

type Refusal = Extract<StageOutcome, { ok: false }>

/** Characters of the hash and the dash before a path's name. */
const PREFIX_CHARS = 33

/** The store under one directory. Changes must not run side by side: the adapter queues them. */
export class PortableStore {
  readonly #directory: string
  readonly #records = new Map<StorePath, PathRecord>()
  readonly #byHash = new Map<Hash, StorePath>()
  readonly #ranges = new NarRanges()

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Makes the directories, clears what a crash left, and reads the records. */
  async open(): Promise<void> {
    for (const name of ['store', 'meta']) {
      await mkdir(join(this.#directory, name), { recursive: true, mode: 0o755 })
    }
    await removeTree(join(this.#directory, 'tmp'))
    await mkdir(join(this.#directory, 'tmp'), { mode: 0o700 })
    const stored = new Set(await readdir(join(this.#directory, 'store')))
    for (const name of await readdir(join(this.#directory, 'meta'))) {
      const record = stored.has(name) ? await this.#readRecord(name) : undefined
      if (record) this.#remember(name, record)
      else await rm(this.#metaOf(name), { force: true })
    }
    for (const name of stored) if (!this.#records.has(name)) await this.#remove(name)
  }

  /** The directory of a path, held or not. */
  pathOf(path: StorePath): string {
    return join(this.#directory, 'store', path)
  }

  /** The names of all paths that are held. */
  paths(): readonly StorePath[] {
    return [...this.#records.keys()]
  }

  /** The path and everything that it needs, or undefined while some of it is missing. */
  closureOf(path: StorePath): readonly StorePath[] | undefined {
    const closure = new Set([path])
    for (const member of closure) {
      const record = this.#records.get(member)
      if (!record) return undefined
      for (const reference of record.references) closure.add(reference)
    }
    return [...closure]
  }

  /** The bytes of a held NAR from `offset` on, or undefined. */
  nar(
    hash: Hash,
    offset: number,
    recycled: boolean = false,
  ): AsyncIterable<Uint8Array> | undefined {
    const path = this.#byHash.get(hash)
    if (path === undefined) return undefined
    return this.#ranges.read(this.pathOf(path), offset, NAR_BYTES_MAX, recycled)
  }

  /** Whether `nar` has these bytes. */
  holdsNar(hash: Hash): boolean {
    return this.#byHash.has(hash)
  }

  /** Brings in the closure of `generation`, as `source` says that it is. Nothing half-way stays. */
  async stage(generation: StorePath, source: StageSource): Promise<StageOutcome> {
    const closure = closureIn(generation, source.paths)
    if ('ok' in closure) return closure
    source.expect?.(closure.filter(({ path }) => !this.#records.has(path)))
    for (const path of closure) {
      const refusal = await this.#ensure(path, (wanted) => source.nar(wanted))
      if (refusal) return refusal
    }
    return { ok: true }
  }

  /** Copies the tree at `directory` into the store under `name`. */
  async addDirectory(directory: string, name: string): Promise<ManifestPath> {
    const { hash, size, pieces } = await piecesOfDisk(directory, directory)
    const path = portableStoreName(fromHex(hash), name)
    const nar = { narHash: hash, narSize: size, pieces }
    const entry = { path, ...nar, references: [], signatures: [] }
    const refusal = await this.#ensure(entry, () => narOfDisk(directory, path))
    if (refusal) throw new Error(refusal.detail)
    return entry
  }

  /** Removes every path that `keep` does not name, and says which. */
  async collect(keep: ReadonlySet<StorePath>): Promise<readonly StorePath[]> {
    const removed = this.paths().filter((path) => !keep.has(path))
    for (const path of removed) await this.#remove(path)
    return removed
  }

  async #ensure(
    path: ManifestPath,
    fetch: (path: ManifestPath) => AsyncIterable<Uint8Array>,
  ): Promise<Refusal | undefined> {
    const wrongName = nameFault(path)
    if (wrongName !== undefined) return refused('signature', wrongName)
    const known = this.#records.get(path.path)
    if (known) return this.#renewRecord(path, known)
    const temporary = join(this.#directory, 'tmp', path.path)
    await removeTree(temporary)
    try {
      const refusal = await unpack(path, fetch, temporary)
      if (refusal) return refusal
      await this.#moveIn(path, temporary)
      return undefined
    } finally {
      await removeTree(temporary)
    }
  }

  async #moveIn(path: ManifestPath, temporary: string): Promise<void> {
    const { narHash, narSize, references } = path
    const record: PathRecord = { narHash, narSize, references }
    await writeDurably(this.#metaOf(path.path), JSON.stringify(record))
    await rename(temporary, this.pathOf(path.path))
    await syncDirectory(join(this.#directory, 'store'))
    // Only now: a directory that cannot be written cannot be moved.
    await closeRoot(this.pathOf(path.path))
    this.#remember(path.path, record)
  }

  /** A second manifest may know of more references: what is held for one must do for both. */
  async #renewRecord(path: ManifestPath, known: PathRecord): Promise<Refusal | undefined> {
    if (known.narSize !== path.narSize) {
      const found = `${path.narSize} in the manifest`
      return refused(
        'signature',
        `expected ${known.narSize} bytes for ${path.path}, found ${found}`,
      )
    }
    if (path.references.every((reference) => known.references.includes(reference))) return undefined
    const references = [...new Set([...known.references, ...path.references])].sort()
    const record = { ...known, references }
    await writeDurably(this.#metaOf(path.path), JSON.stringify(record))
    this.#remember(path.path, record)
    return undefined
  }

  async #remove(path: StorePath): Promise<void> {
    const record = this.#records.get(path)
    this.#records.delete(path)
    if (record) this.#byHash.delete(record.narHash)
    // Out of the store in one step: no crash leaves half a path there.
    const doomed = join(this.#directory, 'tmp', `gone-${path}`)
    await removeTree(doomed)
    await makeMovable(this.pathOf(path))
    await rename(this.pathOf(path), doomed)
    await rm(this.#metaOf(path), { force: true })
    await removeTree(doomed)
  }

  #remember(path: StorePath, record: PathRecord): void {
    this.#records.set(path, record)
    this.#byHash.set(record.narHash, path)
  }

  async #readRecord(name: string): Promise<PathRecord | undefined> {
    try {
      const record: unknown = JSON.parse(await readFile(this.#metaOf(name), 'utf8'))
      return isRecord(record) ? record : undefined
    } catch {
      return undefined
    }
  }

  #metaOf(path: StorePath): string {
    return join(this.#directory, 'meta', path)
  }
}

/** `generation` and what it needs out of `paths`, or why `paths` does not vouch for all of it. */
export function closureIn(
  generation: StorePath,
  paths: readonly ManifestPath[],
): readonly ManifestPath[] | Refusal {
  const byPath = new Map(paths.map((path) => [path.path, path]))
  const wanted = new Set([generation])
  const closure: ManifestPath[] = []
  for (const name of wanted) {
    const path = byPath.get(name)
    if (!path) return refused('signature', `expected ${name} in the signed manifest, found none`)
    closure.push(path)
    for (const reference of path.references) wanted.add(reference)
  }
  // What is needed comes in first, so that the generation's own presence means something.
  return closure.reverse()
}

/** A portable name is a promise about contents: it must be the one that the NAR hash gives. */
function nameFault({ path, narHash }: ManifestPath): string | undefined {
  try {
    const name = parseStoreName(path).slice(PREFIX_CHARS)
    const expected = portableStoreName(fromHex(narHash), name)
    return expected === path
      ? undefined
      : `expected the name ${expected} by contents, found ${path}`
  } catch (error) {
    return messageOf(error)
  }
}

async function unpack(
  path: ManifestPath,
  fetch: (path: ManifestPath) => AsyncIterable<Uint8Array>,
  temporary: string,
): Promise<Refusal | undefined> {
  const source = new WatchedSource(fetch(path))
  try {
    const options = { whose: path.path, bytesMax: path.narSize, enclosed: true }
    const found = await unpackNar(source.chunks(), temporary, options)
    if (found.size === path.narSize && found.hash === path.narHash) return undefined
    const expected = `${path.narSize} bytes with hash ${path.narHash} for ${path.path}`
    return refused('signature', `expected ${expected}, found ${found.size} with ${found.hash}`)
  } catch (error) {
    // Whoever broke off early has not lied, and another peer may hold the rest.
    const incomplete = source.failed || (source.ended && source.size < path.narSize)
    const ours = error instanceof Error && 'syscall' in error
    return refused(incomplete || ours ? 'fetch' : 'signature', messageOf(error))
  }
}

/** Tells a source that failed or ended early from bytes that are wrong. */
class WatchedSource {
  failed = false
  ended = false
  size = 0
  readonly #source: AsyncIterable<Uint8Array>

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source
  }

  async *chunks(): AsyncGenerator<Uint8Array, void> {
    const chunks = withoutStalls(this.#source, NAR_STALL_MS_MAX)[Symbol.asyncIterator]()
    try {
      while (true) {
        const next = await this.#next(chunks)
        if (next.done) break
        this.size += next.value.length
        yield next.value
      }
      this.ended = true
    } finally {
      if (!this.ended && !this.failed) await chunks.return?.()
    }
  }

  async #next(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    try {
      return await chunks.next()
    } catch (error) {
      this.failed = true
      throw error
    }
  }
}

async function closeRoot(path: string): Promise<void> {
  await chmodDirectory(path, 0o555)
}

async function makeMovable(path: string): Promise<void> {
  await chmodDirectory(path, 0o755)
}

async function chmodDirectory(path: string, mode: number): Promise<void> {
  const isDirectory = await readdir(path).then(
    () => true,
    () => false,
  )
  if (isDirectory) await chmod(path, mode)
}

function isRecord(value: unknown): value is PathRecord {
  if (typeof value !== 'object' || value === null) return false
  if (!('narHash' in value) || !('narSize' in value) || !('references' in value)) return false
  return (
    typeof value.narHash === 'string' &&
    typeof value.narSize === 'number' &&
    Array.isArray(value.references)
  )
}

function refused(why: Refusal['why'], detail: string): Refusal {
  return { ok: false, why, detail }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
