/** `nixfleet rollout watch [ID]`. */
import type { Context } from '../context.ts'
import { concludeRollout, follow } from '../follow.ts'
import { pickRollout } from '../pick-rollout.ts'
import type { CommandInput } from '../registry.ts'
import { isOver } from '../tree.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const { id } = await pickRollout(client, input.args[0])
  const { timeoutMs } = context.settings
  const status = await follow(context, client, id, { until: isOver, timeoutMs, show: true })
  return concludeRollout(context, status)
}
