/** What a fake node says of a release, out of the announcement and the manifest that it holds. */
import type {
  Author,
  ReleaseDetail,
  ReleaseDiff,
  ReleaseRef,
  ReleaseRow,
} from '../../node/api/schema.ts'
import type { FactOf, Manifest } from '../../protocol/index.ts'

/** One wall-clock time for everything: outputs are compared. */
export const WHEN: number = Date.UTC(2026, 0, 2, 3, 4, 5)

/** The release in one line. */
export function releaseRow(
  fact: FactOf<'release.announce'>,
  manifest: Manifest | undefined,
  author: Author,
): ReleaseRow {
  const { name, channel, version, minVersion } = fact.body
  return {
    ...{ id: fact.id, name, channel, version, minVersion, author, ts: WHEN },
    manifest: fact.body.manifest,
    system: manifest?.kind ?? null,
    hosts: manifest?.hosts.length ?? null,
  }
}

/** The release, whole. */
export function releaseDetail(row: ReleaseRow, manifest: Manifest | undefined): ReleaseDetail {
  const bytes = (manifest?.paths ?? []).reduce((sum, path) => sum + path.narSize, 0)
  const generations = (manifest?.hosts ?? []).map(({ host, generation, closure }) => ({
    ...{ host, generation, bytes },
    paths: closure.length,
  }))
  return {
    ...row,
    generations,
    paths: manifest?.paths.length ?? null,
    bytes: manifest ? bytes : null,
    caches: manifest?.caches ?? [],
    notRevertable: [],
  }
}

/** What changes for each host. */
export function releaseDiff(
  a: ReleaseDetail,
  b: ReleaseDetail,
  hosts: readonly string[],
): ReleaseDiff {
  const at = (release: ReleaseDetail, host: string): string | null =>
    release.generations.find((row) => row.host === host)?.generation ?? null
  const rows = hosts.map((host) => {
    const [from, to] = [at(a, host), at(b, host)]
    const added = to === null || from === to ? [] : [to]
    const removed = from === null || from === to ? [] : [from]
    return { host, from, to, added, removed }
  })
  return { from: refOf(a), to: refOf(b), hosts: rows }
}

function refOf({ id, name, channel, version }: ReleaseDetail): ReleaseRef {
  return { id, name, channel, version }
}
