/**
 * Whether a request may be admitted: checked here from the signed bytes, whatever a peer says of it,
 * because an admin's signature is about to follow from it.
 */
import {
  type EnrollRequest,
  enrollingHost,
  type FactOf,
  type GroupHost,
  isByTicket,
  type OperatorGrant,
  type Root,
} from '../../protocol/index.ts'
import { CliError } from '../errors.ts'

/** A request, the invite that it names, and what its admission means. */
export interface Verified {
  readonly request: EnrollRequest
  readonly invite: FactOf<'invite.open'>
  /** Of a host's request. */
  readonly host?: GroupHost | undefined
  /** Of an operator's. */
  readonly grant?: OperatorGrant | undefined
}

/** Who may invite into the group under this root: its admins, and operators with role admin that has not expired. */
export function mayInvite(root: Root, group: string, by: { key: string; now: number }): boolean {
  const { key, now } = by
  if (root.admins.includes(key)) return true
  return root.operators.some(
    (one) =>
      one.key === key &&
      one.role === 'admin' &&
      (one.expires === 0 || now < one.expires) &&
      (one.groups.length === 0 || one.groups.includes(group)),
  )
}

/** The request with its invite, if both hold under `root` and fit each other. Throws NF-1310, NF-1307. */
export function verified(
  request: EnrollRequest,
  invite: FactOf<'invite.open'>,
  trust: {
    readonly root: Root
    readonly fleet: string
    readonly group: string
    readonly now: number
  },
): Verified {
  const { name, key } = request
  const { body } = invite
  const bad = (why: string): CliError =>
    new CliError('NF-1310', `the request of ${name} cannot be admitted: ${why}`)
  if (body.group !== trust.group) throw bad(`its invite is for group ${body.group}`)
  if (!mayInvite(trust.root, body.group, { key: invite.author, now: trust.now }))
    throw bad(`whoever invited (${invite.author.slice(0, 12)}…) may not invite under this root`)
  if (request.invite !== invite.id) throw bad('it names another invite')
  if (!isByTicket(request, { fleet: trust.fleet, key: body.key }))
    throw bad('the ticket of its invite has not signed it')
  if (body.name !== undefined && body.name !== name)
    throw new CliError('NF-1307', `the invite is for ${body.name}, and ${name} asks`)
  const host = enrollingHost(request, body.tags)
  if ((body.role === 'host') !== (host !== undefined))
    throw new CliError('NF-1307', `${name} asks by an invite for another role (${body.role})`)
  if (host !== undefined || body.role === 'host') return { request, invite, host }
  const { groups, channels, expires, role } = body
  return { request, invite, grant: { name, key, role, groups, channels, expires } }
}

/** One line about a request, for whoever decides. */
export function describeRequest({ request, invite }: Verified): string {
  const { role, tags, groups, channels } = invite.body
  const where = [...tags, ...groups.map((one) => `group ${one}`), ...channels].join(' ')
  return `${request.name} (${role}, key ${request.key.slice(0, 16)}${where === '' ? '' : `, ${where}`})`
}

/**
 * That the chosen requests, with those of the same invites that were let in before, stay within the uses,
 * and that no two ask for one name: a peer that lies about either is found out. Throws NF-1303, NF-1307.
 */
export function assertWithinUses(chosen: readonly Verified[], before: readonly Verified[]): void {
  const twice = chosen.find((one, i) =>
    chosen.some(
      (other, j) => j < i && other.request.name === one.request.name && !other.host === !one.host,
    ),
  )
  if (twice !== undefined)
    throw new CliError('NF-1307', `two requests ask for the name ${twice.request.name}: deny one`)
  for (const { invite } of chosen) {
    const ofInvite = [...chosen, ...before].filter((one) => one.invite.id === invite.id)
    const keys = new Set(ofInvite.map(({ request }) => request.key))
    if (keys.size <= invite.body.uses) continue
    throw new CliError(
      'NF-1303',
      `${keys.size} keys would come in by invite ${invite.id.slice(0, 12)}, which has ${invite.body.uses} uses`,
      { why: ['the peer showed more requests as waiting than the invite allows'] },
    )
  }
}
