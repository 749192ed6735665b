/** Founds a fleet in memory, with keys of its own, for tests that need signed documents. */
import {
  DEMO,
  deriveHostKeys,
  fleetIdOf,
  hostIdentity,
  type KeyPair,
  keyPair,
  quorumOf,
  signGroupConfig,
  signRoot,
} from '../../protocol/index.ts'

/** A fleet's documents, as a node has them on its disk. */
export interface FakeTrust {
  readonly rootHash: string
  readonly root: Uint8Array
  readonly config: Uint8Array
}

export interface Founded {
  readonly trust: FakeTrust
  readonly fleet: string
  readonly admin: KeyPair
  readonly operator: KeyPair
  readonly release: KeyPair
  readonly stranger: KeyPair
}

/** A fleet of `names`, all of them voters. */
export function found(names: readonly string[]): Founded {
  const seed = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
  const [admin, operator, release, stranger] = [
    keyPair(seed(1)),
    keyPair(seed(2)),
    keyPair(seed(3)),
    keyPair(seed(4)),
  ]
  const grant = {
    name: 'alice',
    key: operator.publicKey,
    role: 'deploy' as const,
    groups: [],
    channels: [],
    expires: 0,
  }
  const root = signRoot(
    {
      version: 1,
      name: 'acme',
      admins: [admin.publicKey],
      threshold: 1,
      operators: [grant],
      releaseKeys: [{ name: 'ci', key: release.publicKey, channels: [] }],
      groups: ['main'],
    },
    [admin],
  )
  const fleet = fleetIdOf(root.hash)
  const hosts = [...names].sort().map((name, i) => ({
    ...hostIdentity(name, deriveHostKeys(seed(10 + i))),
    addresses: [`/ip4/10.0.0.${i + 1}/tcp/7460`],
    tags: [name.startsWith('web') ? 'role=web' : 'role=db'],
  }))
  const config = signGroupConfig(
    {
      fleet,
      group: 'main',
      epoch: 1,
      hosts,
      voters: hosts.map((host) => host.name),
      faultModel: 'crash',
      quorum: quorumOf(hosts.length, 'crash'),
      floors: { canaryMin: 1, soakMsMin: 0, wavePercentMax: 100, budgetMax: hosts.length },
      timing: DEMO,
    },
    [admin],
  )
  return {
    trust: { rootHash: root.hash, root: root.bytes, config: config.bytes },
    fleet,
    admin,
    operator,
    release,
    stranger,
  }
}
