/** `nixfleet root publish FILE`: announces a root that enough admins have signed, and waits for the voters. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { readRoot } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { verifyFleet } from '../operator.ts'
import type { CommandInput } from '../registry.ts'
import { adminKeys, publishRoot } from '../root-change.ts'
import { pinnedRoot } from '../root-hash.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const keys = adminKeys(context, input)
  const read = readRoot(new Uint8Array(readFileSync(resolve(context.cwd, input.args[0] ?? ''))))
  const client = await context.connect()
  const fleet = await verifyFleet(client, keys[0]?.rootHash ?? pinnedRoot(context, input))
  return await publishRoot(context, input, { client, fleet, read, keys })
}
