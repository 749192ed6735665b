/** `nixfleet root propose`: the next version of the root, with other admins, release keys or groups. */
import type { ReleaseKey, Root } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { readPublicKey } from '../public-key.ts'
import { type CommandInput, listOption, textOption } from '../registry.ts'
import { changeRoot } from '../root-change.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  return await changeRoot(context, input, (root) => ({
    admins: adminsOf(context, input, root),
    threshold: thresholdOf(input) ?? root.threshold,
    releaseKeys: releaseKeysOf(context, input, root),
    groups: [...new Set([...root.groups, ...listOption(input.options, 'add-group')])].sort(),
  }))
}

function adminsOf(context: Context, { options }: CommandInput, root: Root): readonly string[] {
  const gone = listOption(options, 'remove-admin').map((prefix) => {
    const found = root.admins.filter((key) => key.startsWith(prefix))
    if (found.length === 1 && found[0] !== undefined) return found[0]
    throw new CliError(
      'NF-1005',
      `expected one admin whose key begins with ${prefix}, found ${found.length}`,
    )
  })
  const added = listOption(options, 'add-admin').map((text) => readPublicKey(context, text))
  return [...new Set([...root.admins.filter((key) => !gone.includes(key)), ...added])].sort()
}

function thresholdOf({ options }: CommandInput): number | undefined {
  const text = textOption(options, 'threshold')
  if (text === undefined || /^[1-9]\d?$/.test(text)) return text === undefined ? text : Number(text)
  throw usage(`expected a number after --threshold, found ${text}`)
}

/** `NAME=KEY` or `NAME=KEY:stable,edge`. */
function releaseKeysOf(
  context: Context,
  { options }: CommandInput,
  root: Root,
): readonly ReleaseKey[] {
  const gone = listOption(options, 'remove-release')
  const missing = gone.find((name) => !root.releaseKeys.some((one) => one.name === name))
  if (missing !== undefined) throw new CliError('NF-1005', `the root has no release key ${missing}`)
  const added = listOption(options, 'add-release').map((text): ReleaseKey => {
    const [, name, key, channels] = /^([a-z0-9-]+)=([^:]+)(?::([a-z0-9,-]+))?$/.exec(text) ?? []
    if (name === undefined || key === undefined)
      throw usage(`expected NAME=KEY[:CHANNELS] after --add-release, found ${text}`)
    return { name, key: readPublicKey(context, key), channels: channels?.split(',') ?? [] }
  })
  const names = [...gone, ...added.map(({ name }) => name)]
  return [...root.releaseKeys.filter(({ name }) => !names.includes(name)), ...added].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )
}
