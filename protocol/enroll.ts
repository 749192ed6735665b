/**
 * A request to be let in (SPEC §16.2): signed by the new key and by its ticket's key, [envelope, signature].
 *
 * It holds no time and nothing random: who asks again asks the same. It changes nothing by itself.
 */

import { fromHex, type Hex } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { assertPublicKey, sha256Hex } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import type { GroupHost } from './group-config.ts'
import type { KeyPair } from './identity.ts'
import {
  FACT_ID,
  type FactId,
  type FleetId,
  type HostName,
  KEY_ID,
  type KeyId,
  NAME,
} from './ids.ts'
import { ADDRESSES_MAX, ENROLL_BYTES_MAX } from './limits.ts'
import { bytes, list, optional, type Schema, shape, text, written } from './schema.ts'
import { bodyOf, ED25519, open, type Signer, seal, signedBytes } from './signed.ts'

/** What a host says of itself besides the fact key, which signs. Its tags are the invite's. */
export interface EnrollingHost {
  readonly transport: KeyId
  readonly cosign: KeyId
  readonly addresses: readonly string[]
}

/** The body of a request. */
export interface EnrollBody {
  /** The fact that invites. */
  readonly invite: FactId
  /** The name that is asked for, of a host or of an operator. */
  readonly name: HostName
  /** Present for a host, absent for an operator. */
  readonly host?: EnrollingHost | undefined
}

/** A request whose own signature holds; the ticket's is for `isByTicket`, once the invite is known. */
export interface EnrollRequest extends EnrollBody {
  /** SHA-256 of its bytes, both signatures among them: a copy with a broken one is another request. */
  readonly id: FactId
  /** Id of the envelope inside: what the ticket's key signs. */
  readonly envelope: FactId
  /** The key that wants in: a host's fact key, an operator's key. */
  readonly key: KeyId
  readonly ticketSignature: Uint8Array
  readonly bytes: Uint8Array
}

const BODY: Schema<EnrollBody> = shape<EnrollBody>({
  invite: FACT_ID,
  name: NAME,
  host: optional(
    shape<EnrollingHost>({
      transport: KEY_ID,
      cosign: KEY_ID,
      addresses: list(text(256, /^\/[\x21-\x7e]+$/), ADDRESSES_MAX),
    }),
  ),
})
const PAIR: Schema<readonly Uint8Array[]> = list(bytes(ENROLL_BYTES_MAX), 2, 2)
const TYPE = 'enroll'
const TICKET_TYPE = 'enroll.ticket'

/** Signs a request with the new key and the ticket's. Throws BAD_SHAPE, TOO_LARGE. */
export function signEnroll(
  body: EnrollBody,
  keys: { fleet: FleetId; key: KeyPair; ticket: KeyPair; signer?: Signer },
): EnrollRequest {
  const { fleet, key, ticket, signer = ED25519 } = keys
  const { wire, value } = written(BODY, body, TYPE)
  const envelope = seal({ type: TYPE, fleet, key, payload: { b: wire }, signer })
  const message = ticketMessage(fleet, envelope.id)
  const ticketSignature = signer.sign({ seed: ticket.seed, message })
  const packed = encodeCanonical([envelope.bytes, ticketSignature])
  if (packed.length > ENROLL_BYTES_MAX) {
    throw refusal(
      'TOO_LARGE',
      `expected at most ${ENROLL_BYTES_MAX} bytes of a request, found ${packed.length}`,
    )
  }
  const id = sha256Hex(packed)
  return {
    ...value,
    ...{ id, envelope: envelope.id, key: key.publicKey, ticketSignature, bytes: packed },
  }
}

/**
 * The request in `source`, if the key that wants in signed it for this fleet. The ticket's signature is
 * not looked at. Throws ProtocolError as `open` does, and BAD_KEY.
 */
export function openEnroll(
  source: Uint8Array,
  options: { fleet: FleetId; whose: string; signer?: Signer },
): EnrollRequest {
  const pair = PAIR.decode(decodeCanonical(source, ENROLL_BYTES_MAX, options.whose), options.whose)
  const [envelope, ticketSignature] = pair
  if (envelope === undefined || ticketSignature?.length !== 64) {
    throw refusal('BAD_SHAPE', `expected [envelope, 64-byte signature] in ${options.whose}`)
  }
  const opened = open(envelope, { ...options, bytesMax: ENROLL_BYTES_MAX })
  if (opened.type !== TYPE) {
    throw refusal('BAD_SHAPE', `expected type ${TYPE} in ${options.whose}, found ${opened.type}`)
  }
  const body = BODY.decode(bodyOf(opened), options.whose)
  const keys = [opened.author, ...(body.host ? [body.host.transport, body.host.cosign] : [])]
  for (const key of keys) assertPublicKey(key, options.whose)
  if (new Set(keys).size !== keys.length) {
    throw refusal('BAD_KEY', `expected three different keys of a host in ${options.whose}`)
  }
  const id = sha256Hex(source)
  return {
    ...body,
    ...{ id, envelope: opened.id, key: opened.author, ticketSignature, bytes: source },
  }
}

/** Whether whoever made the request held the ticket of `key`. */
export function isByTicket(
  request: EnrollRequest,
  options: { fleet: FleetId; key: KeyId; signer?: Signer },
): boolean {
  const { fleet, key, signer = ED25519 } = options
  return signer.verify({
    publicKey: fromHex(key),
    message: ticketMessage(fleet, request.envelope),
    signature: request.ticketSignature,
  })
}

/** The host that a request describes, with the tags of its invite; undefined for an operator's. */
export function enrollingHost(
  request: EnrollRequest,
  tags: readonly string[],
): GroupHost | undefined {
  const { host, name, key } = request
  if (host === undefined) return undefined
  const { transport, cosign, addresses } = host
  return { name, transport, fact: key, cosign, addresses, tags }
}

function ticketMessage(fleet: FleetId, id: Hex): Uint8Array {
  return signedBytes(TICKET_TYPE, fleet, fromHex(id))
}

function refusal(code: 'TOO_LARGE' | 'BAD_SHAPE' | 'BAD_KEY', message: string): ProtocolError {
  return new ProtocolError(code, 'reject', message)
}
