/**
 * The record layer of bundles and vector files (SPEC §8.5): every record is checked as it comes, and
 * what is wrong is named with its place.
 *
 *     record = kind: 1 byte ‖ length: 4 bytes ‖ body ‖ check: 16 bytes
 *
 * A check is the beginning of SHA-256 over the check before it and the record, so that a record that
 * was changed, moved, left out or repeated is found at its place.
 */

import {
  BUNDLE_END,
  BUNDLE_MAGIC,
  BUNDLE_RECORD_KINDS,
  type BundleFileKind,
  type BundleRecordKind,
  encodeBundleBody,
} from './bundle-records.ts'
import { ByteWindow } from './byte-window.ts'
import { concatBytes, equalBytes } from './bytes.ts'
import { sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import { BUNDLE_RECORD_BYTES_MAX } from './limits.ts'

/** One record, with its place in the file for errors. */
export interface BundleRecord {
  readonly kind: BundleRecordKind
  readonly body: Uint8Array
  /** Counted from 0. */
  readonly index: number
  /** Of its first byte, from the beginning of the file. */
  readonly offset: number
}

/** Where in a file something is wrong. */
export type BundlePosition = Pick<BundleRecord, 'index' | 'offset'> & { readonly kind?: string }

const HEAD_BYTES = 5
const CHECK_BYTES = 16

/** Writes records one after the other; the caller keeps their order. */
export class BundleWriter {
  readonly #magic: Uint8Array
  #check: Uint8Array
  #records = 0

  constructor(kind: BundleFileKind) {
    this.#magic = BUNDLE_MAGIC[kind]
    this.#check = firstCheck(this.#magic)
  }

  /** The bytes of the next record; the file's first bytes come with the first. */
  write(kind: BundleRecordKind, body: Uint8Array): Uint8Array {
    if (body.length > BUNDLE_RECORD_BYTES_MAX) {
      throw new ProtocolError(
        'TOO_LARGE',
        'reject',
        `expected at most ${BUNDLE_RECORD_BYTES_MAX} bytes for a ${kind} record, found ${body.length}`,
      )
    }
    const head = new Uint8Array(HEAD_BYTES)
    head[0] = BUNDLE_RECORD_KINDS.indexOf(kind) + 1
    new DataView(head.buffer).setUint32(1, body.length)
    this.#check = nextCheck(this.#check, head, body)
    const record = concatBytes(head, body, this.#check)
    this.#records++
    return this.#records === 1 ? concatBytes(this.#magic, record) : record
  }

  /** The bytes of the last record. */
  end(): Uint8Array {
    return this.write('end', encodeBundleBody(BUNDLE_END, { records: this.#records }))
  }
}

/**
 * The records that `chunks` make up, however they are cut.
 *
 * Throws BAD_BUNDLE with byte offset, record number, what was expected and what was found: for other
 * first bytes, an unknown kind, a length above the bound, a wrong check, a file that ends early, and
 * bytes after the end. The body of a record is given out only after its check.
 */
export async function* readBundleRecords(
  kind: BundleFileKind,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<BundleRecord, void> {
  const source = new Source(chunks)
  const magic = BUNDLE_MAGIC[kind]
  const found = await source.take(magic.length)
  if (found === undefined || !equalBytes(found, magic)) {
    throw broken({ index: 0, offset: 0 }, `the first bytes of a ${kind} of version 1`, 'others')
  }
  let check = firstCheck(magic)
  for (let index = 0; ; index++) {
    const offset = source.offset
    const read = await readRecord(source, { check, index, offset })
    check = read.check
    yield read.record
    if (read.record.kind === 'end') break
  }
  if ((await source.take(1)) !== undefined) {
    throw broken({ index: -1, offset: source.offset - 1 }, 'nothing after the end', 'more bytes')
  }
}

async function readRecord(
  source: Source,
  at: { check: Uint8Array; index: number; offset: number },
): Promise<{ record: BundleRecord; check: Uint8Array }> {
  const { index, offset } = at
  const head = await source.take(HEAD_BYTES)
  if (head === undefined) throw broken({ index, offset }, 'a record', 'the end of the file')
  const kind = BUNDLE_RECORD_KINDS[(head[0] ?? 0) - 1]
  if (kind === undefined) {
    throw broken({ index, offset }, 'a kind of record of version 1', `${head[0]}`)
  }
  const length = new DataView(head.buffer, head.byteOffset).getUint32(1)
  const place = { index, offset, kind }
  if (length > BUNDLE_RECORD_BYTES_MAX) {
    throw broken(place, `a length of at most ${BUNDLE_RECORD_BYTES_MAX}`, `${length}`)
  }
  const body = await source.take(length)
  const check = await source.take(CHECK_BYTES)
  if (body === undefined || check === undefined) {
    throw broken(place, `${length + CHECK_BYTES} more bytes`, 'the end of the file')
  }
  const expected = nextCheck(at.check, head, body)
  if (!equalBytes(expected, check)) throw broken(place, 'bytes that match their check', 'others')
  return { record: { kind, body, index, offset }, check: expected }
}

/** The error of a file that is not whole or not what it says. */
export function broken(at: BundlePosition, expected: string, found: string): ProtocolError {
  return new ProtocolError(
    'BAD_BUNDLE',
    'reject',
    `at ${placeText(at)}: expected ${expected}, found ${found}`,
  )
}

/** `error` with the place where it came up; its code stays. */
export function brokenAt(at: BundlePosition, error: ProtocolError): ProtocolError {
  const message = `at ${placeText(at)}: ${error.message}`
  return new ProtocolError(error.code, error.action, message, { cause: error })
}

function placeText({ index, offset, kind }: BundlePosition): string {
  const record = index < 0 ? '' : `, record ${index}${kind === undefined ? '' : ` (${kind})`}`
  return `byte ${offset}${record}`
}

function firstCheck(magic: Uint8Array): Uint8Array {
  return sha256(magic).slice(0, CHECK_BYTES)
}

function nextCheck(before: Uint8Array, head: Uint8Array, body: Uint8Array): Uint8Array {
  return sha256(concatBytes(before, head, body)).slice(0, CHECK_BYTES)
}

/** Bytes by count out of chunks. */
class Source {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  readonly #window = new ByteWindow()

  constructor(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    this.#chunks =
      Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]()
  }

  get offset(): number {
    return this.#window.offset
  }

  /** Exactly `count` bytes; undefined when the file has fewer left. */
  async take(count: number): Promise<Uint8Array | undefined> {
    while (this.#window.length < count && !this.#window.ended) {
      const next = await this.#chunks.next()
      if (next.done) this.#window.end()
      else this.#window.append(next.value)
    }
    return this.#window.length < count ? undefined : this.#window.take(count)
  }
}
