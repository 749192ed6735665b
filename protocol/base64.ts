/** Standard base64 with padding (RFC 4648 §4), strict in reading: one text for each byte string. */
import { ProtocolError } from './errors.ts'

/** Base64 of `bytes`. For keys, hashes and signatures: above some kilobytes it gets slow. */
export function toBase64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/**
 * The bytes of base64 `text`. Throws BAD_SHAPE on a foreign character, missing padding, or bits
 * after the last byte that are not zero: a signature must not have two texts.
 */
export function fromBase64(text: string): Uint8Array {
  const binary = decoded(text)
  if (binary === undefined || btoa(binary) !== text) {
    throw new ProtocolError(
      'BAD_SHAPE',
      'reject',
      `expected base64 with padding, found '${text.slice(0, 100)}'`,
    )
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

function decoded(text: string): string | undefined {
  try {
    return atob(text)
  } catch {
    return undefined
  }
}
