/**
 * How invites and requests stand (SPEC §16.4): the same at every node that holds the same facts and log.
 *
 * Nothing here lets anybody in: a host is in when the group's configuration names it, an operator when
 * the root does, and admins sign both. Uses are counted from these, never from one peer's memory.
 */
import {
  type EnrollRequest,
  type EnrollState,
  type FactId,
  type FactOf,
  type Invite,
  isByTicket,
  type KeyId,
} from '../protocol/index.ts'
import type { BroughtRequest, EnrolmentView, FleetView } from './fleet-view.ts'
import { configsOf, rootsOf, type Trust } from './trust.ts'

/** One request under the invite that it names. */
export interface RequestStanding {
  readonly request: EnrollRequest
  readonly invite: FactOf<'invite.open'>
  readonly state: EnrollState
  /** The earliest time that one who brought it gives, wall-clock ms. */
  readonly at: number
  /** Who brought it. */
  readonly by: readonly KeyId[]
  readonly why: string
}

/** One invite that counts, with the requests that its ticket signed. */
export interface InviteStanding {
  readonly fact: FactOf<'invite.open'>
  readonly revoked: boolean
  /** Keys that were let in or wait: never more than `uses`. */
  readonly spent: number
  /** In the order in which they count. */
  readonly requests: readonly RequestStanding[]
}

/** What is asked of: what counts, and under whom. */
export type Enrolments = { readonly view: FleetView; readonly trust: Trust }

const answers = new WeakMap<
  EnrolmentView,
  { readonly trust: Trust; readonly all: readonly InviteStanding[] }
>()

/** Every invite that counts, by id. */
export function invitesOf({ view, trust }: Enrolments): readonly InviteStanding[] {
  const { enrolment } = view
  const before = answers.get(enrolment)
  if (before?.trust === trust) return before.all
  const revoked = new Set([...enrolment.revoked.values()].map(({ body }) => body.invite))
  const byInvite = new Map<FactId, BroughtRequest[]>()
  for (const brought of enrolment.requests.values()) {
    const { invite } = brought.request
    byInvite.set(invite, [...(byInvite.get(invite) ?? []), brought])
  }
  const all = [...enrolment.invites.values()]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((fact) =>
      standInvite({ view, trust }, fact, {
        revoked: revoked.has(fact.id),
        brought: byInvite.get(fact.id) ?? [],
      }),
    )
  answers.set(enrolment, { trust, all })
  return all
}

/** The request of that id, if its invite counts and its ticket signed it. */
export function requestStanding(known: Enrolments, id: FactId): RequestStanding | undefined {
  for (const { requests } of invitesOf(known)) {
    const found = requests.find(({ request }) => request.id === id)
    if (found !== undefined) return found
  }
  return undefined
}

/** A request whose place among the others of its invite is not known yet. */
type Placed = Pick<RequestStanding, 'request' | 'at' | 'by'>

function standInvite(
  known: Enrolments,
  fact: FactOf<'invite.open'>,
  { revoked, brought }: { revoked: boolean; brought: readonly BroughtRequest[] },
): InviteStanding {
  const { trust, view } = known
  const all = brought
    .filter(({ request }) => isOfInvite(trust, fact, request))
    .map(({ request, by }): Placed => {
      const who = [...by.values()]
      const at = Math.min(...who.map(({ ts }) => ts))
      return { request, at, by: [...new Set(who.map(({ author }) => author))].sort() }
    })
    .sort((a, b) => a.at - b.at || (a.request.id < b.request.id ? -1 : 1))
  const place: Place = {
    ...{ fact, revoked, denials: denialsOf(view.enrolment), waiting: new Set() },
    admitted: new Set(
      all.flatMap(({ request }) => (isAdmitted(trust, request) ? [request.key] : [])),
    ),
  }
  const requests = all.map((one) => ({ ...one, invite: fact, ...standRequest(place, one) }))
  return { fact, revoked, spent: place.admitted.size + place.waiting.size, requests }
}

/** What the requests of one invite are judged by, one after the other. */
interface Place {
  readonly fact: FactOf<'invite.open'>
  readonly revoked: boolean
  readonly denials: ReadonlyMap<FactId, string>
  readonly admitted: ReadonlySet<KeyId>
  /** Keys that wait: grows with each request that may. */
  readonly waiting: Set<KeyId>
}

function standRequest(
  { fact, revoked, denials, admitted, waiting }: Place,
  { request, at }: Placed,
): { state: EnrollState; why: string } {
  if (admitted.has(request.key)) return { state: 'admitted', why: '' }
  const denial = denials.get(request.id)
  if (denial !== undefined) return { state: 'denied', why: denial }
  if (revoked) return { state: 'denied', why: 'the invite was revoked' }
  if (at > fact.body.notAfter) return { state: 'late', why: 'it came after the invite ended' }
  if (waiting.has(request.key))
    return { state: 'surplus', why: 'an earlier request of the same key waits' }
  if (admitted.size + waiting.size >= fact.body.uses)
    return { state: 'surplus', why: 'others took every use of the invite' }
  waiting.add(request.key)
  return { state: 'pending', why: '' }
}

/** Why each denied request was denied; of several that of the lowest id. */
function denialsOf({ denied }: EnrolmentView): ReadonlyMap<FactId, string> {
  const sorted = [...denied.values()].sort((a, b) => (a.id < b.id ? 1 : -1))
  return new Map(sorted.map(({ body }) => [body.request, body.why]))
}

/** Whether the ticket signed it, and it asks for what the invite offers. */
function isOfInvite(
  trust: Trust,
  { body }: FactOf<'invite.open'>,
  request: EnrollRequest,
): boolean {
  const named = body.name === undefined || body.name === request.name
  return named && fitsRole(body, request) && isTicketOf(trust, body.key, request)
}

/** Whether a host asks by an invite for hosts, or an operator by one for operators. */
export function fitsRole({ role }: Pick<Invite, 'role'>, request: EnrollRequest): boolean {
  return (role === 'host') === (request.host !== undefined)
}

/** Signatures are dear and requests stay: each is checked once. */
const checked = new WeakMap<EnrollRequest, Map<KeyId, boolean>>()

/** Whether whoever made the request held the ticket of `key`. */
export function isTicketOf(trust: Trust, key: KeyId, request: EnrollRequest): boolean {
  const known = checked.get(request) ?? new Map<KeyId, boolean>()
  checked.set(request, known)
  const { fleet, signer } = trust
  const before = known.get(key)
  const rules = { fleet, key, ...(signer === undefined ? {} : { signer }) }
  const answer = before ?? isByTicket(request, rules)
  known.set(key, answer)
  return answer
}

/** Whether the group's configurations, or the roots, up to now name the request's keys under its name. */
export function isAdmitted(trust: Trust, { name, key, host }: EnrollRequest): boolean {
  if (host === undefined) {
    return rootsOf(trust).some(({ operators }) =>
      operators.some((one) => one.name === name && one.key === key),
    )
  }
  return configsOf(trust).some(({ hosts }) =>
    hosts.some(
      (one) =>
        one.name === name &&
        one.fact === key &&
        one.transport === host.transport &&
        one.cosign === host.cosign,
    ),
  )
}
