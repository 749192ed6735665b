/** Files that a kill or a power cut cannot halve: whole under another name first, then under their own. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CliError } from './errors.ts'

/** Writes a file that must not exist yet, and syncs it. Throws NF-1006. */
export function writeNew(path: string, content: string | Uint8Array, mode: number): void {
  if (existsSync(path)) throw exists(path)
  const fresh = writeBeside(path, content, mode)
  try {
    linkSync(fresh, path)
  } catch (error) {
    if (errorCode(error) === 'EEXIST') throw exists(path)
    // A stick without hard links: nobody else writes there.
    if (existsSync(path)) throw exists(path)
    renameSync(fresh, path)
  } finally {
    rmSync(fresh, { force: true })
  }
  syncFolder(dirname(path))
}

/** Writes a file, in the place of an older one if there is one, and syncs it. */
export function writeWhole(path: string, content: string | Uint8Array, mode: number): void {
  renameSync(writeBeside(path, content, mode), path)
  syncFolder(dirname(path))
}

/** Waits until the names in a folder are on the disk. */
export function syncFolder(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** The content under a name that only this process uses; what an earlier one left there is gone. */
function writeBeside(path: string, content: string | Uint8Array, mode: number): string {
  const fresh = join(dirname(path), `.${basename(path)}.${process.pid}`)
  rmSync(fresh, { force: true })
  const handle = openSync(fresh, 'wx', mode)
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  return fresh
}

function exists(path: string): CliError {
  return new CliError('NF-1006', `${path} exists already`)
}

function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
