/**
 * SHA-256, Ed25519 and HKDF: the only file of the pure floors that may import `node:crypto`.
 *
 * The native Ed25519 is ten times faster than a JavaScript one. Keys travel raw (32 bytes); the DER
 * prefixes below are those of RFC 8410 and let the native API take them.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hash,
  hkdfSync,
  sign as nativeSign,
  verify as nativeVerify,
} from 'node:crypto'
import { toBase64 } from './base64.ts'
import { concatBytes, equalBytes, toHex } from './bytes.ts'
import { ProtocolError } from './errors.ts'

const PUBLIC_PREFIX = Uint8Array.from([48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0])
const PRIVATE_PREFIX = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32])

/** Parsed public keys, because parsing costs a third of a verification. Bounded: oldest out. */
const PARSED_KEYS_MAX = 2048
const parsedKeys = new Map<string, ReturnType<typeof createPublicKey>>()
/** The key that was used last: a feed is verified under one. */
let latestKey: { bytes: Uint8Array; key: ReturnType<typeof createPublicKey> } | undefined

/** Parsed private keys of this process: parsing one costs three times a signature. Weak: gone with their seeds. */
const privateKeys = new WeakMap<Uint8Array, ReturnType<typeof createPrivateKey>>()

/** SHA-256 of `bytes`, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', bytes, 'buffer'))
}

/** SHA-256 of `bytes` as lower-case hex: how ids live in memory. */
export function sha256Hex(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex')
}

/** A SHA-256 that is fed piece by piece, for bytes too large to hold. */
export interface Sha256 {
  update(bytes: Uint8Array): void
  digest(): Uint8Array
}

/** Starts an incremental SHA-256. */
export function createSha256(): Sha256 {
  const hash = createHash('sha256')
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => new Uint8Array(hash.digest()),
  }
}

/** HKDF-SHA-256 (RFC 5869) without salt: 32 bytes for `label` out of `seed`. */
export function deriveSeed(seed: Uint8Array, label: string): Uint8Array {
  const info = new TextEncoder().encode(label)
  return new Uint8Array(hkdfSync('sha256', seed, new Uint8Array(0), info, 32))
}

/** The raw 32-byte public key of a 32-byte Ed25519 seed. Throws BAD_KEY on another length. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const der = createPublicKey(privateKey(seed)).export({ type: 'spki', format: 'der' })
  return new Uint8Array(der.subarray(PUBLIC_PREFIX.length))
}

/** Ed25519 signature (64 bytes) of `message` by the 32-byte `seed`. Throws BAD_KEY. */
export function signEd25519(input: { seed: Uint8Array; message: Uint8Array }): Uint8Array {
  return new Uint8Array(nativeSign(null, input.message, privateKey(input.seed)))
}

/**
 * Whether `signature` is `publicKey`'s over `message`. Malformed keys and signatures are false, and
 * so is everything under a key of small order: such a key signs for everybody.
 */
export function verifyEd25519(input: {
  publicKey: Uint8Array
  message: Uint8Array
  signature: Uint8Array
}): boolean {
  if (input.publicKey.length !== 32 || input.signature.length !== 64) return false
  try {
    return nativeVerify(null, input.message, parsed(input.publicKey), input.signature)
  } catch {
    return false
  }
}

/**
 * The eight points of small order, in every encoding (RFC 7748 §6.1 style list): a key like this
 * would let one signature verify for many messages, so nothing verifies under it.
 */
const SMALL_ORDER: readonly string[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]

/** Throws BAD_KEY unless `key` (hex) is 32 bytes and not a point of small order. */
export function assertPublicKey(key: string, whose: string): void {
  const high = Number.parseInt(key.slice(62), 16) & 0x7f
  const cleared = key.slice(0, 62) + high.toString(16).padStart(2, '0')
  if (/^[0-9a-f]{64}$/.test(key) && !SMALL_ORDER.includes(cleared)) return
  throw new ProtocolError(
    'BAD_KEY',
    'reject',
    `expected a 32-byte Ed25519 public key of full order for ${whose}, found ${key.slice(0, 70)}`,
  )
}

function privateKey(seed: Uint8Array): ReturnType<typeof createPrivateKey> {
  const known = privateKeys.get(seed)
  if (known !== undefined) return known
  const key = parsePrivateKey(seed)
  privateKeys.set(seed, key)
  return key
}

function parsePrivateKey(seed: Uint8Array): ReturnType<typeof createPrivateKey> {
  if (seed.length !== 32) {
    throw new ProtocolError(
      'BAD_KEY',
      'reject',
      `expected a seed of 32 bytes, found ${seed.length}`,
    )
  }
  return createPrivateKey(pem('PRIVATE KEY', concatBytes(PRIVATE_PREFIX, seed)))
}

function parsed(publicKey: Uint8Array): ReturnType<typeof createPublicKey> {
  if (latestKey !== undefined && equalBytes(latestKey.bytes, publicKey)) return latestKey.key
  const key = parsedOnce(publicKey)
  // A copy: the caller's bytes may be a window onto much, or be written over.
  latestKey = { bytes: publicKey.slice(), key }
  return key
}

function parsedOnce(publicKey: Uint8Array): ReturnType<typeof createPublicKey> {
  const id = publicKey.join()
  const known = parsedKeys.get(id)
  if (known) return known
  assertPublicKey(toHex(publicKey), 'a signature')
  const key = createPublicKey(pem('PUBLIC KEY', concatBytes(PUBLIC_PREFIX, publicKey)))
  if (parsedKeys.size >= PARSED_KEYS_MAX) {
    const oldest = parsedKeys.keys().next()
    if (!oldest.done) parsedKeys.delete(oldest.value)
  }
  parsedKeys.set(id, key)
  return key
}

/** The text form of a key: the native API takes it as it stands. */
function pem(label: string, der: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${toBase64(der)}\n-----END ${label}-----\n`
}
