/**
 * One cell of a CSV (RFC 4180) that no spreadsheet takes for a formula.
 *
 * What follows a semicolon, a tab, a bar or a line break is guarded as well: where those separate cells,
 * as in half of Europe, it begins one, and quotes around the whole do not count. The guard is a quote
 * that stays in the text, so that a CSV is a view; JSON lines and the signed bytes are the evidence.
 */

/** Where a cell may begin, and what makes it a formula: also behind blanks and marks that nobody sees, in wide and small forms. */
const BEGINS_FORMULA =
  /(?<=^|[;|\t\v\f\r\n\u2028\u2029])(?=(?:(?![\t\v\f\r\n\u2028\u2029])[\p{C}\p{Z}"'])*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207a-\u207c\u208a-\u208c\u2212])/gu
/** Some programs drop these in front of a cell, and then look at what follows. */
const BEGINS_UNSEEN = /^[\t\r\n\0]/
const NEEDS_QUOTES = /[",;|\t\v\f\r\n]/

/** The cell for `value`. */
export function csvCell(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const guarded = value.replaceAll(BEGINS_FORMULA, "'")
  const safe = BEGINS_UNSEEN.test(guarded) ? `'${guarded}` : guarded
  return NEEDS_QUOTES.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
