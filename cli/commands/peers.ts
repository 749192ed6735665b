/** `nixfleet peers`. */
import type { PeerRow } from '../../node/index.ts'
import { peerColumns } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'

export async function run(context: Context): Promise<number> {
  const client = await context.connect()
  const list = await client.all<PeerRow>('/api/v1/peers')
  context.out.list(list, list.items, peerColumns(context.words))
  return EXIT_OK
}
