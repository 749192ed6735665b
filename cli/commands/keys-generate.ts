/** `nixfleet keys generate`: a person's or a pipeline's own key, made where it is used and never moved. */
import { resolve } from 'node:path'
import { keyPair } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type KeyRole, publicKeyText, writeKeyFile } from '../key-file.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { pinnedRoot } from '../root-hash.ts'

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const ROLES: readonly KeyRole[] = ['operator', 'release', 'admin']

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { options } = input
  const role = ROLES.find((one) => one === (textOption(options, 'role') ?? 'operator'))
  if (role === undefined) throw usage(`expected ${ROLES.join(', ')} after --role`)
  const given = ['name', 'fleet', 'out'].map((name) => [name, textOption(options, name)] as const)
  for (const [name, text] of given) {
    if (text === undefined || (name !== 'out' && !NAME.test(text)))
      throw usage(`expected --${name}, found ${text ?? 'none'}`)
  }
  const [name = '', fleet = '', out = ''] = given.map(([, text]) => text)
  const key = keyPair(context.random(32))
  const file = { role, name, fleet, rootHash: pinnedRoot(context, input), key }
  writeKeyFile(resolve(context.cwd, out), file)
  context.out.stdout.write(publicKeyText(file))
  context.out.note(`the key is in ${out} and never leaves this machine; hand over what was printed`)
  return EXIT_OK
}
