/** `nixfleet hosts remove NAME…`: hosts leave the group; with --recover also voters that are lost for good. */
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { reconfigure, votersOption } from '../reconfigure.ts'
import { type CommandInput, flagOption } from '../registry.ts'
import { plural } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { args: remove, options } = input
  const recover = flagOption(options, 'recover')
  if (!flagOption(options, 'plan')) {
    const how = recover ? ' without asking the voters, who are lost for good' : ''
    await confirm(context, `Remove ${plural(remove.length, 'host')} from the group${how}?`, remove)
  }
  return await reconfigure(context, input, { add: [], remove, recover, ...votersOption(input) })
}
