/** `nixfleet keys show FILE`: the public part of a key file. */
import { resolve } from 'node:path'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { publicKeyText, readAnyKeyFile } from '../key-file.ts'
import type { CommandInput } from '../registry.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  context.out.stdout.write(publicKeyText(readAnyKeyFile(resolve(context.cwd, input.args[0] ?? ''))))
  return EXIT_OK
}
