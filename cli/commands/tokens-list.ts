/** `nixfleet tokens list`: the tokens of this host, without what they are. */
import type { TokenRecord, TokenState } from '../../node/index.ts'
import { timeText } from '../columns.ts'
import type { Context } from '../context.ts'
import { dataFolder } from '../data-folder.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type Column, cliDocument } from '../output.ts'
import type { CommandInput } from '../registry.ts'
import { safeText } from '../words.ts'

type Row = Omit<TokenRecord, 'sha256'> & { readonly state: TokenState }

export async function run(context: Context, input: CommandInput): Promise<number> {
  const data = dataFolder(context, input)
  const { TokenStore, tokenState } = await import('../../node/index.ts')
  const records = await new TokenStore(data).list()
  const items = records.map(
    ({ sha256: _, ...record }): Row => ({
      ...record,
      state: tokenState(record, context.now()),
    }),
  )
  context.out.list(cliDocument('TokenList', { items }), items, COLUMNS)
  return EXIT_OK
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'TOKEN', text: ({ id }) => id },
  { title: 'STATE', text: ({ state }) => state },
  { title: 'SCOPES', text: ({ scopes }) => scopes.join(', ') },
  { title: 'CREATED', text: ({ created }) => timeText(created), value: ({ created }) => created },
  { title: 'EXPIRES', text: ({ expires }) => timeText(expires), value: ({ expires }) => expires },
  {
    title: 'REVOKED',
    text: ({ revoked }) => (revoked === null ? '-' : timeText(revoked)),
    value: ({ revoked }) => revoked,
  },
  { title: 'NAME', text: ({ name }) => safeText(name) || '-', value: ({ name }) => name },
]
