/** Releases for people: what may run, and what changes from one to another. */
import type { FactOf } from '../../protocol/index.ts'
import type { Knowledge } from '../../rollout/index.ts'
import type { ReleaseDetail, ReleaseDiff, ReleaseRow } from '../api/schema.ts'
import { authorOf, manifestOf, releaseRef } from './people.ts'

/** Every announced release, newest first. */
export function releaseRows(knowledge: Knowledge): readonly ReleaseRow[] {
  return [...knowledge.view.releases.values()]
    .sort((a, b) => b.ts - a.ts || b.body.version - a.body.version)
    .map((fact) => releaseRow(knowledge, fact))
}

/** One release, whole. */
export function releaseDetail(knowledge: Knowledge, id: string): ReleaseDetail | undefined {
  const fact = knowledge.view.releases.get(id)
  if (fact === undefined) return undefined
  const manifest = manifestOf(knowledge, id)
  const sizes = new Map(manifest?.paths.map((path) => [path.path, path.narSize]))
  const sum = (paths: readonly string[]): number =>
    paths.reduce((total, path) => total + (sizes.get(path) ?? 0), 0)
  return {
    ...releaseRow(knowledge, fact),
    generations: (manifest?.hosts ?? []).map(({ host, generation, closure }) => ({
      host,
      generation,
      paths: closure.length,
      bytes: sum(closure),
    })),
    paths: manifest?.paths.length ?? null,
    bytes: manifest === undefined ? null : sum(manifest.paths.map((path) => path.path)),
    caches: manifest?.caches ?? [],
    notRevertable: fact.body.notRevertable,
  }
}

/** What changes for each host; undefined unless both manifests are held. */
export function releaseDiff(
  knowledge: Knowledge,
  fromId: string,
  toId: string,
): ReleaseDiff | undefined {
  const [fromFact, toFact] = [
    knowledge.view.releases.get(fromId),
    knowledge.view.releases.get(toId),
  ]
  const [from, to] = [manifestOf(knowledge, fromId), manifestOf(knowledge, toId)]
  if (!(fromFact && toFact && from && to)) return undefined
  const names = [...new Set([...from.hosts, ...to.hosts].map((one) => one.host))].sort()
  return {
    from: releaseRef(fromFact),
    to: releaseRef(toFact),
    hosts: names.map((host) => {
      const before = from.hosts.find((one) => one.host === host)
      const after = to.hosts.find((one) => one.host === host)
      const had = new Set(before?.closure ?? [])
      const has = new Set(after?.closure ?? [])
      return {
        host,
        from: before?.generation ?? null,
        to: after?.generation ?? null,
        added: [...has].filter((path) => !had.has(path)),
        removed: [...had].filter((path) => !has.has(path)),
      }
    }),
  }
}

function releaseRow(knowledge: Knowledge, fact: FactOf<'release.announce'>): ReleaseRow {
  const manifest = manifestOf(knowledge, fact.id)
  const { minVersion, manifest: hash, revision } = fact.body
  return {
    ...releaseRef(fact),
    minVersion,
    author: authorOf(knowledge.trust, fact.author),
    ts: fact.ts,
    manifest: hash,
    system: manifest?.kind ?? null,
    hosts: manifest?.hosts.length ?? null,
    ...(revision === undefined ? {} : { revision }),
  }
}
