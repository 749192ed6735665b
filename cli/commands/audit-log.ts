/**
 * `nixfleet audit log`: signed acts, oldest first, the newest that the filters let through.
 *
 * Author, host, rollout and type are filtered by the node, times and text here, page by page.
 */
import type { AuditRow, Page, Stamped } from '../../node/index.ts'
import { AUDIT_COLUMNS } from '../columns.ts'
import type { Context } from '../context.ts'
import { usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { limitIn, logQuery } from '../log-query.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { duration } from '../settings.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const { filter } = logQuery('/api/v1/audit', input)
  const limit = limitIn(input)
  const fits = filterOf(context, input)
  const found: AuditRow[] = []
  let log: Stamped<'AuditLog', Page<AuditRow>> | undefined
  for (let cursor: string | null = ''; cursor !== null && found.length < limit; ) {
    context.signal.throwIfAborted()
    const since: string = cursor === '' ? '' : `&since=${encodeURIComponent(cursor)}`
    const size = fits === undefined ? limit : PAGE_ROWS
    log = await client.get(`/api/v1/audit?limit=${size}&newest=yes${filter}${since}`)
    found.push(...(log?.items ?? []).filter((row) => fits?.(row) ?? true))
    cursor = fits === undefined ? null : (log?.next ?? null)
  }
  const items = found.slice(0, limit).reverse()
  context.out.list({ ...log, items }, items, AUDIT_COLUMNS)
  return EXIT_OK
}

/** Rows of one page while rows are filtered here: the most that the API gives. */
const PAGE_ROWS = 500

/** What the node does not filter; undefined when nothing of it was asked for. */
function filterOf(
  { now }: Context,
  { options }: CommandInput,
): ((row: AuditRow) => boolean) | undefined {
  const text = textOption(options, 'text')?.toLowerCase()
  const from = timeOf(textOption(options, 'since'), '--since', now())
  const until = timeOf(textOption(options, 'until'), '--until', now())
  if (text === undefined && from === undefined && until === undefined) return undefined
  return (row) =>
    (from === undefined || row.ts >= from) &&
    (until === undefined || row.ts <= until) &&
    (text === undefined || JSON.stringify(row).toLowerCase().includes(text))
}

/** A point in time: `2026-11-26`, `2026-11-26T14:00:00Z`, or an age like `24h`. */
function timeOf(given: string | undefined, option: string, now: number): number | undefined {
  if (given === undefined) return undefined
  if (/^\d{4}-\d\d-\d\d/.test(given)) {
    const time = Date.parse(given)
    if (!Number.isNaN(time)) return time
    throw usage(`expected a time like 2026-11-26T14:00:00Z after ${option}, found ${given}`)
  }
  return now - duration(given, option)
}
