/**
 * Runs one program to its end, without a shell between: arguments are data.
 *
 * Each runs in a process group of its own, so that a timeout ends its children too.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  COMMAND_KILL_GRACE_MS,
  COMMAND_OUTPUT_BYTES_MAX,
  COMMAND_TAIL_CHARS_MAX,
} from '../limits.ts'
import { sendSignal } from './processes.ts'

/** The variables of a program's environment. */
export type Environment = Readonly<Record<string, string>>

/** How to run a program. */
export interface ProgramOptions {
  /** The whole environment: nothing of the daemon's own leaks in. */
  readonly env: Environment
  readonly timeoutMs: number
  readonly cwd?: string | undefined
}

/** How a program ended. */
export interface ProgramResult {
  readonly ok: boolean
  readonly stdout: string
  /** Why it failed, and the end of what it printed; the end of its output when it did not fail. */
  readonly detail: string
}

/**
 * Runs `file` with `args` and waits for its end, at most `timeoutMs`; then its group is killed.
 *
 * Never rejects: a program that is not there is a failure like any other.
 */
export function runProgram(
  file: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      env: options.env,
      cwd: options.cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output = new Output(child)
    const timer = setTimeout(() => {
      output.reason ??= `no end within ${options.timeoutMs} ms`
      endGroup(child)
    }, options.timeoutMs)
    child.once('error', (error) => {
      clearTimeout(timer)
      resolve({ ok: false, stdout: '', detail: error.message })
    })
    // 'close' and not 'exit': the last lines may still be on their way. A background child that
    // keeps the pipe open must not hold us, so 'exit' starts a short wait of its own.
    const finish = (code: number | null, signal: NodeJS.Signals | null): void => {
      clearTimeout(timer)
      resolve(output.result(code, signal))
    }
    child.once('close', finish)
    child.once('exit', (code, signal) => setTimeout(() => finish(code, signal), DRAIN_MS).unref())
  })
}

/** How long after a program's end its pipes are still read. */
const DRAIN_MS = 200

/** Ends a process group: SIGTERM, and SIGKILL after a grace. */
export function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  sendSignal(-pid, 'SIGTERM')
  setTimeout(() => sendSignal(-pid, 'SIGKILL'), COMMAND_KILL_GRACE_MS)
}

class Output {
  reason: string | undefined
  readonly #stdout: Buffer[] = []
  #size = 0
  #tail = ''

  constructor(child: ChildProcess) {
    child.stdout?.on('data', (bytes: Buffer) => {
      this.#size += bytes.length
      if (this.#size <= COMMAND_OUTPUT_BYTES_MAX) this.#stdout.push(bytes)
      else if (this.reason === undefined) {
        this.reason = `more than ${COMMAND_OUTPUT_BYTES_MAX} bytes of output`
        endGroup(child)
      }
      this.#keep(bytes)
    })
    child.stderr?.on('data', (bytes: Buffer) => this.#keep(bytes))
  }

  #keep(bytes: Buffer): void {
    this.#tail = (this.#tail + bytes.toString('utf8')).slice(-COMMAND_TAIL_CHARS_MAX)
  }

  result(code: number | null, signal: NodeJS.Signals | null): ProgramResult {
    const ok = code === 0 && this.reason === undefined
    const end = this.reason ?? (signal ? `ended by ${signal}` : `exit code ${code}`)
    const tail = this.#tail.trim()
    const detail = ok ? tail : tail ? `${end}: ${tail}` : end
    return { ok, stdout: Buffer.concat(this.#stdout).toString('utf8'), detail }
  }
}
