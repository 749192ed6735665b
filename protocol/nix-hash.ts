/**
 * SHA-256 as Nix writes it: `sha256:<base 32>` in narinfo and fingerprints, `sha256:<hex>` in old
 * command output, `sha256-<base64>` (SRI) in lock files and `nix path-info --json`.
 *
 * Other algorithms are refused: no NAR is addressed by them. Source: Nix manual, "nix hash".
 */
import { fromBase64, toBase64 } from './base64.ts'
import { fromHex, toHex } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import { fromNixBase32, nixBase32Length, toNixBase32 } from './nix-base32.ts'

const DIGEST_BYTES = 32

/** The three texts of one hash. */
export type NixHashForm = 'base32' | 'hex' | 'sri'

/** `digest` in the form asked for. Throws BAD_SHAPE unless it has the 32 bytes of a SHA-256. */
export function printSha256(digest: Uint8Array, form: NixHashForm): string {
  assertDigest(digest, form)
  switch (form) {
    case 'base32':
      return `sha256:${toNixBase32(digest)}`
    case 'hex':
      return `sha256:${toHex(digest)}`
    case 'sri':
      return `sha256-${toBase64(digest)}`
  }
}

/**
 * The 32 bytes of a hash in any of the three forms, told apart by separator and length. `whose`
 * names the hash in errors. Throws BAD_SHAPE on another algorithm, form or length.
 */
export function parseSha256(text: string, whose: string): Uint8Array {
  const digest = decoded(text)
  if (digest?.length === DIGEST_BYTES) return digest
  throw new ProtocolError(
    'BAD_SHAPE',
    'reject',
    `expected sha256:<base 32>, sha256:<hex> or sha256-<base64> for ${whose}, ` +
      `found '${text.slice(0, 80)}'`,
  )
}

function decoded(text: string): Uint8Array | undefined {
  const body = text.slice('sha256:'.length)
  if (text.startsWith('sha256-')) return fromBase64(body)
  if (!text.startsWith('sha256:')) return undefined
  if (body.length === 2 * DIGEST_BYTES) return fromHex(body)
  if (body.length === nixBase32Length(DIGEST_BYTES)) return fromNixBase32(body, DIGEST_BYTES)
  return undefined
}

function assertDigest(digest: Uint8Array, form: NixHashForm): void {
  if (digest.length === DIGEST_BYTES) return
  throw new ProtocolError(
    'BAD_SHAPE',
    'reject',
    `expected ${DIGEST_BYTES} bytes of SHA-256 to print as ${form}, found ${digest.length}`,
  )
}
