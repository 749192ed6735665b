/**
 * A ticket (SPEC §16.1): what the invited is given, as one word that can be copied, read aloud or drawn.
 *
 *     nf1 ‖ base64url, without padding, of (canonical CBOR of the map ‖ the first 4 bytes of SHA-256)
 *
 * It holds the seed of a one-time key: whoever has the ticket may ask to be let in, and nothing else.
 */
import { fromBase64, toBase64 } from './base64.ts'
import { concatBytes, type Hex, utf8 } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { assertPublicKey, sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import { type KeyPair, keyPair } from './identity.ts'
import { FACT_ID, type FactId, HASH, type HostName, KEY_ID, NAME } from './ids.ts'
import { TICKET_CHARS_MAX, TICKET_PEERS_MAX } from './limits.ts'
import { bytes, list, oneOf, optional, type Schema, shape, text, uint } from './schema.ts'

/** A peer who takes requests: where it is, and the transport key that it must prove. */
export interface TicketPeer {
  /** A multiaddress without peer id. */
  readonly address: string
  readonly key: Hex
}

export interface Ticket {
  /** Hash of root version 1: the fleet, and where its trust starts. */
  readonly rootHash: Hex
  /** The fleet's name, for people. */
  readonly fleet: string
  readonly invite: FactId
  /** The seed of the one-time key. */
  readonly seed: Uint8Array
  /** What its holder becomes; the role of an operator stands in the invite. */
  readonly kind: 'host' | 'operator'
  /** The name that must be taken, where there is one. */
  readonly name?: HostName | undefined
  /** Wall-clock ms; the invite decides, this only tells its holder. */
  readonly notAfter: number
  /** None where the request travels as a file. */
  readonly peers: readonly TicketPeer[]
}

const PREFIX = 'nf1'
const CHECK_BYTES = 4
const TICKET: Schema<Ticket> = shape<Ticket>({
  rootHash: HASH,
  fleet: NAME,
  invite: FACT_ID,
  seed: bytes(32, 32),
  kind: oneOf('host', 'operator'),
  name: optional(NAME),
  notAfter: uint(),
  peers: list(
    shape<TicketPeer>({ address: text(256, /^\/[\x21-\x7e]+$/), key: KEY_ID }),
    TICKET_PEERS_MAX,
  ),
})

/** The ticket as one word. */
export function formatTicket(ticket: Ticket): string {
  const payload = encodeCanonical(TICKET.encode(ticket))
  const text = toBase64(concatBytes(payload, check(payload)))
  return `${PREFIX}${text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}`
}

/**
 * The ticket in `word`. Throws BAD_TICKET, which says whether it is no ticket at all, one of another
 * version, or one in which characters are missing or wrong.
 */
export function parseTicket(word: string): Ticket {
  if (word.length > TICKET_CHARS_MAX) throw bad(`expected at most ${TICKET_CHARS_MAX} characters`)
  const version = /^nf(\d+)/.exec(word)?.[1]
  if (version === undefined) throw bad('expected a ticket, which begins with nf1')
  if (version !== '1' && !word.startsWith(PREFIX))
    throw bad(`expected a ticket of version 1, found version ${version}`)
  const packed = decoded(word.slice(PREFIX.length))
  const payload = packed?.subarray(0, -CHECK_BYTES)
  if (packed === undefined || payload === undefined || packed.length <= CHECK_BYTES)
    throw bad('expected a whole ticket, found one that was cut or mistyped')
  const found = packed.subarray(-CHECK_BYTES)
  if (check(payload).some((byte, i) => byte !== found[i]))
    throw bad('expected a ticket with a right check, found one that was cut or mistyped')
  const ticket = TICKET.decode(decodeCanonical(payload, TICKET_CHARS_MAX, 'a ticket'), 'ticket')
  for (const { key } of ticket.peers) assertPublicKey(key, 'a peer of the ticket')
  return ticket
}

/** The one-time key of a ticket. */
export function ticketKey(ticket: Ticket): KeyPair {
  return keyPair(ticket.seed)
}

function decoded(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined
  const plain = text.replaceAll('-', '+').replaceAll('_', '/')
  try {
    return fromBase64(plain.padEnd(Math.ceil(plain.length / 4) * 4, '='))
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

function check(payload: Uint8Array): Uint8Array {
  return sha256(concatBytes(utf8('nixfleet/v1/ticket'), Uint8Array.of(0), payload)).subarray(
    0,
    CHECK_BYTES,
  )
}

function bad(message: string): ProtocolError {
  return new ProtocolError('BAD_TICKET', 'reject', message)
}
