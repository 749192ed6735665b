/**
 * Canonical CBOR (RFC 8949 §4.2.1) and the strict way back (SPEC §2.1).
 *
 * `decodeCanonical` refuses what `encodeCanonical` would not have written: the library's strict mode
 * rejects duplicate keys and long integers but takes unsorted maps, so the value is written again by
 * our own writer and compared. Size, nesting and item count are judged before anything is built.
 */
import { type DecodeOptions, decode, type Token, Tokenizer } from 'cborg'
import { isCanonicalFormOf, notCanonical, writeCanonical } from './cbor-writer.ts'
import { ProtocolError } from './errors.ts'
import { DEPTH_MAX, ITEMS_MAX } from './limits.ts'

/** What may stand on the wire: no floats, no tags, no null, no undefined. */
export type WireValue =
  | number
  | boolean
  | string
  | Uint8Array
  | readonly WireValue[]
  | { readonly [key: string]: WireValue }

/** The one encoding of `value`. Throws NOT_CANONICAL for what `decodeCanonical` would not give back. */
export function encodeCanonical(value: WireValue): Uint8Array {
  return writeCanonical(value, 'a value to encode')
}

/**
 * The value that `bytes` encode canonically.
 *
 * `whose` names the bytes in errors. Throws TOO_LARGE above `bytesMax`, NOT_CANONICAL for CBOR that
 * is malformed, not in its one form, deeper than `DEPTH_MAX`, of more than `ITEMS_MAX` items, or
 * holds a kind that the wire lacks.
 */
export function decodeCanonical(bytes: Uint8Array, bytesMax: number, whose: string): WireValue {
  if (bytes.length > bytesMax) {
    throw new ProtocolError(
      'TOO_LARGE',
      'reject',
      `expected at most ${bytesMax} bytes for ${whose}, found ${bytes.length}`,
    )
  }
  const value = decodeStrict(bytes, whose)
  if (!isCanonicalFormOf(value, bytes, whose)) {
    throw notCanonical(whose, 'bytes that are not the canonical encoding of their value')
  }
  return value as WireValue
}

const STRICT: DecodeOptions = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowNaN: false,
  allowInfinity: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true,
}

function decodeStrict(bytes: Uint8Array, whose: string): unknown {
  try {
    return decode(bytes, { ...STRICT, tokenizer: boundedTokens(bytes) })
  } catch (error) {
    throw notCanonical(whose, error instanceof Error ? error.message : String(error))
  }
}

/** Tokens of `bytes` that stop before the decoder nests too deep or builds too much. */
function boundedTokens(bytes: Uint8Array): NonNullable<DecodeOptions['tokenizer']> {
  const inner = new Tokenizer(bytes, STRICT)
  /** How many items each enclosing list or map still lacks, outermost first. */
  const missing: number[] = []
  let items = 0
  const next = (): Token => {
    const token = inner.next()
    items += 1
    if (items > ITEMS_MAX) throw new RangeError(`more than ${ITEMS_MAX} items`)
    while (missing.at(-1) === 0) missing.pop()
    if (missing.length > DEPTH_MAX) throw new RangeError(`nesting deeper than ${DEPTH_MAX}`)
    const enclosing = missing.pop()
    if (enclosing !== undefined) missing.push(enclosing - 1)
    if (token.type.name === 'array') missing.push(token.value)
    if (token.type.name === 'map') missing.push(2 * token.value)
    return token
  }
  return { next, done: () => inner.done(), pos: () => inner.pos() }
}
