/**
 * Checkpoints of the group's gate log on the disk, and what this voter signed last.
 *
 * What a voter signs is remembered with fsync before the signature leaves (SPEC §15.4). A note that
 * contradicts this node's own log is kept for good: it proves that somebody lied.
 */
import {
  decodeCanonical,
  encodeCanonical,
  formatNote,
  fromHex,
  HASH,
  type Hash,
  parseNote,
  type Schema,
  type SignedNote,
  sha256,
  shape,
  toHex,
  uint,
  utf8,
} from '../protocol/index.ts'
import { NOTHING_SIGNED, type WitnessMemory } from '../rollout/index.ts'
import type { Store } from './ports.ts'

const DIGITS = 16
const MEMORY_BYTES_MAX = 256

interface Remembered {
  readonly size: number
  readonly root: Hash
  readonly timeS: number
}
const REMEMBERED: Schema<Remembered> = shape<Remembered>({
  size: uint(),
  root: HASH,
  timeS: uint(),
})

export class CheckpointStore {
  readonly #store: Store
  readonly #group: string

  constructor(store: Store, group: string) {
    this.#store = store
    this.#group = group
  }

  /** What this voter cosigned last. */
  async memory(): Promise<WitnessMemory> {
    const bytes = await this.#store.get(this.#memoryKey)
    if (bytes === undefined) return NOTHING_SIGNED
    const value = decodeCanonical(bytes, MEMORY_BYTES_MAX, this.#memoryKey)
    const { root, ...rest } = REMEMBERED.decode(value, this.#memoryKey)
    return { ...rest, root: fromHex(root) }
  }

  /** On the disk, with fsync, when this resolves. */
  async remember({ size, root, timeS }: WitnessMemory): Promise<void> {
    const value = encodeCanonical(REMEMBERED.encode({ size, root: toHex(root), timeS }))
    await this.#store.write([{ key: this.#memoryKey, value }], { sync: true })
  }

  async note(size: number): Promise<SignedNote | undefined> {
    const bytes = await this.#store.get(this.#noteKey(size))
    return bytes === undefined ? undefined : noteOf(bytes)
  }

  async keep(size: number, note: SignedNote): Promise<void> {
    const value = utf8(formatNote(note))
    await this.#store.write([{ key: this.#noteKey(size), value }], { sync: true })
  }

  /** Notes of more than `above` leaves, the smallest tree first. */
  async *notes(
    above: number,
  ): AsyncGenerator<{ readonly size: number; readonly note: SignedNote }> {
    const prefix = this.#noteKey()
    for await (const [key, bytes] of this.#store.range(this.#noteKey(above + 1), `${prefix}~`))
      yield { size: Number(key.slice(prefix.length)), note: noteOf(bytes) }
  }

  /** Keeps a note with another root than this node's own log has. */
  async keepSplit(note: SignedNote): Promise<void> {
    const value = utf8(formatNote(note))
    const key = `tlog/split/${this.#group}/${toHex(sha256(value)).slice(0, 32)}`
    await this.#store.write([{ key, value }], { sync: true })
  }

  /** Every note that contradicts this node's own log. */
  async splits(): Promise<readonly SignedNote[]> {
    const prefix = `tlog/split/${this.#group}/`
    const notes: SignedNote[] = []
    for await (const [, bytes] of this.#store.range(prefix, `${prefix}~`)) notes.push(noteOf(bytes))
    return notes
  }

  get #memoryKey(): string {
    return `tlog/signed/${this.#group}`
  }

  #noteKey(size?: number): string {
    const digits = size === undefined ? '' : String(size).padStart(DIGITS, '0')
    return `tlog/checkpoint/${this.#group}/${digits}`
  }
}

function noteOf(bytes: Uint8Array): SignedNote {
  return parseNote(new TextDecoder().decode(bytes), 'the store of this node')
}
