/**
 * `export`: what `nixfleet audit export` needs for a long pull and for one of a tenth of it, in every
 * format, through a pipe. Rows stream: ten times as many must not need more memory.
 */
import { join } from 'node:path'
import { EXPORT_FORMATS, type ExportFormat } from '../../cli/audit/export-formats.ts'
import { type Bench, type BenchOptions, type BenchResult, program, round, target } from './bench.ts'
import { type LongLog, writeLongLog } from './long-log.ts'
import { type Measured, measureProgram, withRoom } from './measured.ts'

/** A garbage collector does not stop at the same place twice; ten times the rows would be ten. */
const GROWTH_MAX = 1.25

export const bench: Bench = { hosts: 250, runs: 1, facts: 100_000, run }

/** One export. */
interface Exported extends Measured {
  readonly format: ExportFormat
  readonly rows: number
  readonly bytes: number
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const { tell, signal } = options
  const sizes = [Math.ceil(options.facts / 10), options.facts]
  return await withRoom({ facts: options.facts * 1.1, tell }, async (folder) => {
    const all: Exported[] = []
    for (const facts of sizes) {
      const pull = join(folder, String(facts))
      tell(`signing ${facts} facts of ${options.hosts} hosts`)
      const log = writeLongLog(pull, { ...options, facts })
      for (const format of EXPORT_FORMATS) {
        for (let i = 0; i < options.runs; i++) {
          signal.throwIfAborted()
          const one = await exportOnce(pull, { log, format }, signal)
          all.push(one)
          tell(`${format}: ${one.rows} rows in ${round(one.seconds)} s, ${round(one.peakMb)} MB`)
        }
      }
    }
    return summarise(all, sizes)
  })
}

/** Throws unless there is a row for each fact. */
async function exportOnce(
  pull: string,
  { log, format }: { log: LongLog; format: ExportFormat },
  signal: AbortSignal,
): Promise<Exported> {
  let lines = 0
  let bytes = 0
  const words = ['audit', 'export', pull, '--format', format, '--root-hash', log.rootHash]
  const measured = await measureProgram(
    words,
    (piece) => {
      bytes += piece.length
      for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) lines++
    },
    signal,
  )
  const rows = format === 'csv' ? lines - 1 : lines
  if (rows === log.facts) return { format, rows, bytes, ...measured }
  throw new Error(`expected ${log.facts} rows of ${format}, found ${rows}`)
}

function summarise(all: readonly Exported[], [few = 0, many = 0]: readonly number[]): BenchResult {
  const worst = (format: ExportFormat, rows: number): Exported => {
    const [first] = all
      .filter((one) => one.format === format && one.rows === rows)
      .sort((a, b) => b.peakMb - a.peakMb)
    if (first === undefined) throw new Error(`expected an export of ${rows} rows as ${format}`)
    return first
  }
  const formats = EXPORT_FORMATS.map((format) => {
    const [small, large] = [worst(format, few), worst(format, many)]
    return {
      format,
      peakMbFew: round(small.peakMb),
      peakMbMany: round(large.peakMb),
      growth: round(large.peakMb / small.peakMb),
      rowsPerSecond: Math.round(many / large.seconds),
      megabytes: round(large.bytes / 1e6),
    }
  })
  return {
    figures: { few, many, formats },
    targets: formats.map(({ format, growth }) =>
      target(`peak memory of ${format}, ${many} rows against ${few}`, GROWTH_MAX, growth),
    ),
    commands: EXPORT_FORMATS.map(
      (format) =>
        `${program} audit export PULL --format ${format} --root-hash HASH | (counts lines)`,
    ),
    notes: [
      'every signature is verified on the way; a fact that does not verify is no row',
      'MB are 1,000,000 bytes; peak memory is VmHWM of the process that exports',
    ],
    lines: formats.map(
      ({ format, peakMbFew, peakMbMany, rowsPerSecond, megabytes }) =>
        `${format.padEnd(8)} ${peakMbFew} MB at ${few} rows, ${peakMbMany} MB at ${many}; ${rowsPerSecond} rows a second, ${megabytes} MB`,
    ),
    raw: all,
  }
}
