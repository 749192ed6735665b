/**
 * A whole fleet in one thread and in virtual time: the shipped runtime over memory adapters.
 */
import { hash } from 'node:crypto'
import { openCountedStore } from '../../node/disk-memory.ts'
import { membershipOf } from '../../node/network/membership.ts'
import { MemoryNetwork } from '../../node/network/memory.ts'
import { MemoryHub } from '../../node/network/memory-hub.ts'
import type { Clock, Logger } from '../../node/ports.ts'
import { Runtime } from '../../node/runtime.ts'
import type { RuntimeParts } from '../../node/runtime-parts.ts'
import { MemoryDisk } from '../../node/store/memory.ts'
import {
  createMemorySystem,
  type MemoryBehaviour,
  MemoryMachine,
  memoryPath,
} from '../../node/system/memory.ts'
import {
  blobOf,
  concatBytes,
  deriveHostKeys,
  ED25519,
  equalBytes,
  type FactBodies,
  type FactType,
  fleetIdOf,
  type GroupConfig,
  type HealthCheck,
  type HostKeys,
  type HostName,
  hostIdentity,
  type KeyPair,
  keyPair,
  type Manifest,
  manifestBlob,
  NO_FACT,
  type PlanBody,
  PRODUCTION,
  planBlob,
  quorumOf,
  type Root,
  type Signer,
  sealFact,
  signGroupConfig,
  signRoot,
  type Timing,
} from '../../protocol/index.ts'
import { baseFor, type Trust } from '../../rollout/index.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface FleetOptions {
  readonly hosts: number
  readonly voters?: number
  readonly seed?: number
  readonly timing?: Partial<Timing>
  readonly behaviour?: (host: HostName, generation: string) => MemoryBehaviour
  readonly log?: (host: HostName, level: string, fields: object, message: string) => void
  /** Signs and checks facts and votes; Ed25519 where absent. Long runs take a cheaper one. */
  readonly signer?: Signer
  readonly faultModel?: GroupConfig['faultModel']
  /** Whether hosts know on their first start that their disk is new; they do where it is absent. */
  readonly newDisks?: boolean
  /** The wires, where they are to be worse than a memory hub's. */
  readonly hub?: (clock: VirtualClock) => MemoryHub
  /** A host's own clock on the fleet's time line, for its machine and its daemon. */
  readonly clockOf?: (host: HostName, clock: VirtualClock) => Clock
  /** Puts something between a daemon and its world: called at every boot. */
  readonly wrap?: (host: HostName, parts: RuntimeParts) => RuntimeParts
}

/**
 * Signatures that only whoever calls it would make: nobody forges anything in a simulation that uses
 * it, and it costs a twentieth.
 */
export const CHEAP_SIGNER: Signer = {
  sign: ({ seed, message }) => seal(publicKeyOf(seed), message),
  verify: ({ publicKey, message, signature }) => equalBytes(seal(publicKey, message), signature),
}

const publicKeys = new WeakMap<Uint8Array, Uint8Array>()

function publicKeyOf(seed: Uint8Array): Uint8Array {
  const known = publicKeys.get(seed) ?? Buffer.from(keyPair(seed).publicKey, 'hex')
  publicKeys.set(seed, known)
  return known
}

function seal(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha512', concatBytes(publicKey, message), 'buffer'))
}

/** Bytes that follow from a label and the seed alone. */
function seedBytes(label: string, size = 32): Uint8Array {
  return new Uint8Array(hash('sha512', label, 'buffer')).subarray(0, size)
}

function sessionOf(name: HostName, disk: number): string {
  return Buffer.from(seedBytes(`${name}/session/${disk}`, 16)).toString('hex')
}

export interface SimHost {
  readonly name: HostName
  readonly keys: HostKeys
  readonly machine: MemoryMachine
  disk: MemoryDisk
  /** Beside the disk, until the machine is started anew. */
  witness: Uint8Array | undefined
  /** Nothing was ever written to the disk, and the host knows. */
  isNew: boolean
  /** Belongs to the disk: a new one has a new session. */
  session: string
  node: Runtime | undefined
}

/** Generations are store paths that say which release they are. */
export function generationOf(release: number | string): string {
  return `${'0'.repeat(31)}${String(release).slice(-1)}-system-${release}`
}

/** What both operators may do: everything in every group. */
const DEPLOYER = { role: 'deploy', groups: [], channels: [], expires: 0 } as const

export const CHECKS: readonly HealthCheck[] = [
  { name: 'inside', kind: 'http', from: 'inside', target: 'http://{host}/', timeoutMs: 1000 },
  { name: 'outside', kind: 'http', from: 'outside', target: 'http://{host}/', timeoutMs: 1000 },
]

/** What changes with the next epoch. */
export type ConfigChange = Partial<
  Pick<GroupConfig, 'voters' | 'faultModel' | 'recover' | 'timing'>
> & {
  readonly add?: readonly HostName[]
  readonly remove?: readonly HostName[]
}

export class SimFleet {
  readonly clock = new VirtualClock()
  readonly hub: MemoryHub
  readonly trust: Trust
  /** The signed documents, as bootstrap writes them. */
  documents: { rootHash: string; root: Uint8Array; group: Uint8Array } = {
    rootHash: '',
    root: new Uint8Array(0),
    group: new Uint8Array(0),
  }
  readonly hosts = new Map<HostName, SimHost>()
  readonly operator: KeyPair
  /** A second operator with the same rights. */
  readonly rival: KeyPair
  readonly release: KeyPair
  readonly admin: KeyPair
  /** Configurations after the first, as a newcomer's trust folder holds them. */
  readonly newer: GroupConfig[] = []
  readonly #options: FleetOptions
  #sessions = 0
  #draws = 0

  constructor(options: FleetOptions) {
    this.#options = options
    const seed = options.seed ?? 1
    this.hub = options.hub?.(this.clock) ?? new MemoryHub({ clock: this.clock, seed })
    this.admin = keyPair(seedBytes(`${seed}/admin`))
    this.operator = keyPair(seedBytes(`${seed}/alice`))
    this.rival = keyPair(seedBytes(`${seed}/bob`))
    this.release = keyPair(seedBytes(`${seed}/ci`))
    const names = Array.from(
      { length: options.hosts },
      (_, i) => `host-${String(i + 1).padStart(2, '0')}`,
    )
    const keys = new Map(names.map((name) => [name, deriveHostKeys(seedBytes(`${seed}/${name}`))]))
    this.trust = this.#makeTrust(names, keys, this.admin)
    for (const name of names) this.#enrol(name, keys.get(name))
  }

  /** A machine with its keys and an empty disk. */
  #enrol(name: HostName, known?: HostKeys): SimHost {
    const machine = new MemoryMachine({
      clock: this.#clockOf(name),
      initial: generationOf(0),
      behaviour: (generation) => this.#options.behaviour?.(name, generation) ?? {},
    })
    const keys = known ?? deriveHostKeys(seedBytes(`${this.#options.seed ?? 1}/${name}`))
    const host: SimHost = {
      ...{ name, keys, machine },
      ...{ disk: new MemoryDisk(), session: sessionOf(name, 0), node: undefined },
      ...{ witness: undefined, isNew: this.#options.newDisks ?? true },
    }
    this.hosts.set(name, host)
    return host
  }

  /**
   * The admin signs the next configuration after `at`'s and announces it there. Hosts that are added
   * are enrolled, and the document lies in every trust folder from now on. Gives the fact's id.
   */
  async configure(at: Runtime, change: ConfigChange): Promise<string> {
    const { add = [], remove = [], ...rest } = change
    const { config } = at.parts.trust
    const fresh = add.map((name) => {
      const { keys } = this.hosts.get(name) ?? this.#enrol(name)
      return { ...hostIdentity(name, keys), addresses: [], tags: [] }
    })
    const hosts = [...config.hosts.filter(({ name }) => !remove.includes(name)), ...fresh]
    const voters = [...(rest.voters ?? config.voters.filter((name) => !remove.includes(name)))]
    const faultModel = rest.faultModel ?? (voters.length >= 4 ? 'byzantine' : 'crash')
    const next: GroupConfig = {
      ...{ ...config, ...rest, epoch: config.epoch + 1, faultModel },
      hosts: hosts.sort((a, b) => (a.name < b.name ? -1 : 1)),
      voters: voters.sort(),
      quorum: quorumOf(voters.length, faultModel),
    }
    const signed = signGroupConfig(next, [this.admin])
    const blob = blobOf(signed.bytes)
    this.newer.push(next)
    const fact = await this.sign(at, this.admin, 'group.config', {
      ...{ group: next.group, epoch: next.epoch, why: 'a test' },
      ...{ config: blob.hash, configBytes: blob.bytes.length },
    })
    await at.blobs.put(blob.hash, 'config', blob.bytes)
    at.blobArrived()
    return fact
  }

  host(name: HostName): SimHost {
    const host = this.hosts.get(name)
    if (host === undefined) throw new Error(`no host ${name}`)
    return host
  }

  get names(): readonly HostName[] {
    return [...this.hosts.keys()]
  }

  /** Every node that runs. */
  get nodes(): readonly Runtime[] {
    return [...this.hosts.values()].flatMap((host) => host.node ?? [])
  }

  async start(): Promise<void> {
    for (const name of this.names) await this.boot(name)
    await this.clock.advance(1000)
  }

  /** Starts the daemon of a host on its disk, with a clock of its own if it has one. */
  async boot(name: HostName, clock: Clock = this.#clockOf(name)): Promise<Runtime> {
    const host = this.host(name)
    const random = {
      bytes: (count: number) =>
        seedBytes(`${this.#options.seed ?? 1}/draw/${this.#draws++}`, count),
    }
    const witness = {
      read: async () => host.witness,
      write: async (bytes: Uint8Array) => {
        host.witness = bytes
      },
    }
    const opened = host.disk.open()
    const counting = openCountedStore(opened, { witness, random, isNew: host.isNew })
    const store = await counting.catch(async (error: unknown) => {
      await opened.close()
      throw error
    })
    host.isNew = false
    const parts: RuntimeParts = {
      name,
      keys: host.keys,
      session: host.session,
      trust: this.trust,
      newer: [...this.newer],
      clock,
      random,
      store,
      network: new MemoryNetwork({ hub: this.hub, name, membership: membershipOf(this.trust) }),
      system: createMemorySystem(host.machine, (address) => this.hosts.get(address)?.machine),
      log: this.#logger(name),
      cacheKeys: [],
      checks: [],
      signer: this.#options.signer,
      depot: { has: (hash) => this.#nars.has(hash), read: async (hash) => this.#nar(hash) },
    }
    const node = new Runtime(this.#options.wrap?.(name, parts) ?? parts)
    host.node = node
    await node.start()
    return node
  }

  /** kill −9 of the daemon; the machine, its disk and its deadman go on. `kept` of the unsynced writes stay. */
  crash(name: HostName, kept: number = 0): void {
    const host = this.host(name)
    this.hub.crash(name)
    host.disk.crash(kept)
    host.node?.kill()
    host.node = undefined
  }

  /** The daemon dies and its disk with it; the machine runs on. The next boot finds an empty disk. */
  loseDisk(name: HostName): void {
    this.crash(name)
    const host = this.host(name)
    host.disk = new MemoryDisk()
    host.session = sessionOf(name, ++this.#sessions)
  }

  /** The power goes: the daemon and what stands beside its disk. The next boot finds the disk alone. */
  losePower(name: HostName): void {
    this.crash(name)
    this.host(name).witness = undefined
  }

  #clockOf(name: HostName): Clock {
    return this.#options.clockOf?.(name, this.clock) ?? this.clock
  }

  readonly #nars = new Map<string, Uint8Array>()

  #nar(hash: string): AsyncIterable<Uint8Array> | undefined {
    const nar = this.#nars.get(hash)
    if (nar === undefined) return undefined
    return (async function* () {
      yield nar
    })()
  }

  /** Announces a release of one generation for every host at `at`. */
  async announce(
    at: Runtime,
    version: number,
    checks: readonly HealthCheck[] = CHECKS,
  ): Promise<string> {
    const { entry, nar } = memoryPath(generationOf(version))
    this.#nars.set(entry.narHash, nar)
    const manifest: Manifest = {
      kind: 'portable',
      hosts: this.names.map((host) => ({
        host,
        generation: entry.path,
        closure: [entry.path],
        checks,
      })),
      paths: [entry],
      caches: [],
    }
    const blob = manifestBlob(manifest)
    await at.blobs.put(blob.hash, 'manifest', blob.bytes)
    const fact = await this.sign(at, this.release, 'release.announce', {
      name: `release ${version}`,
      channel: 'stable',
      version,
      minVersion: 0,
      manifest: blob.hash,
      manifestBytes: blob.bytes.length,
      notRevertable: [],
    })
    at.blobArrived()
    return fact
  }

  /** Signs a plan at `at`; its base is what that node knows. */
  async plan(
    at: Runtime,
    release: string,
    waves: readonly (readonly HostName[])[],
    change: Partial<PlanBody> = {},
    policy: Partial<PlanBody['policy']> = {},
    operator: KeyPair = this.operator,
  ): Promise<string> {
    const { probeMs, activateMs } = this.trust.config.timing
    const body: PlanBody = {
      release,
      kind: 'forward',
      groups: [
        {
          group: this.trust.config.group,
          base: baseFor({ state: at.gate.state, trust: this.trust }, waves.flat()),
          waves,
        },
      ],
      policy: {
        soakMs: probeMs * 6,
        confirmMs: probeMs * 6,
        startTimeoutMs: activateMs + probeMs * 2,
        budget: { kind: 'count', count: 0 },
        onFailure: 'halt',
        maxInFlight: [],
        ...policy,
      },
      supersedes: [],
      strategy: 'test',
      reason: 'test',
      ...change,
    }
    const blob = planBlob(body)
    await at.blobs.put(blob.hash, 'plan', blob.bytes)
    const id = await this.sign(at, operator, 'rollout.plan', {
      plan: blob.hash,
      planBytes: blob.bytes.length,
      release,
      groups: body.groups.map((part) => part.group),
    })
    at.blobArrived()
    return id
  }

  /** How this fleet signs. */
  get signer(): Signer {
    return this.#options.signer ?? ED25519
  }

  /** Signs one fact in a session of its own and hands it to `at`. */
  async sign<T extends FactType>(
    at: Runtime,
    key: KeyPair,
    type: T,
    body: FactBodies[T],
  ): Promise<string> {
    const session = (++this.#sessions).toString(16).padStart(32, '0')
    const draft = {
      type,
      body,
      session,
      seq: 0,
      prev: NO_FACT,
      epoch: 1,
      ts: Math.floor(this.clock.wallMs()),
    }
    const { signer } = this.#options
    const fact = sealFact(draft, {
      ...{ fleet: this.trust.fleet, key },
      ...(signer === undefined ? {} : { signer }),
    })
    await at.submit(fact.bytes)
    return fact.id
  }

  /** Advances until `done` holds, step by step; false when it did not within `ms`. */
  async until(ms: number, done: () => boolean, step = 100): Promise<boolean> {
    for (let passed = 0; passed < ms; passed += step) {
      if (done()) return true
      await this.clock.advance(step)
    }
    return done()
  }

  #makeTrust(
    names: readonly HostName[],
    keys: ReadonlyMap<HostName, HostKeys>,
    admin: KeyPair,
  ): Trust {
    const root: Root = {
      version: 1,
      name: 'sim',
      admins: [admin.publicKey],
      threshold: 1,
      operators: [
        { name: 'alice', key: this.operator.publicKey, ...DEPLOYER },
        { name: 'bob', key: this.rival.publicKey, ...DEPLOYER },
      ],
      releaseKeys: [{ name: 'ci', key: this.release.publicKey, channels: [] }],
      groups: ['site'],
    }
    const signed = signRoot(root, [admin])
    const voters = names.slice(0, this.#options.voters ?? Math.min(4, names.length))
    const faultModel = this.#options.faultModel ?? (voters.length >= 4 ? 'byzantine' : 'crash')
    const config: GroupConfig = {
      fleet: fleetIdOf(signed.hash),
      group: 'site',
      epoch: 1,
      hosts: names.map((name) => {
        const own = keys.get(name)
        if (own === undefined) throw new Error(name)
        return { ...hostIdentity(name, own), addresses: [], tags: [] }
      }),
      voters,
      faultModel,
      quorum: quorumOf(voters.length, faultModel),
      floors: { canaryMin: 0, soakMsMin: 0, wavePercentMax: 100, budgetMax: 250 },
      timing: { ...PRODUCTION, ...this.#options.timing },
    }
    const group = signGroupConfig(config, [admin])
    this.documents = { rootHash: signed.hash, root: signed.bytes, group: group.bytes }
    return { fleet: config.fleet, root, config, genesis: group.hash }
  }

  #logger(host: HostName): Logger {
    const write = (level: string) => (fields: object, message: string) =>
      this.#options.log?.(host, level, fields, message)
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    }
  }
}
