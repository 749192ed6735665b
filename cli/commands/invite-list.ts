/** `nixfleet invite list`: which tickets are about, and how many keys came by them. */
import type { InviteRow } from '../../node/index.ts'
import { timeText } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import type { Column } from '../output.ts'
import { safeText } from '../words.ts'

export async function run(context: Context): Promise<number> {
  const client = await context.connect()
  const list = await client.all<InviteRow>('/api/v1/invites')
  context.out.list(list, list.items, COLUMNS)
  if (context.out.human && list.items.length === 0) context.out.note('nobody is invited')
  return EXIT_OK
}

const COLUMNS: readonly Column<InviteRow>[] = [
  { title: 'INVITE', text: ({ id }) => id.slice(0, 12), value: ({ id }) => id },
  { title: 'ROLE', text: ({ role }) => role },
  { title: 'STATE', text: ({ state }) => state },
  {
    title: 'USES',
    text: ({ spent, uses }) => `${spent}/${uses}`,
    value: ({ spent, uses }) => `${spent}/${uses}`,
  },
  { title: 'UNTIL', text: ({ notAfter }) => timeText(notAfter), value: ({ notAfter }) => notAfter },
  { title: 'BY', text: ({ by }) => safeText(by.name), value: ({ by }) => by.name },
  { title: 'NAME', wide: true, text: ({ name }) => name ?? '-' },
  { title: 'TAGS', wide: true, text: ({ tags }) => tags.join(' ') || '-' },
  { title: 'WHY', text: ({ why }) => safeText(why), value: ({ why }) => why },
]
