/**
 * What a command prints: data on stdout in one of five formats, everything else on stderr.
 *
 * Colour and glyphs are judged per stream; a piped table has neither and keeps its columns.
 */
import picocolors from 'picocolors'
import { csvCell } from './csv-cell.ts'
import { textWidth } from './text-width.ts'

/** A stream to print on. */
export interface Sink {
  readonly write: (text: string) => void
  /** Resolves when nothing of what was written is held back any more; absent where nothing ever is. */
  readonly drained?: () => Promise<void>
  readonly isTTY: boolean
  readonly columns: number
}

export type Format = 'table' | 'wide' | 'json' | 'ndjson' | 'csv'
export const FORMATS: readonly Format[] = ['table', 'wide', 'json', 'ndjson', 'csv']

/** Blanks between two columns. */
const COLUMN_GAP = 2

export type Colors = ReturnType<typeof picocolors.createColors>

/** One column of a list. */
export interface Column<Row> {
  readonly title: string
  /** Shown in `wide` only. */
  readonly wide?: boolean | undefined
  /** The cell for people. */
  readonly text: (row: Row, paint: Colors) => string
  /** The cell of a CSV, when it differs from the text. */
  readonly value?: ((row: Row) => string | number | null) | undefined
}

export interface OutputOptions {
  readonly stdout: Sink
  readonly stderr: Sink
  readonly format: Format
  readonly color: 'auto' | 'always' | 'never'
  readonly ascii: boolean
  readonly headers: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Where a command prints. */
export interface Output {
  readonly stdout: Sink
  readonly stderr: Sink
  readonly format: Format
  /** Whether people read stdout: table or wide. */
  readonly human: boolean
  readonly wide: boolean
  readonly ascii: boolean
  readonly verbose: boolean
  readonly quiet: boolean
  readonly paint: Colors
  readonly notePaint: Colors
  /** One line of data. */
  readonly line: (text?: string) => void
  /** One line of chatter; silent with --quiet. */
  readonly note: (text: string) => void
  /** One document, as JSON of one or of many lines by the format. */
  readonly document: (document: object) => void
  /** One object on one line, whatever the format: the unit of a stream. */
  readonly record: (record: object) => void
  /** A list in the format that was asked for. `document` is the whole answer, for JSON. */
  readonly list: <Row extends object>(
    document: object,
    rows: readonly Row[],
    columns: readonly Column<Row>[],
  ) => void
}

/** The output of one run. */
export function createOutput(options: OutputOptions): Output {
  const { stdout, stderr, format } = options
  const paint = picocolors.createColors(wantsColor(options, stdout))
  const notePaint = picocolors.createColors(wantsColor(options, stderr))
  const line = (text = ''): void => stdout.write(`${text}\n`)
  const record = (value: object): void => line(JSON.stringify(value))
  return {
    stdout,
    stderr,
    format,
    human: format === 'table' || format === 'wide',
    wide: format === 'wide',
    ascii: options.ascii || options.env['TERM'] === 'dumb',
    verbose: options.verbose,
    quiet: options.quiet,
    paint,
    notePaint,
    line,
    note: (text) => {
      if (!options.quiet) stderr.write(`${text}\n`)
    },
    document: (value) =>
      format === 'ndjson' ? record(value) : line(JSON.stringify(value, null, 2)),
    record,
    list: (document, rows, columns) => {
      if (format === 'json') line(JSON.stringify(document, null, 2))
      else if (format === 'ndjson') for (const row of rows) record(row)
      else if (format === 'csv') line(csv(rows, columns, options.headers))
      else if (rows.length > 0 || options.headers) {
        line(
          table(
            rows,
            columns.filter((column) => format === 'wide' || !column.wide),
            paint,
            options.headers,
          ),
        )
      }
    },
  }
}

/** A document of the CLI's own, in the form of the API's: what it signed, what it measured. */
export function cliDocument(kind: string, body: object): object {
  return { apiVersion: 'nixfleet/v1', kind, ...body }
}

/** A table without borders: columns two blanks apart, no blank at the end of a line. */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  paint: Colors,
  headers: boolean = true,
): string {
  const heads = headers ? [columns.map((column) => paint.bold(column.title))] : []
  const cells = [...heads, ...rows.map((row) => columns.map((column) => column.text(row, paint)))]
  const widths = columns.map((_, i) =>
    Math.max(0, ...cells.map((line) => textWidth(line[i] ?? ''))),
  )
  const pad = (text: string, i: number): string =>
    text + ' '.repeat((widths[i] ?? 0) + COLUMN_GAP - textWidth(text))
  return cells.map((line) => line.map(pad).join('').trimEnd()).join('\n')
}

/** CSV of RFC 4180 with line feeds; no cell is a formula to a spreadsheet. */
export function csv<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  headers: boolean = true,
): string {
  const plain = picocolors.createColors(false)
  const cells = rows.map((row) =>
    columns.map((column) => (column.value ? column.value(row) : column.text(row, plain))),
  )
  const heads = headers ? [columns.map((column) => column.title.toLowerCase())] : []
  return [...heads, ...cells].map((row) => row.map(csvCell).join(',')).join('\n')
}

/** --color first, then NO_COLOR, FORCE_COLOR and CLICOLOR, then whether the stream is a terminal. */
function wantsColor(options: OutputOptions, stream: Sink): boolean {
  const { color, env } = options
  if (color !== 'auto') return color === 'always'
  if (env['NO_COLOR']) return false
  if (env['FORCE_COLOR'] && env['FORCE_COLOR'] !== '0') return true
  if (env['CLICOLOR'] === '0' || env['TERM'] === 'dumb') return false
  return stream.isTTY
}
