/** A public key as somebody hands it over: 64 hex digits, or the file that `keys generate` printed. */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { assertPublicKey, type KeyId } from '../protocol/index.ts'
import type { Context } from './context.ts'
import { CliError } from './errors.ts'

/** A record of a public key is some 200 bytes. */
const RECORD_BYTES_MAX = 4096

/** The key in `text`, itself or a file. Throws NF-1004. */
export function readPublicKey(context: Context, text: string): KeyId {
  const path = resolve(context.cwd, text)
  const key = /^[0-9a-f]{64}$/.test(text) ? text : existsSync(path) ? keyIn(path) : undefined
  if (key === undefined) {
    throw new CliError(
      'NF-1004',
      `expected 64 hex digits or a file with a public key, found ${text}`,
      {
        why: [],
        fix: ['whoever holds the key prints it with: nixfleet keys show FILE'],
      },
    )
  }
  assertPublicKey(key, text)
  return key
}

function keyIn(path: string): KeyId | undefined {
  const text = readFileSync(path, 'utf8')
  if (text.length > RECORD_BYTES_MAX) return undefined
  try {
    const key = (JSON.parse(text) as { publicKey?: unknown }).publicKey
    return typeof key === 'string' && /^[0-9a-f]{64}$/.test(key) ? key : undefined
  } catch {
    return undefined
  }
}
