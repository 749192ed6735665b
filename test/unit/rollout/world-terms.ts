/** The terms of every world on paper: its clocks, its policy, its operators, its names. */

import type {
  FactOf,
  FaultModel,
  GroupConfig,
  GroupConfigFact,
  HostIdentity,
  HostName,
  KeyPair,
  Manifest,
  OperatorGrant,
  PlanBody,
  Policy,
  RolloutId,
  SignedDocument,
  Timing,
} from '../../../protocol/index.ts'
import { blobOf, quorumOf, sha256, signGroupConfig, toHex, utf8 } from '../../../protocol/index.ts'
import type { FleetView } from '../../../rollout/fleet-view.ts'
import type { GateState } from '../../../rollout/gate-state.ts'

export const TIMING: Timing = {
  preset: 'test',
  probeMs: 100,
  failRounds: 3,
  windowMs: 400,
  leaseMs: 1_000,
  activateMs: 2_000,
  viewMs: 100,
  viewMsMax: 1_000,
  anchorMs: 100_000,
}

export const POLICY: Policy = {
  soakMs: 800,
  confirmMs: 500,
  startTimeoutMs: 5_000,
  budget: { kind: 'count', count: 0 },
  onFailure: 'revertAll',
  maxInFlight: [],
}

export const GROUP = 'site'
export const CHANNEL = 'stable'

export interface WorldOptions {
  readonly hosts: number
  /** Every host up to 7 if absent. */
  readonly voters?: number
  readonly faultModel?: FaultModel
  readonly floors?: Partial<GroupConfig['floors']>
}

export interface PlanOptions {
  readonly waves: readonly (readonly HostName[])[]
  readonly release?: FactOf<'release.announce'>
  readonly kind?: PlanBody['kind']
  readonly supersedes?: readonly RolloutId[]
  readonly base?: string
  readonly policy?: Partial<Policy>
  readonly by?: string
  /** Only announced: nobody holds the body. */
  readonly bodyless?: boolean
}

export interface ReleaseOptions {
  readonly version: number
  readonly minVersion?: number
  readonly channel?: string
  readonly hosts?: readonly HostName[]
}

/** The operators of every world, by name. */
export const OPERATORS: readonly Omit<OperatorGrant, 'key'>[] = [
  { name: 'alice', role: 'deploy', groups: [], channels: [], expires: 0 },
  { name: 'bob', role: 'deploy', groups: [GROUP], channels: [], expires: 0 },
  { name: 'edgar', role: 'deploy', groups: [], channels: ['edge'], expires: 0 },
  { name: 'eve', role: 'deploy', groups: [], channels: [], expires: 1_000 },
  { name: 'olga', role: 'deploy', groups: ['elsewhere'], channels: [], expires: 0 },
  { name: 'rita', role: 'readonly', groups: [], channels: [], expires: 0 },
]

/** `h00`, `h01`, … in the order of their numbers. */
export function hostNames(count: number): readonly HostName[] {
  return Array.from({ length: count }, (_, i) => `h${i.toString().padStart(2, '0')}`)
}

/** The generation that a release of this version gives a host. */
export function generationOf(host: HostName, version: number): string {
  return `/nix/store/${host}-${version}`
}

/** The manifest of a release of this version: one generation for each host, and nothing else. */
export function manifestFor(hosts: readonly HostName[], version: number): Manifest {
  const generations = hosts.map((host) => ({ host, generation: generationOf(host, version) }))
  const paths = generations.map(({ generation }) => generation).toSorted()
  return {
    kind: 'portable',
    hosts: generations.map((one) => ({ ...one, closure: [one.generation], checks: [] })),
    paths: paths.map((path) => ({
      ...{ path, narHash: toHex(sha256(utf8(path))), narSize: 1 },
      ...{ references: [], signatures: [] },
    })),
    caches: [],
  }
}

/** A session by its number. */
export function session(n: number): string {
  return n.toString(16).padStart(32, '0')
}

/** What changes with the next epoch. */
export type ConfigChange = Partial<
  Pick<GroupConfig, 'voters' | 'faultModel' | 'quorum' | 'epoch' | 'group' | 'recover' | 'floors'>
> & { readonly add?: readonly HostName[]; readonly remove?: readonly HostName[] }

/** The configuration of the next epoch: this one with some hosts, voters or settings exchanged. */
export function configAfter(
  config: GroupConfig,
  change: ConfigChange,
  keysOf: (name: HostName) => HostIdentity,
): GroupConfig {
  const { add = [], remove = [], ...rest } = change
  const hosts = [
    ...config.hosts.filter((host) => !remove.includes(host.name)),
    ...add.map((name) => ({ ...keysOf(name), addresses: [], tags: [] })),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const voters = rest.voters ?? config.voters.filter((voter) => !remove.includes(voter))
  const faultModel = rest.faultModel ?? config.faultModel
  const quorum = quorumOf(voters.length, faultModel)
  return { ...config, epoch: config.epoch + 1, quorum, ...rest, hosts, voters, faultModel }
}

/** A configuration as the admin signs it, and the fact that says where it is. */
export function announcementOf(
  config: GroupConfig,
  admin: KeyPair,
): { signed: SignedDocument<GroupConfig>; body: GroupConfigFact } {
  const signed = signGroupConfig(config, [admin])
  const { group, epoch } = config
  const { hash, bytes } = blobOf(signed.bytes)
  const body = { group, epoch, config: hash, configBytes: bytes.length, why: 'a test' }
  return { signed, body }
}

/** The lowest version that nothing known stands above. */
export function versionAfter(state: GateState, view: FleetView): number {
  const marks = [...state.channels.values()].map((mark) => mark.version)
  const announced = [...view.releases.values()].map((one) => one.body.version)
  return Math.max(0, ...marks, ...announced) + 1
}
