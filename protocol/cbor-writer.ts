/**
 * Writes the one canonical CBOR form of a wire value (RFC 8949 §4.2.1, SPEC §2.1).
 *
 * Every message is written once by its author and once more by each reader, who compares: this is the
 * busiest loop of a node. It writes straight into one buffer and judges each value on the way, so that
 * nothing is walked twice. The reader is another's code (`codec.ts`): what one of the two gets wrong,
 * the other refuses.
 */
import { ProtocolError } from './errors.ts'
import { DEPTH_MAX } from './limits.ts'

/** Major types, in the upper three bits of a head. */
const UINT = 0x00
const NEGATIVE = 0x20
const BYTES = 0x40
const TEXT = 0x60
const LIST = 0x80
const MAP = 0xa0
const FALSE = 0xf4
const TRUE = 0xf5

/** The longest head: one byte and eight of a number. */
const HEAD_BYTES_MAX = 9
/** Where the buffer starts, and where it returns to after an uncommonly long value. */
const BUFFER_BYTES = 16 * 1024

const encoder = new TextEncoder()
let buffer = new Uint8Array(BUFFER_BYTES)
let at = 0

/**
 * The canonical bytes of `value`, in memory of their own.
 *
 * `whose` names the value in errors. Throws NOT_CANONICAL for what has no form on the wire: another
 * kind, a number that is no safe integer, text without one UTF-8 form, more than `DEPTH_MAX` levels.
 */
export function writeCanonical(value: unknown, whose: string): Uint8Array {
  write(value, whose)
  return buffer.slice(0, at)
}

/** Whether `bytes` are the canonical form of `value`; throws as `writeCanonical` does. */
export function isCanonicalFormOf(value: unknown, bytes: Uint8Array, whose: string): boolean {
  write(value, whose)
  if (at !== bytes.length) return false
  for (let i = 0; i < at; i++) if (buffer[i] !== bytes[i]) return false
  return true
}

function write(value: unknown, whose: string): void {
  if (buffer.length > BUFFER_BYTES) buffer = new Uint8Array(BUFFER_BYTES)
  at = 0
  writeValue(value, 0, whose)
}

function writeValue(value: unknown, depth: number, whose: string): void {
  if (depth > DEPTH_MAX) throw notCanonical(whose, `nesting deeper than ${DEPTH_MAX}`)
  if (typeof value === 'string') writeText(value, whose)
  else if (typeof value === 'number') writeNumber(value, whose)
  else if (typeof value === 'boolean') writeHead(value ? TRUE : FALSE, 0)
  else if (value instanceof Uint8Array) writeBytes(value)
  else if (typeof value !== 'object' || value === null)
    throw notCanonical(whose, `a ${typeof value}`)
  else if (Array.isArray(value)) writeList(value, depth, whose)
  else writeMap(value as Readonly<Record<string, unknown>>, depth, whose)
}

function writeList(list: readonly unknown[], depth: number, whose: string): void {
  writeHead(LIST, list.length)
  for (const item of list) writeValue(item, depth + 1, whose)
}

/** Keys stand in the order of their encoded bytes: a shorter one before a longer. */
function writeMap(map: Readonly<Record<string, unknown>>, depth: number, whose: string): void {
  const keys = Object.keys(map)
  if (keys.length > 1) keys.sort(keys.every(isAscii) ? compareAscii : compareUtf8)
  writeHead(MAP, keys.length)
  for (const key of keys) {
    writeText(key, whose)
    writeValue(map[key], depth + 1, whose)
  }
}

function writeNumber(value: number, whose: string): void {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    throw notCanonical(whose, `the number ${value}`)
  }
  if (value >= 0) writeHead(UINT, value)
  else writeHead(NEGATIVE, -1 - value)
}

function writeBytes(bytes: Uint8Array): void {
  writeHead(BYTES, bytes.length)
  append(bytes)
}

function append(bytes: Uint8Array): void {
  reserve(bytes.length)
  buffer.set(bytes, at)
  at += bytes.length
}

/** ASCII is its own UTF-8; everything else is encoded first, so that its length is known. */
function writeText(text: string, whose: string): void {
  if (isAscii(text)) {
    writeHead(TEXT, text.length)
    reserve(text.length)
    for (let i = 0; i < text.length; i++) buffer[at++] = text.charCodeAt(i)
    return
  }
  // A lone surrogate has no UTF-8, and decoders drop a byte-order mark: neither survives the way back.
  if (/^\uFEFF|\p{Cs}/u.test(text)) throw notCanonical(whose, 'text without one UTF-8 form')
  const bytes = encoder.encode(text)
  writeHead(TEXT, bytes.length)
  append(bytes)
}

/** A major type with its number in the shortest form. Simple values are heads of their own. */
function writeHead(major: number, number: number): void {
  reserve(HEAD_BYTES_MAX)
  if (number < 24) buffer[at++] = major + number
  else if (number < 2 ** 8) {
    buffer[at++] = major + 24
    buffer[at++] = number
  } else if (number < 2 ** 16) {
    buffer[at++] = major + 25
    writeWord(number, 2)
  } else if (number < 2 ** 32) {
    buffer[at++] = major + 26
    writeWord(number, 4)
  } else {
    buffer[at++] = major + 27
    writeWord(Math.floor(number / 2 ** 32), 4)
    writeWord(number % 2 ** 32, 4)
  }
}

function writeWord(number: number, size: number): void {
  for (let shift = (size - 1) * 8; shift >= 0; shift -= 8) buffer[at++] = number >>> shift
}

function reserve(size: number): void {
  if (at + size <= buffer.length) return
  const larger = new Uint8Array(Math.max(buffer.length * 2, at + size))
  larger.set(buffer.subarray(0, at))
  buffer = larger
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false
  return true
}

function compareAscii(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : 1
}

/** UTF-16 sorts some characters otherwise than their bytes do. */
function compareUtf8(a: string, b: string): number {
  const [one, other] = [encoder.encode(a), encoder.encode(b)]
  if (one.length !== other.length) return one.length - other.length
  const differs = one.findIndex((byte, i) => byte !== other[i])
  return (one[differs] ?? 0) - (other[differs] ?? 0)
}

/** The refusal of what has no canonical form, or is not in it. */
export function notCanonical(whose: string, found: string): ProtocolError {
  return new ProtocolError(
    'NOT_CANONICAL',
    'reject',
    `expected canonical CBOR for ${whose}, found ${found}`,
  )
}
