/**
 * The store on disk: LevelDB under the `Store` port.
 *
 * After a failed write LevelDB's log may end in half a record, and records appended behind it would
 * be lost at the next start although they were acknowledged. So a failed write puts the store out of
 * use for writing until it has been closed and opened again, which starts a new log.
 */
import { statfs } from 'node:fs/promises'
import { Level } from 'level'
import { NodeError } from '../errors.ts'
import {
  STORE_CACHE_BYTES,
  STORE_REOPEN_FREE_BYTES_MIN,
  STORE_WRITE_BUFFER_BYTES,
} from '../limits.ts'
import type { Store, StoreOp } from '../ports.ts'
import { assertStoreKeys } from './keys.ts'

type Database = Level<string, Uint8Array>

/**
 * Opens the store in `directory`, which is made if it is absent.
 *
 * Throws NodeError STORE_LOCKED while another process has it open, STORE_FULL when the disk has no
 * room, STORE_CORRUPT when the files are damaged or cannot be read.
 */
export async function openLevelStore(directory: string): Promise<Store> {
  return new LevelStore(directory, await openDatabase(directory))
}

class LevelStore implements Store {
  readonly #directory: string
  #database: Database
  /** A write failed: nothing more is written through this handle. */
  #failed = false
  #reopening: Promise<void> | undefined

  constructor(directory: string, database: Database) {
    this.#directory = directory
    this.#database = database
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return await this.#database.get(key).catch((error) => {
      throw storeError(this.#directory, error)
    })
  }

  async *range(from: string, to: string): AsyncGenerator<readonly [string, Uint8Array]> {
    if (from >= to) return
    try {
      yield* this.#database.iterator({ gte: from, lt: to })
    } catch (error) {
      throw storeError(this.#directory, error)
    }
  }

  async write(ops: readonly StoreOp[], options: { readonly sync: boolean }): Promise<void> {
    assertStoreKeys(ops)
    if (this.#failed) await this.#reopen()
    const batch = ops.map(({ key, value }) =>
      value === undefined ? { type: 'del' as const, key } : { type: 'put' as const, key, value },
    )
    await this.#database.batch(batch, { sync: options.sync }).catch((error) => {
      this.#failed = true
      throw storeError(this.#directory, error)
    })
  }

  async close(): Promise<void> {
    await this.#reopening?.catch(() => undefined)
    await this.#database.close()
  }

  /** One reopening at a time; while the disk has no room it is not tried, so that reading goes on. */
  async #reopen(): Promise<void> {
    this.#reopening ??= this.#openAgain().finally(() => {
      this.#reopening = undefined
    })
    await this.#reopening
  }

  async #openAgain(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#directory)
    if (bavail * bsize < STORE_REOPEN_FREE_BYTES_MIN) throw storeFull(this.#directory)
    await this.#database.close()
    this.#database = await openDatabase(this.#directory)
    this.#failed = false
  }
}

async function openDatabase(directory: string): Promise<Database> {
  const database: Database = new Level<string, Uint8Array>(directory, {
    valueEncoding: 'view',
    cacheSize: STORE_CACHE_BYTES,
    writeBufferSize: STORE_WRITE_BUFFER_BYTES,
  })
  try {
    await database.open()
  } catch (error) {
    throw storeError(directory, error)
  }
  return database
}

function storeError(directory: string, error: unknown): NodeError {
  const codes: string[] = []
  const messages: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) {
    codes.push(String((at as { code?: unknown }).code))
    messages.push(at.message)
  }
  const found = messages.join(': ')
  if (codes.includes('LEVEL_LOCKED')) {
    return new NodeError(
      'STORE_LOCKED',
      `expected to be the only one that opens the store ${directory}, found it open elsewhere`,
      'Stop the other nixfleet node that uses this state directory, or give this one its own.',
      { cause: error },
    )
  }
  if (/No space left|ENOSPC|Disk quota|EDQUOT/i.test(found)) return storeFull(directory, error)
  return new NodeError(
    'STORE_CORRUPT',
    `expected the store ${directory} to work, found ${found || String(error)}`,
    'Check the disk and who owns the directory; a damaged store is replaced by a new enrolment, never repaired in place.',
    { cause: error },
  )
}

function storeFull(directory: string, cause?: unknown): NodeError {
  return new NodeError(
    'STORE_FULL',
    `expected room on the disk of the store ${directory}, found none`,
    'Free space on that disk; the node then goes on by itself.',
    { cause },
  )
}
