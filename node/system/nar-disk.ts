/**
 * NARs from the disk and back: what a peer is sent, and how what it sends becomes a store path.
 *
 * Unpacking trusts nobody: the reader checks names, this file creates every file anew, follows no
 * link, and refuses a symlink that leaves the tree where a tree must stand on its own.
 */
import {
  chmod,
  type FileHandle,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readlink,
  symlink,
  utimes,
} from 'node:fs/promises'
import { join } from 'node:path'
import {
  compareNarNames,
  createSha256,
  type Hash,
  type NarEntry,
  type NarNode,
  narParts,
  PieceLister,
  ProtocolError,
  pieceRoot,
  readNar,
  toHex,
} from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { NAR_CHUNK_BYTES } from '../limits.ts'
import { syncDirectory } from './durable.ts'

/** What the bytes of a NAR amount to. */
export interface NarDigest {
  readonly hash: Hash
  readonly size: number
}

/** What a manifest says of a NAR: its digest, and the root of its piece hashes. */
export interface PieceDigest extends NarDigest {
  readonly pieces: Hash
}

/** How to unpack. */
export interface UnpackOptions {
  /** Names the NAR in errors: its store path. */
  readonly whose: string
  /** Most bytes that are read: the signed NarSize. */
  readonly bytesMax: number
  /** Refuse symlinks that are absolute or leave the tree. */
  readonly enclosed: boolean
}

/** Modification time of everything in a store, as Nix sets it: no build should depend on it. */
const STORE_TIME_S = 1

/**
 * The bytes of the NAR of the tree at `path`, from byte `offset` on, read as they are asked for; of
 * files before `offset` nothing is read.
 *
 * Throws SYSTEM_FAILED on a socket, a device or a pipe, and NAR_MALFORMED when a file changes while
 * it is read.
 */
export async function* narOfDisk(
  path: string,
  whose: string,
  offset: number = 0,
): AsyncGenerator<Uint8Array, void> {
  let skip = offset
  for await (const part of narParts(await diskNode(path), { whose })) {
    const size = part.kind === 'bytes' ? part.bytes.length : part.file.size
    if (skip >= size) {
      skip -= size
      continue
    }
    if (part.kind === 'bytes') yield part.bytes.subarray(skip)
    else yield* rangeOfFile(part.file.contents, skip, size)
    skip = 0
  }
}

/** Hash and size of the NAR of the tree at `path`. Throws as `narOfDisk`. */
export async function digestOfDisk(path: string, whose: string): Promise<NarDigest> {
  const sha = createSha256()
  let size = 0
  for await (const bytes of narOfDisk(path, whose)) {
    sha.update(bytes)
    size += bytes.length
  }
  return { hash: toHex(sha.digest()), size }
}

/** Digest and piece root of the NAR of the tree at `path`. Throws as `narOfDisk`. */
export async function piecesOfDisk(path: string, whose: string): Promise<PieceDigest> {
  const sha = createSha256()
  const lister = new PieceLister()
  let size = 0
  for await (const bytes of narOfDisk(path, whose)) {
    sha.update(bytes)
    lister.update(bytes)
    size += bytes.length
  }
  return { hash: toHex(sha.digest()), size, pieces: pieceRoot(lister.list()) }
}

/**
 * Unpacks a NAR to `path`, which must not exist, read-only, with time 1, and synced to the disk.
 *
 * Gives the hash and size of the bytes that came; the caller compares them before the tree means
 * anything. The root itself stays writable for its owner, so that it can be moved. Throws
 * NAR_MALFORMED and TOO_LARGE as `readNar`, and SYSTEM_FAILED on a symlink that leaves the tree.
 */
export async function unpackNar(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  options: UnpackOptions,
): Promise<NarDigest> {
  const sha = createSha256()
  const counted = { size: 0 }
  const tree = new TreeWriter(path, options)
  try {
    const hashed = hashing(chunks, (bytes) => {
      sha.update(bytes)
      counted.size += bytes.length
    })
    const { whose, bytesMax } = options
    for await (const event of readNar(hashed, { whose, bytesMax })) {
      switch (event.kind) {
        case 'directory':
          await tree.openDirectory(event.name)
          break
        case 'directory-end':
          await tree.closeDirectory()
          break
        case 'regular':
          await tree.openFile(event.name, event.executable)
          break
        case 'bytes':
          await tree.write(event.bytes)
          break
        case 'regular-end':
          await tree.closeFile()
          break
        case 'symlink':
          await tree.link(event.name, event.target)
          break
        case 'end':
          break
      }
    }
  } finally {
    await tree.abandon()
  }
  return { hash: toHex(sha.digest()), size: counted.size }
}

/** What is wrong with a symlink at `depth` directories below its tree's root, or undefined. */
export function enclosedTargetFault(target: string, depth: number): string | undefined {
  if (target.startsWith('/')) return 'an absolute target'
  const parts = target.split('/').filter((part) => part !== '' && part !== '.')
  const ups = parts.findIndex((part) => part !== '..')
  const leading = ups < 0 ? parts.length : ups
  if (leading > depth) return 'a target outside of its tree'
  // Behind a name, `..` goes up from wherever that name leads, which no look at the text can tell.
  return parts.slice(leading).includes('..') ? "a target with '..' behind a name" : undefined
}

async function* hashing(
  chunks: AsyncIterable<Uint8Array>,
  seen: (bytes: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const bytes of chunks) {
    seen(bytes)
    yield bytes
  }
}

/** Where a file's bytes lie, and how many they were when its tree was looked at. */
export interface DiskFile {
  readonly path: string
  readonly size: number
}

/** The tree at `path` as a NAR node whose files are named, not read. Throws as `narOfDisk`. */
export async function diskNode(path: string): Promise<NarNode<DiskFile>> {
  const status = await lstat(path)
  if (status.isSymbolicLink()) return { kind: 'symlink', target: await readlink(path) }
  if (status.isDirectory()) return { kind: 'directory', entries: entriesOf(path) }
  if (status.isFile()) {
    const executable = (status.mode & 0o100) !== 0
    const { size } = status
    return { kind: 'regular', executable, size, contents: { path, size } }
  }
  throw new NodeError(
    'SYSTEM_FAILED',
    `expected a file, a directory or a symlink at ${path}, found something else`,
    'Remove sockets, pipes and devices from the tree.',
  )
}

async function* entriesOf(path: string): AsyncGenerator<NarEntry<DiskFile>, void> {
  for (const name of (await readdir(path)).sort(compareNarNames)) {
    yield { name, node: await diskNode(join(path, name)) }
  }
}

/** The bytes of a file, chunk by chunk, each in a buffer of its own. */
export async function* contentsOfFile(path: string): AsyncGenerator<Uint8Array, void> {
  const file = await open(path, 'r')
  try {
    yield* chunksOf(file, { from: 0, to: Number.POSITIVE_INFINITY, recycled: false })
  } finally {
    await file.close()
  }
}

/**
 * Bytes `from` to `to` (excluded) of a file; with `recycled` a chunk is good until the next is asked
 * for. Throws NAR_MALFORMED (ignore: the fault is ours) when it
 * has another size than it had.
 */
export async function* rangeOfFile(
  { path, size }: DiskFile,
  from: number,
  to: number,
  recycled: boolean = false,
): AsyncGenerator<Uint8Array, void> {
  const file = await open(path, 'r')
  try {
    const found = (await file.stat()).size
    if (found !== size) throw changed(path, size, found)
    let read = from
    for await (const bytes of chunksOf(file, { from, to, recycled })) {
      read += bytes.length
      yield bytes
    }
    if (read !== to) throw changed(path, size, read)
  } finally {
    await file.close()
  }
}

async function* chunksOf(
  file: FileHandle,
  { from, to, recycled }: { from: number; to: number; recycled: boolean },
): AsyncGenerator<Uint8Array> {
  const kept = recycled ? new Uint8Array(Math.min(NAR_CHUNK_BYTES, to - from)) : undefined
  for (let at = from; at < to; ) {
    const length = Math.min(NAR_CHUNK_BYTES, to - at)
    // A buffer for each chunk: the reader of the NAR may still hold the last one.
    const chunk = kept ?? new Uint8Array(length)
    const { bytesRead } = await file.read(chunk, 0, length, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield chunk.subarray(0, bytesRead)
  }
}

function changed(path: string, expected: number, found: number): ProtocolError {
  const message = `expected ${expected} bytes for ${path}, found ${found}`
  return new ProtocolError('NAR_MALFORMED', 'ignore', message)
}

/** Creates one tree, in the order of its NAR. */
class TreeWriter {
  readonly #root: string
  readonly #options: UnpackOptions
  /** The directories that are open, from the root down. */
  readonly #open: string[] = []
  #file: { readonly handle: FileHandle; readonly path: string; readonly mode: number } | undefined

  constructor(root: string, options: UnpackOptions) {
    this.#root = root
    this.#options = options
  }

  async openDirectory(name: string): Promise<void> {
    const path = this.#pathOf(name)
    await mkdir(path, { mode: 0o700 })
    this.#open.push(path)
  }

  async closeDirectory(): Promise<void> {
    const path = this.#open.pop()
    if (path === undefined) return
    await utimes(path, STORE_TIME_S, STORE_TIME_S)
    // A directory that is moved must be writable: its `..` changes.
    if (this.#open.length > 0) await chmod(path, 0o555)
    await syncDirectory(path)
  }

  async openFile(name: string, executable: boolean): Promise<void> {
    const path = this.#pathOf(name)
    // 'wx': the file is new, so nothing that lies there is followed or written through.
    const handle = await open(path, 'wx', 0o600)
    this.#file = { handle, path, mode: executable ? 0o555 : 0o444 }
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#file?.handle.writeFile(bytes)
  }

  async closeFile(): Promise<void> {
    const file = this.#file
    if (!file) return
    await file.handle.chmod(file.mode)
    await file.handle.utimes(STORE_TIME_S, STORE_TIME_S)
    await file.handle.sync()
    await this.abandon()
  }

  async link(name: string, target: string): Promise<void> {
    const path = this.#pathOf(name)
    // The root has depth 0 as a link: it would point beside itself, into the store.
    const depth = this.#open.length - 1
    const fault = this.#options.enclosed ? linkFault(target, depth) : undefined
    if (fault !== undefined) {
      throw new NodeError(
        'SYSTEM_FAILED',
        `expected symlinks within ${this.#options.whose}, found ${fault}: ${JSON.stringify(target)}`,
        'Build the generation so that it stands on its own.',
      )
    }
    await symlink(target, path)
    await lutimes(path, STORE_TIME_S, STORE_TIME_S)
  }

  /** Closes what is open: at a file's end, and wherever unpacking stopped. */
  async abandon(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.handle.close()
  }

  #pathOf(name: string): string {
    const parent = this.#open.at(-1)
    return parent === undefined ? this.#root : join(parent, name)
  }
}

function linkFault(target: string, depth: number): string | undefined {
  return depth < 0 ? 'a link in place of the tree' : enclosedTargetFault(target, depth)
}
