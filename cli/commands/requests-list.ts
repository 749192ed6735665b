/** `nixfleet requests list`: who asked to be let in, and how that stands. */
import type { RequestRow } from '../../node/index.ts'
import { timeText } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import type { Column } from '../output.ts'
import { type CommandInput, flagOption } from '../registry.ts'
import { safeText } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const list = await client.all<RequestRow>('/api/v1/requests')
  const all = flagOption(input.options, 'all')
  const items = list.items.filter(({ state }) => all || state === 'pending')
  context.out.list({ ...list, items }, items, COLUMNS)
  if (context.out.human && items.length === 0)
    context.out.note(all ? 'nobody asked' : 'nobody waits to be let in')
  return EXIT_OK
}

const COLUMNS: readonly Column<RequestRow>[] = [
  { title: 'REQUEST', text: ({ id }) => id.slice(0, 12), value: ({ id }) => id },
  { title: 'NAME', text: ({ name }) => name },
  { title: 'ROLE', text: ({ role }) => role },
  { title: 'STATE', text: ({ state }) => state },
  { title: 'ASKED', text: ({ at }) => timeText(at), value: ({ at }) => at },
  {
    title: 'BY',
    text: ({ by }) => by.map(({ name }) => safeText(name)).join(', '),
    value: ({ by }) => by.map(({ name }) => name).join(' '),
  },
  { title: 'KEY', text: ({ key }) => key.slice(0, 16), value: ({ key }) => key },
  { title: 'ADDRESSES', wide: true, text: ({ addresses }) => addresses.map(safeText).join(' ') },
  { title: 'INVITE', wide: true, text: ({ invite }) => invite.slice(0, 12) },
  { title: 'WHY', text: ({ why }) => safeText(why), value: ({ why }) => why },
]
