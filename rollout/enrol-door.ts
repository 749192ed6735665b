/** Whether a peer takes a request at its door, and who may knock (SPEC §16.3). */
import type { EnrollRefusal, EnrollRequest, KeyId } from '../protocol/index.ts'
import {
  type Enrolments,
  fitsRole,
  type InviteStanding,
  invitesOf,
  isAdmitted,
  isTicketOf,
  type RequestStanding,
} from './enrolment.ts'
import { TICKET_KEPT_MS, TICKETS_MAX } from './limits.ts'
import { isRevoked } from './revocations.ts'
import { configsOf, operatorOfKey, rootsOf } from './trust.ts'

/** What a peer does with a request that was handed to it over a connection that proved `ticket`. */
export type EnrollRuling =
  | { readonly kind: 'known'; readonly standing: RequestStanding }
  | { readonly kind: 'take' }
  | { readonly kind: 'refuse'; readonly code: EnrollRefusal; readonly why: string }

/**
 * Judges a request at the door. The clock is this peer's own: an invite's end is a key's expiry, and
 * fails closed.
 */
export function judgeEnroll(
  known: Enrolments,
  request: EnrollRequest,
  door: { readonly ticket: KeyId; readonly wallMs: number },
): EnrollRuling {
  const invite = invitesOf(known).find(({ fact }) => fact.id === request.invite)
  if (invite === undefined) return refuse('unknown-invite', 'this peer knows no such invite')
  const { key } = invite.fact.body
  if (door.ticket !== key || !isTicketOf(known.trust, key, request))
    return refuse('wrong-ticket', 'the ticket is not that of the invite')
  const standing = invite.requests.find((one) => one.request.id === request.id)
  if (standing !== undefined) return { kind: 'known', standing }
  const refused = refusedByInvite(known, invite, { request, wallMs: door.wallMs })
  if (refused !== undefined) return refused
  if (isAdmitted(known.trust, request)) return { kind: 'take' }
  return refusedAsUsed(invite, request) ?? refusedAsTaken(known, request) ?? { kind: 'take' }
}

/** An invite that is over, or was meant for another. */
function refusedByInvite(
  { trust }: Enrolments,
  { fact, revoked }: InviteStanding,
  { request, wallMs }: { request: EnrollRequest; wallMs: number },
): EnrollRuling | undefined {
  const { role, notAfter, name } = fact.body
  if (revoked) return refuse('revoked', 'the invite was revoked')
  if (wallMs > notAfter) return refuse('expired', 'the invite has ended')
  const expires = operatorOfKey(trust, fact.author)?.expires ?? 0
  if (expires > 0 && wallMs >= expires)
    return refuse('expired', 'the role of whoever invited has ended')
  if (!fitsRole(fact.body, request))
    return refuse('wrong-role', `the invite is for ${role === 'host' ? 'a host' : 'an operator'}`)
  if (name !== undefined && name !== request.name)
    return refuse('wrong-name', `the invite is for ${name}`)
  return undefined
}

/** An invite whose uses others took, or this key itself with another request. */
function refusedAsUsed(
  { fact, requests, spent }: InviteStanding,
  request: EnrollRequest,
): EnrollRuling | undefined {
  const counts = requests.filter(({ state }) => state === 'pending' || state === 'admitted')
  if (counts.some((one) => one.request.key === request.key))
    return refuse('key-used', 'another request of this key is known')
  if (spent < fact.body.uses) return undefined
  return refuse('used-up', `${spent} of ${fact.body.uses} uses are taken`)
}

/** A name or a key that somebody else has, or waits for. */
function refusedAsTaken(known: Enrolments, request: EnrollRequest): EnrollRuling | undefined {
  const { trust, view } = known
  const keys = keysOf(request)
  const isHost = request.host !== undefined
  const waiting = invitesOf(known)
    .flatMap(({ requests }) => requests)
    .filter(({ state, request: other }) => state === 'pending' && other.key !== request.key)
    .map((one) => one.request)
  const rivals = waiting.filter((other) => (other.host !== undefined) === isHost)
  const names = isHost
    ? configsOf(trust).flatMap(({ hosts }) => hosts.map(({ name }) => name))
    : [...trust.root.operators, ...trust.root.releaseKeys].map(({ name }) => name)
  if ([...names, ...rivals.map(({ name }) => name)].includes(request.name))
    return refuse('name-taken', `${request.name} is taken: give another name`)
  const taken = new Set([
    ...configsOf(trust).flatMap(({ hosts }) =>
      hosts.flatMap(({ transport, fact, cosign }) => [transport, fact, cosign]),
    ),
    ...rootsOf(trust).flatMap(({ admins, operators, releaseKeys }) => [
      ...admins,
      ...[...operators, ...releaseKeys].map((one) => one.key),
    ]),
    ...waiting.flatMap(keysOf),
  ])
  if (keys.some((key) => taken.has(key) || isRevoked(view, key)))
    return refuse('key-used', 'a key of the request is in use, or was: make a new one')
  return undefined
}

function keysOf({ key, host }: EnrollRequest): readonly KeyId[] {
  return host === undefined ? [key] : [key, host.transport, host.cosign]
}

function refuse(code: EnrollRefusal, why: string): EnrollRuling {
  return { kind: 'refuse', code, why }
}

/**
 * Tickets whose holders a node lets speak: also those that count no more, for a while, so that they hear
 * why. The newest first, at most `TICKETS_MAX`.
 */
export function ticketsOf(known: Enrolments, wallMs: number): readonly KeyId[] {
  return invitesOf(known)
    .map(({ fact }) => fact.body)
    .filter(({ notAfter }) => wallMs < notAfter + TICKET_KEPT_MS)
    .sort((a, b) => b.notAfter - a.notAfter || (a.key < b.key ? -1 : 1))
    .slice(0, TICKETS_MAX)
    .map(({ key }) => key)
}
