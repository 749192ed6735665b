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
import { signedBytes } from './signed.ts'

/** An entry and the signature over it. */
export interface LogEntry {
  readonly entry: Uint8Array
  readonly signature: Uint8Array
}

const DOMAIN = utf8('nixfleet/v1/')
const FLEET_BYTES = 16

/** The entry of an envelope of `type`. Throws NOT_CANONICAL, BAD_SHAPE. */
export function entryOf(envelope: Uint8Array, type: string, fleet: FleetId): LogEntry {
  const value = decodeCanonical(envelope, GATE_BYTES_MAX, type)
  const [payload, signature] = Array.isArray(value) ? value : []
  if (payload instanceof Uint8Array && signature instanceof Uint8Array)
    return { entry: signedBytes(type, fleet, payload), signature }
  throw badEntry(`[payload, signature] for ${type}`, 'another form')
}

/** The envelope that an entry came from. Throws BAD_SHAPE, and WRONG_FLEET for another fleet's. */
export function envelopeOf({ entry, signature }: LogEntry, fleet: FleetId): Uint8Array {
  const end = entry.indexOf(0)
  const longest = DOMAIN.length + TYPE_CHARS_MAX
  const payload = entry.subarray(end + 1 + FLEET_BYTES)
  if (!equalBytes(entry.subarray(0, DOMAIN.length), DOMAIN) || end < 0 || end > longest)
    throw badEntry('signed bytes of version 1', toHex(entry.subarray(0, 16)))
  if (equalBytes(entry.subarray(end + 1, end + 1 + FLEET_BYTES), fromHex(fleet)))
    return encodeCanonical([payload, signature])
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
