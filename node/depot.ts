/**
 * NARs that were handed to this node by an operator's CLI: files named by their hash, until hosts
 * have them in their stores.
 */
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createSha256, type Hash, ProtocolError, toHex } from '../protocol/index.ts'
import { NodeError } from './errors.ts'
import type { Depot } from './runtime-parts.ts'
import { errorCode, syncDirectory } from './system/durable.ts'

const HASH_NAME = /^[0-9a-f]{64}$/

export class FileDepot implements Depot {
  readonly #folder: string
  #drafts = 0

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Opens the folder; what a crash left half written is removed. */
  static async open(folder: string): Promise<FileDepot> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await rm(join(folder, 'tmp'), { recursive: true, force: true })
    await mkdir(join(folder, 'tmp'), { mode: 0o700 })
    return new FileDepot(folder)
  }

  has(hash: Hash): boolean {
    return existsSync(join(this.#folder, hash))
  }

  async read(hash: Hash, offset: number): Promise<AsyncIterable<Uint8Array> | undefined> {
    if (!HASH_NAME.test(hash) || !this.has(hash)) return undefined
    return createReadStream(join(this.#folder, hash), { start: offset })
  }

  /** Removes every NAR that `needed` does not name. */
  async keepOnly(needed: ReadonlySet<Hash>): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (!HASH_NAME.test(name) || needed.has(name)) continue
      await rm(join(this.#folder, name), { force: true })
    }
  }

  /**
   * Stores a NAR; nothing is kept unless its bytes hash to `hash`. Throws BAD_BLOB, TOO_LARGE, and
   * NodeError STORE_FULL.
   */
  async write(hash: Hash, stream: AsyncIterable<Uint8Array>, bytesMax: number): Promise<void> {
    // A name of its own: two who send the same NAR must not write into one file.
    const draft = join(this.#folder, 'tmp', `${hash}.${this.#drafts++}`)
    try {
      const found = await writeDraft(draft, stream, bytesMax)
      if (found !== hash)
        throw refused('BAD_BLOB', `expected a NAR with hash ${hash}, found ${found}`)
      await rename(draft, join(this.#folder, hash))
      await syncDirectory(this.#folder)
    } catch (error) {
      throw errorCode(error) === 'ENOSPC' ? full(this.#folder, error) : error
    } finally {
      await rm(draft, { force: true })
    }
  }
}

/** Writes and syncs a stream; gives the hash of its bytes. */
async function writeDraft(
  path: string,
  stream: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<Hash> {
  const file = await open(path, 'wx', 0o600)
  const sha = createSha256()
  let size = 0
  try {
    for await (const chunk of stream) {
      size += chunk.length
      if (size > bytesMax) throw refused('TOO_LARGE', `expected a NAR of at most ${bytesMax} bytes`)
      sha.update(chunk)
      await file.writeFile(chunk)
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return toHex(sha.digest())
}

function refused(code: 'BAD_BLOB' | 'TOO_LARGE', message: string): ProtocolError {
  return new ProtocolError(code, 'reject', message)
}

function full(folder: string, cause: unknown): NodeError {
  return new NodeError(
    'STORE_FULL',
    `expected room on the disk of ${folder}, found none`,
    'Free space on that disk, and send the release again.',
    { cause },
  )
}
