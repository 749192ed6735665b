/**
 * A deadman with real processes in a folder of its own, and what its tests look at. They are the ones
 * that wait for real time, always for a condition and never longer than 10 s.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import type { DeadmanOptions, FileDeadman } from '../../../node/system/deadman.ts'
import { openDeadman } from '../../../node/system/deadman.ts'

/** A deadline that no test waits for, and one that each waits for. */
export const FAR_MS = 60_000
export const NEAR_MS = 300

/** The folder of the test that runs. */
export let root: string

/** Gives each test of a file its own `root`. */
export function useDeadmanFolder(): void {
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'nixfleet-deadman-'))
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))
}

export function opened(changes: Partial<DeadmanOptions> = {}): Promise<FileDeadman> {
  return openDeadman({ ...optionsFor(root, join(root, 'back.log')), ...changes })
}

export function optionsFor(directory: string, log: string): DeadmanOptions {
  return {
    directory,
    supervisor: 'session',
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    bootId: async () => 'boot-1',
    bootIdFile: '/nonexistent/boot_id',
    bootDefault: async () => 'old',
    wayBack: (target) => ({
      activationPidFile: join(root, 'activation.pid'),
      steps: [step(target, log)],
    }),
  }
}

export function step(target: string, log: string = join(root, 'back.log')) {
  const argv = ['sh', '-c', 'printf "%s\\n" "$1" >>"$2"', 'sh', target, log] as const
  return { argv: [...argv] as [string, ...string[]], timeoutMs: 5_000 }
}

export async function killWatcher(): Promise<void> {
  const pid = watcherPid()
  process.kill(pid, 'SIGKILL')
  await until(async () => !isRunning(pid))
}

export function watcherPid(): number {
  return Number(readFileSync(join(root, 'watcher'), 'utf8').split(' ')[0])
}

export function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

export async function isDone(deadman: FileDeadman): Promise<boolean> {
  const state = await deadman.state()
  return state.kind === 'fired' && state.done
}

export function wentBack(): string[] {
  return linesOf(join(root, 'back.log'))
}

export function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}

export async function until(condition: () => Promise<boolean>): Promise<void> {
  const giveUp = Date.now() + 10_000
  while (!(await condition())) {
    if (Date.now() > giveUp) throw new Error(`expected a condition to hold within 10 s`)
    await new Promise((done) => setTimeout(done, 10))
  }
}
