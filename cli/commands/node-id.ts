/** `nixfleet node id`: the public record that `node init` made, and where the API was over TCP. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Context } from '../context.ts'
import { dataPath } from '../data-folder.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { readHostRecord } from '../host-record.ts'
import type { CommandInput } from '../registry.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const data = dataPath(context, input)
  const path = join(data, 'host.json')
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
  const { readPlace } = await import('../../node/index.ts')
  const place = await readPlace(data)
  if (place !== undefined) out.note(`the API over TCP: ${place.url}`)
  if (place?.fingerprint) out.note(`SHA-256 fingerprint of its certificate: ${place.fingerprint}`)
  return EXIT_OK
}
