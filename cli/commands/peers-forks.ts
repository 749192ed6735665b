/** `nixfleet peers forks`: who was caught contradicting itself. */
import type { ForkRow } from '../../node/index.ts'
import { FORK_COLUMNS } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'

export async function run(context: Context): Promise<number> {
  const client = await context.connect()
  const list = await client.all<ForkRow>('/api/v1/peers/forks')
  context.out.list(list, list.items, FORK_COLUMNS)
  if (context.out.human && list.items.length === 0) context.out.note('nobody was caught lying')
  return EXIT_OK
}
