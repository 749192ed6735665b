/**
 * Bytes, hashes, signatures and CBOR of `verify.mjs`, which holds this file in its place when it is put
 * into a pull.
 */
import { createHash, createPublicKey, verify as verifyNative } from 'node:crypto'

// --- bytes, hashes, signatures ---
export const hex = (bytes) => Buffer.from(bytes).toString('hex')
export const sha = (...parts) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
const keys = new Map()

export function signedBy(key, message, signature) {
  try {
    if (!keys.has(key)) {
      const x = Buffer.from(key, 'hex').toString('base64url')
      keys.set(key, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }))
    }
    return signature.length === 64 && verifyNative(null, message, keys.get(key), signature)
  } catch {
    return false
  }
}

/** The bytes that a signature covers: domain, type, a zero byte, fleet, payload. */
export function message(type, fleet, payload) {
  return Buffer.concat([Buffer.from(`nixfleet/v1/${type}\0`), Buffer.from(fleet, 'hex'), payload])
}

// --- canonical CBOR: numbers, bytes (as Buffer), texts, lists, maps, booleans ---
export function decode(bytes) {
  const reader = { bytes, at: 0 }
  const value = item(reader, 0)
  if (reader.at !== bytes.length) throw new Error('bytes after the value')
  return value
}

function item(reader, depth) {
  if (depth > 8) throw new Error('nested too deep')
  const first = reader.bytes.readUInt8(reader.at++)
  const size = length(reader, first & 31)
  switch (first >> 5) {
    case 0:
      return size
    case 2:
      return take(reader, size)
    case 3:
      return take(reader, size).toString('utf8')
    case 4:
      return Array.from({ length: bounded(reader, size) }, () => item(reader, depth + 1))
    case 5:
      return map(reader, bounded(reader, size), depth)
    case 7:
      if (size === 20 || size === 21) return size === 21
  }
  throw new Error('a kind of value that is not used here')
}

function map(reader, size, depth) {
  const entries = {}
  for (let i = 0; i < size; i++) {
    const key = item(reader, depth + 1)
    if (typeof key !== 'string' || Object.hasOwn(entries, key)) throw new Error('a bad key')
    Object.defineProperty(entries, key, { value: item(reader, depth + 1), enumerable: true })
  }
  return entries
}

function length(reader, info) {
  if (info < 24) return info
  const width = { 24: 1, 25: 2, 26: 4, 27: 8 }[info]
  if (width === undefined) throw new Error('a length that is not canonical')
  const number = Number(`0x${hex(reader.bytes.subarray(reader.at, reader.at + width))}`)
  reader.at += width
  if (Number.isSafeInteger(number)) return number
  throw new Error('a number that is too large')
}

function bounded(reader, size) {
  if (size <= reader.bytes.length - reader.at) return size
  throw new Error('it ends too early')
}

function take(reader, size) {
  bounded(reader, size)
  reader.at += size
  return reader.bytes.subarray(reader.at - size, reader.at)
}

// --- entries and trees ---
const NODE = Buffer.of(1)

export function pieces(bytes) {
  const found = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 2 + bytes.readUInt16BE(at)
    if (end > bytes.length) throw new Error('it ends within an entry')
    found.push(bytes.subarray(at + 2, end))
    at = end
  }
  return found
}

/** Complete subtrees, level by level, over the leaves' hashes. */
export function treeOf(leaves) {
  const levels = [leaves]
  for (let below = leaves; below.length > 1; below = levels.at(-1)) {
    const row = []
    for (let i = 0; i + 1 < below.length; i += 2) row.push(sha(NODE, below[i], below[i + 1]))
    levels.push(row)
  }
  return levels
}

export function rootOf(levels, size) {
  let root
  for (let level = 0, rest = size; rest > 0; level++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 0) continue
    const peak = levels[level][rest - 1]
    root = root === undefined ? peak : sha(NODE, peak, root)
  }
  return root ?? sha()
}
