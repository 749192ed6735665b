/** `nixfleet root pull --out DIR`: the verified root chain, for a machine that signs without a network. */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Context } from '../context.ts'
import { usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { verifyFleet } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { pinnedRoot } from '../root-hash.ts'
import { writeNew } from '../whole-file.ts'
import { plural } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const given = textOption(input.options, 'out')
  if (given === undefined) throw usage('expected --out with a new folder, found none')
  const rootHash = pinnedRoot(context, input)
  const { documents, root } = await verifyFleet(await context.connect(), rootHash)
  const folder = resolve(context.cwd, given)
  mkdirSync(folder, { recursive: true })
  for (const [i, bytes] of documents.roots.entries()) {
    writeNew(join(folder, i === 0 ? 'root.cbor' : `root-${i + 1}.cbor`), bytes, 0o644)
  }
  writeNew(join(folder, 'root.hash'), `${rootHash}\n`, 0o644)
  const { out } = context
  const { version } = root
  if (out.human) out.line(`${plural(version, 'version')} of the root of ${root.name} in ${given}`)
  else out.document(cliDocument('RootPulled', { version, out: folder }))
  return EXIT_OK
}
