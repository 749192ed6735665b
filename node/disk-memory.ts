/**
 * Whether a node's disk is the one that it wrote last (SPEC §7.6).
 *
 * A disk that was put back does not know that it is old, so that something beside it has to: a *witness*
 * that no snapshot of the disk takes along. Every batch that is written for safety is counted on the
 * disk and then on the witness, before anything that rests on it leaves. Where the witness was last
 * told of more than the disk knows, or of another disk, the disk is old. It forgets with a reboot, and
 * then the disk is in doubt.
 */
import { fromHex, toHex, utf8 } from '../protocol/index.ts'
import type { DiskMemory } from '../rollout/index.ts'
import type { DiskWitness, Random, Store, StoreOp } from './ports.ts'

/** What the disk says of itself until that is settled; absent: it holds everything. */
const MEMORY_KEY = 'meta/disk'
/** Which disk this is, 16 random bytes, and how many batches were synced on it, 8 bytes big-endian. */
const COUNT_KEY = 'meta/count'
const ID_BYTES = 16

/** What is not settled yet about this disk. */
export async function readDiskMemory(store: Store): Promise<DiskMemory> {
  const value = await store.get(MEMORY_KEY)
  const text = value === undefined ? 'kept' : new TextDecoder().decode(value)
  return UNSETTLED.find((one) => one === text) ?? (text === 'kept' ? 'kept' : 'lost')
}

/** Says what is to be read of the disk from now on. */
export function diskMemoryOp(memory: DiskMemory): StoreOp {
  return memory === 'kept' ? { key: MEMORY_KEY } : { key: MEMORY_KEY, value: utf8(memory) }
}

const UNSETTLED: readonly DiskMemory[] = ['new', 'doubtful', 'blank', 'lost']

/**
 * The store, with every synced batch counted there and on the witness. What the two say of the disk is
 * on it before this resolves. `isNew`: somebody who knows says that an empty disk is new.
 */
export async function openCountedStore(
  store: Store,
  parts: { readonly witness: DiskWitness; readonly random: Random; readonly isNew: boolean },
): Promise<Store> {
  const { witness, random, isNew } = parts
  const counted = await store.get(COUNT_KEY)
  const seen = await witness.read()
  const before = await readDiskMemory(store)
  const empty = await isEmpty(store)
  const memory = judge({ counted, seen, before, empty, isNew })
  const id = counted !== undefined && memory === 'kept' ? counted.subarray(0, ID_BYTES) : undefined
  const counter = new CountedStore(store, witness, {
    id: id === undefined ? random.bytes(ID_BYTES) : id.slice(),
    count: id === undefined || counted === undefined ? 0 : countOf(counted),
  })
  // Where both say the same there is nothing to write: the start may yet be refused.
  if (memory !== 'kept' || !isSame(counted, seen)) {
    await counter.write([diskMemoryOp(memory === 'kept' ? before : memory)], { sync: true })
  }
  return counter
}

function isSame(counted: Uint8Array | undefined, seen: Uint8Array | undefined): boolean {
  return counted !== undefined && seen !== undefined && toHex(counted) === toHex(seen)
}

interface Found {
  readonly counted: Uint8Array | undefined
  readonly seen: Uint8Array | undefined
  readonly before: DiskMemory
  readonly empty: boolean
  readonly isNew: boolean
}

/** `kept`: nothing was lost since the witness was told last, so that `before` still holds. */
function judge({ counted, seen, before, empty, isNew }: Found): DiskMemory {
  if (seen !== undefined) {
    const same = counted !== undefined && idOf(counted) === idOf(seen)
    return same && countOf(counted) >= countOf(seen) ? 'kept' : 'lost'
  }
  if (empty) return isNew ? 'new' : 'blank'
  return before === 'lost' || before === 'blank' ? before : 'doubtful'
}

class CountedStore implements Store {
  readonly #store: Store
  readonly #witness: DiskWitness
  readonly #id: Uint8Array
  #count: number
  #last: Promise<void> = Promise.resolve()

  constructor(store: Store, witness: DiskWitness, disk: { id: Uint8Array; count: number }) {
    this.#store = store
    this.#witness = witness
    this.#id = disk.id
    this.#count = disk.count
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#store.get(key)
  }

  range(from: string, to: string): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#store.range(from, to)
  }

  /** Synced batches go one after the other: a later count must not come before an earlier one. */
  async write(ops: readonly StoreOp[], options: { readonly sync: boolean }): Promise<void> {
    if (!options.sync) return await this.#store.write(ops, options)
    const written = this.#last.then(() => this.#writeCounted(ops))
    this.#last = written.catch(() => undefined)
    await written
  }

  async #writeCounted(ops: readonly StoreOp[]): Promise<void> {
    const value = encode(this.#id, this.#count + 1)
    await this.#store.write([...ops, { key: COUNT_KEY, value }], { sync: true })
    this.#count++
    await this.#witness.write(value)
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}

function encode(id: Uint8Array, count: number): Uint8Array {
  return fromHex(`${toHex(id)}${count.toString(16).padStart(16, '0')}`)
}

function idOf(value: Uint8Array): string {
  return toHex(value.subarray(0, ID_BYTES))
}

function countOf(value: Uint8Array): number {
  return Number.parseInt(toHex(value.subarray(ID_BYTES)), 16)
}

/** But for whose it is: that is written before anything else. */
async function isEmpty(store: Store): Promise<boolean> {
  for await (const [key] of store.range('\u0000', '\u007f')) {
    if (key !== 'meta/format' && key !== 'meta/fleet') return false
  }
  return true
}
