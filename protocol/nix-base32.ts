/**
 * Nix's own base 32: what stands in store paths, narinfo hashes and fingerprints.
 *
 * Neither RFC 4648 nor Crockford. The alphabet leaves out e, o, u and t (so that hashes spell
 * nothing rude), and the digits run from the last byte to the first. Source: Nix manual, "Store
 * path specification"; thesis of E. Dolstra §5.1; `printHash32` in Nix's libutil.
 */
import { ProtocolError } from './errors.ts'

const ALPHABET = '0123456789abcdfghijklmnpqrsvwxyz'

/** Characters that `byteCount` bytes take: 32 for the 20 of a store path, 52 for a SHA-256. */
export function nixBase32Length(byteCount: number): number {
  return Math.ceil((byteCount * 8) / 5)
}

/**
 * Nix base 32 of `bytes`.
 *
 * @example
 * toNixBase32(sha256(nar)) // '1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s'
 */
export function toNixBase32(bytes: Uint8Array): string {
  let text = ''
  for (let digit = nixBase32Length(bytes.length) - 1; digit >= 0; digit--) {
    const at = (digit * 5) >> 3
    const shift = (digit * 5) & 7
    const pair = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
    text += ALPHABET[(pair >> shift) & 31]
  }
  return text
}

/**
 * The `byteCount` bytes that `text` spells.
 *
 * Throws BAD_SHAPE on another length, a character outside the alphabet, or a first digit whose
 * spare bits are not zero: two texts must not name one hash.
 */
export function fromNixBase32(text: string, byteCount: number): Uint8Array {
  if (text.length !== nixBase32Length(byteCount)) {
    throw badShape(`${nixBase32Length(byteCount)} characters`, text)
  }
  // One byte more than asked for catches the spare bits of the first digit.
  const bytes = new Uint8Array(byteCount + 1)
  for (let digit = 0; digit < text.length; digit++) {
    const value = ALPHABET.indexOf(text.charAt(text.length - 1 - digit))
    if (value < 0) throw badShape(`characters of ${ALPHABET}`, text)
    const at = (digit * 5) >> 3
    const pair = value << ((digit * 5) & 7)
    bytes[at] = (bytes[at] ?? 0) | (pair & 255)
    bytes[at + 1] = (bytes[at + 1] ?? 0) | (pair >> 8)
  }
  if (bytes[byteCount] !== 0) throw badShape('zero in the spare bits of the first digit', text)
  return bytes.slice(0, byteCount)
}

function badShape(expected: string, found: string): ProtocolError {
  return new ProtocolError(
    'BAD_SHAPE',
    'reject',
    `expected ${expected} of Nix base 32, found '${found.slice(0, 80)}'`,
  )
}
