/**
 * A store in memory that forgets as a disk does: for simulations and tests.
 *
 * A `MemoryDisk` outlives the process that is simulated on it. `crash` takes back what was written
 * after the last synced batch, except a prefix that the caller chooses: a real disk may have written
 * some of it, in order.
 */
import { NodeError } from '../errors.ts'
import type { Store, StoreOp } from '../ports.ts'
import { assertStoreKeys } from './keys.ts'

/** What a batch changed, so that a crash can take it back. */
type Undo = ReadonlyMap<string, Uint8Array | undefined>

/** The disk under memory stores: one opener at a time, as with files. */
export class MemoryDisk {
  readonly #values = new Map<string, Uint8Array>()
  #keys: string[] = []
  #unsynced: Undo[] = []
  #opened: MemoryStore | undefined
  /** While true every write throws STORE_FULL and changes nothing. */
  full = false

  /** Batches that were written and not yet synced, nor followed by a synced one. */
  get unsynced(): number {
    return this.#unsynced.length
  }

  /**
   * Loses power: the open store is dead, synced batches stay, and of the later ones the first `kept`.
   */
  crash(kept = 0): void {
    this.#opened = undefined
    for (const undo of this.#unsynced.splice(kept).reverse()) {
      for (const [key, value] of undo) this.#set(key, value)
    }
    this.#unsynced = []
  }

  /** Opens the disk. Throws NodeError STORE_LOCKED while a store is open on it. */
  open(): Store {
    if (this.#opened !== undefined) {
      throw new NodeError(
        'STORE_LOCKED',
        'expected to be the only one that opens this memory disk, found it open elsewhere',
        'Close the other store first.',
      )
    }
    this.#opened = new MemoryStore(this)
    return this.#opened
  }

  /** Whether `store` is the one that has the disk open. */
  holds(store: MemoryStore): boolean {
    return this.#opened === store
  }

  release(store: MemoryStore): void {
    if (this.#opened === store) this.#opened = undefined
  }

  read(key: string): Uint8Array | undefined {
    return this.#values.get(key)
  }

  /** The entries of the range as they are now, whatever is written while they are read. */
  slice(from: string, to: string): (readonly [string, Uint8Array])[] {
    const entries: (readonly [string, Uint8Array])[] = []
    for (let i = this.#position(from); i < this.#keys.length; i++) {
      const key = this.#keys[i] ?? to
      if (key >= to) break
      entries.push([key, this.#values.get(key) ?? new Uint8Array()])
    }
    return entries
  }

  apply(ops: readonly StoreOp[], sync: boolean): void {
    if (this.full) {
      throw new NodeError(
        'STORE_FULL',
        'expected room on the memory disk, found none',
        'Free space on that disk; the node then goes on by itself.',
      )
    }
    const undo = new Map<string, Uint8Array | undefined>()
    for (const { key, value } of ops) {
      if (!undo.has(key)) undo.set(key, this.#values.get(key))
      this.#set(key, value?.slice())
    }
    if (sync) this.#unsynced = []
    else this.#unsynced.push(undo)
  }

  #set(key: string, value: Uint8Array | undefined): void {
    const known = this.#values.has(key)
    if (value !== undefined) this.#values.set(key, value)
    else this.#values.delete(key)
    if (known === (value !== undefined)) return
    const at = this.#position(key)
    if (known) this.#keys.splice(at, 1)
    else this.#keys.splice(at, 0, key)
  }

  /** Where `key` stands or would stand among the sorted keys. */
  #position(key: string): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#keys[middle] ?? '') < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

class MemoryStore implements Store {
  readonly #disk: MemoryDisk

  constructor(disk: MemoryDisk) {
    this.#disk = disk
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    this.#assertOpen()
    return this.#disk.read(key)
  }

  async *range(from: string, to: string): AsyncGenerator<readonly [string, Uint8Array]> {
    this.#assertOpen()
    yield* this.#disk.slice(from, to)
  }

  async write(ops: readonly StoreOp[], options: { readonly sync: boolean }): Promise<void> {
    this.#assertOpen()
    assertStoreKeys(ops)
    this.#disk.apply(ops, options.sync)
  }

  async close(): Promise<void> {
    this.#disk.release(this)
  }

  #assertOpen(): void {
    if (this.#disk.holds(this)) return
    throw new NodeError(
      'STORE_CORRUPT',
      'expected an open store, found one that was closed or lost its power',
      'Open the disk again.',
    )
  }
}
