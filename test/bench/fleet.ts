/**
 * A fleet of real daemons for a benchmark: production clocks, one process a host, on loopback.
 *
 * Its hosts' services are one process, this one, which answers on every host's port by what that
 * host's active generation is: on a machine that stands for many, N services of their own would take
 * the CPU that each real host has for itself.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from '../../cli/demo/command-child.ts'
import { foundSite, type Site, type SiteHost, serviceChecks } from '../../cli/demo/site.ts'
import { transportOf } from '../../cli/transport.ts'
import type { FleetStatus, HostDetail, RolloutStatus } from '../../node/index.ts'
import { type BenchOptions, program, until } from './bench.ts'
import { type Services, serveAll } from './services.ts'

/** Daemons that start at once: as many as a small machine starts without all of them waiting. */
const START_TOGETHER = 4
/** From the first daemon to a fleet that knows itself whole; 50 daemons on 2 busy CPUs. */
const GATHER_MS_MAX = 300_000
const ASK_MS_MAX = 30_000

/** The switch of a benchmark's generation: notes which one is active, in one rename. */
const SWITCH_SCRIPT = `#!/bin/sh
set -eu
[ "\${1:-}" != boot ] || exit 0
read -r name <"$NIXFLEET_GENERATION/etc/release"
printf '%s\\n' "$name" >"$NIXFLEET_STATE_DIR/active.new"
mv "$NIXFLEET_STATE_DIR/active.new" "$NIXFLEET_STATE_DIR/active"
`

/** A running fleet. */
export interface BenchFleet {
  readonly site: Site
  /** The command line of each daemon. */
  readonly command: string
  readonly services: Services
  /** The file of the fleet's admin key. */
  readonly adminKey: string
  /** Reads from a host's API. */
  readonly get: <Body>(host: SiteHost, path: string) => Promise<Body>
  /** Runs a command of the CLI against the first host, as its operator; gives its JSON. */
  readonly cli: <Body>(...argv: string[]) => Promise<Body>
  /** Writes a generation named `name` and announces it for every host; gives the release's id. */
  readonly release: (name: string) => Promise<string>
  readonly close: () => Promise<void>
}

/** The name of the generation that every host starts with. */
export const FIRST_GENERATION = 'first'

/** Founds a fleet and starts it; resolves when every host knows every other one. */
export async function startFleet(
  options: BenchOptions,
  { log = 'warn' }: { log?: 'warn' | 'info' } = {},
): Promise<BenchFleet> {
  const { hosts, tell } = options
  const folder = mkdtempSync(join(tmpdir(), 'nixfleet-bench-'))
  const initial = writeGeneration(join(folder, 'trees'), FIRST_GENERATION)
  tell(`founding a fleet of ${hosts} in ${folder}`)
  const site = await foundSite({
    folder: join(folder, 'site'),
    program,
    hosts,
    preset: 'production',
    initial,
    log,
  })
  const services = await serveAll(site.hosts)
  const end = async (): Promise<void> => {
    await site.close()
    await services.close()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await startDaemons(site, options)
    await gather(site, options)
  } catch (error) {
    await end()
    throw error
  }
  const command = `${process.execPath} ${program} node run --node-config <folder>/node.json`
  const adminKey = join(site.folder, 'keys', 'admin.key')
  const commands = commandsOf(site, join(folder, 'trees'))
  return { site, command, services, adminKey, get, close: end, ...commands }
}

/** Runs `work` with a fleet, and ends the fleet whatever happens. */
export async function withFleet<Result>(
  options: BenchOptions,
  work: (fleet: BenchFleet) => Promise<Result>,
): Promise<Result> {
  const fleet = await startFleet(options)
  const kill = (): void => fleet.site.closeNow()
  process.once('exit', kill)
  try {
    return await work(fleet)
  } finally {
    await fleet.close()
    process.removeListener('exit', kill)
  }
}

/** One rollout as a host sees it. */
export function rolloutAt(fleet: BenchFleet, host: SiteHost, id: string): Promise<RolloutStatus> {
  return fleet.get<RolloutStatus>(host, `/api/v1/rollouts/${id}`)
}

/** What a host says of one host. */
export function hostAt(fleet: BenchFleet, host: SiteHost, name: string): Promise<HostDetail> {
  return fleet.get<HostDetail>(host, `/api/v1/hosts/${name}`)
}

async function startDaemons(site: Site, { tell, signal }: BenchOptions): Promise<void> {
  for (let at = 0; at < site.hosts.length; at += START_TOGETHER) {
    signal.throwIfAborted()
    const names = site.hosts.slice(at, at + START_TOGETHER).map((host) => host.name)
    for (const name of names) site.start(name)
    await site.ready(names, async (host) => {
      await get<object>(host, '/api/v1/fleet?hosts=no')
      return true
    })
    tell(`${at + names.length} of ${site.hosts.length} daemons run`)
  }
}

/** Until each host holds a health report of each, and all hold the same facts. */
async function gather(site: Site, { tell, signal }: BenchOptions): Promise<void> {
  let missing = ''
  const knowsAll = async (): Promise<boolean> => {
    const views = await Promise.all(
      site.hosts.map((host) => get<FleetStatus>(host, '/api/v1/fleet')),
    )
    const digests = new Set(views.map((view) => view.digest))
    const unheard = views.flatMap((view) => view.hosts.filter((host) => host.health === null))
    missing = `${digests.size} digests, ${unheard.length} reports missing`
    return digests.size === 1 && unheard.length === 0
  }
  const ways = { withinMs: GATHER_MS_MAX, everyMs: 1000, signal }
  await until('a fleet that knows itself whole', knowsAll, ways).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${missing}`)
  })
  tell('the fleet knows itself whole')
}

async function get<Body>(host: SiteHost, path: string): Promise<Body> {
  const transport = transportOf(host.api, () => {
    throw new TypeError('a socket needs no libp2p')
  })
  const reply = await transport.ask({ method: 'GET', path }, AbortSignal.timeout(ASK_MS_MAX))
  if (reply.status >= 400) throw new Error(`${host.name} ${path}: ${reply.text}`)
  return JSON.parse(reply.text) as Body
}

function commandsOf(site: Site, trees: string): Pick<BenchFleet, 'cli' | 'release'> {
  const [first] = site.hosts
  if (first === undefined) throw new TypeError('expected a fleet with hosts, found none')
  const cli = async <Body>(...argv: string[]): Promise<Body> => {
    const { operatorKey } = site.places
    const options = ['--peer', first.api, '--identity', operatorKey, '--yes', '--json']
    return JSON.parse(await runCommand(program, [...argv, ...options], site.folder)) as Body
  }
  const release = async (name: string): Promise<string> => {
    const tree = writeGeneration(trees, name)
    const checks = join(trees, `${name}.checks.json`)
    writeFileSync(checks, JSON.stringify(serviceChecks(site.hosts)))
    const { id } = await cli<{ readonly id: string }>(
      ...['release', 'create', '--portable', '--all', tree, '--name', name, '--checks', checks],
      ...['--release-key', site.places.releaseKey],
    )
    return id
  }
  return { cli, release }
}

function writeGeneration(trees: string, name: string): string {
  const tree = join(trees, name)
  for (const part of ['bin', 'etc']) mkdirSync(join(tree, part), { recursive: true })
  writeFileSync(join(tree, 'bin', 'switch-to-configuration'), SWITCH_SCRIPT, { mode: 0o755 })
  writeFileSync(join(tree, 'etc', 'release'), `${name}\n`)
  return tree
}
