/**
 * The processes of a fleet that lives in one folder: daemons, and what outlives them.
 *
 * Services, activations and deadmen are sessions of their own on purpose, so no process group holds
 * them. They are found by what they run: a shell or a Node whose program, or whose configuration,
 * lies below the fleet's folder. An editor or a pager with a file of that folder is none of them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'

/** What a daemon gets besides its configuration; everything else of the environment stays outside. */
const KEPT_VARIABLES = ['HOME', 'LANG', 'TZ', 'TMPDIR', 'NODE_OPTIONS'] as const
/**
 * Arenas of glibc's allocator in a daemon. By default there are eight for each core, and every one
 * keeps some megabytes that were once in use; the threads of a daemon hardly ever allocate at once.
 */
const MALLOC_ARENAS = '2'
/** From SIGTERM to SIGKILL: a daemon closes its store in less. */
const GRACE_MS = 5_000
const POLL_MS = 50

/** A daemon to start. */
export interface DaemonStart {
  /** The bundled program, `nixfleet.cjs`. */
  readonly program: string
  readonly config: string
  /** Gets what it prints, appended. */
  readonly log: string
}

/** Starts a daemon in a session of its own: a Ctrl-C in the terminal must not reach it. */
export function startDaemon({ program, config, log }: DaemonStart): ChildProcess {
  const out = openSync(log, 'a')
  try {
    const child = spawn(process.execPath, [program, 'node', 'run', '--node-config', config], {
      cwd: dirname(config),
      env: daemonEnvironment(),
      detached: true,
      stdio: ['ignore', out, out],
    })
    child.unref()
    return child
  } finally {
    closeSync(out)
  }
}

/** `node` of a switch script is the Node that runs the daemon. */
function daemonEnvironment(): Record<string, string> {
  const env: Record<string, string> = {
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
    MALLOC_ARENA_MAX: MALLOC_ARENAS,
  }
  for (const name of KEPT_VARIABLES) {
    const value = process.env[name]
    if (value !== undefined) env[name] = value
  }
  return env
}

/** Processes whose program or configuration lies below `folder`, an absolute path without links. */
export function processesOf(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => belongsTo(commandOf(pid), `${folder}/`))
    .map(Number)
    .filter((pid) => pid !== process.pid)
}

/** Ends all of them: asks first, then insists. Resolves when none is left. */
export async function endProcesses(folder: string): Promise<void> {
  signalAll(processesOf(folder), 'SIGTERM')
  const insistAt = Date.now() + GRACE_MS
  for (;;) {
    const left = processesOf(folder)
    if (left.length === 0) return
    if (Date.now() > insistAt) signalAll(left, 'SIGKILL')
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** Ends all of them at once, without waiting: for the last moment of a process. */
export function killProcesses(folder: string): void {
  signalAll(processesOf(folder), 'SIGKILL')
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended while we looked.
    }
  }
}

function commandOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

function belongsTo(argv: readonly string[], prefix: string): boolean {
  const runner = basename(argv[0] ?? '')
  if (!['node', 'sh', basename(process.execPath)].includes(runner)) return false
  const program = argv.slice(1).find((word) => !word.startsWith('--max-'))
  const config = argv[argv.indexOf('--node-config') + 1]
  return program?.startsWith(prefix) === true || config?.startsWith(prefix) === true
}
