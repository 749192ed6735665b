/** The golden vectors of `test/vectors/v1`, read as they stand; tests also take them as samples. */
import { readdirSync, readFileSync } from 'node:fs'
import { fromHex, type KeyPair, keyPair } from '../../../protocol/index.ts'

const FOLDER = new URL('../../vectors/v1/', import.meta.url)

/** A signed message: what went in, and every byte that came out, as hex. */
export interface GoldenMessage {
  readonly type: string
  readonly seed: string
  readonly fleet: string
  // biome-ignore lint/suspicious/noExplicitAny: the input of any type, compared and sealed as it stands
  readonly input: any
  readonly payload: string
  readonly signedBytes: string
  readonly signature: string
  readonly id: string
  readonly bytes: string
}

/** The names of all vectors that begin with `prefix`. Throws when there is none. */
export function goldenNames(prefix: string): readonly string[] {
  const names = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json') && file.startsWith(prefix))
    .map((file) => file.slice(0, -'.json'.length))
  if (names.length === 0) throw new Error(`no vector begins with ${prefix}`)
  return names.sort()
}

/** One vector by name. */
export function golden<T = GoldenMessage>(name: string): T {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as T
}

/** The key pair of a vector's seed. */
export function goldenKey(seed: string): KeyPair {
  return keyPair(fromHex(seed))
}

/** The fleet of every vector. */
export const FLEET: string = golden('fact-host-lost').fleet
/** A fleet that is not theirs. */
export const OTHER_FLEET: string = 'ee'.repeat(16)
