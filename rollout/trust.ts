/** Whom this node believes: the root and the group's configuration, with the look-ups over them. */
import type {
  BlockId,
  Fact,
  FactOf,
  FleetId,
  GroupConfig,
  GroupHost,
  HostName,
  KeyId,
  OperatorGrant,
  ReleaseKey,
  Root,
  Session,
  Signer,
  Vector,
} from '../protocol/index.ts'
import { feedKey } from '../protocol/index.ts'

/**
 * The trust under which facts are judged: that of one epoch of the gate log, made by `trustAt`.
 * `genesis` is the hash of the group's first configuration, where the log begins.
 */
export interface Trust {
  readonly fleet: FleetId
  /** The root in force: that of the log's newest block that brought one. */
  readonly root: Root
  /** The roots before it, the oldest first; absent under the first. */
  readonly pastRoots?: readonly PastRoot[] | undefined
  /** The configuration of the epoch. */
  readonly config: GroupConfig
  readonly genesis: BlockId
  /** How signatures inside facts are checked: Ed25519 where absent, another scheme in simulations. */
  readonly signer?: Signer | undefined
  /** Configurations of the epochs before, the oldest first; absent in the first epoch. */
  readonly past?: readonly GroupConfig[] | undefined
}

/** A root that is not in force any more, and what the log had pinned when the next one came. */
export interface PastRoot {
  readonly root: Root
  readonly until: Vector
}

/** Every root that the fleet has had up to the one in force, the oldest first. */
export function rootsOf(trust: Trust): readonly Root[] {
  return [...(trust.pastRoots ?? []).map(({ root }) => root), trust.root]
}

/**
 * The root under which a fact counts: the one that was in force when the log pinned the fact; for one
 * that it has not pinned, the root in force (SPEC §4.1). No clock and no order of arrival plays a part.
 */
export function rootFor(
  trust: Trust,
  fact: { readonly author: KeyId; readonly session: Session; readonly seq: number },
): Root {
  const feed = feedKey(fact.author, fact.session)
  for (const { root, until } of trust.pastRoots ?? []) {
    const pinned = until.get(feed)
    if (pinned !== undefined && fact.seq <= pinned.seq) return root
  }
  return trust.root
}

/** The trust as it stood, or will stand, under another root. */
function under(trust: Trust, root: Root): Trust {
  return root === trust.root ? trust : { ...trust, root }
}

/** Every configuration that the group has had up to this epoch, the oldest first. */
export function configsOf(trust: Trust): readonly GroupConfig[] {
  return [...(trust.past ?? []), trust.config]
}

/** The configuration of `epoch`, if that is this one or an earlier one. */
export function configOfEpoch(trust: Trust, epoch: number): GroupConfig | undefined {
  return configsOf(trust).findLast((config) => config.epoch === epoch)
}

/**
 * The host that signs facts with `key`, if it belongs to the group or ever did: what a host said while
 * it belonged stays true. A name never changes its keys, so that the answer is the same in every epoch.
 */
export function authorHost(trust: Trust, key: KeyId): GroupHost | undefined {
  const now = hostOfKey(trust, key)
  if (now !== undefined || trust.past === undefined) return now
  for (const config of trust.past.toReversed()) {
    const then = config.hosts.find((host) => host.fact === key)
    if (then !== undefined) return then
  }
  return undefined
}

/** The host that signs facts with `key`, if it belongs to the group. */
export function hostOfKey(trust: Trust, key: KeyId): GroupHost | undefined {
  return trust.config.hosts.find((host) => host.fact === key)
}

/** The host of that name, if it belongs to the group. */
export function hostNamed(trust: Trust, name: HostName): GroupHost | undefined {
  return trust.config.hosts.find((host) => host.name === name)
}

/** The operator whose key this is. */
export function operatorOfKey(trust: Trust, key: KeyId): OperatorGrant | undefined {
  return trust.root.operators.find((operator) => operator.key === key)
}

/** The release key's entry. */
export function releaseKeyOf(trust: Trust, key: KeyId): ReleaseKey | undefined {
  return trust.root.releaseKeys.find((release) => release.key === key)
}

/** Fact keys of the voters, in the order of their names: the order that leaders rotate in. */
export function voterKeys(trust: Trust): readonly KeyId[] {
  return trust.config.voters.map((name) => hostNamed(trust, name)?.fact ?? '')
}

/** Whether a feed of `key` is taken at all: a member of any epoch, or a key that any root named. */
export function isKnownAuthor(trust: Trust, key: KeyId): boolean {
  if (authorHost(trust, key) !== undefined) return true
  return rootsOf(trust).some(
    ({ admins, operators, releaseKeys }) =>
      admins.includes(key) || [...operators, ...releaseKeys].some((grant) => grant.key === key),
  )
}

/** Whether `key` may deploy to, halt in, or hold rollouts of this group (role and group scope). */
export function mayDeploy(trust: Trust, key: KeyId): boolean {
  const operator = operatorOfKey(trust, key)
  if (operator === undefined || operator.role === 'readonly') return false
  return operator.groups.length === 0 || operator.groups.includes(trust.config.group)
}

/** Whether the author of a halt may deploy to this group under a root of version `least` or later (SPEC §10). */
export function mayHalt(trust: Trust, key: KeyId, least: number): boolean {
  return rootsOf(trust).some((root) => root.version >= least && mayDeploy(under(trust, root), key))
}

/** Whether `key` may announce the next root: an admin of the root, or an operator with role admin for all groups. */
export function mayAnnounceRoot(root: Root, key: KeyId): boolean {
  if (root.admins.includes(key)) return true
  return root.operators.some(
    (one) => one.key === key && one.role === 'admin' && one.groups.length === 0,
  )
}

/**
 * Whether a revocation counts under this root: an admin revokes keys of people and pipelines, everybody
 * their own. Admins go by a new root, hosts by a new configuration.
 */
export function mayRevoke(trust: Trust, root: Root, fact: FactOf<'key.revoke'>): boolean {
  const { key } = fact.body
  if (trust.root.admins.includes(key) || authorHost(trust, key) !== undefined) return false
  return revokesItself(fact) || (fact.author !== key && root.admins.includes(fact.author))
}

/**
 * A key revokes itself with the first fact of a session, which every node takes, whatever it knows of the
 * key already: whether it counts must not depend on what was heard first.
 */
export function revokesItself(fact: Fact): boolean {
  return fact.type === 'key.revoke' && fact.seq === 0 && fact.body.key === fact.author
}

/** Whether `key` may announce a configuration of this group: an admin of the root, or an operator with role admin. */
export function mayConfigure(trust: Trust, key: KeyId): boolean {
  if (trust.root.admins.includes(key)) return true
  return operatorOfKey(trust, key)?.role === 'admin' && mayDeploy(trust, key)
}
