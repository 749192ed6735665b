/**
 * An invite (SPEC §6.13): who may ask to be let in, with which ticket, and until when.
 *
 * It lets nobody in by itself: whoever holds its ticket may ask, and admins sign what becomes of that.
 */
import type { Hex } from './bytes.ts'
import {
  FACT_ID,
  type FactId,
  type GroupName,
  type HostName,
  KEY_ID,
  type KeyId,
  LINE,
  NAME,
} from './ids.ts'
import { ENROLL_BYTES_MAX, GROUPS_MAX, INVITE_USES_MAX, TAGS_MAX } from './limits.ts'
import type { Role } from './root.ts'
import { hexUpTo, list, oneOf, optional, type Schema, shape, text, uint, where } from './schema.ts'

/** What the invited becomes: a host of the group, or an operator with this role. */
export type InviteRole = 'host' | Role

/** Body of `invite.open`, by whoever may configure the group. */
export interface Invite {
  readonly group: GroupName
  /** The ticket's public key; its seed travels in the ticket alone. */
  readonly key: KeyId
  readonly role: InviteRole
  /** The name that must be taken; only where one alone is invited. */
  readonly name?: HostName | undefined
  /** Tags of the hosts: nobody chooses its own. Empty for operators. */
  readonly tags: readonly string[]
  /** The operators' scope, as in a root's grant; empty is all. Empty for hosts. */
  readonly groups: readonly GroupName[]
  readonly channels: readonly string[]
  /** When the operators' grant ends, wall-clock ms; 0 is never. */
  readonly expires: number
  /** How many keys may come in by it. */
  readonly uses: number
  /** Wall-clock ms after which no peer takes a request. */
  readonly notAfter: number
  readonly why: string
}

const INVITE_FIELDS: Schema<Invite> = shape<Invite>({
  group: NAME,
  key: KEY_ID,
  role: oneOf('host', 'readonly', 'deploy', 'admin'),
  name: optional(NAME),
  tags: list(text(64, /^[a-z0-9-]+=[a-z0-9._-]*$/), TAGS_MAX),
  groups: list(NAME, GROUPS_MAX),
  channels: list(NAME, GROUPS_MAX),
  expires: uint(),
  uses: uint(INVITE_USES_MAX, 1),
  notAfter: uint(),
  why: LINE,
})

export const INVITE: Schema<Invite> = where(INVITE_FIELDS, (invite) => {
  const { role, tags, groups, channels, expires, name, uses } = invite
  if (name !== undefined && uses !== 1) return 'a name only where one alone is invited'
  if (role !== 'host') return tags.length === 0 ? undefined : 'no tags for an operator'
  const scoped = groups.length + channels.length + expires > 0
  return scoped ? 'no scope and no expiry for a host' : undefined
})

/** Body of `invite.revoke`: nobody asks by this invite any more; who was let in stays. */
export interface InviteRevoke {
  readonly invite: FactId
  readonly why: string
}

export const INVITE_REVOKE: Schema<InviteRevoke> = shape<InviteRevoke>({
  invite: FACT_ID,
  why: LINE,
})

/** Body of `enroll.request`: a request as it was signed, brought by a host or an admin. */
export interface EnrollRequestFact {
  /** The bytes of `enroll.ts`. Whoever brings it vouches for nothing but the time. */
  readonly request: Hex
}

export const ENROLL_REQUEST_FACT: Schema<EnrollRequestFact> = shape<EnrollRequestFact>({
  request: hexUpTo(ENROLL_BYTES_MAX, 1),
})

/** Body of `enroll.deny`: the request is not wanted, and takes up no use. */
export interface EnrollDeny {
  /** The request's id. */
  readonly request: FactId
  readonly why: string
}

export const ENROLL_DENY: Schema<EnrollDeny> = shape<EnrollDeny>({
  request: FACT_ID,
  why: LINE,
})
