/** What `nixfleet invite` was told: whom, as what, how often and until when. */
import { INVITE_USES_MAX, type Invite, type InviteRole } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { usage } from '../errors.ts'
import { type CommandInput, listOption, textOption } from '../registry.ts'
import { duration } from '../settings.ts'

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const TAG = /^[a-z0-9-]+=[a-z0-9._-]*$/
const TTL_DEFAULT_MS = 3_600_000
/** A ticket that waits on a table for a quarter is a key that nobody watches. */
const TTL_MS_MAX = 92 * 24 * 3_600_000

/** `operator` is what `bootstrap --operator` makes: one who may deploy. */
const ROLES: Readonly<Record<string, InviteRole>> = {
  host: 'host',
  operator: 'deploy',
  readonly: 'readonly',
  deploy: 'deploy',
  admin: 'admin',
}

/** The invite of the options, for this ticket's key. Throws usage errors. */
export function inviteOf(
  context: Context,
  { options }: CommandInput,
  place: { readonly group: string; readonly key: string },
): Invite {
  const text = textOption(options, 'role') ?? 'host'
  const role = Object.hasOwn(ROLES, text) ? ROLES[text] : undefined
  if (role === undefined)
    throw usage(`expected host, readonly, deploy or admin after --role, found ${text}`)
  const name = textOption(options, 'name')
  if (name !== undefined && !NAME.test(name))
    throw usage(`expected a lower-case DNS label after --name, found ${name}`)
  const uses = usesOption(textOption(options, 'uses'))
  if (name !== undefined && uses !== 1) throw usage('one name is for one use: leave --uses out')
  const tags = listOption(options, 'tag')
  assertFits(options, role, tags)
  const expires = textOption(options, 'expires')
  const ttl = duration(textOption(options, 'ttl') ?? '1h', '--ttl') || TTL_DEFAULT_MS
  if (ttl > TTL_MS_MAX) throw usage('expected at most 92d after --ttl')
  return {
    ...{ group: place.group, key: place.key, role, tags: [...new Set(tags)], uses },
    ...(name === undefined ? {} : { name }),
    groups: [...new Set(listOption(options, 'group'))].sort(),
    channels: [...new Set(listOption(options, 'channel'))].sort(),
    expires: expires === undefined ? 0 : context.now() + duration(expires, '--expires'),
    notAfter: context.now() + ttl,
    why: (textOption(options, 'reason') ?? '').slice(0, 200),
  }
}

/** Bounds of an operator are none of a host, and the other way round. */
function assertFits(
  options: CommandInput['options'],
  role: InviteRole,
  tags: readonly string[],
): void {
  const bad = tags.find((tag) => !TAG.test(tag))
  if (bad !== undefined) throw usage(`expected key=value after --tag, found ${bad}`)
  const bounds = ['group', 'channel', 'expires'].filter((name) => options[name] !== undefined)
  if (role === 'host' && bounds.length > 0)
    throw usage('--group, --channel and --expires bound an operator; hosts have none')
  if (role !== 'host' && tags.length > 0) throw usage('--tag is for hosts')
}

function usesOption(text: string | undefined): number {
  const uses = text === undefined || /^[1-9]\d{0,2}$/.test(text) ? Number(text ?? 1) : 0
  if (uses >= 1 && uses <= INVITE_USES_MAX) return uses
  throw usage(`expected a number from 1 to ${INVITE_USES_MAX} after --uses, found ${text}`)
}
