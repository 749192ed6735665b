/** Invites and requests into the fleet view: grow-only maps, whoever says it (SPEC §10). */
import { type FactOf, fromHex, openEnroll, ProtocolError } from '../protocol/index.ts'
import type { EnrolmentView } from './fleet-view.ts'
import type { Trust } from './trust.ts'

type EnrolmentFact =
  | FactOf<'invite.open'>
  | FactOf<'invite.revoke'>
  | FactOf<'enroll.deny'>
  | FactOf<'enroll.request'>

/** The view with one fact more. A request that its own key did not sign is left out. */
export function foldEnrolment(
  view: EnrolmentView,
  fact: EnrolmentFact,
  trust: Trust,
): EnrolmentView {
  switch (fact.type) {
    case 'invite.open': {
      if (fact.body.group !== trust.config.group) return view
      return { ...view, invites: new Map(view.invites).set(fact.id, fact) }
    }
    case 'invite.revoke':
      return { ...view, revoked: new Map(view.revoked).set(fact.id, fact) }
    case 'enroll.deny':
      return { ...view, denied: new Map(view.denied).set(fact.id, fact) }
    case 'enroll.request':
      return foldRequest(view, fact, trust)
  }
}

function foldRequest(
  view: EnrolmentView,
  fact: FactOf<'enroll.request'>,
  trust: Trust,
): EnrolmentView {
  const { fleet, signer } = trust
  const given = { fleet, whose: 'a request', ...(signer === undefined ? {} : { signer }) }
  try {
    const request = openEnroll(fromHex(fact.body.request), given)
    const by = new Map(view.requests.get(request.id)?.by)
    by.set(fact.id, { author: fact.author, ts: fact.ts })
    return { ...view, requests: new Map(view.requests).set(request.id, { request, by }) }
  } catch (error) {
    if (error instanceof ProtocolError) return view
    throw error
  }
}
