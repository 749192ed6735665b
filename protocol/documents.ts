/**
 * A document: a payload with several signatures, CBOR `[payload, [[key, signature], …]]` (SPEC §4).
 *
 * Roots and group configurations are documents, not facts: they belong to no feed, and they count
 * by how many admins signed the same payload.
 */
import { fromHex, type Hex, toHex } from './bytes.ts'
import { decodeCanonical, encodeCanonical, type WireValue } from './codec.ts'
import { sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import type { KeyPair } from './identity.ts'
import { type FleetId, KEY_ID, type KeyId } from './ids.ts'
import { DOCUMENT_BYTES_MAX, ROOT_KEYS_MAX } from './limits.ts'
import { bytes, list } from './schema.ts'
import { ED25519, type Signer, signedBytes } from './signed.ts'

/** A document whose signatures have been counted. */
export interface SignedDocument<T> {
  readonly value: T
  /** SHA-256 of the payload. */
  readonly hash: Hex
  readonly bytes: Uint8Array
}

/** A document as read: nothing in it is believed yet. */
export interface UnverifiedDocument {
  readonly payload: Uint8Array
  readonly hash: Hex
  readonly signatures: readonly DocumentSignature[]
}

export interface DocumentSignature {
  readonly key: KeyId
  readonly signature: Uint8Array
}

/** What a document's signatures cover, and whose. */
export interface DocumentDomain {
  readonly type: 'root' | 'group-config'
  readonly fleet: FleetId
}

/** Signs `payload` with every one of `keys`. Throws TOO_LARGE. */
export function packDocument(
  domain: DocumentDomain,
  payload: Uint8Array,
  keys: readonly KeyPair[],
): Uint8Array {
  const message = signedBytes(domain.type, domain.fleet, payload)
  const signatures = [...keys]
    .sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1))
    .map((key): WireValue => [fromHex(key.publicKey), ED25519.sign({ seed: key.seed, message })])
  const packed = encodeCanonical([payload, signatures])
  if (packed.length <= DOCUMENT_BYTES_MAX) return packed
  throw new ProtocolError(
    'TOO_LARGE',
    'reject',
    `expected at most ${DOCUMENT_BYTES_MAX} bytes to sign for ${domain.type}, found ${packed.length}`,
  )
}

/**
 * The document with the signatures of `keys` added: admins sign one after the other, each on a machine
 * of their own. A key that signed already changes nothing. Throws TOO_LARGE, BAD_SHAPE above `ROOT_KEYS_MAX`.
 */
export function addSignatures(
  source: Uint8Array,
  domain: DocumentDomain,
  keys: readonly KeyPair[],
): Uint8Array {
  const { payload, signatures } = unpackDocument(source, domain.type)
  const message = signedBytes(domain.type, domain.fleet, payload)
  const all = new Map(signatures.map(({ key, signature }) => [key, signature]))
  for (const { publicKey, seed } of keys) all.set(publicKey, ED25519.sign({ seed, message }))
  const pairs = [...all]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, signature]): WireValue => [fromHex(key), signature])
  const packed = encodeCanonical([payload, pairs])
  unpackDocument(packed, domain.type)
  return packed
}

/** Takes a document apart. Throws TOO_LARGE, NOT_CANONICAL, BAD_SHAPE. */
export function unpackDocument(source: Uint8Array, whose: string): UnverifiedDocument {
  const value = decodeCanonical(source, DOCUMENT_BYTES_MAX, whose)
  if (!Array.isArray(value) || value.length !== 2) {
    throw new ProtocolError(
      'BAD_SHAPE',
      'reject',
      `expected [payload, signatures] for ${whose}, found another form`,
    )
  }
  const payload = bytes(DOCUMENT_BYTES_MAX).decode(value[0], whose)
  const pairs = list(list(bytes(64, 32), 2, 2), ROOT_KEYS_MAX).decode(value[1], whose)
  const signatures = pairs.map((pair, i) => ({
    key: KEY_ID.decode(pair[0], `${whose}.signatures[${i}].key`),
    signature: bytes(64, 64).decode(pair[1], `${whose}.signatures[${i}].signature`),
  }))
  return { payload, hash: toHex(sha256(payload)), signatures }
}

/** How many distinct ones of `keys` signed the document; what others signed does not count. */
export function countSigners(
  document: UnverifiedDocument,
  domain: DocumentDomain,
  rules: { keys: readonly KeyId[]; signer?: Signer },
): number {
  const { keys, signer = ED25519 } = rules
  const message = signedBytes(domain.type, domain.fleet, document.payload)
  const good = new Set<KeyId>()
  for (const { key, signature } of document.signatures) {
    if (good.has(key) || !keys.includes(key)) continue
    if (signer.verify({ publicKey: fromHex(key), message, signature })) good.add(key)
  }
  return good.size
}
