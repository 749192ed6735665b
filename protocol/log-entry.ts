/**
 * What a log's leaf holds (SPEC §15.5): the signed bytes of a fact or block, without the signature.
 *
 * These are the bytes that a fact's and a block's id is the hash of. A second signature over the same
 * bytes is no second message, so it must not make a second leaf: two nodes that hold the same facts
 * must have the same roots. The signatures lie beside the entries.
 */

import type { Hex } from './bytes.ts'
import { concatBytes, equalBytes, fromHex, toHex, utf8 } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import type { FleetId } from './ids.ts'
import { GATE_BYTES_MAX, TYPE_CHARS_MAX } from './limits.ts'
import { type Opened, openParts, type Signer, signedBytes } from './signed.ts'

/** An entry and the signature over it. */
export interface LogEntry {
  readonly entry: Uint8Array
  readonly signature: Uint8Array
}

const DOMAIN = utf8('nixfleet/v1/')
const FLEET_BYTES = 16
const SIGNATURE_BYTES = 64

/** The entry of an envelope of `type`. Throws NOT_CANONICAL, BAD_SHAPE. */
export function entryOf(envelope: Uint8Array, type: string, fleet: FleetId): LogEntry {
  const value = decodeCanonical(envelope, GATE_BYTES_MAX, type)
  const [payload, signature] = Array.isArray(value) ? value : []
  if (payload instanceof Uint8Array && signature instanceof Uint8Array)
    return { entry: signedBytes(type, fleet, payload), signature }
  throw badEntry(`[payload, signature] for ${type}`, 'another form')
}

/** The envelope that an entry came from. Throws BAD_SHAPE, and WRONG_FLEET for another fleet's. */
export function envelopeOf(stored: LogEntry, fleet: FleetId): Uint8Array {
  return encodeCanonical([payloadOf(stored, fleet), stored.signature])
}

/**
 * What `open` gives for the envelope of an entry, without writing that and reading it again. The signed
 * bytes must be the entry itself: whoever wrote another type before the payload changed the log.
 *
 * Throws as `open` does, BAD_SHAPE for what is no entry, and WRONG_FLEET for another fleet's.
 */
export function openEntry(
  stored: LogEntry,
  options: { fleet: FleetId; bytesMax: number; whose: string; signer?: Signer },
): Opened {
  const { fleet, bytesMax, whose } = options
  const { signature } = stored
  const payload = payloadOf(stored, fleet)
  if (signature.length !== SIGNATURE_BYTES)
    throw badEntry(`a signature of ${SIGNATURE_BYTES} bytes for ${whose}`, `${signature.length}`)
  const bytes = encodeCanonical([payload, signature])
  if (bytes.length > bytesMax) {
    throw new ProtocolError(
      'TOO_LARGE',
      'reject',
      `expected at most ${bytesMax} bytes for ${whose}, found ${bytes.length}`,
    )
  }
  const signed = (type: string): Uint8Array => {
    if (isTypeOf(stored.entry, type)) return stored.entry
    throw badEntry(`the type ${type} before the payload of ${whose}`, entryType(stored.entry))
  }
  return openParts({ payload, signature, bytes, signed }, options)
}

/** Whether the signed bytes name this type, which is ASCII, and nothing else before their zero byte. */
function isTypeOf(entry: Uint8Array, type: string): boolean {
  const end = DOMAIN.length + type.length
  for (let i = 0; i < type.length; i++)
    if (entry[DOMAIN.length + i] !== type.charCodeAt(i)) return false
  return entry[end] === 0
}

/** The payload in the signed bytes. */
function payloadOf({ entry }: LogEntry, fleet: FleetId): Uint8Array {
  const end = entry.indexOf(0)
  const longest = DOMAIN.length + TYPE_CHARS_MAX
  if (!equalBytes(entry.subarray(0, DOMAIN.length), DOMAIN) || end < 0 || end > longest)
    throw badEntry('signed bytes of version 1', toHex(entry.subarray(0, 16)))
  if (equalBytes(entry.subarray(end + 1, end + 1 + FLEET_BYTES), fromHex(fleet)))
    return entry.subarray(end + 1 + FLEET_BYTES)
  throw new ProtocolError('WRONG_FLEET', 'reject', `expected an entry of fleet ${fleet}`)
}

/** The type that the signed bytes name, which their payload must repeat. */
export function entryType(entry: Uint8Array): string {
  const end = Math.max(DOMAIN.length, entry.indexOf(0))
  return new TextDecoder().decode(entry.subarray(DOMAIN.length, end))
}

/** The id of the fact or block whose signed bytes these are. */
export function entryId(entry: Uint8Array): Hex {
  return toHex(sha256(entry))
}

/** Entries without length: their bytes one after the other, for signatures of 64. */
export function joinSignatures(entries: readonly LogEntry[]): Uint8Array {
  return concatBytes(...entries.map((one) => one.signature))
}

function badEntry(expected: string, found: string): ProtocolError {
  return new ProtocolError('BAD_SHAPE', 'reject', `expected ${expected}, found ${found}`)
}
