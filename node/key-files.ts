/** Seeds on the disk: 32 bytes as hex, mode 0600, never read when others may. */
import { readFile, stat } from 'node:fs/promises'
import { fromHex } from '../protocol/index.ts'
import { NodeError } from './errors.ts'

/** Reads a seed. Throws KEY_UNREADABLE, KEY_EXPOSED (group or others may read it), KEY_MALFORMED. */
export async function readSeedFile(path: string): Promise<Uint8Array> {
  let text: string
  let mode: number
  try {
    text = await readFile(path, 'utf8')
    mode = (await stat(path)).mode
  } catch (error) {
    throw new NodeError(
      'KEY_UNREADABLE',
      `expected a readable key file at ${path}: ${reason(error)}`,
      'Check the path and the owner, or make a key with `nixfleet node init`.',
      { cause: error },
    )
  }
  if ((mode & 0o077) !== 0) {
    throw new NodeError(
      'KEY_EXPOSED',
      `expected mode 0600 on the key file ${path}, found 0${(mode & 0o777).toString(8)}: others may have read it`,
      `Make a new key if the machine is shared; otherwise run: chmod 600 ${path}`,
    )
  }
  if (!/^[0-9a-f]{64}\n?$/.test(text)) {
    throw new NodeError(
      'KEY_MALFORMED',
      `expected 64 hex digits in the key file ${path}, found ${text.length} characters`,
      'Restore the file from a backup, or make a new key and let the host in again.',
    )
  }
  return fromHex(text.trim())
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
