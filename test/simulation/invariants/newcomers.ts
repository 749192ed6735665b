/** S3 for who wants in: nobody is let wait but by an invite that counts. Each returns what breaks it. */
import {
  type EnrollRequest,
  type Fact,
  type FactOf,
  fromHex,
  type HostName,
  openEnroll,
} from '../../../protocol/index.ts'
import type { InviteStanding, Trust } from '../../../rollout/index.ts'
import { READER } from '../violation.ts'

type Fleet = Pick<Trust, 'fleet'>

/** A host took a request while its disk held `facts`: the invite is there, is not over and has a use left. */
export function s3Invited(
  host: HostName,
  said: FactOf<'enroll.request'>,
  { fleet, facts }: Fleet & { readonly facts: readonly Fact[] },
): readonly string[] {
  const asked = requestIn(said, fleet)
  const invite = facts.find((fact) => fact.type === 'invite.open' && fact.id === asked.invite)
  if (invite?.type !== 'invite.open') return [`${host} takes a request by an invite it has not`]
  const denied = facts.flatMap((fact) => (fact.type === 'enroll.deny' ? [fact.body.request] : []))
  const others = facts
    .flatMap((fact) => (fact.type === 'enroll.request' ? [requestIn(fact, fleet)] : []))
    .filter((other) => other.invite === invite.id && !denied.includes(other.id))
  const keys = new Set([asked, ...others].map((one) => one.key))
  const { notAfter, uses } = invite.body
  const broken: string[] = []
  if (isTakenBack(invite.id, facts)) broken.push('which was revoked')
  if (said.ts > notAfter) broken.push(`which ended ${said.ts - notAfter} ms before`)
  if (keys.size > uses) broken.push(`which ${keys.size} keys use, and ${uses} may`)
  return broken.map(
    (why) => `${host} takes ${asked.name} by invite ${invite.id.slice(0, 12)}, ${why}`,
  )
}

/** What a node says of its invites while its disk holds `facts`: no more wait than may, and none once it is revoked. */
export function s3Waiting(
  host: HostName,
  invites: readonly InviteStanding[],
  facts: readonly Fact[],
): readonly string[] {
  return invites.flatMap(({ fact, requests }) => {
    const { uses } = fact.body
    const waiting = requests.filter(({ state }) => state === 'pending')
    const inside = requests.filter(({ state }) => state === 'admitted')
    const keys = new Set([...waiting, ...inside].map(({ request }) => request.key))
    const where = `${host} says of invite ${fact.id.slice(0, 12)}`
    const broken: string[] = []
    if (waiting.length > 0 && keys.size > uses)
      broken.push(`${where} that ${keys.size} keys use it, and ${uses} may`)
    if (waiting.length > 0 && isTakenBack(fact.id, facts))
      broken.push(`${where} that ${waiting.length} wait, and it was revoked`)
    return broken
  })
}

function isTakenBack(invite: string, facts: readonly Fact[]): boolean {
  return facts.some((fact) => fact.type === 'invite.revoke' && fact.body.invite === invite)
}

function requestIn({ body }: FactOf<'enroll.request'>, fleet: Trust['fleet']): EnrollRequest {
  return openEnroll(fromHex(body.request), { fleet, whose: 'a run', signer: READER })
}
