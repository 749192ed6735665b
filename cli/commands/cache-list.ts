/** `nixfleet cache list`: where the answering host takes store paths from besides its peers. */
import type { CacheList, Stamped } from '../../node/index.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { safeText, shortId } from '../words.ts'

export async function run(context: Context): Promise<number> {
  const { out } = context
  const client = await context.connect()
  const list = await client.get<Stamped<'CacheList', CacheList>>('/api/v1/caches')
  out.list(list, list.items, [
    { title: 'CACHE', text: (row) => safeText(row.url) },
    { title: 'FROM', text: (row) => row.from },
    {
      title: 'RELEASE',
      text: ({ release }) =>
        release === null ? '-' : `${safeText(release.name)} ${shortId(release.id)}`,
      value: (row) => row.release?.id ?? '',
    },
  ])
  const own =
    list.listen === null
      ? `${list.observedBy} is no cache itself`
      : `cache of ${list.observedBy}: ${list.listen}`
  out.note(own)
  return EXIT_OK
}
