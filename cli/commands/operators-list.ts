/** `nixfleet operators list`: who may do what, as the root in force says. */
import type { OperatorGrant } from '../../protocol/index.ts'
import { timeText } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { verifyFleet } from '../operator.ts'
import { type Column, cliDocument } from '../output.ts'
import type { CommandInput } from '../registry.ts'
import { pinnedRoot } from '../root-hash.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { root } = await verifyFleet(await context.connect(), pinnedRoot(context, input))
  const items = root.operators.map((one) => ({ ...one, expired: isExpired(one, context.now()) }))
  const document = cliDocument('OperatorList', { rootVersion: root.version, items })
  context.out.list(document, items, COLUMNS)
  return EXIT_OK
}

function isExpired({ expires }: OperatorGrant, now: number): boolean {
  return expires > 0 && now >= expires
}

type Row = OperatorGrant & { readonly expired: boolean }

const COLUMNS: readonly Column<Row>[] = [
  { title: 'NAME', text: ({ name }) => name },
  { title: 'ROLE', text: ({ role }) => role },
  { title: 'GROUPS', text: ({ groups }) => groups.join(', ') || 'all' },
  { title: 'CHANNELS', text: ({ channels }) => channels.join(', ') || 'all' },
  {
    title: 'EXPIRES',
    text: ({ expires, expired }) =>
      expires === 0 ? 'never' : `${timeText(expires)}${expired ? ' (expired)' : ''}`,
    value: ({ expires }) => expires,
  },
  { title: 'KEY', text: ({ key }) => key.slice(0, 16), value: ({ key }) => key },
]
