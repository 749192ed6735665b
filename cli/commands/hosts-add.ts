/** `nixfleet hosts add RECORD…`: hosts join the group; voters may change with them. */
import { resolve } from 'node:path'
import type { Context } from '../context.ts'
import { usage } from '../errors.ts'
import { readHostRecord } from '../host-record.ts'
import { readKeyFile } from '../key-file.ts'
import { verifyFleet } from '../operator.ts'
import { reconfigure, votersOption } from '../reconfigure.ts'
import { type CommandInput, flagOption, listOption } from '../registry.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const add = input.args.map((path) => readHostRecord(resolve(context.cwd, path)))
  const { voters, faultModel } = votersOption(input)
  if (add.length === 0 && voters === undefined && faultModel === undefined)
    throw usage('expected host records, --voters or --fault-model, found none')
  const chosen = flagOption(input.options, 'voter')
    ? [...(voters ?? (await votersOfNow(context, input))), ...add.map((host) => host.name)]
    : voters
  return await reconfigure(context, input, {
    ...{ add, remove: [], faultModel, recover: false },
    voters: chosen,
  })
}

async function votersOfNow(context: Context, input: CommandInput): Promise<readonly string[]> {
  const [path] = listOption(input.options, 'admin-key')
  if (path === undefined) throw usage('expected --admin-key with a file, found none')
  const { rootHash } = readKeyFile([resolve(context.cwd, path)], 'admin')
  return (await verifyFleet(await context.connect(), rootHash)).config.voters
}
