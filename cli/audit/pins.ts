/**
 * Facts by their sequence, 40 bytes each: those of a feed that the blocks of a gate log name, and those
 * that a feed holds. A log of years names a million, and they wait for each other until both were read.
 */
import { equalBytes, fromHex, type Hex, toHex } from '../../protocol/index.ts'

/** Pins as they travel between threads: sequences ascending, the fact's id of each behind each other. */
export interface PinBytes {
  readonly seqs: Float64Array<ArrayBuffer>
  readonly heads: Uint8Array<ArrayBuffer>
}

const HEAD_BYTES = 32
const FIRST_ROOM = 16

/** Takes pins in the order of the log. */
export class PinWriter {
  #seqs = new Float64Array(FIRST_ROOM)
  #heads = new Uint8Array(FIRST_ROOM * HEAD_BYTES)
  #count = 0

  add(seq: number, head: Hex): void {
    if (this.#count === this.#seqs.length) this.#grow()
    this.#seqs[this.#count] = seq
    this.#heads.set(fromHex(head), this.#count * HEAD_BYTES)
    this.#count++
  }

  /** All of them by sequence; of two facts for one place the one that came later. */
  bytes(): PinBytes {
    const seqs = this.#seqs.subarray(0, this.#count)
    const isAscending = seqs.every((seq, i) => i === 0 || seq > (seqs[i - 1] ?? 0))
    if (isAscending)
      return { seqs: seqs.slice(), heads: this.#heads.slice(0, this.#count * HEAD_BYTES) }
    const places = new Map([...seqs].map((seq, i) => [seq, i]))
    const sorted = [...places].sort(([a], [b]) => a - b)
    const heads = new Uint8Array(sorted.length * HEAD_BYTES)
    sorted.forEach(([, from], i) => {
      heads.set(headAt(this.#heads, from), i * HEAD_BYTES)
    })
    return { seqs: Float64Array.from(sorted, ([seq]) => seq), heads }
  }

  #grow(): void {
    const seqs = new Float64Array(this.#seqs.length * 2)
    const heads = new Uint8Array(this.#heads.length * 2)
    seqs.set(this.#seqs)
    heads.set(this.#heads)
    this.#seqs = seqs
    this.#heads = heads
  }
}

/** The pins of several gate logs on one feed; where they differ, the later log's. */
export function joinPins(all: readonly PinBytes[]): PinBytes | undefined {
  const [one, ...more] = all
  if (one === undefined || more.length === 0) return one
  const writer = new PinWriter()
  for (const { seqs, heads } of all)
    seqs.forEach((seq, i) => {
      writer.add(seq, toHex(headAt(heads, i)))
    })
  return writer.bytes()
}

function headAt(heads: Uint8Array, index: number): Uint8Array {
  return heads.subarray(index * HEAD_BYTES, (index + 1) * HEAD_BYTES)
}

/** A place for which two logs have different facts. */
export interface PinClash {
  readonly seq: number
  readonly pinned: Hex
  readonly held: Hex
}

/** Where `held` has another fact than `pins`. A place that it does not have is none of them. */
export function* clashes(pins: PinBytes, held: PinBytes): Generator<PinClash> {
  let at = 0
  for (const [i, seq] of pins.seqs.entries()) {
    while ((held.seqs[at] ?? Number.POSITIVE_INFINITY) < seq) at++
    if (held.seqs[at] !== seq) continue
    const [pinned, own] = [headAt(pins.heads, i), headAt(held.heads, at)]
    if (!equalBytes(pinned, own)) yield { seq, pinned: toHex(pinned), held: toHex(own) }
  }
}
