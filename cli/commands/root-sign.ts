/**
 * `nixfleet root sign FILE`: an admin adds a signature to a proposal, on a machine of their own that needs
 * neither a node nor a network. What is signed is shown first.
 */
import { readFileSync, renameSync } from 'node:fs'
import { resolve } from 'node:path'
import { addSignatures, fleetIdOf, readRoot, rootSigners } from '../../protocol/index.ts'
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import type { CommandInput } from '../registry.ts'
import { adminKeys, missingText } from '../root-change.ts'
import { readRootFolder } from '../root-folder.ts'
import { rootDifference } from '../root-text.ts'
import { writeNew } from '../whole-file.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const path = resolve(context.cwd, input.args[0] ?? '')
  const keys = adminKeys(context, input)
  const [first] = keys
  if (first === undefined) throw usage('expected --admin-key with a file, found none')
  const read = readRoot(new Uint8Array(readFileSync(path)))
  const before = readRootFolder(context, input, first.rootHash, read.value.version - 1)
  const fleet = fleetIdOf(first.rootHash)
  const known = [...before.admins, ...read.value.admins]
  const stranger = keys.find(({ key }) => !known.includes(key.publicKey))
  if (stranger !== undefined)
    throw new CliError('NF-1203', `${stranger.path} is an admin key of neither version`)
  const changes = rootDifference(before, read.value)
  await confirm(
    context,
    `Sign version ${read.value.version} of the root of ${before.name}?`,
    changes,
  )
  const bytes = addSignatures(
    read.bytes,
    { type: 'root', fleet },
    keys.map(({ key }) => key),
  )
  writeNew(`${path}.part`, bytes, 0o644)
  renameSync(`${path}.part`, path)
  const signers = rootSigners(readRoot(bytes), before, fleet)
  const missing = missingText(signers)
  const { out } = context
  if (!out.human) {
    const { version } = read.value
    out.document(
      cliDocument('RootSigned', { version, changes, signers, complete: missing === undefined }),
    )
    return EXIT_OK
  }
  out.line(`root version ${read.value.version}: ${missing ?? 'enough admins have signed'}`)
  if (missing === undefined) out.note(`next: nixfleet root publish ${input.args[0]}`)
  return EXIT_OK
}
