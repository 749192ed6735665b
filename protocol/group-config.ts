/**
 * A group's configuration (SPEC §4.2): its hosts, its voters, its clocks and its floors.
 *
 * Admins sign it; what it says takes effect with the epoch that it carries.
 */
import { toHex } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { assertPublicKey, sha256 } from './crypto.ts'
import { countSigners, packDocument, type SignedDocument, unpackDocument } from './documents.ts'
import { ProtocolError } from './errors.ts'
import type { HostIdentity, KeyPair } from './identity.ts'
import {
  BLOCK_ID,
  type BlockId,
  FLEET_ID,
  type FleetId,
  type GroupName,
  HASH,
  type Hash,
  type HostName,
  KEY_ID,
  LINE,
  NAME,
} from './ids.ts'
import {
  ADDRESSES_MAX,
  DOCUMENT_BYTES_MAX,
  GROUP_HOSTS_MAX,
  POLICY_MS_MAX,
  TAGS_MAX,
  VOTERS_MAX,
} from './limits.ts'
import { quorumHolds } from './quorum.ts'
import type { Root } from './root.ts'
import {
  list,
  oneOf,
  optional,
  type Schema,
  shape,
  sortedList,
  text,
  uint,
  where,
  written,
} from './schema.ts'
import type { Signer } from './signed.ts'

/** What no plan of the group may go below or above. */
export interface PolicyFloors {
  readonly canaryMin: number
  readonly soakMsMin: number
  /** Largest share of the group in one wave after the first, in percent. */
  readonly wavePercentMax: number
  readonly budgetMax: number
}

/** The clocks of a group, in ms. Every host must use the same: windows and deadlines are shared. */
export interface Timing {
  readonly preset: string
  /** Between two probes of one subject. */
  readonly probeMs: number
  /** Consecutive failed probes before FAIL. */
  readonly failRounds: number
  /** Longest attestation window; the window of a rollout is min(this, soakMs / 2). */
  readonly windowMs: number
  /** How long a lease lasts, counted from the making of its nonce. */
  readonly leaseMs: number
  /** How long an activation may take. */
  readonly activateMs: number
  /** First timeout of a gate view; grows by half per consecutive skip up to `viewMsMax`. */
  readonly viewMs: number
  readonly viewMsMax: number
  /** Between two anchors while there are new facts. */
  readonly anchorMs: number
}

/** A host of a group, with where it may be reached and what it is. */
export interface GroupHost extends HostIdentity {
  readonly addresses: readonly string[]
  readonly tags: readonly string[]
}

/** Who belongs to a group, who votes, and how. `epoch` 1 is signed at bootstrap. */
export interface GroupConfig {
  readonly fleet: FleetId
  readonly group: GroupName
  readonly epoch: number
  readonly hosts: readonly GroupHost[]
  readonly voters: readonly HostName[]
  readonly faultModel: 'crash' | 'byzantine'
  readonly quorum: number
  readonly floors: PolicyFloors
  readonly timing: Timing
  /** Only where the voters are lost for good: the end of the log that this epoch goes on from. */
  readonly recover?: Recovery | undefined
}

/** The newest committed block that the admins found, and its slot. */
export interface Recovery {
  readonly slot: number
  readonly head: BlockId
}

const TIMING: Schema<Timing> = shape<Timing>({
  preset: NAME,
  probeMs: uint(3_600_000, 10),
  failRounds: uint(10, 1),
  windowMs: uint(3_600_000, 10),
  leaseMs: uint(3_600_000, 100),
  activateMs: uint(86_400_000, 100),
  viewMs: uint(600_000, 10),
  viewMsMax: uint(3_600_000, 10),
  anchorMs: uint(86_400_000, 100),
})
/** One host of a group, on the wire. */
export const GROUP_HOST: Schema<GroupHost> = shape<GroupHost>({
  name: NAME,
  transport: KEY_ID,
  fact: KEY_ID,
  cosign: KEY_ID,
  addresses: list(text(256, /^\/[\x21-\x7e]+$/), ADDRESSES_MAX),
  tags: list(text(64, /^[a-z0-9-]+=[a-z0-9._-]*$/), TAGS_MAX),
})

export const GROUP_CONFIG: Schema<GroupConfig> = where(
  shape<GroupConfig>({
    fleet: FLEET_ID,
    group: NAME,
    epoch: uint(2 ** 32, 1),
    hosts: sortedList(GROUP_HOST, (host) => host.name, GROUP_HOSTS_MAX, 1),
    voters: sortedList(NAME, (name) => name, VOTERS_MAX, 1),
    faultModel: oneOf('crash', 'byzantine'),
    quorum: uint(VOTERS_MAX, 1),
    floors: shape<PolicyFloors>({
      canaryMin: uint(GROUP_HOSTS_MAX),
      soakMsMin: uint(POLICY_MS_MAX),
      wavePercentMax: uint(100, 1),
      budgetMax: uint(GROUP_HOSTS_MAX),
    }),
    timing: TIMING,
    recover: optional(shape<Recovery>({ slot: uint(), head: BLOCK_ID })),
  }),
  (config) => {
    const { hosts, voters, quorum, faultModel, timing, epoch, recover } = config
    if (recover !== undefined && epoch === 1) return 'an epoch after the first in a recovery'
    const names = new Set(hosts.map((host) => host.name))
    if (!voters.every((voter) => names.has(voter))) return 'voters that are hosts of the group'
    if (!quorumHolds({ n: voters.length, q: quorum, model: faultModel })) {
      return `a quorum that is safe for ${voters.length} voters (${faultModel})`
    }
    const keys = hosts.flatMap(({ transport, fact, cosign }) => [transport, fact, cosign])
    if (new Set(keys).size !== keys.length) return 'three keys for each host that nobody shares'
    return timing.viewMs <= timing.viewMsMax ? undefined : 'a viewMsMax of at least viewMs'
  },
)

/** Signs a group's configuration with admin `keys`. Throws BAD_SHAPE for one that nobody would take. */
export function signGroupConfig(
  config: GroupConfig,
  keys: readonly KeyPair[],
): SignedDocument<GroupConfig> {
  const { wire, value } = written(GROUP_CONFIG, config, 'group')
  const payload = encodeCanonical(wire)
  const domain = { type: 'group-config', fleet: value.fleet } as const
  return { value, hash: toHex(sha256(payload)), bytes: packDocument(domain, payload, keys) }
}

/**
 * The configuration in `source`, if the root's threshold of admins signed it for this fleet.
 * Throws BAD_ROOT, WRONG_FLEET, BAD_KEY, and what `decodeCanonical` throws.
 */
export function openGroupConfig(
  source: Uint8Array,
  trust: { root: Root; fleet: FleetId },
  signer?: Signer,
): SignedDocument<GroupConfig> {
  const { fleet, root } = trust
  const read = readGroupConfig(source, fleet)
  const { value } = read
  if (!root.groups.includes(value.group)) {
    throw badRoot(`expected a group that the root names, found ${value.group}`)
  }
  const document = unpackDocument(source, 'group configuration')
  const rules = { keys: root.admins, ...(signer && { signer }) }
  const signed = countSigners(document, { type: 'group-config', fleet }, rules)
  const needed = signersNeeded(root, value)
  if (signed < needed) {
    throw badRoot(
      `expected ${needed} signatures of admins on group ${value.group}, found ${signed}`,
    )
  }
  return read
}

/**
 * The configuration in `source`, signed under one of `roots`, the oldest first: each was signed under the
 * root of its time. Throws as `openGroupConfig`, for the newest root.
 */
export function openUnderAny(
  source: Uint8Array,
  trust: { roots: readonly Root[]; fleet: FleetId },
  signer?: Signer,
): SignedDocument<GroupConfig> {
  let refusal: unknown
  for (const root of trust.roots.toReversed()) {
    try {
      return openGroupConfig(source, { root, fleet: trust.fleet }, signer)
    } catch (error) {
      refusal ??= error
    }
  }
  throw refusal ?? badRoot('expected a root to judge a group configuration under, found none')
}

/**
 * The configuration in `source`, if it is this fleet's, whoever signed it.
 * Throws WRONG_FLEET, BAD_KEY, and what `decodeCanonical` throws.
 */
export function readGroupConfig(source: Uint8Array, fleet: FleetId): SignedDocument<GroupConfig> {
  const document = unpackDocument(source, 'group configuration')
  const { payload, hash } = document
  const wire = decodeCanonical(payload, DOCUMENT_BYTES_MAX, 'group configuration')
  const value = GROUP_CONFIG.decode(wire, 'group')
  if (value.fleet !== fleet) {
    throw new ProtocolError(
      'WRONG_FLEET',
      'reject',
      `expected fleet ${fleet} in group configuration, found ${value.fleet}`,
    )
  }
  for (const host of value.hosts) {
    for (const key of [host.transport, host.fact, host.cosign]) assertPublicKey(key, host.name)
  }
  return { value, hash, bytes: source }
}

/**
 * How many admins must sign: the root's threshold m; min(m + 1, k) for a recovery, the one change
 * that no quorum of voters decides.
 */
export function signersNeeded(root: Root, config: Pick<GroupConfig, 'recover'>): number {
  const { threshold, admins } = root
  return config.recover === undefined ? threshold : Math.min(threshold + 1, admins.length)
}

function badRoot(message: string): ProtocolError {
  return new ProtocolError('BAD_ROOT', 'reject', message)
}

/** Body of `group.config`: where the next configuration of a group is to be had (SPEC §6.9). */
export interface GroupConfigFact {
  readonly group: GroupName
  readonly epoch: number
  /** SHA-256 of the signed document. */
  readonly config: Hash
  readonly configBytes: number
  readonly why: string
}

export const GROUP_CONFIG_FACT: Schema<GroupConfigFact> = shape<GroupConfigFact>({
  group: NAME,
  epoch: uint(2 ** 32, 2),
  config: HASH,
  configBytes: uint(DOCUMENT_BYTES_MAX, 1),
  why: LINE,
})
