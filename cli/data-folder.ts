/** The data folder of the node of this host, for commands that work on it without asking the node. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Context } from './context.ts'
import { CliError } from './errors.ts'
import { type CommandInput, textOption } from './registry.ts'

const DATA_DEFAULT = '/var/lib/nixfleet'

/** The path that --data names, or the default; whether anything is there is another matter. */
export function dataPath({ cwd }: Context, { options }: CommandInput): string {
  return resolve(cwd, textOption(options, 'data') ?? DATA_DEFAULT)
}

/** The folder that --data names. Throws NF-1005 when there is none. */
export function dataFolder(context: Context, input: CommandInput): string {
  const path = dataPath(context, input)
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path
  throw new CliError('NF-1005', `there is no data folder ${path}`, {
    why: [],
    fix: ["give --data with the node's data folder, on the host of the node"],
  })
}
