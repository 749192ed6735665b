/**
 * A second, slow reader of canonical CBOR, written from RFC 8949 §4.2.1 and SPEC §2.1 and from
 * nothing else: no library, no code of ours. Maps become Maps, so that nothing hides in a prototype.
 */

/** What the twin reads. */
export type Twin = number | boolean | string | Uint8Array | readonly Twin[] | TwinMap
export type TwinMap = ReadonlyMap<string, Twin>

/** The one value in `bytes`. Throws on anything that is not its canonical encoding. */
export function readTwin(bytes: Uint8Array): Twin {
  const [value, end] = readItem(bytes, 0, 0)
  if (end !== bytes.length) throw new Error('bytes after the value')
  return value
}

function readItem(bytes: Uint8Array, at: number, depth: number): [Twin, number] {
  if (depth > 6) throw new Error('too deep')
  const first = byteAt(bytes, at)
  if (first === 0xf4 || first === 0xf5) return [first === 0xf5, at + 1]
  const [argument, start] = readArgument(bytes, at)
  switch (first >> 5) {
    case 0:
      return [argument, start]
    case 1:
      if (argument === Number.MAX_SAFE_INTEGER) throw new Error('negative integer too small')
      return [-1 - argument, start]
    case 2:
      return [slice(bytes, start, argument), start + argument]
    case 3:
      return [readText(slice(bytes, start, argument)), start + argument]
    case 4:
      return readList(bytes, { start, count: argument, depth })
    case 5:
      return readMap(bytes, { start, count: argument, depth })
    default:
      throw new Error(`major type ${first >> 5}`)
  }
}

function readArgument(bytes: Uint8Array, at: number): [number, number] {
  const minor = byteAt(bytes, at) & 31
  if (minor < 24) return [minor, at + 1]
  if (minor > 27) throw new Error('reserved or indefinite length')
  const size = 2 ** (minor - 24)
  let value = 0n
  for (let i = 1; i <= size; i++) value = value * 256n + BigInt(byteAt(bytes, at + i))
  const shortest = [24n, 256n, 65_536n, 4_294_967_296n][minor - 24]
  if (shortest === undefined || value < shortest) throw new Error('not the shortest form')
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error('integer too large')
  return [Number(value), at + 1 + size]
}

interface Span {
  readonly start: number
  readonly count: number
  readonly depth: number
}

function readList(bytes: Uint8Array, { start, count, depth }: Span): [Twin, number] {
  const items: Twin[] = []
  let at = start
  for (let i = 0; i < count; i++) {
    const [item, end] = readItem(bytes, at, depth + 1)
    items.push(item)
    at = end
  }
  return [items, at]
}

function readMap(bytes: Uint8Array, { start, count, depth }: Span): [Twin, number] {
  const entries = new Map<string, Twin>()
  let at = start
  let before: Uint8Array | undefined
  for (let i = 0; i < count; i++) {
    const [key, keyEnd] = readItem(bytes, at, depth + 1)
    if (typeof key !== 'string') throw new Error('a key that is not text')
    const encoded = bytes.subarray(at, keyEnd)
    if (before && compare(before, encoded) >= 0) throw new Error('keys unsorted or repeated')
    const [value, end] = readItem(bytes, keyEnd, depth + 1)
    entries.set(key, value)
    before = encoded
    at = end
  }
  return [entries, at]
}

function readText(bytes: Uint8Array): string {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  if (text.startsWith('\u{feff}')) throw new Error('a byte-order mark')
  return text
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0)
  }
  return a.length - b.length
}

function slice(bytes: Uint8Array, start: number, count: number): Uint8Array {
  if (start + count > bytes.length) throw new Error('cut short')
  return bytes.subarray(start, start + count)
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) throw new Error('cut short')
  return byte
}
