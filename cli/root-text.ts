/** Roots for people: what one says, and how it differs from the one before. */
import type { OperatorGrant, ReleaseKey, Root } from '../protocol/index.ts'
import { timeText } from './columns.ts'

/** What `after` changes, one part a line; nothing when it says the same. */
export function rootDifference(before: Root, after: Root): readonly string[] {
  return [
    ...setDifference('admin', short(before.admins), short(after.admins)),
    ...(before.threshold === after.threshold
      ? []
      : [`threshold ${before.threshold} → ${after.threshold}`]),
    ...namedDifference('operator', before.operators, after.operators, operatorText),
    ...namedDifference('release key', before.releaseKeys, after.releaseKeys, releaseText),
    ...setDifference('group', before.groups, after.groups),
  ]
}

/** What an operator may do, as `deploy in berlin, channel stable, until …`. */
export function grantText({
  role,
  groups,
  channels,
  expires,
}: Omit<OperatorGrant, 'name' | 'key'>): string {
  return [
    role,
    groups.length === 0 ? 'in all groups' : `in ${groups.join(', ')}`,
    channels.length === 0 ? '' : `channel ${channels.join(', ')}`,
    expires === 0 ? '' : `until ${timeText(expires)}`,
  ]
    .filter((part) => part !== '')
    .join(', ')
}

function operatorText(grant: OperatorGrant): string {
  return `${grantText(grant)}, key ${grant.key.slice(0, 8)}`
}

function releaseText({ channels, key }: ReleaseKey): string {
  return `${channels.length === 0 ? 'all channels' : channels.join(', ')}, key ${key.slice(0, 8)}`
}

function short(keys: readonly string[]): readonly string[] {
  return keys.map((key) => key.slice(0, 8))
}

function setDifference(
  what: string,
  before: readonly string[],
  after: readonly string[],
): readonly string[] {
  const added = after.filter((one) => !before.includes(one))
  const gone = before.filter((one) => !after.includes(one))
  return [
    ...added.map((one) => `adds ${what} ${one}`),
    ...gone.map((one) => `removes ${what} ${one}`),
  ]
}

function namedDifference<T extends { readonly name: string }>(
  what: string,
  before: readonly T[],
  after: readonly T[],
  text: (one: T) => string,
): readonly string[] {
  const was = new Map(before.map((one) => [one.name, text(one)]))
  const is = new Map(after.map((one) => [one.name, text(one)]))
  const lines: string[] = []
  for (const [name, now] of is) {
    const then = was.get(name)
    if (then === undefined) lines.push(`adds ${what} ${name} (${now})`)
    else if (then !== now) lines.push(`${what} ${name}: ${then} → ${now}`)
  }
  for (const name of was.keys()) if (!is.has(name)) lines.push(`removes ${what} ${name}`)
  return lines
}
