/** `nixfleet audit export DIR`: every fact of a pull as a row, streamed, for collectors and spreadsheets. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { readDocuments } from '../audit/documents.ts'
import {
  EXPORT_FORMATS,
  type ExportFormat,
  headingOf,
  lineEndOf,
  lineOf,
} from '../audit/export-formats.ts'
import { isPull } from '../audit/layout.ts'
import { rowsOf } from '../audit/rows.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { plural } from '../words.ts'

/** Lines that are written together. */
const LINES_PER_WRITE = 500

export async function run(context: Context, input: CommandInput): Promise<number> {
  const format = formatOf(textOption(input.options, 'format') ?? context.env['NIXFLEET_FORMAT'])
  const [dir = ''] = input.args
  const pull = resolve(context.cwd, dir)
  if (!isPull(pull))
    throw new CliError('NF-1005', `${pull} is no pull: it has no documents`, {
      fix: ['make one: nixfleet audit pull -o DIR'],
    })
  const rootHash = textOption(input.options, 'root-hash')
  if (rootHash === undefined)
    throw usage('expected --root-hash: names and roles come from the root, and it from you')
  const trust = readDocuments(pull, rootHash, ({ where, text }) => {
    throw new CliError('NF-1015', `${where}: ${text}`)
  })
  if (trust === undefined) throw new CliError('NF-1015', `${pull} is not of the fleet ${rootHash}`)
  let skipped = 0
  const file = textOption(input.options, 'out')
  const write = file === undefined ? context.out.stdout.write : toFile(resolve(context.cwd, file))
  const rows = writeRows(
    write,
    format,
    rowsOf(pull, trust, () => {
      skipped++
    }),
    context,
  )
  if (skipped > 0)
    context.out.note(
      `${plural(skipped, 'fact')} left out, because ${skipped === 1 ? 'it does' : 'they do'} not verify: nixfleet audit verify ${dir} --root-hash ${rootHash}`,
    )
  if (file !== undefined) context.out.note(`${file}: ${plural(rows, 'row')}`)
  return EXIT_OK
}

type Write = (text: string) => void

function writeRows(
  write: Write,
  format: ExportFormat,
  rows: Iterable<Parameters<typeof lineOf>[0]>,
  { signal, settings }: Context,
): number {
  const end = lineEndOf(format)
  const heading = settings.headers ? headingOf(format) : undefined
  let lines = heading === undefined ? [] : [heading + end]
  let count = 0
  for (const row of rows) {
    signal.throwIfAborted()
    lines.push(lineOf(row, format) + end)
    count++
    if (lines.length < LINES_PER_WRITE) continue
    write(lines.join(''))
    lines = []
  }
  write(lines.join(''))
  return count
}

/** Writes as it goes; closed by the end of the process at the latest. */
function toFile(path: string): Write {
  const file = openSync(path, 'w', 0o600)
  process.once('exit', () => closeSync(file))
  return (text) => void writeSync(file, text)
}

function formatOf(text: string | undefined): ExportFormat {
  const given = text === undefined || text === 'ndjson' || text === 'json' ? 'jsonl' : text
  const format = EXPORT_FORMATS.find((known) => known === given)
  if (format !== undefined) return format
  throw usage(`expected a format of ${EXPORT_FORMATS.join(', ')}, found ${text}`)
}
