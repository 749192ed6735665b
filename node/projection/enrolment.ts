/** Invites and requests as rows. */
import { toBase64 } from '../../protocol/index.ts'
import { type Enrolments, type InviteStanding, invitesOf } from '../../rollout/index.ts'
import type { InviteRow, RequestRow } from '../api/enrol-schema.ts'
import { authorOf } from './people.ts'

/** Every invite that counts; whether it has ended is said by this node's clock. */
export function inviteRows(known: Enrolments, wallMs: number): readonly InviteRow[] {
  return invitesOf(known).map((standing): InviteRow => {
    const { fact, spent } = standing
    const { group, role, name, tags, uses, notAfter, why } = fact.body
    return {
      ...{ id: fact.id, by: authorOf(known.trust, fact.author), group, role },
      ...{ name: name ?? null, tags, uses, spent, notAfter, why },
      ...{ state: stateOf(standing, wallMs), fact: toBase64(fact.bytes) },
    }
  })
}

/** Every request under them, invite by invite, in the order in which they count. */
export function requestRows(known: Enrolments): readonly RequestRow[] {
  return invitesOf(known).flatMap(({ fact, requests }) =>
    requests.map(({ request, state, why, at, by }): RequestRow => {
      return {
        ...{ id: request.id, invite: fact.id, name: request.name, role: fact.body.role },
        ...{ key: request.key, addresses: request.host?.addresses ?? [], state, why, at },
        by: by.map((key) => authorOf(known.trust, key)),
        request: toBase64(request.bytes),
      }
    }),
  )
}

function stateOf({ fact, revoked, spent }: InviteStanding, wallMs: number): InviteRow['state'] {
  if (revoked) return 'revoked'
  if (spent >= fact.body.uses) return 'used-up'
  return wallMs > fact.body.notAfter ? 'ended' : 'open'
}
