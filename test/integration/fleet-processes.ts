/**
 * A fleet of real daemons for the integration tests: one process a host, each with its own key,
 * store, data folder and portable system. Everybody's keys are in this process, so a test can sign
 * what it likes, also what no honest program would.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../cli/demo/ports.ts'
import { hostRecordText } from '../../cli/host-record.ts'
import { writeKeyFile } from '../../cli/key-file.ts'
import {
  deriveHostKeys,
  fleetIdOf,
  type GroupConfig,
  type GroupHost,
  type HostKeys,
  hostIdentity,
  type KeyPair,
  keyPair,
  quorumOf,
  type Root,
  signGroupConfig,
  signRoot,
  type Timing,
  toHex,
} from '../../protocol/index.ts'
import type { Trust } from '../../rollout/index.ts'
import { type Ran, runProgram } from '../cli/script.ts'
import { type Api, apiAt, fresh } from './fleet-api.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/** The test build of the daemon, whose voter lies, up to its argument. */
const LYING = [
  '--import',
  import.meta.resolve('tsx'),
  fileURLToPath(new URL('lying-node.ts', import.meta.url)),
]

/** The demo's clocks, twice as fast: each test plays dozens of rollouts. */
export const QUICK: Timing = {
  preset: 'quick',
  probeMs: 250,
  failRounds: 3,
  windowMs: 500,
  leaseMs: 10_000,
  activateMs: 10_000,
  viewMs: 1_000,
  viewMsMax: 4_000,
  anchorMs: 60_000,
}

/** Between two looks at a node: seldom enough that five nodes have the machine for themselves. */
const LOOK_MS = 50

export interface FleetOptions {
  readonly hosts: number
  /** Hosts with a place and keys that the first configuration does not name. */
  readonly later?: number
  readonly voters: number
  /** What the hosts' folders begin with; helps to tell what a leftover process belonged to. */
  readonly label: string
  readonly timing?: Partial<Timing>
  readonly operators?: readonly string[]
  /** Where each host listens; loopback without it. */
  readonly addressOf?: (host: string) => string
  /** Hosts that the signed list gives no address, and that find each other by multicast. */
  readonly onLan?: readonly string[]
  /** Words before the daemon's own command, as `ip netns exec <name>`. */
  readonly commandOf?: (host: string) => readonly string[]
  /** Hosts that run the test build which lies, instead of the shipped program. */
  readonly liars?: readonly string[]
}

/** One host of a fleet: its places, its keys and, while it runs, its daemon. */
export interface FleetHost {
  readonly name: string
  readonly seed: Uint8Array
  readonly keys: HostKeys
  readonly folder: string
  readonly data: string
  readonly socket: string
  readonly configFile: string
  /** The configuration as written; a test that changes it writes it again. */
  readonly config: Readonly<Record<string, unknown>>
  daemon: ChildProcess | undefined
}

/** The built program; builds it when the sources changed since. */
export function builtProgram(): string {
  execFileSync(process.execPath, [join(repository, 'cli/bundle.mjs')], { stdio: 'pipe' })
  return join(repository, 'dist/nixfleet.cjs')
}

export class FleetProcesses {
  readonly folder: string
  readonly program: string
  readonly trust: Trust
  readonly rootHash: string
  readonly hosts: ReadonlyMap<string, FleetHost>
  readonly operators: ReadonlyMap<string, KeyPair>
  readonly release: KeyPair
  readonly admin: KeyPair
  readonly #commandOf: (host: string) => readonly string[]
  readonly #liars: readonly string[]

  static async create(options: FleetOptions): Promise<FleetProcesses> {
    const all = options.hosts + (options.later ?? 0)
    const first = options.addressOf ? 0 : await freePorts(all, Math.random)
    return new FleetProcesses(options, first)
  }

  private constructor(options: FleetOptions, firstPort: number) {
    this.program = builtProgram()
    this.folder = mkdtempSync(join(tmpdir(), `nf-${options.label}-`))
    this.#commandOf = options.commandOf ?? (() => [])
    this.#liars = options.liars ?? []
    const all = options.hosts + (options.later ?? 0)
    const names = Array.from({ length: all }, (_, i) => `host-${i + 1}`)
    const addressOf =
      options.addressOf ?? ((host) => `/ip4/127.0.0.1/tcp/${firstPort + names.indexOf(host)}`)
    this.admin = freshKey()
    this.release = freshKey()
    this.operators = new Map((options.operators ?? ['alice']).map((name) => [name, freshKey()]))
    const seeds = new Map(names.map((name) => [name, fresh(32)]))
    const documents = signDocuments({
      ...options,
      admin: this.admin,
      release: this.release,
      keys: this.operators,
      hosts: [...seeds].slice(0, options.hosts).map(([name, seed]) => ({
        ...hostIdentity(name, deriveHostKeys(seed)),
        addresses: options.onLan?.includes(name) ? [] : [addressOf(name)],
        tags: [],
      })),
    })
    this.trust = documents.trust
    this.rootHash = documents.rootHash
    mkdirSync(join(this.folder, 'trust'))
    writeFileSync(join(this.folder, 'trust', 'root.cbor'), documents.root)
    writeFileSync(join(this.folder, 'trust', 'group.cbor'), documents.group)
    this.#writeKeys()
    writeInitial(join(this.folder, 'initial'))
    this.hosts = new Map(
      [...seeds].map(([name, seed]) => {
        const mdns = options.onLan?.includes(name) === true
        return [name, this.#writeHost({ name, seed, mdns, address: addressOf(name) })]
      }),
    )
  }

  /** What a host that joins later says of itself, and the file with it. */
  record(name: string): { readonly host: GroupHost; readonly file: string } {
    const { keys, config, folder } = this.host(name)
    const addresses = config['listen'] as readonly string[]
    const host = { ...hostIdentity(name, keys), addresses, tags: [] }
    const file = join(folder, 'record.json')
    writeFileSync(file, hostRecordText(host))
    return { host, file }
  }

  /** A host's trust folder is this one from its next start on. */
  trustFrom(name: string, folder: string): void {
    const { config, configFile } = this.host(name)
    writeFileSync(configFile, JSON.stringify({ ...config, trust: folder }))
  }

  get names(): readonly string[] {
    return [...this.hosts.keys()]
  }

  host(name: string): FleetHost {
    const host = this.hosts.get(name)
    if (host === undefined) throw new Error(`no host ${name} in this fleet`)
    return host
  }

  api(name: string): Api {
    return apiAt(this.host(name).socket)
  }

  operator(name = 'alice'): KeyPair {
    const key = this.operators.get(name)
    if (key === undefined) throw new Error(`no operator ${name}`)
    return key
  }

  keyFile(name: string): string {
    return join(this.folder, 'keys', `${name}.key`)
  }

  /** Starts daemons, and waits until each API answers. */
  async start(...names: readonly string[]): Promise<void> {
    const all = names.length > 0 ? names : this.names
    for (const name of all) this.spawn(name)
    await Promise.all(all.map((name) => this.untilServing(name)))
  }

  /** Starts one daemon and does not wait for it. */
  spawn(name: string): ChildProcess {
    const host = this.host(name)
    const [command = '', ...args] = [
      ...this.#commandOf(name),
      process.execPath,
      ...(this.#liars.includes(name) ? LYING : [this.program, 'node', 'run', '--node-config']),
      host.configFile,
    ]
    const daemon = spawn(command, args, { cwd: host.folder, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [daemon.stdout, daemon.stderr]) {
      stream?.on('data', (bytes: Buffer) =>
        writeFileSync(join(host.folder, 'daemon.log'), bytes, { flag: 'a' }),
      )
    }
    host.daemon = daemon
    return daemon
  }

  async untilServing(name: string): Promise<void> {
    const host = this.host(name)
    await until(20_000, `the API of ${name}`, async () => {
      if (host.daemon?.exitCode !== null) throw new Error(`${name} ended: ${this.logOf(name)}`)
      return existsSync(host.socket) && (await served(host.socket))
    })
  }

  /** kill −9, and no more of it. */
  async kill(name: string): Promise<void> {
    await this.#end(this.host(name), 'SIGKILL')
  }

  async stop(name: string): Promise<number | null> {
    return await this.#end(this.host(name), 'SIGTERM')
  }

  async #end(host: FleetHost, signal: NodeJS.Signals): Promise<number | null> {
    const { daemon } = host
    host.daemon = undefined
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) {
      return daemon?.exitCode ?? null
    }
    return await new Promise((resolve) => {
      daemon.once('exit', (code) => resolve(code))
      daemon.kill(signal)
    })
  }

  /** Ends everything that this fleet started, and removes its folder. */
  async destroy(): Promise<void> {
    for (const host of this.hosts.values()) await this.#end(host, 'SIGKILL')
    for (const host of this.hosts.values()) endDeadman(host)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  /** The end of a daemon's log, for the message of a failing test. */
  logOf(name: string): string {
    const file = join(this.host(name).folder, 'daemon.log')
    return existsSync(file) ? readFileSync(file, 'utf8').slice(-2000) : 'no log'
  }

  /** One run of the command line as an operator at a host's socket. */
  async cli(at: string, as: string, args: readonly string[]): Promise<Ran> {
    const places = ['--socket', this.host(at).socket, '--identity', this.keyFile(as)]
    return await runProgram(this.program, [...args, ...places], {
      cwd: this.folder,
      env: { HOME: this.folder, PATH: process.env['PATH'] ?? '', TERM: 'dumb' },
    })
  }

  #writeKeys(): void {
    mkdirSync(join(this.folder, 'keys'), { mode: 0o700 })
    const { name: fleet } = this.trust.root
    const common = { fleet, rootHash: this.rootHash }
    for (const [name, key] of this.operators)
      writeKeyFile(this.keyFile(name), { ...common, role: 'operator', name, key })
    writeKeyFile(this.keyFile('release'), {
      ...common,
      role: 'release',
      name: 'ci',
      key: this.release,
    })
  }

  #writeHost(given: {
    readonly name: string
    readonly seed: Uint8Array
    readonly address: string
    readonly mdns: boolean
  }): FleetHost {
    const { name, seed, address, mdns } = given
    const folder = join(this.folder, name)
    const data = join(folder, 'data')
    mkdirSync(data, { recursive: true, mode: 0o700 })
    writeFileSync(join(data, 'seed'), `${toHex(seed)}\n`, { mode: 0o600 })
    // As `node init` leaves it: a folder that no node has written to.
    writeFileSync(join(data, 'new'), '')
    writeFileSync(join(folder, 'boot-id'), `boot-of-${name}\n`)
    const configFile = join(folder, 'node.json')
    const config = {
      name,
      data,
      listen: [address],
      trust: join(this.folder, 'trust'),
      rootHash: this.rootHash,
      system: {
        kind: 'portable',
        initial: join(this.folder, 'initial'),
        bootIdFile: join(folder, 'boot-id'),
      },
      mdns,
    }
    writeFileSync(configFile, JSON.stringify(config))
    const socket = join(data, 'api.sock')
    const keys = deriveHostKeys(seed)
    return { name, seed, keys, folder, data, socket, configFile, config, daemon: undefined }
  }
}

/** Looks again and again until `look` answers true; throws with `what` when it never does. */
export async function until(
  ms: number,
  what: string,
  look: () => Promise<boolean> | boolean,
): Promise<void> {
  const end = performance.now() + ms
  while (!(await look())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`)
    await pause(LOOK_MS)
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function freshKey(): KeyPair {
  return keyPair(fresh(32))
}

function served(socket: string): Promise<boolean> {
  return apiAt(socket)
    .get('/api/v1/fleet?hosts=no')
    .then(
      () => true,
      () => false,
    )
}

/** A deadman outlives its daemon by design; here nobody waits for it. */
function endDeadman(host: FleetHost): void {
  const file = join(host.data, 'system', 'deadman', 'watcher')
  if (!existsSync(file)) return
  const [pid] = readFileSync(file, 'utf8').split(' ')
  const words = `/proc/${pid}/cmdline`
  if (!existsSync(words) || !readFileSync(words, 'utf8').includes(host.data)) return
  process.kill(Number(pid), 'SIGKILL')
}

function writeInitial(folder: string): void {
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'bin', 'switch-to-configuration'), '#!/bin/sh\nexit 0\n', {
    mode: 0o755,
  })
}

function signDocuments(input: {
  readonly voters: number
  readonly timing?: Partial<Timing>
  readonly admin: KeyPair
  readonly release: KeyPair
  readonly keys: ReadonlyMap<string, KeyPair>
  readonly hosts: GroupConfig['hosts']
}): { trust: Trust; rootHash: string; root: Uint8Array; group: Uint8Array } {
  const { admin, release, keys, hosts } = input
  const root: Root = {
    version: 1,
    name: 'site-a',
    admins: [admin.publicKey],
    threshold: 1,
    operators: [...keys]
      .map(([name, key]) => ({ name, key: key.publicKey }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((one) => ({ ...one, role: 'deploy', groups: [], channels: [], expires: 0 })),
    releaseKeys: [{ name: 'ci', key: release.publicKey, channels: [] }],
    groups: ['main'],
  }
  const signed = signRoot(root, [admin])
  const voters = hosts.slice(0, input.voters).map((host) => host.name)
  const faultModel = voters.length >= 4 ? 'byzantine' : 'crash'
  const config: GroupConfig = {
    fleet: fleetIdOf(signed.hash),
    group: 'main',
    epoch: 1,
    hosts,
    voters,
    faultModel,
    quorum: quorumOf(voters.length, faultModel),
    floors: { canaryMin: 0, soakMsMin: 0, wavePercentMax: 100, budgetMax: 250 },
    timing: { ...QUICK, ...input.timing },
  }
  const group = signGroupConfig(config, [admin])
  return {
    trust: { fleet: config.fleet, root, config, genesis: group.hash },
    rootHash: signed.hash,
    root: signed.bytes,
    group: group.bytes,
  }
}
