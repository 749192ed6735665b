/** One host of the fleet: a machine with its own Nix, its own web service, and the shipped daemon. */
import { openSync } from 'node:fs'
import { readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Builder, nixEnvironment } from './builder.ts'
import { Machine } from './machine.ts'

/** The shipped program; `npm test` has bundled it. */
export const PROGRAM: string = fileURLToPath(new URL('../../dist/nixfleet.cjs', import.meta.url))
const PROFILE = '/nix/var/nix/profiles/system'
const SUBSTITUTER_PORT = 7462
/** Times that a service is asked, ten a second. */
const SERVICE_TRIES = 50
const KEPT_PID = 'echo $$ >"$0" && exec "$@"'

/** What a host's configuration needs to know of its fleet. */
export interface HostPlace {
  readonly name: string
  readonly folder: string
  /** An address of 127.0.0.0/8 of its own, so that each host may use the same ports. */
  readonly address: string
}

export class NixHost {
  readonly name: string
  readonly address: string
  readonly machine: Machine

  private constructor(place: HostPlace, machine: Machine) {
    this.name = place.name
    this.address = place.address
    this.machine = machine
  }

  /** A machine that runs nothing yet. */
  static async boot(place: HostPlace): Promise<NixHost> {
    const machine = await Machine.boot(place.folder, await nixEnvironment(place.folder))
    await writeFile(join(place.folder, 'run', 'web-address'), `${place.address}:8080`)
    return new NixHost(place, machine)
  }

  /** What an installer does: a signed closure, the profile, the boot loader, the first switch. */
  async install(generation: string, builder: Builder): Promise<void> {
    const keys = ['--option', 'trusted-public-keys', await builder.publicKey('good-1')]
    await this.machine.run('nix', 'copy', ...keys, '--from', builder.cache.url, generation)
    await this.machine.run('nix-env', '-p', PROFILE, '--set', generation)
    await this.machine.run(`${generation}/bin/switch-to-configuration`, 'switch')
  }

  /** Writes the configuration and starts the daemon; whether it is up is for the caller to ask. */
  async startDaemon(trust: string, builder: Builder): Promise<void> {
    const config = {
      name: this.name,
      data: this.#at('data'),
      listen: [`/ip4/${this.address}/tcp/7460`],
      trust,
      rootHash: (await readFile(join(trust, 'root.hash'), 'utf8')).trim(),
      system: { kind: 'nix', cacheKeys: [await builder.publicKey('good-1')] },
      substituter: {
        listen: { host: this.address, port: SUBSTITUTER_PORT },
        caches: [builder.cache.url],
      },
      mdns: false,
      log: 'info',
    }
    await writeFile(this.#at('node.json'), JSON.stringify(config))
    this.restartDaemon()
  }

  /** Starts the daemon with the configuration that it had. */
  restartDaemon(): void {
    const node = [process.execPath, PROGRAM, 'node', 'run', '--node-config', this.#at('node.json')]
    const log = openSync(this.#at('node.log'), 'a')
    this.machine.start(['sh', '-c', KEPT_PID, this.#at('node.pid'), ...node], log)
  }

  /** kill -9: nothing of the daemon is asked, and nothing else on the host is touched. */
  async killDaemon(): Promise<void> {
    await this.machine.run('sh', '-c', 'kill -9 "$(cat "$0")"', this.#at('node.pid'))
  }

  /** Whether the daemon's process is there. */
  async hasDaemon(): Promise<boolean> {
    const line = 'kill -0 "$(cat "$0")"'
    return (await this.machine.try('sh', '-c', line, this.#at('node.pid'))).code === 0
  }

  /** The binary cache that its daemon is. */
  get substituter(): string {
    return `http://${this.address}:${SUBSTITUTER_PORT}`
  }

  /** What /run/current-system leads to. */
  running(): Promise<string> {
    return readlink(this.#at('run', 'current-system'))
  }

  /** What the boot loader was last told to start. */
  bootDefault(): Promise<string> {
    return readlink(this.#at('nix', 'var', 'boot-default'))
  }

  /** What the system profile points at. */
  profile(): Promise<string> {
    return this.machine.run('readlink', '-f', PROFILE)
  }

  /** What stands behind each number of `nix-env --list-generations`, and which is current. */
  async generations(): Promise<readonly { readonly path: string; readonly current: boolean }[]> {
    const list = await this.machine.run('nix-env', '-p', PROFILE, '--list-generations')
    const rows = list.split('\n').map((line) => ({
      number: line.trim().split(/\s/)[0],
      current: line.includes('(current)'),
    }))
    return await Promise.all(
      rows.map(async ({ number, current }) => ({
        path: await this.machine.run('readlink', '-f', `${PROFILE}-${number}-link`),
        current,
      })),
    )
  }

  /** Whether Nix calls `path` valid on this host. */
  async holds(path: string): Promise<boolean> {
    return (await this.machine.try('nix-store', '--check-validity', path)).code === 0
  }

  /** What its web service answers: the page, or the status when that is not 200. */
  async page(): Promise<string> {
    const options = { headers: { connection: 'close' } }
    const url = `http://${this.address}:8080/`
    // A switch starts the service and does not wait until it listens.
    for (let tries = SERVICE_TRIES; tries > 0; tries--) {
      const answer = await fetch(url, options).catch(() => undefined)
      if (answer !== undefined) return answer.ok ? (await answer.text()).trim() : `${answer.status}`
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    throw new Error(`expected an answer from ${url}, found none`)
  }

  /** Every switch that was ever made, as `label verb`. */
  async switches(): Promise<readonly string[]> {
    return (await readFile(this.#at('run', 'switches'), 'utf8')).trim().split('\n')
  }

  /** Drops what Nix remembers of caches, so that no case sees another one's answers. */
  async forgetCaches(): Promise<void> {
    await rm(join(this.machine.env['XDG_CACHE_HOME'] ?? '', 'nix'), {
      recursive: true,
      force: true,
    })
  }

  /** The end of the daemon's log, for a test that failed. */
  async log(): Promise<string> {
    return (await readFile(this.#at('node.log'), 'utf8')).slice(-4000)
  }

  #at(...names: readonly string[]): string {
    return join(this.machine.folder, ...names)
  }
}
