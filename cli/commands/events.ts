/**
 * `nixfleet events`: the newest ones, and with --follow each new one.
 *
 * Cursors belong to one node. When the client moves to another peer, the newest page of that one is
 * read and what was shown already is left out, so nothing is lost and nothing comes twice.
 */
import type { EventRow, Page, Stamped } from '../../node/index.ts'
import type { Client } from '../client.ts'
import { EVENT_COLUMNS } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from '../exit-codes.ts'
import { logQuery } from '../log-query.ts'
import { table } from '../output.ts'
import { type CommandInput, flagOption } from '../registry.ts'

const POLL_MS = 500
/** Facts that are remembered as shown: more than one page can bring back. */
const SHOWN_MAX = 2000

type Answer = Stamped<'EventList', Page<EventRow>>

interface Following {
  readonly path: string
  readonly filter: string
  readonly seen: readonly EventRow[]
}

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const client = await context.connect()
  const { path, filter } = logQuery('/api/v1/events', input)
  const newest = await client.get<Answer>(path)
  const items = [...newest.items].reverse()
  if (!flagOption(input.options, 'follow')) {
    out.list({ ...newest, items }, items, EVENT_COLUMNS)
    return EXIT_OK
  }
  show(context, items)
  client.setPatience(30)
  await client.learn()
  await followEvents(context, client, { path, filter, seen: items })
  return EXIT_INTERRUPTED
}

async function followEvents(context: Context, client: Client, from: Following): Promise<void> {
  const shown = new Set(from.seen.map(keyOf))
  let cursor = from.seen.at(-1)?.id
  let moves = client.moves()
  while (!context.signal.aborted) {
    const { rows, next } = await nextRows(client, from, { cursor, moves })
    const moved = client.moves() !== moves
    moves = client.moves()
    if (moved) {
      cursor = undefined
      continue
    }
    const fresh = rows.filter((row) => !shown.has(keyOf(row)))
    remember(shown, fresh)
    show(context, fresh)
    cursor = next ?? rows.at(-1)?.id ?? cursor
    await context.sleep(POLL_MS)
  }
}

/**
 * What came after the cursor, oldest first; the newest page without one. Empty when the peer was left.
 * `next` is how far the node has looked, which may be beyond the last row that fits the filter.
 */
async function nextRows(
  client: Client,
  from: Following,
  at: { cursor: string | undefined; moves: number },
): Promise<{ rows: readonly EventRow[]; next: string | null }> {
  const { cursor } = at
  const path =
    cursor === undefined
      ? from.path
      : `/api/v1/events?limit=500${from.filter}&since=${encodeURIComponent(cursor)}`
  try {
    const page = await client.get<Answer>(path)
    if (cursor === undefined) return { rows: [...page.items].reverse(), next: null }
    return { rows: page.items, next: page.next }
  } catch (error) {
    // The new peer does not know the old one's cursor.
    if (client.moves() === at.moves) throw error
    return { rows: [], next: null }
  }
}

function remember(shown: Set<string>, rows: readonly EventRow[]): void {
  for (const row of rows) shown.add(keyOf(row))
  for (const key of shown) {
    if (shown.size <= SHOWN_MAX) return
    shown.delete(key)
  }
}

function keyOf(row: EventRow): string {
  return `${row.fact}/${row.type}/${row.subject}`
}

function show({ out }: Context, rows: readonly EventRow[]): void {
  if (rows.length === 0) return
  const columns = EVENT_COLUMNS.filter((column) => out.wide || !column.wide)
  if (out.human) out.line(table(rows, columns, out.paint, false))
  else for (const row of rows) out.record(row)
}
