/**
 * A bundle on a disk: verified from its first byte to its last, and then read again part by part.
 *
 * Reading it whole first is what makes a bad file change nothing.
 */
import { type FileHandle, open } from 'node:fs/promises'
import {
  BUNDLE_CHUNK_BYTES_MAX,
  type BundleHeader,
  type BundleItem,
  type BundleRecord,
  type BundleRules,
  checkBundle,
  type Hash,
  readBundleRecords,
} from '../protocol/index.ts'

/** Bytes that can be read again. */
export interface BundleSource {
  readonly size: number
  /** All of them, from the first. */
  readonly chunks: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  readonly read: (at: Span) => Promise<Uint8Array>
}

/** A stretch of a file. */
export interface Span {
  readonly offset: number
  readonly length: number
}

/** Where everything is in a bundle that has been verified. */
export interface BundleIndex {
  readonly header: BundleHeader
  readonly facts: readonly Span[]
  /** Blocks and certificates in turn. */
  readonly gate: readonly Span[]
  readonly blobs: readonly (Span & { readonly hash: Hash })[]
  /** `offset` is that of the first chunk's record. */
  readonly nars: readonly { readonly hash: Hash; readonly size: number; readonly offset: number }[]
}

/** Called with the bytes read so far. */
export type Progress = (done: number) => void

/** Of a record: kind and length before the body, the check after it. */
const HEAD_BYTES = 5
const CHECK_BYTES = 16
/** One read of a file: large enough for the disk, small enough for memory. */
const READ_BYTES = 256 * 1024

/** Opens a bundle file for reading; `close` it afterwards. */
export async function openBundleFile(
  path: string,
): Promise<{ readonly source: BundleSource; readonly close: () => Promise<void> }> {
  const file = await open(path, 'r')
  const { size } = await file.stat()
  const source = {
    size,
    chunks: () => chunksOf(file, size),
    read: (at: Span) => readSpan(file, at),
  }
  return { source, close: () => file.close() }
}

/** A bundle in memory. */
export function memoryBundle(bytes: Uint8Array): BundleSource {
  return {
    size: bytes.length,
    chunks: () => [bytes],
    read: async ({ offset, length }) => bytes.subarray(offset, offset + length),
  }
}

/**
 * Verifies the whole file and says where its parts are. Throws ProtocolError with the place of what is
 * wrong.
 */
export async function verifyBundle(
  source: BundleSource,
  rules: BundleRules,
  progress: Progress = () => undefined,
): Promise<BundleIndex> {
  const index = new Index()
  let current: BundleRecord | undefined
  async function* noted(): AsyncGenerator<BundleRecord, void> {
    for await (const record of readBundleRecords('bundle', source.chunks())) {
      current = record
      progress(record.offset)
      yield record
    }
  }
  for await (const item of checkBundle(noted(), rules)) {
    if (current !== undefined) index.add(item, current)
  }
  progress(source.size)
  return index.done()
}

/** The bytes of a NAR, chunk by chunk. */
export async function* narBytes(
  source: BundleSource,
  nar: BundleIndex['nars'][number],
): AsyncGenerator<Uint8Array, void> {
  let { offset } = nar
  for (let left = nar.size; left > 0; ) {
    const length = Math.min(left, BUNDLE_CHUNK_BYTES_MAX)
    yield await source.read({ offset: offset + HEAD_BYTES, length })
    offset += HEAD_BYTES + length + CHECK_BYTES
    left -= length
  }
}

class Index {
  #header: BundleHeader | undefined
  readonly #facts: Span[] = []
  readonly #gate: Span[] = []
  readonly #blobs: BundleIndex['blobs'][number][] = []
  readonly #nars: BundleIndex['nars'][number][] = []

  add(item: BundleItem, record: BundleRecord): void {
    const body = { offset: record.offset + HEAD_BYTES, length: record.body.length }
    if (item.kind === 'header') this.#header = item.header
    else if (item.kind === 'fact') this.#facts.push(body)
    else if (item.kind === 'gate') this.#gate.push(body)
    else if (item.kind === 'blob') {
      this.#blobs.push({ hash: item.hash, offset: body.offset + 1, length: body.length - 1 })
    } else if (item.kind === 'nar') {
      this.#nars.push({ ...item.nar, offset: body.offset + body.length + CHECK_BYTES })
    }
  }

  done(): BundleIndex {
    if (this.#header === undefined) throw new TypeError('a verified bundle without header')
    const [header, facts, gate] = [this.#header, this.#facts, this.#gate]
    return { header, facts, gate, blobs: this.#blobs, nars: this.#nars }
  }
}

async function* chunksOf(file: FileHandle, size: number): AsyncGenerator<Uint8Array, void> {
  for (let offset = 0; offset < size; ) {
    const buffer = new Uint8Array(Math.min(READ_BYTES, size - offset))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    offset += bytesRead
  }
}

async function readSpan(file: FileHandle, { offset, length }: Span): Promise<Uint8Array> {
  const buffer = new Uint8Array(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, offset + done)
    if (bytesRead === 0) throw new Error('the file became shorter while it was read')
    done += bytesRead
  }
  return buffer
}
