/** `nixfleet root show [FILE]`: what the root in force says, or a root in a file. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Root, readRoot, rootHashOf } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { verifyFleet } from '../operator.ts'
import { cliDocument } from '../output.ts'
import type { CommandInput } from '../registry.ts'
import { pinnedRoot } from '../root-hash.ts'
import { grantText } from '../root-text.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const [file] = input.args
  const root =
    file === undefined
      ? (await verifyFleet(await context.connect(), pinnedRoot(context, input))).root
      : readRoot(new Uint8Array(readFileSync(resolve(context.cwd, file)))).value
  const { out } = context
  if (!out.human) {
    out.document(cliDocument('Root', { hash: rootHashOf(root), ...root }))
    return EXIT_OK
  }
  for (const line of rootLines(root)) out.line(line)
  return EXIT_OK
}

function rootLines(root: Root): readonly string[] {
  return [
    `root version ${root.version} of ${root.name}   hash ${rootHashOf(root)}`,
    `${root.threshold} of ${root.admins.length} admins sign: ${root.admins.map((key) => key.slice(0, 16)).join(', ')}`,
    `groups: ${root.groups.join(', ')}`,
    ...root.operators.map(
      (one) => `operator ${one.name}: ${grantText(one)}, key ${one.key.slice(0, 16)}`,
    ),
    ...root.releaseKeys.map(
      ({ name, key, channels }) =>
        `release key ${name}: ${channels.length === 0 ? 'all channels' : channels.join(', ')}, key ${key.slice(0, 16)}`,
    ),
  ]
}
