/** `nixfleet rollout list`. */
import type { RolloutRow } from '../../node/index.ts'
import { rolloutColumns } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'

export async function run(context: Context): Promise<number> {
  const client = await context.connect()
  const list = await client.all<RolloutRow>('/api/v1/rollouts')
  context.out.list(list, list.items, rolloutColumns(context.words))
  return EXIT_OK
}
