/** `nixfleet hosts list`. */
import type { HostRow } from '../../node/index.ts'
import { matchesSelector, parseSelector } from '../../rollout/index.ts'
import { hostColumns } from '../columns.ts'
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type CommandInput, textOption } from '../registry.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const list = await client.all<HostRow>('/api/v1/hosts')
  const items = chosen(list.items, textOption(input.options, 'on'))
  context.out.list({ ...list, items }, items, hostColumns(context.words))
  return EXIT_OK
}

function chosen(hosts: readonly HostRow[], text: string | undefined): readonly HostRow[] {
  if (text === undefined) return hosts
  const selector = parseSelector(text)
  if (selector.ok) return hosts.filter((host) => matchesSelector(selector.value, host))
  throw new CliError('NF-1002', selector.error.message, { why: [], fix: [selector.error.fix] })
}
