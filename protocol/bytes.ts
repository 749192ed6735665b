/** Bytes to hex text and back, joined and compared. Ids live in memory as lower-case hex text. */
import { ProtocolError } from './errors.ts'

/** Lower-case hex text of an id, a hash or a key. */
export type Hex = string

const DIGITS: readonly string[] = Array.from({ length: 256 }, (_, i) =>
  i.toString(16).padStart(2, '0'),
)

/** Lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): Hex {
  let text = ''
  for (const byte of bytes) text += DIGITS[byte]
  return text
}

/** What each character of hex text is worth; 255 for everything else. */
const VALUES: Uint8Array = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(code))
  return value < 0 ? 255 : value
})

/** The bytes of lower-case hex `text`. Throws BAD_SHAPE on anything else. */
export function fromHex(text: Hex): Uint8Array {
  if (text.length % 2 !== 0) throw notHex(text)
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) {
    const high = VALUES[text.charCodeAt(2 * i)] ?? 255
    const low = VALUES[text.charCodeAt(2 * i + 1)] ?? 255
    if (high > 15 || low > 15) throw notHex(text)
    bytes[i] = high * 16 + low
  }
  return bytes
}

function notHex(text: string): ProtocolError {
  return new ProtocolError(
    'BAD_SHAPE',
    'reject',
    `expected lower-case hex, found ${text.slice(0, 80)}`,
  )
}

/** All parts, one after the other. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Whether two byte strings are the same. Not constant time: nothing secret is compared with it. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const encoder = new TextEncoder()

/** UTF-8 of `text`. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}
