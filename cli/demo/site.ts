/**
 * A fleet of real daemons on this machine, in one folder: founded with the same commands as any
 * fleet, then started, killed and started again as operating-system processes.
 *
 *     <folder>/demo.json                    who uses the folder, and every host's ports
 *     <folder>/keys, trust                  what `bootstrap` wrote
 *     <folder>/sockets/<host>.sock          each host's API
 *     <folder>/hosts/<host>/node.json       its configuration; seed, store and system beside it
 *     <folder>/hosts/<host>/daemon.log      what its daemon printed
 */
import type { ChildProcess } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { HealthCheck } from '../../protocol/index.ts'
import {
  fleetIdOf,
  fromHex,
  keyPair,
  openFirstRoot,
  openGroupConfig,
  signGroupConfig,
  type Timing,
} from '../../protocol/index.ts'
import { CliError } from '../errors.ts'
import { type DemoPlaces, demoPlaces } from '../places.ts'
import { claimFolder } from './claim.ts'
import { runCommand } from './command-child.ts'
import { freePorts } from './ports.ts'
import { endProcesses, killProcesses, startDaemon } from './processes.ts'

/** What a fleet on one machine is made of. */
export interface SiteOptions {
  /** Made, or wiped when it holds an earlier fleet of this kind. */
  readonly folder: string
  /** The bundled program, `nixfleet.cjs`. */
  readonly program: string
  readonly hosts: number
  /** Default: what `bootstrap` chooses. */
  readonly voters?: number | undefined
  readonly preset: 'demo' | 'production'
  /** Replaces parts of the preset's timing. */
  readonly timing?: Partial<Timing> | undefined
  /** The tree of the generation that every host starts with, or what writes one into the folder. */
  readonly initial: string | ((folder: string) => string)
  readonly log?: 'debug' | 'info' | 'warn' | 'error' | undefined
}

/** One host of the fleet, and where its parts lie. */
export interface SiteHost {
  readonly name: string
  readonly voter: boolean
  readonly folder: string
  readonly config: string
  readonly log: string
  /** Address of its API, `unix:…`. */
  readonly api: string
  /** What its service listens on, for everybody and for itself. */
  readonly web: number
  readonly health: number
}

const PORTS_PER_HOST = 3
/** A unix socket's address holds 108 bytes, the last of them zero. */
const SOCKET_PATH_BYTES_MAX = 107
/** From the start of a daemon to its first answer; a busy machine with 50 of them takes long. */
const READY_MS_MAX = 60_000
const POLL_MS = 100

/** Founds a fleet in `options.folder`. No daemon runs yet. Throws NF-1009 when the folder is in use. */
export async function foundSite(options: SiteOptions): Promise<Site> {
  await claimFolder(options.folder)
  const folder = realpathSync(options.folder)
  const places = demoPlaces(folder)
  const names = Array.from({ length: options.hosts }, (_, i) => hostName(i + 1, options.hosts))
  assertSocketFits(places, names)
  const extra = 1
  const first = await freePorts(options.hosts * PORTS_PER_HOST + extra, Math.random)
  const stock = first + options.hosts * PORTS_PER_HOST
  mkdirSync(places.sockets, { recursive: true, mode: 0o700 })
  const records: string[] = []
  for (const [i, name] of names.entries()) {
    const peer = first + i * PORTS_PER_HOST
    const argv = ['node', 'init', '--name', name, '--data', hostFolder(folder, name)]
    await runCommand(options.program, [...argv, '--listen', `/ip4/127.0.0.1/tcp/${peer}`], folder)
    records.push('--host', join(hostFolder(folder, name), 'host.json'))
  }
  const voters = names.slice(0, options.voters ?? (names.length <= 3 ? names.length : 4))
  await runCommand(
    options.program,
    [
      ...['bootstrap', '--name', 'demo', '--group', 'loopback', '--operator', 'alice'],
      ...['--preset', options.preset, '--voters', voters.join(','), '--out', folder, ...records],
    ],
    folder,
  )
  renameSync(join(folder, 'keys', 'operator-alice.key'), places.operatorKey)
  if (options.timing !== undefined) retime(folder, options.timing)
  const hosts = names.map((name, i): SiteHost => {
    const own = hostFolder(folder, name)
    return {
      name,
      voter: voters.includes(name),
      folder: own,
      config: join(own, 'node.json'),
      log: join(own, 'daemon.log'),
      api: `unix:${join(places.sockets, `${name}.sock`)}`,
      web: first + i * PORTS_PER_HOST + 1,
      health: first + i * PORTS_PER_HOST + 2,
    }
  })
  const initial = typeof options.initial === 'string' ? options.initial : options.initial(folder)
  for (const [i, host] of hosts.entries()) {
    writeHost({ ...options, folder, initial }, { host, peer: first + i * PORTS_PER_HOST, stock })
  }
  return new Site({ ...options, folder }, hosts, stock)
}

/** A founded fleet. */
export class Site {
  readonly folder: string
  readonly places: DemoPlaces
  readonly hosts: readonly SiteHost[]
  /** A port that belongs to no host: a service that all of them may need. */
  readonly stock: number
  readonly #program: string
  readonly #daemons = new Map<string, ChildProcess>()

  constructor(
    options: { readonly folder: string; readonly program: string },
    hosts: readonly SiteHost[],
    stock: number,
  ) {
    this.folder = options.folder
    this.places = demoPlaces(options.folder)
    this.hosts = hosts
    this.stock = stock
    this.#program = options.program
  }

  /** The host of that name. Throws TypeError when there is none. */
  host(name: string): SiteHost {
    const host = this.hosts.find((one) => one.name === name)
    if (host === undefined) throw new TypeError(`the fleet has no host ${name}`)
    return host
  }

  /** Hosts whose daemon was started and has not ended. */
  get running(): readonly SiteHost[] {
    return this.hosts.filter((host) => this.pid(host.name) !== undefined)
  }

  /** The process id of a host's daemon while it runs. */
  pid(name: string): number | undefined {
    const child = this.#daemons.get(name)
    return child === undefined || hasEnded(child) ? undefined : child.pid
  }

  /** Starts a host's daemon; `ready` tells when it answers. */
  start(name: string): void {
    const { config, log } = this.host(name)
    this.#daemons.set(name, startDaemon({ program: this.#program, config, log }))
  }

  /** kill −9 of a host's daemon. What the host serves goes on. */
  async kill(name: string): Promise<void> {
    await this.#end(name, 'SIGKILL')
  }

  /** Ends a host's daemon in order. */
  async stop(name: string): Promise<void> {
    await this.#end(name, 'SIGTERM')
  }

  /** Resolves when `probe` does for each of these hosts; throws NF-1101 with the log's end otherwise. */
  async ready(
    names: readonly string[],
    probe: (host: SiteHost) => Promise<boolean>,
  ): Promise<void> {
    const giveUp = Date.now() + READY_MS_MAX
    for (const name of names) {
      const host = this.host(name)
      while (!(await probe(host).catch(() => false))) {
        if (this.pid(name) === undefined || Date.now() > giveUp) throw notReady(host)
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      }
    }
  }

  /** Ends every daemon in order, then everything else that lives in the folder. */
  async close(): Promise<void> {
    await Promise.all(this.running.map((host) => this.stop(host.name)))
    this.#forgetBoots()
    await endProcesses(this.folder)
  }

  /** Ends everything at once: for the last moment of this process. */
  closeNow(): void {
    this.#forgetBoots()
    killProcesses(this.folder)
  }

  /** Another boot id: no deadman of this fleet goes back any more. */
  #forgetBoots(): void {
    for (const host of this.hosts) {
      if (existsSync(host.folder)) writeFileSync(join(host.folder, 'boot-id'), 'over\n')
    }
  }

  async #end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#daemons.get(name)
    if (child === undefined || hasEnded(child)) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.ref()
    child.kill(signal)
    const insist = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(insist)
  }
}

/** The checks that a release of the demo's web service declares, by host, as `release create` reads them. */
export function serviceChecks(
  hosts: readonly SiteHost[],
): Readonly<Record<string, readonly HealthCheck[]>> {
  return Object.fromEntries(hosts.map((host) => [host.name, [pageCheck(host), ownCheck(host)]]))
}

function pageCheck({ web }: SiteHost): HealthCheck {
  const target = `http://{host}:${web}/`
  return { name: 'page', kind: 'http', from: 'outside', target, timeoutMs: 1000 }
}

function ownCheck({ health }: SiteHost): HealthCheck {
  const target = `http://{host}:${health}/`
  return { name: 'alive', kind: 'http', from: 'inside', target, timeoutMs: 1000 }
}

function hostName(number: number, count: number): string {
  return `host-${String(number).padStart(Math.max(2, String(count).length), '0')}`
}

function hostFolder(folder: string, name: string): string {
  return join(folder, 'hosts', name)
}

function writeHost(
  options: Pick<SiteOptions, 'folder' | 'log'> & { readonly initial: string },
  { host, peer, stock }: { host: SiteHost; peer: number; stock: number },
): void {
  const state = join(host.folder, 'state')
  mkdirSync(state, { mode: 0o700 })
  const { name, web, health } = host
  writeFileSync(join(state, 'ports.json'), JSON.stringify({ host: name, web, health, stock }))
  writeFileSync(join(host.folder, 'boot-id'), 'boot-1\n')
  const trust = join(options.folder, 'trust')
  const config = {
    name,
    data: host.folder,
    listen: [`/ip4/127.0.0.1/tcp/${peer}`],
    trust,
    rootHash: readFileSync(join(trust, 'root.hash'), 'utf8').trim(),
    system: {
      kind: 'portable',
      initial: options.initial,
      bootIdFile: join(host.folder, 'boot-id'),
    },
    api: { socket: host.api.slice('unix:'.length) },
    checks: [ownCheck(host)],
    mdns: false,
    log: options.log ?? 'info',
  }
  writeFileSync(host.config, `${JSON.stringify(config, null, 2)}\n`)
}

/** Signs the group's configuration again with other timing, before any host has read it. */
function retime(folder: string, timing: Partial<Timing>): void {
  const trust = join(folder, 'trust')
  const rootHash = readFileSync(join(trust, 'root.hash'), 'utf8').trim()
  const root = openFirstRoot(readFileSync(join(trust, 'root.cbor')), rootHash).value
  const file = join(trust, 'group.cbor')
  const fleet = fleetIdOf(rootHash)
  const config = openGroupConfig(readFileSync(file), { root, fleet }).value
  const admin: { seed: string } = JSON.parse(
    readFileSync(join(folder, 'keys', 'admin.key'), 'utf8'),
  )
  const changed = { ...config, timing: { ...config.timing, ...timing } }
  writeFileSync(file, signGroupConfig(changed, [keyPair(fromHex(admin.seed))]).bytes)
}

function assertSocketFits(places: DemoPlaces, names: readonly string[]): void {
  const longest = Buffer.byteLength(join(places.sockets, `${names.at(-1)}.sock`))
  if (longest <= SOCKET_PATH_BYTES_MAX) return
  throw new CliError('NF-1008', `the path of ${places.folder} is too long for unix sockets`, {
    why: [`a socket's path has at most ${SOCKET_PATH_BYTES_MAX} bytes, found ${longest}`],
    fix: ['give a shorter folder with --data'],
  })
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function notReady(host: SiteHost): CliError {
  const tail = readFileSync(host.log, 'utf8').trim().split('\n').slice(-5)
  return new CliError('NF-1101', `the daemon of ${host.name} does not answer`, {
    why: tail,
    fix: [`read ${host.log}`],
  })
}
