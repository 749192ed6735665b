/** Upstream caches for people: those of this host's configuration, then those that releases name. */
import type { Knowledge } from '../../rollout/index.ts'
import type { CacheRow } from '../api/cache-schema.ts'
import type { ReleaseRef } from '../api/contract.ts'
import { manifestOf } from './people.ts'
import { releaseRows } from './releases.ts'

/** One row for each cache, in the order in which this host asks them. */
export function cacheRows(
  knowledge: Knowledge,
  configured: readonly string[],
): readonly CacheRow[] {
  const named = new Map<string, ReleaseRef>()
  for (const { id, name, channel, version } of releaseRows(knowledge)) {
    for (const url of manifestOf(knowledge, id)?.caches ?? []) {
      if (!named.has(url)) named.set(url, { id, name, channel, version })
    }
  }
  const own = configured.map((url): CacheRow => {
    return { url, from: 'host', release: named.get(url) ?? null }
  })
  const others = [...named].filter(([url]) => !configured.includes(url))
  return [...own, ...others.map(([url, release]): CacheRow => ({ url, from: 'release', release }))]
}
