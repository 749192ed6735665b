/** `nixfleet node id`: the public record that `node init` made. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { readHostRecord } from '../host-record.ts'
import { type CommandInput, textOption } from '../registry.ts'

const DATA_DEFAULT = '/var/lib/nixfleet'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out, cwd } = context
  const path = join(resolve(cwd, textOption(input.options, 'data') ?? DATA_DEFAULT), 'host.json')
  try {
    readHostRecord(path)
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    throw new CliError(error.code, error.message, {
      why: error.why,
      fix: ['make one: nixfleet node init'],
    })
  }
  out.stdout.write(readFileSync(path, 'utf8'))
  return EXIT_OK
}
