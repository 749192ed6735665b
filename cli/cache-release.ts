/** The release that a cache command is about, with its manifest. */
import type { ReleaseDetail, ReleaseRow, Stamped } from '../node/index.ts'
import { type Manifest, openManifest } from '../protocol/index.ts'
import { pullBody } from './audit/pull.ts'
import type { Context } from './context.ts'
import { CliError } from './errors.ts'

/** A release and what it is made of. */
export interface KnownRelease {
  readonly row: ReleaseDetail
  readonly manifest: Manifest
}

/** The release with this id, or the newest. Throws NF-1005 without one, NF-2118 while its manifest is away. */
export async function releaseNamed(
  context: Context,
  id: string | undefined,
): Promise<KnownRelease> {
  const client = await context.connect()
  const newest = async (): Promise<string> => {
    const { items } = await client.all<ReleaseRow>('/api/v1/releases')
    const [first] = items
    if (first !== undefined) return first.id
    throw new CliError('NF-1005', 'no release was announced yet', {
      why: [],
      fix: ['nixfleet release create'],
    })
  }
  const path = encodeURIComponent(id ?? (await newest()))
  const row = await client.get<Stamped<'ReleaseDetail', ReleaseDetail>>(`/api/v1/releases/${path}`)
  if (row.paths === null) throw new CliError('NF-2118', `the manifest of ${row.name} is not here`)
  const bytes = await pullBody(row.manifest, { client, signal: context.signal })
  return { row, manifest: openManifest(bytes, row.manifest) }
}
