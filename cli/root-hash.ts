/** The hash of the fleet's first root, as somebody who asks a peer or reads a file pins it. */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Context } from './context.ts'
import { CliError, usage } from './errors.ts'
import { readKeyFile } from './key-file.ts'
import { identityPaths } from './places.ts'
import { type CommandInput, textOption } from './registry.ts'

/** The hash that was given, in a file or as it is; else the one that the operator's key file pins. */
export function pinnedRoot(context: Context, input: CommandInput): string {
  const given = textOption(input.options, 'root-hash')
  if (given === undefined) {
    try {
      const paths = identityPaths(context.settings, context.env, context.cwd)
      return readKeyFile(paths, 'operator').rootHash
    } catch (error) {
      if (!(error instanceof CliError) || error.code !== 'NF-1202') throw error
      throw usage('expected --root-hash with the fleet’s root hash or its file, found none')
    }
  }
  const path = resolve(context.cwd, given)
  const text = existsSync(path) ? readFileSync(path, 'utf8').trim() : given
  if (/^[0-9a-f]{64}$/.test(text)) return text
  throw usage(`expected 64 hex digits or the file root.hash after --root-hash, found ${given}`)
}
