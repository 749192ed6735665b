/** `nixfleet release list`. */
import type { ReleaseRow } from '../../node/index.ts'
import { RELEASE_COLUMNS } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'

export async function run(context: Context): Promise<number> {
  const client = await context.connect()
  const list = await client.all<ReleaseRow>('/api/v1/releases')
  context.out.list(list, list.items, RELEASE_COLUMNS)
  return EXIT_OK
}
