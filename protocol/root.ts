/**
 * The fleet's trust document (SPEC §4.1): who may change it, who may deploy, what may run.
 *
 * The hash of root version 1 names the fleet and is pinned in every host's configuration, so trust
 * starts there and nowhere else.
 */
import { type Hex, toHex } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { assertPublicKey, sha256 } from './crypto.ts'
import {
  countSigners,
  packDocument,
  type SignedDocument,
  type UnverifiedDocument,
  unpackDocument,
} from './documents.ts'
import { ProtocolError } from './errors.ts'
import type { KeyPair } from './identity.ts'
import {
  type FleetId,
  type GroupName,
  HASH,
  type Hash,
  KEY_ID,
  type KeyId,
  LINE,
  NAME,
} from './ids.ts'
import { DOCUMENT_BYTES_MAX, GROUPS_MAX, ROOT_KEYS_MAX } from './limits.ts'
import {
  list,
  oneOf,
  optional,
  type Schema,
  shape,
  sortedList,
  uint,
  where,
  written,
} from './schema.ts'
import type { Signer } from './signed.ts'

export type Role = 'readonly' | 'deploy' | 'admin'

/** A person's key with what it may do. Empty `groups` or `channels` mean all of them. */
export interface OperatorGrant {
  readonly name: string
  readonly key: KeyId
  readonly role: Role
  readonly groups: readonly GroupName[]
  readonly channels: readonly string[]
  /** Wall-clock ms after which voters admit nothing of this key; 0 is never. */
  readonly expires: number
}

/** A build pipeline's key: it says what may run, and nothing else. */
export interface ReleaseKey {
  readonly name: string
  readonly key: KeyId
  readonly channels: readonly string[]
}

/** One version of the fleet's root. */
export interface Root {
  readonly version: number
  /** Hash of the version before; absent in version 1 alone. */
  readonly previous?: Hash | undefined
  readonly name: string
  readonly admins: readonly KeyId[]
  readonly threshold: number
  readonly operators: readonly OperatorGrant[]
  readonly releaseKeys: readonly ReleaseKey[]
  readonly groups: readonly GroupName[]
}

const OPERATOR: Schema<OperatorGrant> = shape<OperatorGrant>({
  name: NAME,
  key: KEY_ID,
  role: oneOf('readonly', 'deploy', 'admin'),
  groups: list(NAME, GROUPS_MAX),
  channels: list(NAME, GROUPS_MAX),
  expires: uint(),
})
const RELEASE_KEY: Schema<ReleaseKey> = shape<ReleaseKey>({
  name: NAME,
  key: KEY_ID,
  channels: list(NAME, GROUPS_MAX),
})

/** TUF's rule m > k/2: a fork of the root then needs an admin who signed both. */
export const ROOT: Schema<Root> = where(
  shape<Root>({
    version: uint(2 ** 32, 1),
    previous: optional(HASH),
    name: NAME,
    admins: sortedList(KEY_ID, (key) => key, ROOT_KEYS_MAX, 1),
    threshold: uint(ROOT_KEYS_MAX, 1),
    operators: sortedList(OPERATOR, (operator) => operator.name, ROOT_KEYS_MAX),
    releaseKeys: sortedList(RELEASE_KEY, (key) => key.name, ROOT_KEYS_MAX),
    groups: sortedList(NAME, (name) => name, GROUPS_MAX, 1),
  }),
  (root) => {
    const { threshold, admins, version, previous } = root
    if ((version === 1) !== (previous === undefined)) {
      return 'the hash of the version before, in every version but the first'
    }
    if (threshold > admins.length || 2 * threshold <= admins.length) {
      return 'a threshold of more than half of the admins and at most all of them'
    }
    const keys = [...root.operators, ...root.releaseKeys].map((grant) => grant.key)
    if (new Set(keys).size === keys.length) return undefined
    return 'one key for one grant: what may run and where are signed by different keys'
  },
)

/** The id of the fleet whose root version 1 hashes to `rootHash`. */
export function fleetIdOf(rootHash: Hex): FleetId {
  return rootHash.slice(0, 32)
}

/**
 * Signs a root document with `keys`, admins of it. `fleet` is absent for version 1.
 * Throws BAD_SHAPE for a root that nobody would take.
 */
export function signRoot(
  root: Root,
  keys: readonly KeyPair[],
  fleet?: FleetId,
): SignedDocument<Root> {
  const { wire, value } = written(ROOT, root, 'root')
  const payload = encodeCanonical(wire)
  const hash = toHex(sha256(payload))
  const domain = { type: 'root', fleet: fleet ?? fleetIdOf(hash) } as const
  return { value, hash, bytes: packDocument(domain, payload, keys) }
}

/**
 * The root of version 1 in `source`, if it hashes to `pinned` and its own threshold of admins signed.
 * Throws BAD_ROOT, BAD_KEY, and what `decodeCanonical` throws.
 */
export function openFirstRoot(
  source: Uint8Array,
  pinned: Hex,
  signer?: Signer,
): SignedDocument<Root> {
  const document = unpackDocument(source, 'root')
  const { payload, hash } = document
  if (hash !== pinned) throw badRoot(`expected root version 1 with hash ${pinned}, found ${hash}`)
  const value = ROOT.decode(decodeCanonical(payload, DOCUMENT_BYTES_MAX, 'root'), 'root')
  if (value.version !== 1) throw badRoot(`expected root version 1, found ${value.version}`)
  assertKeys(value)
  const domain = { type: 'root', fleet: fleetIdOf(hash) } as const
  const rules = { keys: value.admins, ...(signer && { signer }) }
  const signed = countSigners(document, domain, rules)
  if (signed < value.threshold) {
    throw badRoot(
      `expected ${value.threshold} signatures of admins on root version 1, found ${signed}`,
    )
  }
  return { value, hash, bytes: source }
}

/** A root as it travels: form and keys are checked, who signed it is not. */
export interface UnsignedRoot {
  readonly value: Root
  /** SHA-256 of the payload. */
  readonly hash: Hash
  readonly document: UnverifiedDocument
  readonly bytes: Uint8Array
}

/** Reads a root of any version without believing it. Throws BAD_KEY and what `decodeCanonical` throws. */
export function readRoot(source: Uint8Array): UnsignedRoot {
  const document = unpackDocument(source, 'root')
  const value = ROOT.decode(decodeCanonical(document.payload, DOCUMENT_BYTES_MAX, 'root'), 'root')
  assertKeys(value)
  return { value, hash: document.hash, document, bytes: source }
}

/** The hash that the version after `root` has to name. */
export function rootHashOf(root: Root): Hash {
  return toHex(sha256(encodeCanonical(ROOT.encode(root))))
}

/** How many of the admins that must sign have signed, of the version before and of the new one. */
export interface RootSigners {
  readonly before: number
  readonly beforeNeeded: number
  readonly after: number
  readonly afterNeeded: number
}

/** Counts the signatures of `next` among the admins of `previous` and among its own. */
export function rootSigners(
  next: UnsignedRoot,
  previous: Root,
  fleet: FleetId,
  signer?: Signer,
): RootSigners {
  const domain = { type: 'root', fleet } as const
  const count = (keys: readonly KeyId[]): number =>
    countSigners(next.document, domain, { keys, ...(signer && { signer }) })
  return {
    before: count(previous.admins),
    beforeNeeded: previous.threshold,
    after: count(next.value.admins),
    afterNeeded: next.value.threshold,
  }
}

/**
 * `next` as the version after `previous` (SPEC §4.1): its number and hash follow, the fleet keeps its
 * name, and enough admins of both versions signed. Throws BAD_ROOT.
 */
export function followRoot(
  next: UnsignedRoot,
  previous: Root,
  fleet: FleetId,
  signer?: Signer,
): SignedDocument<Root> {
  const { value, hash, bytes } = next
  assertFollows(value, previous)
  const { before, beforeNeeded, after, afterNeeded } = rootSigners(next, previous, fleet, signer)
  const where = `on root version ${value.version}`
  if (before < beforeNeeded) {
    throw badRoot(
      `expected ${beforeNeeded} signatures of admins of version ${previous.version} ${where}, found ${before}`,
    )
  }
  if (after < afterNeeded) {
    throw badRoot(`expected ${afterNeeded} signatures of its own admins ${where}, found ${after}`)
  }
  return { value, hash, bytes }
}

/**
 * The chain of roots in `sources`, the first first: that of `pinned`, and each after the one before.
 * Throws as `openFirstRoot` and `followRoot`.
 */
export function openRoots(
  sources: readonly Uint8Array[],
  pinned: Hex,
  signer?: Signer,
): readonly Root[] {
  const roots: Root[] = []
  for (const source of sources) {
    const before = roots.at(-1)
    const next =
      before === undefined
        ? openFirstRoot(source, pinned, signer)
        : followRoot(readRoot(source), before, fleetIdOf(pinned), signer)
    roots.push(next.value)
  }
  return roots
}

/** That `value` says it is the version after `previous`, whoever signed it. Throws BAD_ROOT. */
export function assertFollows(value: Root, previous: Root): void {
  if (value.version !== previous.version + 1) {
    throw badRoot(`expected root version ${previous.version + 1}, found ${value.version}`)
  }
  const hash = rootHashOf(previous)
  if (value.previous !== hash) {
    throw badRoot(
      `expected the root after ${hash.slice(0, 16)}, found one after ${value.previous?.slice(0, 16)}`,
    )
  }
  if (value.name === previous.name) return
  throw badRoot(`expected the root of fleet ${previous.name}, found one of ${value.name}`)
}

/** Body of `fleet.root`: where the next root is to be had (SPEC §6.11). */
export interface FleetRoot {
  readonly version: number
  /** SHA-256 of the signed document. */
  readonly root: Hash
  readonly rootBytes: number
  readonly why: string
}

export const FLEET_ROOT: Schema<FleetRoot> = shape<FleetRoot>({
  version: uint(2 ** 32, 2),
  root: HASH,
  rootBytes: uint(DOCUMENT_BYTES_MAX, 1),
  why: LINE,
})

function assertKeys(root: Root): void {
  for (const key of root.admins) assertPublicKey(key, 'an admin of the root')
  for (const grant of [...root.operators, ...root.releaseKeys]) {
    assertPublicKey(grant.key, grant.name)
  }
}

function badRoot(message: string): ProtocolError {
  return new ProtocolError('BAD_ROOT', 'reject', message)
}
