/**
 * Runs a generation's `switch-to-configuration` apart from the daemon, one at a time.
 *
 * A switch may restart the daemon itself, so it must neither be its child in any sense that matters
 * nor print to its pipes. What it prints goes to a file, of which the end is reported.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { COMMAND_KILL_GRACE_MS, COMMAND_TAIL_CHARS_MAX } from '../limits.ts'
import type { ActivationOutcome } from '../ports.ts'
import { ACTIVATE_SCRIPT } from './deadman-script.ts'
import { writeDurably } from './durable.ts'
import { runDetached, type Supervisor } from './launch.ts'
import { isAlive, sendSignal } from './processes.ts'
import { type Environment, runProgram } from './program.ts'
import { TaskQueue } from './task-queue.ts'

/** A program and its arguments. */
export type Command = readonly [string, ...string[]]

/** What activations of one host share. */
export interface ActivatorOptions {
  /** Where the script, the log and the process id lie; the deadman's directory is below it. */
  readonly directory: string
  readonly supervisor: Supervisor
  /** Environment of the wrapping script; PATH must hold sh, env, ln, mv and sync. */
  readonly env: Environment
  /** The link that says what runs, moved when a switch succeeds; absent: the switch moves its own. */
  readonly link?: string | undefined
}

/** The unit of an activation under systemd. One name: a second one cannot start beside the first. */
export const ACTIVATION_UNIT = 'nixfleet-activation'

/** Runs activations. */
export interface Activator {
  readonly pidFile: string
  /** Runs `command`; when it succeeds, the link leads to `text`. One still running is ended first. */
  activate(
    command: Command,
    text: string,
    timeoutMs: number,
    who?: 'daemon' | 'boot',
  ): Promise<ActivationOutcome>
  /** Ends the activation under way, all of it; one that has only just been asked for may escape. */
  end(): Promise<void>
  /** The same as a command line for the deadman. */
  backArguments(command: Command, text: string): Command
}

/** Writes the script and gives the activator of `options.directory`, which must exist. */
export async function openActivator(options: ActivatorOptions): Promise<Activator> {
  await writeDurably(join(options.directory, SCRIPT), ACTIVATE_SCRIPT, 0o700)
  return new ScriptActivator(options)
}

const SCRIPT = 'activate.sh'

class ScriptActivator implements Activator {
  readonly pidFile: string
  readonly #log: string
  readonly #options: ActivatorOptions
  readonly #queue = new TaskQueue()
  #activating = false

  constructor(options: ActivatorOptions) {
    this.#options = options
    this.pidFile = join(options.directory, 'activation.pid')
    this.#log = join(options.directory, 'activation.log')
  }

  activate(
    command: Command,
    text: string,
    timeoutMs: number,
    who: 'daemon' | 'boot' = 'daemon',
  ): Promise<ActivationOutcome> {
    return this.#queue.run(async () => {
      await this.#endEarlier()
      const { directory, env, supervisor } = this.#options
      // A boot starts the old generation, whatever a deadman of before it was about to do.
      const deadman = who === 'boot' ? '-' : join(directory, 'deadman')
      const argv = this.#arguments({ deadman, name: 'activation', command, text })
      // Ending one that hangs must end all of it, even when it shields itself from SIGTERM.
      const properties = ['TimeoutStopSec=5']
      this.#activating = true
      const end = await runDetached(
        { unit: ACTIVATION_UNIT, argv, env, properties },
        supervisor,
        timeoutMs,
      ).finally(() => {
        this.#activating = false
      })
      return { ok: end.ok, detail: await this.#detail(end.detail) }
    })
  }

  async end(): Promise<void> {
    if (this.#activating) await this.#endEarlier()
  }

  backArguments(command: Command, text: string): Command {
    // A name of its own: the activation that is refused meanwhile must keep its log.
    return this.#arguments({ deadman: '-', name: 'way-back', command, text })
  }

  #arguments(run: { deadman: string; name: string; command: Command; text: string }): Command {
    const { directory, link = '-' } = this.#options
    const files = [join(directory, `${run.name}.pid`), join(directory, `${run.name}.log`)] as const
    return ['sh', join(directory, SCRIPT), run.deadman, ...files, link, run.text, ...run.command]
  }

  /** A daemon that died left its activation running; two at once would undo each other. */
  async #endEarlier(): Promise<void> {
    const { env, supervisor } = this.#options
    if (supervisor === 'systemd') {
      await runProgram('systemctl', ['stop', ACTIVATION_UNIT], { env, timeoutMs: STOP_MS })
    }
    const [pid, start] = (await readFile(this.pidFile, 'utf8').catch(() => '')).trim().split(' ')
    if (pid === undefined || start === undefined) return
    const name = { pid: Number(pid), start }
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const giveUp = Date.now() + COMMAND_KILL_GRACE_MS
      if (await isAlive(name)) sendSignal(-name.pid, signal)
      while ((await isAlive(name)) && Date.now() < giveUp) {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }

  async #detail(end: string): Promise<string> {
    const log = await readFile(this.#log, 'utf8').catch(() => '')
    const tail = log.trim().slice(-COMMAND_TAIL_CHARS_MAX)
    return [end, tail].filter(Boolean).join('\n')
  }
}

/** `systemctl stop` waits for the unit's TimeoutStopSec of 5 s and a little more. */
const STOP_MS = 30_000
