/**
 * Nix's signatures over store paths: `name:base64` texts of keys and signatures, and what is signed.
 *
 * The name only finds the key among the trusted ones; the key alone decides. Source: Nix manual,
 * "nix store sign" and `secret-key-files`; `ValidPathInfo::fingerprint` in Nix's libstore.
 */
import { fromBase64, toBase64 } from './base64.ts'
import { utf8 } from './bytes.ts'
import { signEd25519, verifyEd25519 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import { NIX_KEY_NAME_CHARS_MAX } from './nar-limits.ts'
import { printSha256 } from './nix-hash.ts'
import { type NixStorePath, type StoreName, storePathOf } from './store-path.ts'

/** One signature and the name of the key that is said to have made it. */
export interface NixSignature {
  readonly keyName: string
  readonly signature: Uint8Array
}

/** Public keys by name: whose word for a store path counts. */
export type TrustedNixKeys = ReadonlyMap<string, Uint8Array>

/** What a signature covers of a store path: its name, its contents, and what it needs. */
export interface SignedPathInfo {
  readonly storePath: NixStorePath
  readonly narHash: Uint8Array
  readonly narSize: number
  readonly references: readonly StoreName[]
}

/**
 * The text that is signed: `1;<path>;sha256:<base 32>;<size>;<path>,<path>`.
 *
 * References are sorted here, as Nix keeps them in a sorted set. Throws NIX_SIGNATURE_MALFORMED on a
 * size that is not positive, because Nix signs none, and BAD_SHAPE on a hash of another length.
 */
export function nixFingerprint(info: SignedPathInfo): string {
  if (!Number.isSafeInteger(info.narSize) || info.narSize <= 0) {
    throw malformed(`a NAR size above 0 for ${info.storePath}`, `${info.narSize}`)
  }
  const references = [...info.references].sort().map(storePathOf).join(',')
  const hash = printSha256(info.narHash, 'base32')
  return `1;${info.storePath};${hash};${info.narSize};${references}`
}

/** `text` (`name:base64`) as a signature. Throws NIX_SIGNATURE_MALFORMED unless it has 64 bytes. */
export function parseNixSignature(text: string): NixSignature {
  const { name, bytes } = parseNamed(text, 64, 'a signature')
  return { keyName: name, signature: bytes }
}

/** The text of `signature`, as a narinfo's `Sig` holds it. */
export function printNixSignature(signature: NixSignature): string {
  return `${signature.keyName}:${toBase64(signature.signature)}`
}

/**
 * The keys of `texts` (each `name:base64`, 32 bytes), as `trusted-public-keys` lists them.
 *
 * Throws NIX_SIGNATURE_MALFORMED on a malformed text and on two keys of one name: which of them
 * were trusted would depend on their order.
 */
export function parseTrustedNixKeys(texts: Iterable<string>): TrustedNixKeys {
  const keys = new Map<string, Uint8Array>()
  for (const text of texts) {
    const { name, bytes } = parseNamed(text, 32, 'a public key')
    if (keys.has(name)) throw malformed('one key for each name', `a second '${name}'`)
    keys.set(name, bytes)
  }
  return keys
}

/** The public key of secret key `text`, as `nix key convert-secret-to-public` prints it. */
export function nixPublicKeyOf(secretKey: string): string {
  const { name, bytes } = parseSecretKey(secretKey)
  return `${name}:${toBase64(bytes.subarray(32))}`
}

/**
 * A signature over `info` by the secret key text `name:base64(seed, public key)`.
 *
 * Throws NIX_SIGNATURE_MALFORMED on a malformed key and on one whose halves do not belong together:
 * what it signs would verify nowhere.
 */
export function signPathInfo(info: SignedPathInfo, secretKey: string): NixSignature {
  const { name, bytes } = parseSecretKey(secretKey)
  const message = utf8(nixFingerprint(info))
  const signature = signEd25519({ seed: bytes.subarray(0, 32), message })
  if (!verifyEd25519({ publicKey: bytes.subarray(32), message, signature })) {
    throw malformed(`a seed and its public key in secret key '${name}'`, 'halves of two keys')
  }
  return { keyName: name, signature }
}

/** Whether `signature` is that of a trusted key over `info`; false also when its name is unknown. */
export function verifyPathInfo(
  info: SignedPathInfo,
  signature: NixSignature,
  trusted: TrustedNixKeys,
): boolean {
  const publicKey = trusted.get(signature.keyName)
  if (!publicKey) return false
  const message = utf8(nixFingerprint(info))
  return verifyEd25519({ publicKey, message, signature: signature.signature })
}

function parseSecretKey(text: string): { name: string; bytes: Uint8Array } {
  return parseNamed(text, 64, 'a secret key')
}

function parseNamed(
  text: string,
  length: number,
  what: string,
): { name: string; bytes: Uint8Array } {
  const colon = text.indexOf(':')
  const name = text.slice(0, Math.max(colon, 0))
  // Printable and without separators: the name is printed into narinfo lines and logs.
  if (!/^[!-~]+$/.test(name) || name.length > NIX_KEY_NAME_CHARS_MAX) {
    throw malformed(`a key name and a colon in ${what}`, 'none')
  }
  const bytes = decoded(text.slice(colon + 1), `${what} of '${name}'`)
  if (bytes.length === length) return { name, bytes }
  throw malformed(`${length} bytes in ${what} of '${name}'`, `${bytes.length}`)
}

/** The error does not repeat the text: it may be a secret key with a typing error. */
function decoded(text: string, what: string): Uint8Array {
  try {
    return fromBase64(text)
  } catch {
    throw malformed(`base64 in ${what}`, 'other text')
  }
}

function malformed(expected: string, found: string): ProtocolError {
  return new ProtocolError(
    'NIX_SIGNATURE_MALFORMED',
    'reject',
    `expected ${expected}, found ${found}`,
  )
}
