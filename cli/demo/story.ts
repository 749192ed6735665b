/**
 * The demo's stage: a fleet, the commands that an operator would type, and what is seen of them.
 *
 * Every command is the real CLI in a process of its own. On a terminal it draws there itself, live;
 * elsewhere what it prints is passed on as it comes. Looking is done through the nodes' own API.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { get as httpGet } from 'node:http'
import { join } from 'node:path'
import type { FleetStatus, ReleaseRow, RolloutRow, RolloutStatus } from '../../node/index.ts'
import { CliError, Interrupted } from '../errors.ts'
import type { Output } from '../output.ts'
import { transportOf } from '../transport.ts'
import { type GenerationKind, writeGeneration } from './generation.ts'
import { type Site, type SiteHost, serviceChecks } from './site.ts'

/** A command that ended. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface StoryOptions {
  readonly site: Site
  readonly program: string
  readonly out: Output
  /** Ends the story in the middle. */
  readonly signal: AbortSignal
}

/** The longest that any command of the story may take; a hang must become a failure. */
const COMMAND_MS_MAX = 120_000
const ASK_MS_MAX = 10_000
const PAGE_MS_MAX = 2_000
/** A command may end before the last switch of a service. */
const PAGES_MS_MAX = 10_000
const POLL_MS = 150

export class Story {
  readonly site: Site
  readonly #options: StoryOptions
  #releases = 0

  constructor(options: StoryOptions) {
    this.site = options.site
    this.#options = options
  }

  /** A plain sentence for whoever watches. */
  say(sentence: string): void {
    const { paint } = this.#options.out
    this.#show(`\n${paint.bold(sentence)}\n`)
  }

  /** Starts a command against one host, as the fleet's operator. */
  start(host: SiteHost, argv: readonly string[]): { readonly ended: Promise<Ended> } {
    this.#show(`\n$ nixfleet ${this.#typed(argv)}\n`)
    return { ended: this.#spawn(host, argv, 'shown') }
  }

  /** Runs a command to its end. */
  async run(host: SiteHost, argv: readonly string[]): Promise<Ended> {
    return await this.start(host, argv).ended
  }

  /** Runs a command that nobody sees; gives what it printed. */
  async quietly(host: SiteHost, argv: readonly string[]): Promise<Ended> {
    return await this.#spawn(host, argv, 'hidden')
  }

  /** Reads from a host's API. Throws when it does not answer, or not well. */
  async get<Body>(host: SiteHost, path: string): Promise<Body> {
    const signal = AbortSignal.timeout(ASK_MS_MAX)
    const reply = await transportOf(host.api, onlySockets).ask({ method: 'GET', path }, signal)
    if (reply.status === 200) return JSON.parse(reply.text) as Body
    throw new Error(`${host.name} answered ${reply.status} to ${path}`)
  }

  async fleet(host: SiteHost): Promise<FleetStatus> {
    return await this.get<FleetStatus>(host, '/api/v1/fleet')
  }

  async rollout(host: SiteHost, id: string): Promise<RolloutStatus> {
    return await this.get<RolloutStatus>(host, `/api/v1/rollouts/${id}`)
  }

  /** The newest rollout that a host knows. */
  async newestRollout(host: SiteHost): Promise<RolloutRow> {
    const [newest] = (await this.get<Items<RolloutRow>>(host, '/api/v1/rollouts?limit=1')).items
    if (newest === undefined) throw new Error(`${host.name} knows no rollout`)
    return newest
  }

  /** Writes a generation, announces it through `host`, and gives the release's id. */
  async release(host: SiteHost, name: string, kind: GenerationKind): Promise<string> {
    const folder = join(this.site.folder, 'generations')
    const tree = writeGeneration(join(folder, `${++this.#releases}`), name, kind)
    const checks = join(folder, 'checks.json')
    writeFileSync(checks, JSON.stringify(serviceChecks(this.site.hosts), null, 2))
    const argv = ['release', 'create', '--portable', '--all', tree, '--name', name]
    const { code } = await this.run(host, [...argv, '--checks', checks])
    if (code !== 0) throw off(`release create ends with 0, found ${code}`)
    const [newest] = (await this.get<Items<ReleaseRow>>(host, '/api/v1/releases?limit=1')).items
    if (newest?.name !== name) throw off(`${host.name} knows release ${name}`)
    return newest.id
  }

  /** The title of the page that a host serves to others, or why it serves none. */
  async page(host: SiteHost): Promise<string> {
    const text = await readPage(host.web).catch((error: Error) => error.message)
    return /<title>(.*)<\/title>/.exec(text)?.[1] ?? text.trim()
  }

  /**
   * Says what every host serves, once it is what it should be or has had its time; gives a sentence
   * for each host that serves something else.
   */
  async lookAtPages(wanted: (host: SiteHost) => string): Promise<readonly string[]> {
    const { hosts } = this.site
    let pages: readonly string[] = []
    const look = async (): Promise<boolean> => {
      pages = await Promise.all(hosts.map((host) => this.page(host)))
      return hosts.every((host, i) => pages[i] === wanted(host))
    }
    await this.until('every page is as it should be', PAGES_MS_MAX, look).catch(() => undefined)
    this.#assertGoing()
    this.#show(`\npages: ${hosts.map((host, i) => `${host.name} ${pages[i]}`).join(' · ')}\n`)
    return hosts.flatMap((host, i) =>
      pages[i] === wanted(host)
        ? []
        : [`expected ${host.name} to serve ${wanted(host)}, found ${pages[i]}`],
    )
  }

  /** Waits until a host's daemon answers. */
  async answers(...hosts: readonly SiteHost[]): Promise<void> {
    const names = hosts.map((host) => host.name)
    await this.site.ready(names, async (host) => {
      this.#assertGoing()
      return (await this.get<FleetStatus>(host, '/api/v1/fleet?hosts=no')).name !== ''
    })
  }

  /** Looks again and again until `good`. Throws NF-1010 when it never was within `ms`. */
  async until(what: string, ms: number, good: () => Promise<boolean>): Promise<void> {
    const giveUp = Date.now() + ms
    while (!(await good().catch(() => false))) {
      this.#assertGoing()
      if (Date.now() > giveUp) throw off(`${what}, within ${ms / 1000} s`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  #spawn(host: SiteHost, argv: readonly string[], look: 'shown' | 'hidden'): Promise<Ended> {
    this.#assertGoing()
    const { out, program, signal } = this.#options
    const { operatorKey, releaseKey, folder } = this.site.places
    const live = look === 'shown' && out.human && out.stdout.isTTY
    const child = spawn(process.execPath, [program, ...argv], {
      cwd: folder,
      stdio: ['ignore', live ? 'inherit' : 'pipe', 'pipe'],
      env: {
        ...process.env,
        NIXFLEET_SOCKET: host.api.slice('unix:'.length),
        NIXFLEET_IDENTITY: operatorKey,
        NIXFLEET_RELEASE_KEY: releaseKey,
      },
    })
    const stop = (): void => void child.kill('SIGTERM')
    signal.addEventListener('abort', stop, { once: true })
    const limit = setTimeout(() => child.kill('SIGKILL'), COMMAND_MS_MAX)
    const show = (text: string): void => (look === 'shown' ? this.#show(text) : undefined)
    return textOf(child, show, live).then((ended) => {
      signal.removeEventListener('abort', stop)
      clearTimeout(limit)
      return ended
    })
  }

  /** A command as somebody would type it in the fleet's folder: short ids, no paths of this machine. */
  #typed(argv: readonly string[]): string {
    return argv
      .filter((word) => word !== '--yes')
      .map((word) => word.replaceAll(`${this.site.folder}/`, ''))
      .map((word) => (/^[0-9a-f]{64}$/.test(word) ? word.slice(0, 8) : word))
      .map((word) => (/[^\w./,:=%-]/.test(word) ? `'${word}'` : word))
      .join(' ')
  }

  /** Where people look: stdout, but for a run whose stdout is for programs. */
  #show(text: string): void {
    const { out } = this.#options
    if (out.quiet) return
    const stream = out.human ? out.stdout : out.stderr
    stream.write(text)
  }

  #assertGoing(): void {
    if (this.#options.signal.aborted) throw new Interrupted('the demo was ended')
  }
}

/** The demo took another course than it must. */
export function off(expected: string): CliError {
  return new CliError('NF-1010', `expected that ${expected}`)
}

interface Items<Row> {
  readonly items: readonly Row[]
}

/** A live tree is not to be written into: what goes to stderr meanwhile is shown after it. */
function textOf(child: ChildProcess, show: (text: string) => void, live: boolean): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    show(text)
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    if (!live) show(text)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (live) show(stderr)
      resolve({ code: code ?? 143, stdout, stderr })
    })
  })
}

function readPage(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PAGE_MS_MAX)
    const options = { host: '127.0.0.1', port, path: '/', agent: false, signal }
    const request = httpGet(options, async (response) => {
      try {
        let text = ''
        for await (const chunk of response.setEncoding('utf8')) text += chunk
        resolve(response.statusCode === 200 ? text : `status ${response.statusCode}`)
      } catch (error) {
        reject(error)
      }
    })
    request.on('error', reject)
  })
}

function onlySockets(address: string): never {
  throw new TypeError(`expected a unix socket, found ${address}`)
}
