/** The caches of a node, in the API's contract. */
import { z } from 'zod'
import { RELEASE_REF, type ReleaseRef } from './contract.ts'

/** One upstream cache. */
export interface CacheRow {
  /** A Nix store URL. */
  readonly url: string
  /** Who names it: the configuration of this host, or a release. */
  readonly from: 'host' | 'release'
  /** The newest release that names it; null where none does. */
  readonly release: ReleaseRef | null
}

/** Where a node takes store paths from besides its peers, and where it is a cache itself. */
export interface CacheList {
  /** Where Nix on this host finds it as a binary cache; null where it is none. */
  readonly listen: string | null
  /** Keys whose signatures on store paths this host takes, `name:base64`. */
  readonly keys: readonly string[]
  readonly items: readonly CacheRow[]
}

export const CACHE_LIST: z.ZodType<CacheList> = z.object({
  listen: z.string().nullable(),
  keys: z.array(z.string()),
  items: z.array(
    z.strictObject({
      url: z.string(),
      from: z.enum(['host', 'release']),
      release: RELEASE_REF.nullable(),
    }),
  ),
})
