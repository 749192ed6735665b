/** Pages of rows, bounded by count and by bytes, and ids by their first digits. Pure. */
import { ID_PREFIX_CHARS_MIN, PAGE_BYTES_MAX } from './limits.ts'
import { ApiError } from './problem.ts'
import type { Page } from './schema.ts'

/**
 * The rows after the one whose key is `cursor`, at most `limit` and at most PAGE_BYTES_MAX of JSON,
 * but always one, so that a client never stands still. Throws NF-4002 for a cursor that is no row.
 */
export function pageRows<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Page<Row> {
  const from = startOf(rows, keyOf, query.cursor)
  const items: Row[] = []
  let bytes = 0
  for (const row of rows.slice(from, from + query.limit)) {
    bytes += Buffer.byteLength(JSON.stringify(row))
    if (items.length > 0 && bytes > PAGE_BYTES_MAX) break
    items.push(row)
  }
  const last = items.at(-1)
  const more = last !== undefined && from + items.length < rows.length
  return { items, next: more ? keyOf(last) : null }
}

/**
 * The one id that begins with `given`. Throws NF-4001 when none does, NF-4014 when several do, and
 * NF-4002 when `given` is too short to be meant seriously.
 */
export function resolveId(ids: readonly string[], given: string, what: string): string {
  if (given.length < ID_PREFIX_CHARS_MIN || !/^[0-9a-f]{1,64}$/.test(given)) {
    throw new ApiError(
      'NF-4002',
      `expected the id of a ${what} or its first ${ID_PREFIX_CHARS_MIN} hex digits or more, found ${given.slice(0, 80)}`,
      `nixfleet ${what} list`,
    )
  }
  const found = ids.filter((id) => id.startsWith(given))
  const [first] = found
  if (first !== undefined && found.length === 1) return first
  if (first === undefined) {
    throw new ApiError(
      'NF-4001',
      `this node knows no ${what} ${given}`,
      `nixfleet ${what} list; facts travel within seconds, so a new one may still be on its way`,
    )
  }
  throw new ApiError(
    'NF-4014',
    `${given} begins the ids of ${found.length} ${what}s: ${found.map((id) => id.slice(0, 12)).join(', ')}`,
    'give more digits',
  )
}

function startOf<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  cursor: string | undefined,
): number {
  if (cursor === undefined) return 0
  const at = rows.findIndex((row) => keyOf(row) === cursor)
  if (at >= 0) return at + 1
  throw new ApiError(
    'NF-4002',
    `expected the cursor of a row that still stands, found ${cursor.slice(0, 80)}`,
    'begin again without a cursor',
  )
}
