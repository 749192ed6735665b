/** Four real hosts, a builder with its cache, and an operator with the shipped command line. */
import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HostDetail, HostRow, RolloutStatus } from '../../node/index.ts'
import { removeTree } from '../../node/system/durable.ts'
import { Builder, type GenerationWish } from './builder.ts'
import { submitForgery } from './forged-plan.ts'
import type { Ended } from './machine.ts'
import { NixHost, PROGRAM } from './nix-host.ts'

export const NAMES: readonly string[] = ['alder', 'birch', 'cedar', 'dogwood']
/** Longest wait for anything; a machine with other work to do is several times slower. */
const GIVE_UP_MS = 60_000

/** The web service as its host sees it and as its peers do. */
const CHECKS = [
  {
    name: 'page',
    kind: 'command',
    from: 'inside',
    target: 'busybox wget -q -O /dev/null "http://$(cat /run/web-address)/"',
    timeoutMs: 3000,
  },
  {
    name: 'web',
    kind: 'http',
    from: 'outside',
    target: 'http://{host}:8080/',
    timeoutMs: 3000,
  },
]

/** What to deploy, where, and further options of `deploy`. */
export interface DeployWish {
  readonly release: string
  readonly hosts?: readonly string[]
  readonly options?: readonly string[]
}

/** How `deploy --wait` ended, and the rollout as it then was. */
export interface Deployed extends Ended {
  readonly status: RolloutStatus
}

export class NixFleet {
  readonly folder: string
  readonly builder: Builder
  readonly hosts: readonly NixHost[]
  /** The rollout that was stopped last on each host. */
  readonly #stopped = new Map<string, string>()

  private constructor(folder: string, builder: Builder, hosts: readonly NixHost[]) {
    this.folder = folder
    this.builder = builder
    this.hosts = hosts
  }

  /** Installs and starts all of it. What was started is stopped when it fails half-way. */
  static async start(): Promise<NixFleet> {
    execFileSync(process.execPath, [fileURLToPath(launcher), 'bundle'], { stdio: 'ignore' })
    const folder = await mkdtemp(join(tmpdir(), 'nixfleet-real-'))
    const builder = await Builder.start(join(folder, 'builder'))
    const hosts: NixHost[] = []
    const fleet = new NixFleet(folder, builder, hosts)
    try {
      const net = `127.${randomInt(64, 190)}.${randomInt(1, 254)}`
      for (const [index, name] of NAMES.entries()) {
        const place = { name, folder: join(folder, name), address: `${net}.${index + 1}` }
        hosts.push(await NixHost.boot(place))
      }
      await fleet.#found()
      return fleet
    } catch (error) {
      const logs = await Promise.all(hosts.map((host) => host.log().catch(() => '')))
      await fleet.stop()
      throw new Error(`the fleet did not come up\n${logs.join('\n')}`, { cause: error })
    }
  }

  /** The host of this name. */
  host(name: string): NixHost {
    const host = this.hosts.find((one) => one.name === name)
    if (host === undefined) throw new Error(`expected one of ${NAMES.join(', ')}, found ${name}`)
    return host
  }

  /** Runs `nixfleet` where generations are built, against the socket of host `peer`. */
  cli(peer: string, ...args: readonly string[]): Promise<Ended> {
    const variables = [
      `NIXFLEET_SOCKET=${this.#socketOf(peer)}`,
      `NIXFLEET_IDENTITY=${this.#keyOf('operator-olga')}`,
      `NIXFLEET_RELEASE_KEY=${this.#keyOf('release')}`,
    ]
    return this.builder.machine.try('env', ...variables, process.execPath, PROGRAM, ...args)
  }

  /** The JSON answer of a command. Throws when it fails. */
  async ask<T>(peer: string, ...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.cli(peer, ...args, '--json')
    if (code !== 0) throw new Error(`nixfleet ${args.join(' ')} ended with ${code}: ${stderr}`)
    return JSON.parse(stdout) as T
  }

  /** Builds, signs and publishes a generation, and announces it for `hosts`. */
  async release(
    wish: GenerationWish,
    hosts: readonly string[] = NAMES,
  ): Promise<{ readonly id: string; readonly generation: string }> {
    const generation = await this.builder.publish(wish)
    const id = await this.announce(wish.label, new Map(hosts.map((host) => [host, generation])))
    return { id, generation }
  }

  /** Announces what each host may run. */
  async announce(name: string, generations: ReadonlyMap<string, string>): Promise<string> {
    const sources = [...generations].map(([host, path]) => `${host}=${path}`)
    const cache = ['--cache', this.builder.cache.url, '--checks', join(this.folder, 'checks.json')]
    const command = ['release', 'create', '--nix', '--name', name, ...cache, ...sources]
    return (await this.ask<{ id: string }>('alder', ...command)).id
  }

  /** Deploys to `hosts` and waits for the end, which may be a bad one. */
  async deploy(wish: DeployWish): Promise<Deployed> {
    const waiting = ['--wait', '--json', '--timeout', `${GIVE_UP_MS}ms`]
    const ended = await this.cli('alder', 'deploy', ...waiting, ...this.#planOf(wish))
    const last = ended.stdout.trim().split('\n').at(-1) ?? ''
    if (!last.startsWith('{')) throw new Error(`deploy said no status: ${ended.stderr}`)
    const status = JSON.parse(last) as RolloutStatus
    this.note(status)
    return { ...ended, status }
  }

  /** Hands in a plan and does not wait; the next plan may replace it. Gives the rollout's id. */
  async submit(wish: DeployWish): Promise<string> {
    const command = ['deploy', '--detach', ...this.#planOf(wish)]
    const { rollout } = await this.ask<{ rollout: string }>('alder', ...command)
    for (const host of wish.hosts ?? NAMES) this.#stopped.set(host, rollout)
    return rollout
  }

  /** A plan that the command line would not make, handed in at alder. */
  forge(release: string, waves: readonly (readonly string[])[]): Promise<string> {
    const supersedes = waves.flat().flatMap((host) => this.#stopped.get(host) ?? [])
    return submitForgery({
      socket: this.#socketOf('alder'),
      key: this.#keyOf('operator-olga'),
      release,
      waves,
      supersedes: [...new Set(supersedes)],
    })
  }

  /** Remembers what a rollout left stopped: the next plan for its hosts must name it. */
  note({ id, state, waves }: RolloutStatus): void {
    for (const { name } of waves.flatMap((wave) => wave.hosts)) {
      if (state === 'complete') this.#stopped.delete(name)
      else this.#stopped.set(name, id)
    }
  }

  #planOf({ release, hosts = NAMES, options = [] }: DeployWish): readonly string[] {
    const stopped = hosts.flatMap((host) => this.#stopped.get(host) ?? [])
    const supersede = [...new Set(stopped)].flatMap((id) => ['--supersede', id])
    return [release, ...hosts.flatMap((host) => ['--host', host]), ...supersede, ...options]
  }

  rollout(id: string, peer = 'alder'): Promise<RolloutStatus> {
    return this.ask<RolloutStatus>(peer, 'rollout', 'status', id)
  }

  detail(host: string, peer = host): Promise<HostDetail> {
    return this.ask<HostDetail>(peer, 'hosts', 'show', host)
  }

  async rows(peer: string): Promise<readonly HostRow[]> {
    return (await this.ask<{ hosts: readonly HostRow[] }>(peer, 'status')).hosts
  }

  /** Waits until a host and its peer at the other end agree that it is reachable again. */
  async reachable(peer: string): Promise<void> {
    await until(`all hosts to be reachable from ${peer}`, async () => {
      const rows = await this.rows(peer).catch(() => [])
      return rows.length === NAMES.length && rows.every((row) => row.path !== 'none')
    })
  }

  /** Ends every process and removes every file. */
  async stop(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.machine.off()))
    await this.builder.stop()
    await removeTree(this.folder)
  }

  async #found(): Promise<void> {
    await writeFile(join(this.folder, 'checks.json'), JSON.stringify(CHECKS))
    const first = await this.builder.publish({ label: 'installed' })
    const site = join(this.folder, 'site')
    const records: string[] = []
    for (const { name, address, machine } of this.hosts) {
      const listen = ['--listen', `/ip4/${address}/tcp/7460`]
      const data = ['--data', join(machine.folder, 'data')]
      await this.#program('node', 'init', '--name', name, ...data, ...listen)
      records.push('--host', join(machine.folder, 'data', 'host.json'))
    }
    const voters = ['--voters', NAMES.join(',')]
    const options = ['--name', 'arboretum', '--operator', 'olga', '--preset', 'demo', ...voters]
    await this.#program('bootstrap', ...options, ...records, '--out', site)
    for (const host of this.hosts) {
      await host.install(first, this.builder)
      await host.startDaemon(join(site, 'trust'), this.builder)
    }
    for (const name of NAMES) await this.reachable(name)
  }

  #socketOf(peer: string): string {
    return join(this.folder, peer, 'data', 'api.sock')
  }

  #keyOf(name: string): string {
    return join(this.folder, 'site', 'keys', `${name}.key`)
  }

  #program(...args: readonly string[]): Promise<string> {
    return this.builder.machine.run(process.execPath, PROGRAM, ...args)
  }
}

/** Waits until `holds`, looking often. Throws with `what` when it takes too long. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUp = Date.now() + GIVE_UP_MS
  while (!(await holds())) {
    if (Date.now() > giveUp) throw new Error(`expected ${what} within ${GIVE_UP_MS / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

const launcher = new URL('../../cli/launch.mjs', import.meta.url)
