/** A portable host in a directory of its own, and patience with real processes, for its tests. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../../../node/system/durable.ts'
import { openPortableSystem, type PortableSystem } from '../../../node/system/portable.ts'

/** A fresh directory with a boot id. */
export function makeHostRoot(): string {
  const root = mkdtempSync(join(tmpdir(), 'nixfleet-portable-'))
  writeFileSync(join(root, 'boot-id'), 'boot-1\n')
  return root
}

/** Removes the directory; another boot id ends the script of a deadman that a test left armed. */
export async function removeHostRoot(root: string): Promise<void> {
  writeFileSync(join(root, 'boot-id'), 'over\n')
  await removeTree(root)
}

/** The system under `root`, opened as a daemon that starts opens it. */
export function openHost(root: string): Promise<PortableSystem> {
  return openPortableSystem({
    directory: join(root, 'system'),
    stateDirectory: join(root, 'state'),
    bootIdFile: join(root, 'boot-id'),
    path: process.env['PATH'],
  })
}

/** Whether a process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Waits until `condition` holds, at most 10 s. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUp = Date.now() + 10_000
  while (!(await condition())) {
    if (Date.now() > giveUp) throw new Error('expected a condition to hold within 10 s')
    await new Promise((done) => setTimeout(done, 5))
  }
}
