/** `nixfleet operators add|remove|grant|revoke`: changes of the root that concern one operator. */
import type { OperatorGrant, Role, Root } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { readPublicKey } from '../public-key.ts'
import { type CommandInput, listOption, textOption } from '../registry.ts'
import { changeRoot } from '../root-change.ts'
import { duration } from '../settings.ts'

const ROLES: readonly Role[] = ['readonly', 'deploy', 'admin']

export async function run(context: Context, input: CommandInput): Promise<number> {
  const [name = ''] = input.args
  return await changeRoot(context, input, (root) => ({
    operators: changed(context, input, root, name),
  }))
}

function changed(
  context: Context,
  input: CommandInput,
  root: Root,
  name: string,
): readonly OperatorGrant[] {
  const before = root.operators.find((one) => one.name === name)
  const others = root.operators.filter((one) => one.name !== name)
  if (input.command.name === 'operators add') {
    if (before !== undefined)
      throw usage(`${name} is an operator already; change it: operators grant`)
    return byName([...others, added(context, input, name)])
  }
  if (before === undefined) throw new CliError('NF-1005', `the root names no operator ${name}`)
  if (input.command.name === 'operators remove') return others
  if (input.command.name === 'operators revoke') {
    return byName([...others, { ...before, role: 'readonly' }])
  }
  return byName([...others, { ...before, ...granted(context, input) }])
}

function added(context: Context, input: CommandInput, name: string): OperatorGrant {
  const text = textOption(input.options, 'key')
  if (text === undefined) throw usage('expected --key with a public key, found none')
  const { role, groups = [], channels = [], expires = 0 } = granted(context, input)
  if (role === undefined) throw usage(`expected --role with ${ROLES.join(', ')}, found none`)
  return { name, key: readPublicKey(context, text), role, groups, channels, expires }
}

/** What was given; `all` takes a bound away. */
function granted(
  context: Context,
  { options }: CommandInput,
): Partial<Pick<OperatorGrant, 'role' | 'groups' | 'channels' | 'expires'>> {
  const text = textOption(options, 'role')
  const role = ROLES.find((one) => one === text)
  if (text !== undefined && role === undefined)
    throw usage(`expected ${ROLES.join(', ')} after --role, found ${text}`)
  const groups = namesOption(listOption(options, 'group'))
  const channels = namesOption(listOption(options, 'channel'))
  const expires = expiryOption(context, textOption(options, 'expires'))
  return {
    ...(role && { role }),
    ...(groups && { groups }),
    ...(channels && { channels }),
    ...(expires !== undefined && { expires }),
  }
}

function namesOption(given: readonly string[]): readonly string[] | undefined {
  if (given.length === 0) return undefined
  return given.includes('all') ? [] : [...new Set(given)].sort()
}

/** A date, a duration from now on, or never. */
function expiryOption(context: Context, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (text === 'never') return 0
  const date = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  const at = Number.isNaN(date) ? context.now() + duration(text, '--expires') : date
  if (at > context.now()) return at
  throw usage(`expected a time to come after --expires, found ${text}`)
}

function byName(operators: readonly OperatorGrant[]): readonly OperatorGrant[] {
  return [...operators].sort((a, b) => (a.name < b.name ? -1 : 1))
}
