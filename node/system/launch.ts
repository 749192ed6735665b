/**
 * Starts what must outlive the daemon: the deadman's script, and an activation.
 *
 * `session`: a process in a session of its own, which no signal to the daemon's process group
 * reaches. `systemd`: a transient unit, because systemd ends a service by its control group, and a
 * new session does not leave that. A daemon that runs as a unit needs the second.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { NIX_COMMAND_MS_MAX } from '../limits.ts'
import { type Environment, endGroup, runProgram } from './program.ts'

/** Who keeps such a process: a session of its own, or systemd. */
export type Supervisor = 'session' | 'systemd'

/** A process to start outside of the daemon. It prints nowhere: it must write its own log. */
export interface DetachedJob {
  /** Its unit's name under systemd, without `.service`. */
  readonly unit: string
  readonly argv: readonly [string, ...string[]]
  readonly env: Environment
  /** Further properties of its unit, `Name=value`. */
  readonly properties: readonly string[]
}

/** How a detached process ended, as its starter saw it. */
export interface DetachedEnd {
  readonly ok: boolean
  readonly detail: string
}

/** `systemd` where systemd runs the machine, as sd_booted(3) tells. */
export function detectSupervisor(): Supervisor {
  return existsSync('/run/systemd/system') ? 'systemd' : 'session'
}

/** Starts `job` and does not wait for its end. Rejects when it could not be started. */
export async function startDetached(job: DetachedJob, supervisor: Supervisor): Promise<void> {
  if (supervisor === 'systemd') {
    const started = await runProgram('systemd-run', systemdRunArguments(job, []), {
      env: job.env,
      timeoutMs: NIX_COMMAND_MS_MAX,
    })
    if (!started.ok) throw new Error(`expected unit ${job.unit} to start, found ${started.detail}`)
    return
  }
  const [file, ...args] = job.argv
  await new Promise<void>((resolve, reject) => {
    const child = spawn(file, args, { env: job.env, cwd: '/', detached: true, stdio: 'ignore' })
    child.once('error', reject)
    child.once('spawn', resolve)
    child.unref()
  })
}

/**
 * Takes care that nobody starts the job of `unit` again once it ends: systemd would, as it is told to.
 * Does nothing for a session. What runs is for the caller to end.
 */
export async function forbidRestart(
  unit: string,
  supervisor: Supervisor,
  env: Environment,
): Promise<void> {
  if (supervisor !== 'systemd') return
  // A unit that is gone already cannot be stopped, which is as well.
  await runProgram('systemctl', ['stop', '--no-block', `${unit}.service`], {
    env,
    timeoutMs: NIX_COMMAND_MS_MAX,
  })
}

/** Starts `job` and waits for its end; after `timeoutMs` it is ended, its children too. */
export async function runDetached(
  job: DetachedJob,
  supervisor: Supervisor,
  timeoutMs: number,
): Promise<DetachedEnd> {
  return supervisor === 'systemd' ? runUnit(job, timeoutMs) : runSession(job, timeoutMs)
}

/** The arguments of `systemd-run` for `job`. Exported for its test: here is no systemd to ask. */
export function systemdRunArguments(
  job: DetachedJob,
  options: readonly string[],
): readonly string[] {
  return [
    '--quiet',
    '--collect',
    `--unit=${job.unit}`,
    '--service-type=exec',
    ...options,
    ...job.properties.map((property) => `--property=${property}`),
    ...Object.entries(job.env).map(([name, value]) => `--setenv=${name}=${value}`),
    '--',
    ...job.argv,
  ]
}

async function runUnit(job: DetachedJob, timeoutMs: number): Promise<DetachedEnd> {
  // systemd itself ends the unit at RuntimeMaxSec, also when the daemon is gone by then.
  const runtime = `--property=RuntimeMaxSec=${Math.ceil(timeoutMs / 1000)}`
  const ended = await runProgram('systemd-run', systemdRunArguments(job, ['--wait', runtime]), {
    env: job.env,
    timeoutMs: timeoutMs + NIX_COMMAND_MS_MAX,
  })
  return { ok: ended.ok, detail: ended.ok ? '' : ended.detail }
}

function runSession(job: DetachedJob, timeoutMs: number): Promise<DetachedEnd> {
  const [file, ...args] = job.argv
  return new Promise((resolve) => {
    let reason: string | undefined
    const child = spawn(file, args, { env: job.env, cwd: '/', detached: true, stdio: 'ignore' })
    const timer = setTimeout(() => {
      reason = `no end within ${timeoutMs} ms`
      endGroup(child)
    }, timeoutMs)
    child.once('error', (error) => {
      clearTimeout(timer)
      resolve({ ok: false, detail: error.message })
    })
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      const end = reason ?? (signal ? `ended by ${signal}` : `exit code ${code}`)
      resolve({ ok: code === 0 && reason === undefined, detail: end })
    })
  })
}
