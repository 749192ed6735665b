/**
 * The system of a host without Nix (D7): its own store, its own profile, real scripts.
 *
 *     <directory>/store/<hash>-<name>         verified trees, read-only
 *     <directory>/meta/<hash>-<name>          NAR hash, size and references of each
 *     <directory>/running -> store/…          what runs; moved by the activation itself
 *     <directory>/profiles/system -> system-N-link -> ../store/…   the boot default
 *     <directory>/boot -> profiles/system
 *     <directory>/gcroots/<hash>-<name>       what is pinned
 *     <directory>/deadman/, tmp/, activate.sh, {activation,way-back}.{pid,log}, booted
 *
 * A generation is a tree with an executable `bin/switch-to-configuration`, which is run as
 * `… test` with these variables and no others: NIXFLEET_SYSTEM_DIR (the directory above),
 * NIXFLEET_GENERATION (the generation's own directory), NIXFLEET_STATE_DIR (where its services may
 * keep data) and PATH. It starts the generation's services in sessions of their own and returns;
 * they belong to it, and a daemon that dies takes none of them along. Where the daemon is a systemd
 * unit, that unit needs `KillMode=process` for the same reason.
 */
import { mkdir, readdir, readFile, readlink, realpath, rm, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import {
  BOOT_ID,
  type Hash,
  type HealthCheck,
  type ManifestPath,
  type StorePath,
} from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { DEADMAN_STEP_MS_MAX, PROFILE_LINKS_MAX } from '../limits.ts'
import type {
  ActivationOutcome,
  CheckOutcome,
  StageOutcome,
  StageSource,
  System,
} from '../ports.ts'
import { type Activator, openActivator } from './activation.ts'
import { runCheck } from './checks.ts'
import { type FileDeadman, openDeadman } from './deadman.ts'
import type { WayBack, WayBackStep } from './deadman-terms.ts'
import { errorCode, swapLink, syncDirectory, writeDurably } from './durable.ts'
import { PortableStore } from './portable-store.ts'
import type { Environment } from './program.ts'
import { TaskQueue } from './task-queue.ts'

/** Where a portable host keeps its system, and what its scripts see. */
export interface PortableOptions {
  /** `<data>/system`; made if it is missing. On one file system, which survives a power cut. */
  readonly directory: string
  /** What scripts get as NIXFLEET_STATE_DIR; made if it is missing. */
  readonly stateDirectory: string
  /** PATH of scripts, checks and the deadman. */
  readonly path?: string | undefined
  /**
   * The file whose contents name the boot, the kernel's by default. A host that is no machine but a
   * process among others gives its own, and changes it to mean a reboot.
   */
  readonly bootIdFile?: string | undefined
}

/** A portable host's system, with what enrolment and housekeeping need besides the port. */
export interface PortableSystem extends System {
  /** Brings the tree at `directory` into the store as a path named `name`. */
  addDirectory(directory: string, name: string): Promise<ManifestPath>
  /** Makes a held generation the first of this host: boot default, and running. */
  enrol(generation: StorePath, timeoutMs: number): Promise<ActivationOutcome>
  /** Removes every path that nothing keeps; gives their names. */
  gc(): Promise<readonly StorePath[]>
}

const KERNEL_BOOT_ID = '/proc/sys/kernel/random/boot_id'
const DEFAULT_PATH = '/run/current-system/sw/bin:/usr/local/bin:/usr/bin:/bin'
/** How a host reaches itself: `{host}` in its own checks. */
const OWN_ADDRESS = '127.0.0.1'

/**
 * Opens the system under `options.directory`.
 *
 * On the first opening after a boot the boot default is activated, because nothing else on such a
 * machine does: services of before the boot are gone. Throws SYSTEM_FAILED when the boot id cannot
 * be read.
 */
export async function openPortableSystem(options: PortableOptions): Promise<PortableSystem> {
  for (const path of [
    options.directory,
    join(options.directory, 'profiles'),
    join(options.directory, 'gcroots'),
  ]) {
    await mkdir(path, { recursive: true, mode: 0o755 })
  }
  await mkdir(options.stateDirectory, { recursive: true, mode: 0o700 })
  // Scripts compare links by where they lead, so the directory itself must hold none.
  const directory = await realpath(options.directory)
  await ensureLink(join(directory, 'boot'), 'profiles/system')
  const store = new PortableStore(directory)
  await store.open()
  const settings = { ...options, directory, path: options.path ?? DEFAULT_PATH }
  const activator = await openActivator({
    directory,
    supervisor: 'session',
    env: { PATH: settings.path },
    link: join(directory, 'running'),
  })
  const system = new PortableHost(settings, store, activator)
  await system.boot()
  return system
}

interface Settings extends PortableOptions {
  readonly path: string
}

class PortableHost implements PortableSystem {
  readonly kind = 'portable'
  readonly #settings: Settings
  readonly #store: PortableStore
  readonly #activator: Activator
  /** What changes the store: staging, pinning, collecting. */
  readonly #queue = new TaskQueue()
  /** What boots. A way back must not wait for a staging. */
  readonly #profile = new TaskQueue()
  #deadman: FileDeadman | undefined
  /** The generation staged last: nothing pins it until it is committed. */
  #staged: StorePath | undefined

  constructor(settings: Settings, store: PortableStore, activator: Activator) {
    this.#settings = settings
    this.#store = store
    this.#activator = activator
  }

  get deadman(): FileDeadman {
    if (this.#deadman) return this.#deadman
    throw failed('a system that has been opened', 'none', 'This is a fault of nixfleet: report it.')
  }

  async bootId(): Promise<string> {
    const file = this.#settings.bootIdFile ?? KERNEL_BOOT_ID
    const text = (await readFile(file, 'utf8')).trim()
    if (text === '')
      throw failed(`a boot id in ${file}`, 'nothing', 'Write one line of text to it.')
    return BOOT_ID.decode(text, file)
  }

  running(): Promise<StorePath> {
    return this.#linked(join(this.#settings.directory, 'running'))
  }

  async bootDefault(): Promise<StorePath> {
    const profiles = join(this.#settings.directory, 'profiles')
    const link = await this.#linked(join(profiles, 'system'))
    return this.#linked(join(profiles, link))
  }

  async holds(generation: StorePath): Promise<boolean> {
    return this.#store.closureOf(generation) !== undefined
  }

  stage(generation: StorePath, source: StageSource): Promise<StageOutcome> {
    return this.#queue.run(async () => {
      const outcome = await this.#store.stage(generation, source)
      if (outcome.ok) this.#staged = generation
      return outcome
    })
  }

  async activate(generation: StorePath, timeoutMs: number): Promise<ActivationOutcome> {
    if (!(await this.holds(generation))) return { ok: false, detail: `${generation} is not held` }
    return this.#activator.activate(this.#switchOf(generation), `store/${generation}`, timeoutMs)
  }

  endActivation(): Promise<void> {
    return this.#activator.end()
  }

  setBootDefault(generation: StorePath): Promise<void> {
    return this.#profile.run(async () => {
      if (!(await this.holds(generation))) {
        throw failed(`${generation} in the store`, 'nothing', 'Stage it first.')
      }
      if ((await this.#bootDefaultIfAny()) === generation) return
      const profiles = join(this.#settings.directory, 'profiles')
      const numbers = (await readdir(profiles)).flatMap(linkNumber).sort((a, b) => a - b)
      const link = `system-${(numbers.at(-1) ?? 0) + 1}-link`
      await swapLink(join(profiles, link), `../store/${generation}`)
      await swapLink(join(profiles, 'system'), link)
      for (const number of numbers.slice(0, 1 - PROFILE_LINKS_MAX)) {
        await rm(join(profiles, `system-${number}-link`), { force: true })
      }
    })
  }

  pin(generations: readonly StorePath[]): Promise<void> {
    return this.#queue.run(async () => {
      const roots = join(this.#settings.directory, 'gcroots')
      const wanted = new Set(generations)
      for (const name of wanted) await swapLink(join(roots, name), `../store/${name}`)
      for (const name of await readdir(roots)) {
        if (!wanted.has(name)) await rm(join(roots, name), { force: true })
      }
      await syncDirectory(roots)
    })
  }

  async collect(): Promise<void> {
    await this.gc()
  }

  async nar(
    hash: Hash,
    offset: number,
    recycled: boolean = false,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    return this.#store.nar(hash, offset, recycled)
  }

  async heldNars(hashes: readonly Hash[]): Promise<ReadonlySet<Hash>> {
    return new Set(hashes.filter((hash) => this.#store.holdsNar(hash)))
  }

  async check(check: HealthCheck): Promise<CheckOutcome> {
    const running = await this.#ifLinked(() => this.running())
    const env = running === undefined ? { PATH: this.#settings.path } : this.#environment(running)
    return runCheck(check, { address: OWN_ADDRESS, env })
  }

  checkPeer(check: HealthCheck, address: string): Promise<CheckOutcome> {
    return runCheck(check, { address })
  }

  addDirectory(directory: string, name: string): Promise<ManifestPath> {
    return this.#queue.run(() => this.#store.addDirectory(directory, name))
  }

  async enrol(generation: StorePath, timeoutMs: number): Promise<ActivationOutcome> {
    await this.setBootDefault(generation)
    return this.activate(generation, timeoutMs)
  }

  gc(): Promise<readonly StorePath[]> {
    // What boots must stand still too, while everything that is not needed goes.
    const collect = async (): Promise<readonly StorePath[]> => {
      const state = await this.deadman.state()
      const roots = [
        ...(await readdir(join(this.#settings.directory, 'gcroots'))),
        await this.#ifLinked(() => this.running()),
        await this.#bootDefaultIfAny(),
        state.kind === 'idle' ? undefined : state.target,
        this.#staged,
      ].filter((root) => root !== undefined)
      const keep = new Set(roots.flatMap((root) => this.#store.closureOf(root) ?? [root]))
      return this.#store.collect(keep)
    }
    return this.#queue.run(() => this.#profile.run(collect))
  }

  /** Opens the deadman; after a boot, first activates what the boot is to start. */
  async boot(): Promise<void> {
    const { directory, path } = this.#settings
    const bootId = await this.bootId()
    const file = join(directory, 'booted')
    const booted = await readFile(file, 'utf8').catch(() => '')
    const bootDefault = await this.#bootDefaultIfAny()
    if (booted !== bootId && bootDefault !== undefined) {
      // As on any machine: what was booted is what runs, also when some of its services fail.
      await swapLink(join(directory, 'running'), `store/${bootDefault}`)
      await this.#activator.activate(
        this.#switchOf(bootDefault),
        `store/${bootDefault}`,
        DEADMAN_STEP_MS_MAX,
        'boot',
      )
    }
    this.#deadman = await openDeadman({
      directory: join(directory, 'deadman'),
      supervisor: 'session',
      env: { PATH: path },
      bootId: () => this.bootId(),
      bootIdFile: this.#settings.bootIdFile ?? KERNEL_BOOT_ID,
      bootDefault: () => this.bootDefault(),
      wayBack: (target) => this.#wayBack(target),
    })
    if (booted !== bootId) await writeDurably(file, bootId)
  }

  #wayBack(target: StorePath): WayBack {
    const { directory } = this.#settings
    const profiles = join(directory, 'profiles')
    const unless = { link: join(profiles, 'system'), target: this.#store.pathOf(target) }
    const fresh = join(profiles, '.system.back')
    const timeoutMs = DEADMAN_STEP_MS_MAX
    const profile: readonly WayBackStep['argv'][] = [
      ['ln', '-sfn', `../store/${target}`, join(profiles, 'system-0-link')],
      ['ln', '-sfn', 'system-0-link', fresh],
      ['mv', '-T', fresh, join(profiles, 'system')],
    ]
    const back = this.#activator.backArguments(this.#switchOf(target), `store/${target}`)
    return {
      activationPidFile: this.#activator.pidFile,
      // The boot default first: if the switch hangs, a reboot helps.
      steps: [...profile.map((argv) => ({ argv, timeoutMs, unless })), { argv: back, timeoutMs }],
    }
  }

  #switchOf(generation: StorePath): readonly [string, ...string[]] {
    const program = join(this.#store.pathOf(generation), 'bin', 'switch-to-configuration')
    const variables = Object.entries(this.#environment(generation))
    return ['env', '-i', ...variables.map(([name, value]) => `${name}=${value}`), program, 'test']
  }

  #environment(generation: StorePath): Environment {
    return {
      NIXFLEET_SYSTEM_DIR: this.#settings.directory,
      NIXFLEET_GENERATION: this.#store.pathOf(generation),
      NIXFLEET_STATE_DIR: this.#settings.stateDirectory,
      PATH: this.#settings.path,
    }
  }

  #bootDefaultIfAny(): Promise<StorePath | undefined> {
    return this.#ifLinked(() => this.bootDefault())
  }

  async #ifLinked(read: () => Promise<StorePath>): Promise<StorePath | undefined> {
    try {
      return await read()
    } catch (error) {
      if (error instanceof NodeError && error.code === 'SYSTEM_FAILED') return undefined
      throw error
    }
  }

  async #linked(link: string): Promise<StorePath> {
    try {
      return basename(await readlink(link))
    } catch (cause) {
      if (errorCode(cause) !== 'ENOENT') throw cause
      throw failed(
        `a generation behind ${link}`,
        'none',
        'Enrol this host with a first generation.',
      )
    }
  }
}

async function ensureLink(path: string, target: string): Promise<void> {
  await symlink(target, path).catch((error: unknown) => {
    if (errorCode(error) !== 'EEXIST') throw error
  })
}

function linkNumber(name: string): number[] {
  const match = /^system-([0-9]{1,9})-link$/.exec(name)
  return match ? [Number(match[1])] : []
}

function failed(expected: string, found: string, fix: string): NodeError {
  return new NodeError('SYSTEM_FAILED', `expected ${expected}, found ${found}`, fix)
}
