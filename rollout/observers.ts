/**
 * Who watches whom, and how many of them make a certificate (SPEC §11).
 *
 * The draw is by the hash of the block that admitted the rollout: everybody computes the same, and
 * nobody could choose it when the plan was written.
 */
import {
  type BlockId,
  concatBytes,
  type FaultModel,
  fromHex,
  type HostName,
  OBSERVERS_MAX,
  sha256,
  toHex,
  utf8,
} from '../protocol/index.ts'
import { SPREAD_HOSTS_MIN } from './limits.ts'

/** A member of the group, as far as the draw looks at it. A `GroupHost` is one. */
export interface Member {
  readonly name: HostName
  readonly tags: readonly string[]
}

/** How many distinct observers each certificate takes; 0 of each where a host has no observers. */
export interface WitnessesNeeded {
  readonly health: number
  readonly confirm: number
  readonly failure: number
}

/** The kinds of tag that name a failure domain, the widest first. */
const DOMAIN_KINDS = ['site', 'rack'] as const
type DomainKind = (typeof DOMAIN_KINDS)[number]

/**
 * The observers of `host` in the rollout that `admitBlock` admitted: at most five, never itself.
 *
 * They are the lowest of SHA-256(block ‖ host ‖ 0 ‖ candidate). In groups of eight and more, hosts of
 * a site that is neither the host's nor an already drawn one come first, then hosts of such a rack,
 * then the rest, each in the order of their hashes. A rack is told by its site and its name. A host
 * without the tag is not known to be elsewhere and is not preferred.
 */
export function drawObservers(input: {
  readonly admitBlock: BlockId
  readonly host: HostName
  readonly members: readonly Member[]
}): readonly HostName[] {
  const { host, members } = input
  const candidates = byHash(input).filter((member) => member.name !== host)
  const count = Math.min(OBSERVERS_MAX, candidates.length)
  if (members.length < SPREAD_HOSTS_MIN) return candidates.slice(0, count).map(nameOf)
  const self = members.find((member) => member.name === host)
  return spread({ candidates, count, self }).map(nameOf)
}

/**
 * How many of `k` observers make a health certificate, a confirmation, a failure certificate.
 *
 * A majority, ⌊k/2⌋ + 1, so that liars below it prove nothing. With fault model `crash` and k = 2 one
 * witness is enough for health and confirmation: a site of three with one dead host must still work.
 * With k = 0 all are 0: the host decides alone and is shown as `selfOnly`.
 */
export function witnessesNeeded(input: {
  readonly k: number
  readonly faultModel: FaultModel
}): WitnessesNeeded {
  const { k, faultModel } = input
  if (k === 0) return { health: 0, confirm: 0, failure: 0 }
  const majority = Math.floor(k / 2) + 1
  const kindly = faultModel === 'crash' && k === 2 ? 1 : majority
  return { health: kindly, confirm: kindly, failure: majority }
}

function byHash(input: {
  readonly admitBlock: BlockId
  readonly host: HostName
  readonly members: readonly Member[]
}): readonly Member[] {
  const start = concatBytes(fromHex(input.admitBlock), utf8(input.host), Uint8Array.of(0))
  return input.members
    .map((member) => ({ member, hash: toHex(sha256(concatBytes(start, utf8(member.name)))) }))
    .sort((a, b) => (a.hash < b.hash ? -1 : 1))
    .map(({ member }) => member)
}

function spread(input: {
  readonly candidates: readonly Member[]
  readonly count: number
  readonly self: Member | undefined
}): readonly Member[] {
  const { candidates, count, self } = input
  const drawn: Member[] = []
  const isElsewhere = (member: Member, kind: DomainKind): boolean => {
    const domain = domainOf(member, kind)
    if (domain === undefined) return false
    return [...drawn, ...(self ? [self] : [])].every((other) => domainOf(other, kind) !== domain)
  }
  const draw = (wanted: (member: Member) => boolean): void => {
    for (const member of candidates) {
      if (drawn.length < count && !drawn.includes(member) && wanted(member)) drawn.push(member)
    }
  }
  for (const kind of DOMAIN_KINDS) draw((member) => isElsewhere(member, kind))
  draw(() => true)
  return drawn
}

function domainOf(member: Member, kind: DomainKind): string | undefined {
  const own = tagOf(member, kind)
  if (own === undefined || kind === 'site') return own
  return `${tagOf(member, 'site') ?? ''}/${own}`
}

function tagOf(member: Member, kind: DomainKind): string | undefined {
  return member.tags.find((tag) => tag.startsWith(`${kind}=`))
}

function nameOf(member: Member): HostName {
  return member.name
}
