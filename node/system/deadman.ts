/**
 * The deadman: goes back to the old generation unless somebody stops it in time (protocol.md §7.3).
 *
 * A shell script waits outside the daemon; this file only writes to the directory that it reads. The
 * names there are the state, and the highest number counts:
 *
 *     terms.N      what to do and when; means nothing without one of the next three
 *     armed.N      the script goes back when the deadline of terms.N is over
 *     disarmed.N   it was stopped in time
 *     fired.N      it goes back; done.ok.N or done.failed.N say how that ended, log.N what was printed.
 *                  The script writes them, or we do when we have ended it
 *     watcher      process id, start time and token of the script
 *
 * A renewal moves armed.N to armed.N+1 (whose terms lie there already), a disarming to disarmed.N,
 * the script to fired.N: three renames of one name, of which the file system lets exactly one win.
 *
 * Armed in an earlier boot counts as fired and done: the boot itself was the way back, because the
 * boot default is the old generation until the host has committed. Whether that is the target is
 * looked up, not believed.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { StorePath } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { DEADMAN_END_MS_MAX, DEADMAN_READS_MAX, DEADMAN_START_MS_MAX } from '../limits.ts'
import type { Deadman, DeadmanArming, DeadmanState } from '../ports.ts'
import { DEADMAN_SCRIPT } from './deadman-script.ts'
import {
  assertToken,
  type DeadmanHead,
  parseTerms,
  printTerms,
  type WayBack,
} from './deadman-terms.ts'
import { errorCode, syncDirectory, writeDurably } from './durable.ts'
import { forbidRestart, type Supervisor, startDetached } from './launch.ts'
import { endSession, isAlive, type ProcessName, uptimeMs } from './processes.ts'
import type { Environment } from './program.ts'
import { TaskQueue } from './task-queue.ts'

/** What a deadman needs of its adapter. */
export interface DeadmanOptions {
  /** A directory of its own, on a disk that survives a power cut. */
  readonly directory: string
  readonly supervisor: Supervisor
  /** Environment of the script; PATH must hold sh, mv, readlink, timeout, sleep and sync. */
  readonly env: Environment
  readonly bootId: () => Promise<string>
  /** The file that holds the boot id: the script does nothing in a boot that it was not armed in. */
  readonly bootIdFile: string
  /** The commands that go back to `target`. */
  readonly wayBack: (target: StorePath) => WayBack
  readonly bootDefault: () => Promise<StorePath>
}

/** A deadman whose script may be started again. */
export interface FileDeadman extends Deadman {
  /**
   * Puts right what a crash left: starts the script again where it is missing and something is armed
   * or half-way back, and closes what an earlier boot left open. Call it when the daemon starts.
   */
  resume(): Promise<void>
}

/** Opens the deadman of `options.directory`, which is made if it is missing, and resumes it. */
export async function openDeadman(options: DeadmanOptions): Promise<FileDeadman> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 })
  await writeDurably(join(options.directory, SCRIPT), DEADMAN_SCRIPT, 0o700)
  const deadman = new ScriptDeadman(options)
  await deadman.resume()
  return deadman
}

const SCRIPT = 'deadman.sh'
const MARKERS = ['armed', 'disarmed', 'fired'] as const
type Marker = (typeof MARKERS)[number]

/** What the directory says: the marker with the highest number, and how a firing ended. */
interface Reading {
  readonly marker: Marker
  readonly number: number
  readonly terms: DeadmanHead
  readonly end: 'ok' | 'failed' | undefined
}

class ScriptDeadman implements FileDeadman {
  readonly #options: DeadmanOptions
  /** Of this process only one call at a time changes the directory. */
  readonly #queue = new TaskQueue()

  constructor(options: DeadmanOptions) {
    this.#options = options
  }

  arm(arming: DeadmanArming): Promise<void> {
    return this.#queue.run(async () => {
      assertToken(arming.token)
      const found = await this.#read()
      const state = await this.#stateOf(found)
      if (state.kind === 'fired' && !state.done) throw busy(state.token, 'on its way back')
      if (state.kind === 'armed') {
        if (state.token !== arming.token) throw busy(state.token, 'armed')
        if (await this.#renew(arming)) return
        throw busy(state.token, 'on its way back')
      }
      const number = (await this.#highestNumber()) + 1
      await this.#writeTerms(number, arming)
      // The script watches before it is armed: there is no moment in which only a file is armed.
      await this.#startScript(arming.token)
      await this.#createMarker(number)
      await this.#forget(number)
    })
  }

  renew(arming: DeadmanArming): Promise<boolean> {
    return this.#queue.run(() => this.#renew(arming))
  }

  disarm(token: string): Promise<boolean> {
    return this.#queue.run(async () => {
      const found = await this.#read()
      if (found?.terms.token !== token) return false
      // A crash may have come between the rename and the caller's note of it: still disarmed.
      if (found.marker === 'disarmed') return true
      if (!(await this.#isArmed(found))) return false
      return this.#move(`armed.${found.number}`, `disarmed.${found.number}`)
    })
  }

  async state(): Promise<DeadmanState> {
    return this.#stateOf(await this.#read())
  }

  end(): Promise<void> {
    return this.#queue.run(async () => {
      const found = await this.#read()
      const state = await this.#stateOf(found)
      if (found === undefined || state.kind !== 'fired' || state.done) return
      const { env, supervisor } = this.#options
      await forbidRestart(unitOf(state.token), supervisor, env)
      const watcher = await this.#watcher(state.token)
      if (watcher !== undefined) await endSession(watcher, DEADMAN_END_MS_MAX)
      // Only now: whoever reads that it is done may count on nothing of it running.
      if ((await this.#read())?.end === undefined) {
        await writeDurably(this.#path(`done.failed.${found.number}`), '')
      }
    })
  }

  resume(): Promise<void> {
    return this.#queue.run(async () => {
      const found = await this.#read()
      if (!found || found.marker === 'disarmed' || found.end) return
      if (found.terms.bootId !== (await this.#options.bootId())) return this.#close(found)
      if (!(await this.#isWatched(found.terms.token))) await this.#startScript(found.terms.token)
    })
  }

  async #renew(arming: DeadmanArming): Promise<boolean> {
    const found = await this.#read()
    if (found?.terms.token !== arming.token || !(await this.#isArmed(found))) return false
    const next = found.number + 1
    await this.#writeTerms(next, arming)
    if (!(await this.#move(`armed.${found.number}`, `armed.${next}`))) return false
    if (!(await this.#isWatched(arming.token))) await this.#startScript(arming.token)
    // The script may still read the terms before these; older ones nobody reads.
    await rm(this.#path(`terms.${found.number - 1}`), { force: true })
    return true
  }

  async #isArmed(found: Reading): Promise<boolean> {
    return found.marker === 'armed' && found.terms.bootId === (await this.#options.bootId())
  }

  async #stateOf(found: Reading | undefined): Promise<DeadmanState> {
    if (!found || found.marker === 'disarmed') return { kind: 'idle' }
    const { token, target } = found.terms
    if (found.end) return { kind: 'fired', token, target, done: true, ok: found.end === 'ok' }
    if (found.terms.bootId !== (await this.#options.bootId())) {
      return { kind: 'fired', token, target, done: true, ok: await this.#booted(target) }
    }
    if (found.marker === 'armed') return { kind: 'armed', token, target }
    return { kind: 'fired', token, target, done: false, ok: false }
  }

  async #booted(target: StorePath): Promise<boolean> {
    return (await this.#options.bootDefault()) === target
  }

  /** Writes down how an earlier boot ended it. */
  async #close(found: Reading): Promise<void> {
    if (found.marker === 'armed') await this.#move(`armed.${found.number}`, `fired.${found.number}`)
    const end = (await this.#booted(found.terms.target)) ? 'ok' : 'failed'
    await writeDurably(this.#path(`done.${end}.${found.number}`), '')
  }

  async #startScript(token: string): Promise<void> {
    const { directory, env, supervisor } = this.#options
    const argv = ['sh', this.#path(SCRIPT), directory, token] as const
    const properties = [
      'Restart=on-failure',
      'RestartSec=100ms',
      'OOMScoreAdjust=-900',
      'KillMode=process',
    ]
    await startDetached({ unit: unitOf(token), argv, env, properties }, supervisor)
    const giveUp = (await uptimeMs()) + DEADMAN_START_MS_MAX
    while (!(await this.#isWatched(token))) {
      const found = await this.#read()
      const late = (await uptimeMs()) > giveUp
      // It has ended already, or goes back all the same where a full disk does not take its name.
      const fired = found?.marker === 'fired' && found.terms.token === token
      if (fired && (found.end || late)) return
      if (late) throw busy(token, 'without its script')
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  async #isWatched(token: string): Promise<boolean> {
    const watcher = await this.#watcher(token)
    return watcher !== undefined && (await isAlive(watcher))
  }

  /** The newest script of that token, whether it runs or not. */
  async #watcher(token: string): Promise<ProcessName | undefined> {
    const text = await this.#textOf('watcher')
    const [pid, start, ...name] = text?.trim().split(' ') ?? []
    if (pid === undefined || start === undefined || name.join(' ') !== token) return undefined
    return { pid: Number(pid), start }
  }

  async #writeTerms(number: number, arming: DeadmanArming): Promise<void> {
    const { token, target, afterMs } = arming
    const bootId = await this.#options.bootId()
    const wayBack = this.#options.wayBack(target)
    const deadlineMs = (await uptimeMs()) + afterMs
    const { bootIdFile } = this.#options
    const text = printTerms({ token, bootId, bootIdFile, deadlineMs, target, wayBack })
    await writeDurably(this.#path(`terms.${number}`), text)
  }

  async #createMarker(number: number): Promise<void> {
    const file = await open(this.#path(`armed.${number}`), 'wx', 0o600)
    await file.sync()
    await file.close()
    await syncDirectory(this.#options.directory)
  }

  /** Whether this rename won. */
  async #move(from: string, to: string): Promise<boolean> {
    try {
      await rename(this.#path(from), this.#path(to))
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false
      throw error
    }
    await syncDirectory(this.#options.directory)
    return true
  }

  /** Removes what belongs to numbers below `number`: an earlier arming's. */
  async #forget(number: number): Promise<void> {
    for (const name of await readdir(this.#options.directory)) {
      const of = numberOf(name)
      if (of !== undefined && of < number) await rm(this.#path(name), { force: true })
    }
  }

  async #highestNumber(): Promise<number> {
    const names = await readdir(this.#options.directory)
    return Math.max(0, ...names.map((name) => numberOf(name) ?? 0))
  }

  async #read(): Promise<Reading | undefined> {
    for (let reading = 0; reading < DEADMAN_READS_MAX; reading++) {
      const names = await readdir(this.#options.directory)
      const marked = names.flatMap(markerOf).sort(byNumberAndMarker).at(-1)
      if (!marked) {
        // Terms without a marker: an arming that never came to be, or a rename under our reading.
        if (!names.some((name) => name.startsWith('terms.'))) return undefined
        continue
      }
      const { marker, number } = marked
      const terms = parseTerms((await this.#textOf(`terms.${number}`)) ?? '')
      // Gone again: a later arming or renewal has cleaned up behind our back.
      if (!terms) continue
      const end = END_NAMES.find((name) => names.includes(`done.${name}.${number}`))
      return { marker, number, terms, end }
    }
    return undefined
  }

  async #textOf(name: string): Promise<string | undefined> {
    try {
      return await readFile(this.#path(name), 'utf8')
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  #path(name: string): string {
    return join(this.#options.directory, name)
  }
}

function unitOf(token: string): string {
  return `nixfleet-deadman-${token}`
}

/** How often a starting script is looked for. */
const POLL_MS = 10
const END_NAMES = ['failed', 'ok'] as const

function markerOf(name: string): { marker: Marker; number: number }[] {
  const match = /^(armed|disarmed|fired)\.([0-9]{1,15})$/.exec(name)
  const marker = MARKERS.find((candidate) => candidate === match?.[1])
  return marker ? [{ marker, number: Number(match?.[2]) }] : []
}

/** A directory read during a rename may show both names: the later state is the true one. */
function byNumberAndMarker(
  left: { marker: Marker; number: number },
  right: { marker: Marker; number: number },
): number {
  return left.number - right.number || MARKERS.indexOf(left.marker) - MARKERS.indexOf(right.marker)
}

function numberOf(name: string): number | undefined {
  const match = /^[a-z.]+\.([0-9]{1,15})$/.exec(name)
  return match ? Number(match[1]) : undefined
}

function busy(token: string, found: string): NodeError {
  return new NodeError(
    'SYSTEM_FAILED',
    `expected no other deadman to be at work, found that of ${token} ${found}`,
    'Wait until the host is back, then start again.',
  )
}
