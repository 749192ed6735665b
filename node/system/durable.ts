/**
 * Writes that a power cut cannot halve: fsync, then one rename, then fsync of the directory.
 */
import { chmod, open, readdir, rename, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Replaces `path` by a file with `text`, or bytes; after a crash it holds the old bytes or the new ones. */
export async function writeDurably(
  path: string,
  text: string | Uint8Array,
  mode: number = 0o600,
): Promise<void> {
  const fresh = join(dirname(path), `.${basename(path)}.new`)
  await rm(fresh, { force: true })
  const file = await open(fresh, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, path)
  await syncDirectory(dirname(path))
}

/** Makes `path` a symlink to `target` in one step: nobody ever sees it missing. */
export async function swapLink(path: string, target: string): Promise<void> {
  const fresh = join(dirname(path), `.${basename(path)}.new`)
  await rm(fresh, { force: true })
  await symlink(target, fresh)
  await rename(fresh, path)
  await syncDirectory(dirname(path))
}

/** Waits until the names in `path` are on the disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** Removes a tree whose directories are read-only, as those of a store are. Missing is fine. */
export async function removeTree(path: string): Promise<void> {
  await makeWritable(path)
  await rm(path, { recursive: true, force: true })
}

async function makeWritable(path: string): Promise<void> {
  const entries = await entriesOf(path)
  if (!entries) return
  await chmod(path, 0o700)
  // A directory that could not be listed before can be now.
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(path, entry.name))
  }
}

async function entriesOf(path: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(path)
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code === 'EACCES') return []
    throw error
  }
}

/** The `code` of a system error, or undefined for any other. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
