/**
 * The envelope under every signature: CBOR [payload, signature] (SPEC §2.2).
 *
 * The signed bytes are `nixfleet/v1/<type>`, a zero byte, the fleet id, and the payload as received;
 * the id is their SHA-256, so it binds fleet and type, and a malleated signature makes no second id.
 */
import { concatBytes, fromHex, type Hex, toHex, utf8 } from './bytes.ts'
import { decodeCanonical, encodeCanonical, type WireValue } from './codec.ts'
import { sha256Hex, signEd25519, verifyEd25519 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import type { KeyPair } from './identity.ts'
import type { FleetId } from './ids.ts'
import { TYPE_CHARS_MAX } from './limits.ts'

/** Signs and verifies; a port, so that a simulator may use a cheap scheme with the same algebra. */
export interface Signer {
  sign(input: { seed: Uint8Array; message: Uint8Array }): Uint8Array
  verify(input: { publicKey: Uint8Array; message: Uint8Array; signature: Uint8Array }): boolean
}

/** The scheme of version 1. */
export const ED25519: Signer = { sign: signEd25519, verify: verifyEd25519 }

/** Bytes with a signature that has been checked. */
export interface Opened {
  readonly id: Hex
  readonly author: Hex
  readonly type: string
  readonly payload: Readonly<Record<string, WireValue>>
  readonly signature: Uint8Array
  readonly bytes: Uint8Array
}

/** The domain-separated bytes that a signature of `type` in fleet `fleet` covers. */
export function signedBytes(type: string, fleet: FleetId, payload: Uint8Array): Uint8Array {
  return concatBytes(utf8(`nixfleet/v1/${type}`), Uint8Array.of(0), fromHex(fleet), payload)
}

/** No zero byte may stand in a type: it is what ends the type in the signed bytes. */
const TYPE = /^[a-z0-9][a-z0-9.-]*$/

/**
 * Signs `payload` (its keys `v`, `t` and `a` are set here) and packs it.
 *
 * Throws TOO_LARGE above `bytesMax`, so that nobody signs what everybody refuses; NOT_CANONICAL.
 */
export function seal(input: {
  type: string
  fleet: FleetId
  key: KeyPair
  payload: Readonly<Record<string, WireValue>>
  bytesMax?: number
  signer?: Signer
}): { id: Hex; bytes: Uint8Array; signature: Uint8Array } {
  const { type, fleet, key, bytesMax = Number.POSITIVE_INFINITY, signer = ED25519 } = input
  const payload = encodeCanonical({ ...input.payload, v: 1, t: type, a: fromHex(key.publicKey) })
  const message = signedBytes(type, fleet, payload)
  const signature = signer.sign({ seed: key.seed, message })
  const bytes = encodeCanonical([payload, signature])
  if (bytes.length <= bytesMax) return { id: sha256Hex(message), bytes, signature }
  throw new ProtocolError(
    'TOO_LARGE',
    'reject',
    `expected at most ${bytesMax} bytes to sign for ${type}, found ${bytes.length}`,
  )
}

/**
 * Checks size, form, version, type and signature, in this order, and gives the payload.
 *
 * Throws TOO_LARGE, NOT_CANONICAL, BAD_SHAPE, UNKNOWN_VERSION, BAD_SIGNATURE; all `reject`.
 */
export function open(
  bytes: Uint8Array,
  options: { fleet: FleetId; bytesMax: number; whose: string; signer?: Signer },
): Opened {
  const { bytesMax, whose } = options
  const [payload, signature] = unpack(decodeCanonical(bytes, bytesMax, whose), whose)
  const signed = (type: string): Uint8Array => signedBytes(type, options.fleet, payload)
  return openParts({ payload, signature, bytes, signed }, options)
}

/**
 * What `open` checks beyond the form of an envelope: for whoever has its parts by themselves. `signed`
 * gives the signed bytes, now that the payload has said its type; it may throw instead.
 */
export function openParts(
  parts: {
    payload: Uint8Array
    signature: Uint8Array
    bytes: Uint8Array
    signed: (type: string) => Uint8Array
  },
  options: { fleet: FleetId; bytesMax: number; whose: string; signer?: Signer },
): Opened {
  const { signature, bytes } = parts
  const { fleet, bytesMax, whose, signer = ED25519 } = options
  const payload = decodeCanonical(parts.payload, bytesMax, `the payload of ${whose}`)
  const { type, author } = header(payload, whose)
  const message = parts.signed(type)
  if (!signer.verify({ publicKey: author, message, signature })) {
    throw new ProtocolError(
      'BAD_SIGNATURE',
      'reject',
      `expected a signature of ${toHex(author).slice(0, 16)}… in fleet ${fleet} over ${type} (${whose}), found one that does not verify`,
    )
  }
  return {
    id: sha256Hex(message),
    author: toHex(author),
    type,
    payload: payload as Record<string, WireValue>,
    signature,
    bytes,
  }
}

/** The body of a message whose payload is `v`, `t`, `a` and `b` alone. Throws BAD_SHAPE. */
export function bodyOf(opened: Opened): WireValue {
  const stray = Object.keys(opened.payload).find((key) => !['v', 't', 'a', 'b'].includes(key))
  if (stray !== undefined) throw badShape(`only v, t, a and b in ${opened.type}`, stray)
  const body = opened.payload['b']
  if (body === undefined) throw badShape(`a body in ${opened.type}`, 'none')
  return body
}

function unpack(value: WireValue, whose: string): [Uint8Array, Uint8Array] {
  if (Array.isArray(value) && value.length === 2) {
    const [payload, signature] = value
    const bytes = payload instanceof Uint8Array && signature instanceof Uint8Array
    if (bytes && signature.length === 64) return [payload, signature]
  }
  throw badShape(`[payload, 64-byte signature] for ${whose}`, 'another form')
}

function header(payload: WireValue, whose: string): { type: string; author: Uint8Array } {
  if (typeof payload === 'object' && !Array.isArray(payload) && !(payload instanceof Uint8Array)) {
    const { v, t, a } = payload as Record<string, WireValue>
    if (typeof v === 'number' && v !== 1) {
      throw new ProtocolError(
        'UNKNOWN_VERSION',
        'ignore',
        `expected version 1 of ${whose}, found ${v}`,
      )
    }
    if (v === 1 && isType(t) && a instanceof Uint8Array && a.length === 32) {
      return { type: t, author: a }
    }
  }
  throw badShape(`a map with v, t and a for ${whose}`, 'another form')
}

function isType(value: WireValue | undefined): value is string {
  return typeof value === 'string' && value.length <= TYPE_CHARS_MAX && TYPE.test(value)
}

function badShape(expected: string, found: string): ProtocolError {
  return new ProtocolError('BAD_SHAPE', 'reject', `expected ${expected}, found ${found}`)
}
