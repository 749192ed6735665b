/**
 * The system of a NixOS host: real Nix, its store, its profile, its `switch-to-configuration` (D7).
 *
 * Two signatures stand before every path: Nix checks that of the cache (never switched off here, D8),
 * and after the copy each path of the closure is compared with the manifest that the release key
 * signed. `test` leaves the profile alone; only `setBootDefault` moves it.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, readlink, realpath, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import {
  BOOT_ID,
  type Hash,
  type HealthCheck,
  type ManifestPath,
  NAR_BYTES_MAX,
  ProtocolError,
  parseStorePath,
  type StorePath,
} from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import {
  BOOT_LOADER_MS_MAX,
  DEADMAN_STEP_MS_MAX,
  NIX_COPY_MS_MAX,
  NIX_PATHS_PER_COMMAND_MAX,
} from '../limits.ts'
import type {
  ActivationOutcome,
  CheckOutcome,
  StageOutcome,
  StageSource,
  System,
} from '../ports.ts'
import { ACTIVATION_UNIT, type Activator, openActivator } from './activation.ts'
import { runCheck } from './checks.ts'
import { type FileDeadman, openDeadman } from './deadman.ts'
import type { WayBack } from './deadman-terms.ts'
import { swapLink } from './durable.ts'
import { detectSupervisor, type Supervisor } from './launch.ts'
import { NarRanges } from './nar-ranges.ts'
import { NIX_FEATURES, type NixPathInfo, pathInfo, runNix } from './nix-info.ts'
import { writePeerCache } from './peer-cache.ts'
import { closureIn } from './portable-store.ts'
import { type Environment, runProgram } from './program.ts'
import { TaskQueue } from './task-queue.ts'
import { ValidPaths } from './valid-paths.ts'

/** Where a NixOS host keeps what, and how its programs are called. */
export interface NixOptions {
  /** `<data>/system`: logs, the deadman, roots. Made if it is missing. */
  readonly directory: string
  /** The whole environment of every program: PATH with Nix and coreutils, HOME, NIX_REMOTE, …. */
  readonly env: Environment
  /** `/nix/var/nix/profiles/system` by default. */
  readonly profile?: string | undefined
  /** The link that `switch-to-configuration` keeps; `/run/current-system` by default. */
  readonly runningLink?: string | undefined
  /** Keys of caches trusted besides those of the release, `name:base64`. */
  readonly cacheKeys?: readonly string[] | undefined
  /** Who keeps activations and the deadman: systemd where it runs the machine, by default. */
  readonly supervisor?: Supervisor | undefined
  readonly bootIdFile?: string | undefined
}

const KERNEL_BOOT_ID = '/proc/sys/kernel/random/boot_id'
const OWN_ADDRESS = '127.0.0.1'

/** Opens the system of this host. Throws SYSTEM_FAILED when the boot id cannot be read. */
export async function openNixSystem(options: NixOptions): Promise<System> {
  for (const name of ['', 'gcroots', 'nars']) {
    await mkdir(join(options.directory, name), { recursive: true, mode: 0o700 })
  }
  const settings: Settings = {
    env: options.env,
    cacheKeys: options.cacheKeys ?? [],
    directory: await realpath(options.directory),
    profile: options.profile ?? '/nix/var/nix/profiles/system',
    runningLink: options.runningLink ?? '/run/current-system',
    supervisor: options.supervisor ?? detectSupervisor(),
    bootIdFile: options.bootIdFile ?? KERNEL_BOOT_ID,
  }
  const { directory, supervisor, env } = settings
  const activator = await openActivator({ directory, supervisor, env })
  const host = new NixHost(settings, activator)
  const deadman = await openDeadman({
    directory: join(directory, 'deadman'),
    supervisor,
    env,
    bootId: () => host.bootId(),
    bootIdFile: settings.bootIdFile,
    bootDefault: () => host.bootDefault(),
    wayBack: (target) => host.wayBack(target),
  })
  return host.with(deadman)
}

type Settings = {
  readonly [Name in keyof NixOptions]-?: Exclude<NixOptions[Name], undefined>
}

/** Everything but the deadman, which needs this first. */
class NixHost implements Omit<System, 'deadman'> {
  readonly kind = 'nix'
  readonly #settings: Settings
  readonly #activator: Activator
  /** What changes the store: staging, pinning. */
  readonly #queue = new TaskQueue()
  readonly #ranges = new NarRanges((path, size) => this.#assertSize(path, size))
  readonly #valid = new ValidPaths(
    (paths) => this.#invalidOf(paths),
    () => performance.now(),
  )
  /** What boots. A way back must not wait for a staging, which may take hours. */
  readonly #profile = new TaskQueue()

  constructor(settings: Settings, activator: Activator) {
    this.#settings = settings
    this.#activator = activator
  }

  with(deadman: FileDeadman): System {
    return Object.assign(this, { deadman })
  }

  async bootId(): Promise<string> {
    const file = this.#settings.bootIdFile
    return BOOT_ID.decode((await readFile(file, 'utf8')).trim(), file)
  }

  running(): Promise<StorePath> {
    return followed(this.#settings.runningLink)
  }

  bootDefault(): Promise<StorePath> {
    return followed(this.#settings.profile)
  }

  async holds(generation: StorePath): Promise<boolean> {
    return this.#areValid([parseStorePath(generation)])
  }

  stage(generation: StorePath, source: StageSource): Promise<StageOutcome> {
    return this.#queue.run(() => this.#stage(generation, source))
  }

  async activate(generation: StorePath, timeoutMs: number): Promise<ActivationOutcome> {
    if (!(await this.holds(generation))) return { ok: false, detail: `${generation} is not held` }
    return this.#activator.activate([switchOf(generation), 'test'], '-', timeoutMs)
  }

  endActivation(): Promise<void> {
    return this.#activator.end()
  }

  /**
   * The profile first, then the boot loader, which lists the profile. Between the two the profile
   * says more than the boot loader knows, so a repetition does both again.
   */
  setBootDefault(generation: StorePath): Promise<void> {
    return this.#profile.run(async () => {
      const path = parseStorePath(generation)
      const set = await runNix(this.#settings, 'nix-env', [
        '-p',
        this.#settings.profile,
        '--set',
        path,
      ])
      if (!set.ok) throw failed(`the profile to become ${path}`, set.detail)
      const { env, directory } = this.#settings
      // Not by the activator: an activation under way must not be ended for this.
      const options = { env, cwd: directory, timeoutMs: BOOT_LOADER_MS_MAX }
      const boot = await runProgram(switchOf(path), ['boot'], options)
      if (!boot.ok) throw failed(`the boot loader to start ${path}`, boot.detail)
    })
  }

  pin(generations: readonly StorePath[]): Promise<void> {
    return this.#queue.run(async () => {
      const roots = join(this.#settings.directory, 'gcroots')
      const wanted = new Map(generations.map((path) => [basename(path), parseStorePath(path)]))
      for (const [name, path] of wanted) {
        // Nix would try to fetch one that is not staged yet, from caches of the host's own choice.
        if (!(await this.#areValid([path]))) continue
        const args = ['--add-root', join(roots, name), '--indirect', '-r', path]
        const rooted = await runNix(this.#settings, 'nix-store', args)
        if (!rooted.ok) throw failed(`a root for ${path}`, rooted.detail)
      }
      for (const name of await readdir(roots)) {
        if (!wanted.has(name)) await rm(join(roots, name), { force: true })
      }
    })
  }

  async nar(
    hash: Hash,
    offset: number,
    recycled: boolean = false,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    const path = await readlink(this.#narLink(hash)).catch(() => undefined)
    if (path === undefined || !(await this.#valid.of([path])).has(path)) return undefined
    return this.#whileIntact(hash, this.#ranges.read(path, offset, NAR_BYTES_MAX, recycled))
  }

  /** A path whose files are others than when it came is offered no more, until it is staged or adopted anew. */
  async *#whileIntact(
    hash: Hash,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void> {
    try {
      yield* chunks
    } catch (error) {
      if (error instanceof ProtocolError) await rm(this.#narLink(hash), { force: true })
      throw error
    }
  }

  async heldNars(hashes: readonly Hash[]): Promise<ReadonlySet<Hash>> {
    const links = new Map<Hash, StorePath>()
    for (const hash of hashes) {
      const path = await readlink(this.#narLink(hash)).catch(() => undefined)
      if (path !== undefined) links.set(hash, path)
    }
    const valid = await this.#valid.of([...new Set(links.values())])
    return new Set([...links].filter(([, path]) => valid.has(path)).map(([hash]) => hash))
  }

  /** The disk first: most of what is asked for is not there, and each question to Nix is a process. */
  async adopt(path: ManifestPath): Promise<boolean> {
    if (!isStorePath(path.path) || !existsSync(path.path)) return false
    const found = await pathInfo(this.#settings, [path.path]).catch(() => [])
    if (manifestFault([path], found) !== undefined) return false
    await this.#serve(path)
    return true
  }

  check(check: HealthCheck): Promise<CheckOutcome> {
    return runCheck(check, { address: OWN_ADDRESS, env: this.#settings.env })
  }

  checkPeer(check: HealthCheck, address: string): Promise<CheckOutcome> {
    return runCheck(check, { address })
  }

  wayBack(target: StorePath): WayBack {
    const { profile, supervisor } = this.#settings
    const path = parseStorePath(target)
    const bootAgain = 'nix-env -p "$1" --set "$2" && exec "$2/bin/switch-to-configuration" boot'
    const timeoutMs = DEADMAN_STEP_MS_MAX
    return {
      activationPidFile: this.#activator.pidFile,
      activationUnit: supervisor === 'systemd' ? `${ACTIVATION_UNIT}.service` : undefined,
      // The boot default first: if the switch hangs, a reboot helps.
      steps: [
        {
          argv: ['sh', '-c', bootAgain, 'sh', profile, path],
          timeoutMs,
          unless: { link: profile, target: path },
        },
        { argv: this.#activator.backArguments([switchOf(path), 'test'], '-'), timeoutMs },
      ],
    }
  }

  async #stage(generation: StorePath, source: StageSource): Promise<StageOutcome> {
    const closure = closureIn(generation, source.paths)
    if ('ok' in closure) return closure
    const misnamed = closure.find(({ path }) => !isStorePath(path))
    if (misnamed)
      return refused('signature', `expected a path of the Nix store, found ${misnamed.path}`)
    const names = closure.map(({ path }) => path)
    if (!(await this.#areValid(names))) {
      const fetched = await this.#fetch(generation, closure, source)
      if (!fetched.ok) return fetched
      // Nix brought all that the cache's narinfo calls needed. What is missing now was left out there.
      const [lacking] = await this.#invalidOf(names)
      if (lacking !== undefined)
        return refused('signature', `expected ${lacking} with it, found a closure without`)
    }
    const found = await pathInfo(this.#settings, names).catch(messageOf)
    if (typeof found === 'string') return refused('fetch', found)
    const fault = manifestFault(closure, found)
    if (fault !== undefined) return refused('signature', fault)
    for (const path of closure) await this.#serve(path)
    return { ok: true }
  }

  /** From the caches in their order, then from peers. The first that brings everything ends it. */
  async #fetch(
    generation: StorePath,
    closure: readonly ManifestPath[],
    source: StageSource,
  ): Promise<StageOutcome> {
    const faults: string[] = []
    for (const cache of source.caches) {
      const copied = await this.#copy(cache, [generation], source.cacheKeys)
      if (copied === undefined) return { ok: true }
      faults.push(`${copied} (${cache})`)
    }
    const invalid = await this.#invalidOf(closure.map(({ path }) => path))
    const missing = closure.filter(({ path }) => invalid.includes(path))
    const directory = join(this.#settings.directory, 'peer-cache')
    try {
      source.expect?.(missing)
      await writePeerCache(directory, missing, source)
      // What is needed comes first in `missing`, and every path brings its needs along.
      const copied = await this.#copy(
        `file://${directory}`,
        missing.map(({ path }) => path),
        source.cacheKeys,
      )
      if (copied === undefined) return { ok: true }
      faults.push(`${copied} (from peers)`)
    } catch (error) {
      faults.push(`${messageOf(error)} (from peers)`)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
    const detail = faults.join('; ')
    return refused(SIGNATURE_TROUBLE.test(detail) ? 'signature' : 'fetch', detail)
  }

  /** Undefined when Nix has copied the closures of `paths`, else why not. */
  async #copy(
    cache: string,
    paths: readonly StorePath[],
    cacheKeys: readonly string[],
  ): Promise<string | undefined> {
    const keys = [...new Set([...this.#settings.cacheKeys, ...cacheKeys])].join(' ')
    const options = [
      ...['--option', 'trusted-public-keys', keys],
      // Said aloud: a host whose nix.conf turns it off must not make us accept anything.
      ...['--option', 'require-sigs', 'true'],
      // A cache that lacked the path a minute ago may have it now.
      ...['--option', 'narinfo-cache-negative-ttl', '0'],
    ]
    for (let at = 0; at < paths.length; at += NIX_PATHS_PER_COMMAND_MAX) {
      const some = paths.slice(at, at + NIX_PATHS_PER_COMMAND_MAX)
      const args = [...NIX_FEATURES, 'copy', ...options, '--from', cache, ...some]
      const copied = await runNix(this.#settings, 'nix', args, NIX_COPY_MS_MAX)
      if (!copied.ok) return nixFault(copied.detail)
    }
    return undefined
  }

  async #areValid(paths: readonly StorePath[]): Promise<boolean> {
    for (let at = 0; at < paths.length; at += NIX_PATHS_PER_COMMAND_MAX) {
      const some = paths.slice(at, at + NIX_PATHS_PER_COMMAND_MAX)
      const checked = await runNix(this.#settings, 'nix-store', ['--check-validity', ...some])
      if (!checked.ok) return false
    }
    return true
  }

  async #invalidOf(paths: readonly StorePath[]): Promise<readonly StorePath[]> {
    if (await this.#areValid(paths)) return []
    const invalid = []
    for (const path of paths) if (!(await this.#areValid([path]))) invalid.push(path)
    return invalid
  }

  /** Remembers under which hash peers will ask for `path`. */
  async #serve(path: ManifestPath): Promise<void> {
    const link = this.#narLink(path.narHash)
    const known = await readlink(link).catch(() => undefined)
    if (known !== path.path) await swapLink(link, path.path)
  }

  /** Throws NAR_MALFORMED where the path is damaged: what is too short must not go out as if it were whole. */
  async #assertSize(path: string, size: number): Promise<void> {
    const [info] = await pathInfo(this.#settings, [path])
    if (info?.narSize === size) return
    const message = `expected ${info?.narSize} bytes for ${path}, found ${size}`
    throw new ProtocolError('NAR_MALFORMED', 'ignore', message)
  }

  #narLink(hash: Hash): string {
    return join(this.#settings.directory, 'nars', hash)
  }
}

/**
 * Only tells people and peers why: nothing is accepted by it. Nix's exit code is the same for all
 * failures, and its words differ between versions.
 */
const SIGNATURE_TROUBLE = /signature|signed by|hash mismatch/i

/**
 * What went wrong, in one line, out of what Nix printed: its errors without its progress, which would
 * fill the line that people see. Exported for its test.
 */
export function nixFault(output: string): string {
  const errors = /(?:^|\n|^exit code \d+: )error: (.*)$/s.exec(output)
  return (errors?.[1] ?? output).replace(/\s+/g, ' ').trim()
}

/** How `found` differs from what the manifest says, or undefined. Exported for its test. */
export function manifestFault(
  closure: readonly ManifestPath[],
  found: readonly NixPathInfo[],
): string | undefined {
  const byPath = new Map(found.map((info) => [info.path, info]))
  for (const expected of closure) {
    const info = byPath.get(expected.path)
    if (!info) return `expected ${expected.path} in the store, found nothing`
    if (info.narHash !== expected.narHash || info.narSize !== expected.narSize) {
      const promised = `${expected.narSize} bytes with hash ${expected.narHash}`
      return `expected ${promised} for ${expected.path}, found ${info.narSize} with ${info.narHash}`
    }
    const references = new Set(expected.references)
    const stray = info.references.find((reference) => !references.has(reference))
    if (stray) return `expected ${expected.path} to need only what is signed, found ${stray}`
  }
  return undefined
}

function switchOf(generation: StorePath): string {
  return join(parseStorePath(generation), 'bin', 'switch-to-configuration')
}

async function followed(link: string): Promise<StorePath> {
  try {
    return parseStorePath(await realpath(link))
  } catch (cause) {
    throw failed(`a generation of the Nix store behind ${link}`, messageOf(cause), cause)
  }
}

function isStorePath(path: string): boolean {
  try {
    parseStorePath(path)
    return true
  } catch {
    return false
  }
}

function refused(why: 'fetch' | 'signature', detail: string): StageOutcome {
  return { ok: false, why, detail }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function failed(expected: string, found: string, cause?: unknown): NodeError {
  const fix = 'Look at the system profile and at what Nix says about it.'
  return new NodeError('SYSTEM_FAILED', `expected ${expected}, found ${found}`, fix, { cause })
}
