/** Whether an upstream cache holds paths as a release says that they are, signed by whom a host trusts. */
import {
  type ManifestPath,
  type NarinfoVerdict,
  parseNixSignature,
  parseStoreName,
  parseTrustedNixKeys,
  storeHashOf,
  verifyNarinfo,
} from '../../protocol/index.ts'
import type { Environment } from '../system/program.ts'
import { baseName, narinfoOf } from '../system/release-narinfo.ts'
import { CHECKS_AT_ONCE } from './limits.ts'
import { NixUpstream } from './nix-upstream.ts'
import { isSameInfo } from './substituter.ts'
import { openUpstream, PasswordWanted } from './upstream.ts'

/** What is wrong with a path at a cache. */
export interface CacheFault {
  readonly path: string
  /** `missing`, `other contents`, or what is wrong with its signatures. */
  readonly why: 'missing' | 'other contents' | 'unsigned' | 'untrusted key' | 'bad signature'
}

/** What was found at one cache. */
export interface CacheCheck {
  readonly url: string
  /** Why it could not be asked; null when it could. */
  readonly unreachable: string | null
  /** Paths that it holds as they should be. */
  readonly good: number
  readonly faults: readonly CacheFault[]
}

const SIGNATURE_FAULTS = {
  NO_SIGNATURE: 'unsigned',
  NO_TRUSTED_KEY: 'untrusted key',
  BAD_SIGNATURE: 'bad signature',
} as const

/** Asks the cache at `url` for each of `paths`. Throws NIX_SIGNATURE_MALFORMED on a key that is none. */
export async function checkCache(
  url: string,
  paths: readonly ManifestPath[],
  trust: { readonly keys: readonly string[]; readonly env: Environment },
): Promise<CacheCheck> {
  const keys = parseTrustedNixKeys(trust.keys)
  const ask = asker(url, trust.env)
  const faults: CacheFault[] = []
  let good = 0
  const left = [...paths]
  const work = async (): Promise<void> => {
    for (let path = left.pop(); path !== undefined; path = left.pop()) {
      const info = await ask(path)
      const why = info === undefined ? 'missing' : faultOf(info, path, keys)
      if (why === undefined) good++
      else faults.push({ path: path.path, why })
    }
  }
  try {
    await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, work))
  } catch (error) {
    return { url, unreachable: reasonOf(error), good, faults: [] }
  }
  return { url, unreachable: null, good, faults: faults.sort((a, b) => (a.path < b.path ? -1 : 1)) }
}

type Info = Parameters<typeof verifyNarinfo>[0]

/** How the cache says what it holds: by its own files, or through Nix. */
function asker(url: string, env: Environment): (path: ManifestPath) => Promise<Info | undefined> {
  const upstream = openUpstream(url)
  const nix = new NixUpstream(url, env)
  const throughNix = async (path: ManifestPath): Promise<Info | undefined> => {
    const found = await nix.info(path)
    if (found === undefined) return undefined
    const { signatures } = found
    return { ...narinfoOf({ ...path, ...found }), signatures: signatures.map(parseNixSignature) }
  }
  if (upstream === undefined) return throughNix
  return async (path) => {
    try {
      return await upstream.info(storeHashOf(parseStoreName(baseName(path.path))))
    } catch (error) {
      if (error instanceof PasswordWanted) return await throughNix(path)
      throw error
    }
  }
}

function faultOf(
  info: Info,
  path: ManifestPath,
  keys: ReturnType<typeof parseTrustedNixKeys>,
): CacheFault['why'] | undefined {
  if (!isSameInfo(info, narinfoOf(path))) return 'other contents'
  const verdict: NarinfoVerdict = verifyNarinfo(info, keys)
  return verdict.ok ? undefined : SIGNATURE_FAULTS[verdict.code]
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : ''
  const text = error instanceof Error ? error.message : String(error)
  return cause === '' ? text : `${text}: ${cause}`
}
