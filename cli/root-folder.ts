/** The root chain in a trust folder, for whoever signs or verifies without a node. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openRoots, type Root } from '../protocol/index.ts'
import type { Context } from './context.ts'
import { CliError, usage } from './errors.ts'
import { type CommandInput, textOption } from './registry.ts'

/**
 * Version `version` of the root, from --trust DIR, verified from the pinned hash on.
 * Throws usage errors, NF-1204, NF-1005 when the folder ends before it.
 */
export function readRootFolder(
  context: Context,
  input: CommandInput,
  rootHash: string,
  version: number,
): Root {
  const given = textOption(input.options, 'trust')
  if (given === undefined)
    throw usage('expected --trust with a folder that holds root.cbor, found none')
  const folder = resolve(context.cwd, given)
  const sources: Uint8Array[] = []
  for (let n = 1; n <= version; n++) {
    const path = join(folder, n === 1 ? 'root.cbor' : `root-${n}.cbor`)
    if (!existsSync(path))
      throw new CliError('NF-1005', `expected root version ${n} in ${path}, found none`, {
        fix: ['copy the folder again, or write it from a peer: nixfleet root pull --out DIR'],
      })
    sources.push(new Uint8Array(readFileSync(path)))
  }
  try {
    const root = openRoots(sources, rootHash).at(-1)
    if (root !== undefined) return root
    throw new Error(`expected a version from 1 on, found ${version}`)
  } catch (error) {
    throw new CliError('NF-1204', `the roots in ${folder} do not verify`, {
      why: [error instanceof Error ? error.message : String(error)],
      cause: error,
    })
  }
}
