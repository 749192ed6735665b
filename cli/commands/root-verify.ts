/** `nixfleet root verify FILE`: whether a proposal may follow the root before it, and what it changes. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fleetIdOf, type Root, readRoot, rootSigners } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { verifyFleet } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { assertFollowable } from '../root-change.ts'
import { readRootFolder } from '../root-folder.ts'
import { pinnedRoot } from '../root-hash.ts'
import { rootDifference } from '../root-text.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const rootHash = pinnedRoot(context, input)
  const read = readRoot(new Uint8Array(readFileSync(resolve(context.cwd, input.args[0] ?? ''))))
  const before = await rootBefore(context, input, { rootHash, version: read.value.version })
  const fleet = fleetIdOf(rootHash)
  const { out } = context
  const changes = rootDifference(before, read.value)
  if (out.human) for (const change of changes) out.line(change)
  assertFollowable(read, before, fleet)
  const { version } = read.value
  if (out.human) out.line(`root version ${version} may follow version ${before.version}`)
  else
    out.document(
      cliDocument('RootVerified', { version, changes, signers: rootSigners(read, before, fleet) }),
    )
  return EXIT_OK
}

async function rootBefore(
  context: Context,
  input: CommandInput,
  { rootHash, version }: { rootHash: string; version: number },
): Promise<Root> {
  if (textOption(input.options, 'trust') !== undefined)
    return readRootFolder(context, input, rootHash, version - 1)
  return (await verifyFleet(await context.connect(), rootHash)).root
}
