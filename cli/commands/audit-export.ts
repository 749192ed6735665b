/** `nixfleet audit export DIR`: every fact of a pull as a row, streamed, for collectors and spreadsheets. */
import { closeSync, openSync, writeFileSync } from 'node:fs'
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
import { type ExportRow, rowsOf } from '../audit/rows.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import type { Sink } from '../output.ts'
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
  const target = file === undefined ? context.out.stdout : toFile(resolve(context.cwd, file))
  const source = rowsOf(pull, trust, (facts) => {
    skipped += facts
  })
  const rows = await writeRows(target, format, source, context)
  if (skipped > 0)
    context.out.note(
      `${plural(skipped, 'fact')} left out, because ${skipped === 1 ? 'it is missing or does' : 'they are missing or do'} not verify: nixfleet audit verify ${dir} --root-hash ${rootHash}`,
    )
  if (file !== undefined) context.out.note(`${file}: ${plural(rows, 'row')}`)
  return EXIT_OK
}

/** Where rows go. */
type Target = Pick<Sink, 'write' | 'drained'>

/** A reader that is slower than this holds it up: rows wait on the disk, never in memory. */
async function writeRows(
  { write, drained }: Target,
  format: ExportFormat,
  rows: Iterable<ExportRow>,
  { signal, settings }: Context,
): Promise<number> {
  const end = lineEndOf(format)
  const heading = settings.headers ? headingOf(format) : undefined
  let lines = heading === undefined ? [] : [heading + end]
  let count = 0
  for (const row of rows) {
    lines.push(lineOf(row, format) + end)
    count++
    if (lines.length < LINES_PER_WRITE) continue
    write(lines.join(''))
    lines = []
    await drained?.()
    // Ctrl-C has its turn.
    await new Promise((resolve) => setImmediate(resolve))
    signal.throwIfAborted()
  }
  write(lines.join(''))
  return count
}

/** Writes as it goes; closed by the end of the process at the latest. */
function toFile(path: string): Target {
  const file = openSync(path, 'w', 0o600)
  process.once('exit', () => closeSync(file))
  // Unlike writeSync it goes on until all is written, so that a full disk is an error and no gap.
  return { write: (text) => writeFileSync(file, text) }
}

function formatOf(text: string | undefined): ExportFormat {
  const given = text === undefined || text === 'ndjson' || text === 'json' ? 'jsonl' : text
  const format = EXPORT_FORMATS.find((known) => known === given)
  if (format !== undefined) return format
  throw usage(`expected a format of ${EXPORT_FORMATS.join(', ')}, found ${text}`)
}
