/**
 * Store paths: `/nix/store/<32 of base 32>-<name>`, and the name alone where no directory is meant.
 *
 * A name reaches the file system, a URL and a signature, so it is checked once, here, and carries
 * the proof in its type. Source: Nix manual, "Store path"; `checkName` in Nix's libstore.
 */
import { toHex, utf8 } from './bytes.ts'
import { sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import { STORE_NAME_CHARS_MAX } from './nar-limits.ts'
import { fromNixBase32, toNixBase32 } from './nix-base32.ts'

declare const storeNameBrand: unique symbol
declare const storePathBrand: unique symbol

/** A checked `<hash>-<name>`: what narinfo references hold, and one safe path component. */
export type StoreName = string & { readonly [storeNameBrand]: true }
/** A checked `/nix/store/<hash>-<name>`. */
export type NixStorePath = string & { readonly [storePathBrand]: true }

const STORE_PREFIX = '/nix/store/'
const HASH_BYTES = 20
const HASH_CHARS = 32

/**
 * `text` as a store name. Throws STORE_PATH_MALFORMED on a hash that is not 32 characters of base
 * 32, and on a name that is empty, longer than 211, outside Nix's alphabet, or one of the dot names
 * that current Nix refuses (`.`, `..`, and those two followed by a dash).
 */
export function parseStoreName(text: string): StoreName {
  const name = text.slice(HASH_CHARS + 1)
  if (!isHash(text.slice(0, HASH_CHARS)) || text.charAt(HASH_CHARS) !== '-') {
    throw malformed('32 characters of Nix base 32 and a dash', text)
  }
  assertName(name, text)
  return text as StoreName
}

/** `text` as a full store path. Throws STORE_PATH_MALFORMED, also on a path inside a store path. */
export function parseStorePath(text: string): NixStorePath {
  if (!text.startsWith(STORE_PREFIX)) throw malformed(`a path in ${STORE_PREFIX}`, text)
  parseStoreName(text.slice(STORE_PREFIX.length))
  return text as NixStorePath
}

/** The name of `path`, without the directory. */
export function storeNameOf(path: NixStorePath): StoreName {
  return path.slice(STORE_PREFIX.length) as StoreName
}

/** The path of `name` in `/nix/store`, as fingerprints and narinfo files spell it. */
export function storePathOf(name: StoreName): NixStorePath {
  return `${STORE_PREFIX}${name}` as NixStorePath
}

/** The 32 characters before the dash: how a binary cache names its `<hash>.narinfo`. */
export function storeHashOf(name: StoreName): string {
  return name.slice(0, HASH_CHARS)
}

/**
 * The store name of a portable generation (D7): one whose store keeps no derivations, so that its
 * hash can only come from its contents.
 *
 * Made as Nix makes a fixed-output path (SHA-256 of a tagged text, folded to 20 bytes), with a tag
 * of our own: it can never be mistaken for a path that Nix computed. Throws STORE_PATH_MALFORMED on
 * a bad `name` or a `narHash` that is not 32 bytes.
 */
export function portableStoreName(narHash: Uint8Array, name: string): StoreName {
  if (narHash.length !== 32) throw malformed('a NAR hash of 32 bytes', `${narHash.length} bytes`)
  assertName(name, name)
  const digest = sha256(utf8(`nixfleet-portable:sha256:${toHex(narHash)}:${name}`))
  return `${toNixBase32(folded(digest))}-${name}` as StoreName
}

/** Nix's `compressHash`: each byte is XORed into the place it has modulo 20. */
function folded(digest: Uint8Array): Uint8Array {
  const hash = new Uint8Array(HASH_BYTES)
  for (const [at, byte] of digest.entries()) {
    hash[at % HASH_BYTES] = (hash[at % HASH_BYTES] ?? 0) ^ byte
  }
  return hash
}

function isHash(text: string): boolean {
  try {
    return fromNixBase32(text, HASH_BYTES).length === HASH_BYTES
  } catch {
    return false
  }
}

function assertName(name: string, whose: string): void {
  if (name.length === 0) throw malformed('a name after the dash', whose)
  if (name.length > STORE_NAME_CHARS_MAX) {
    throw malformed(`a name of at most ${STORE_NAME_CHARS_MAX} characters`, whose)
  }
  if (!/^[0-9a-zA-Z+\-._?=]+$/.test(name))
    throw malformed('a name of 0-9 a-z A-Z + - . _ ? =', whose)
  if (/^\.\.?(-|$)/.test(name)) throw malformed("a name that does not start as '.' or '..'", whose)
}

function malformed(expected: string, found: string): ProtocolError {
  return new ProtocolError(
    'STORE_PATH_MALFORMED',
    'reject',
    `expected ${expected}, found '${found.slice(0, 300)}'`,
  )
}
