/** `nixfleet release show ID`. */
import type { ReleaseDetail, Stamped } from '../../node/index.ts'
import { timeText } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { table } from '../output.ts'
import type { CommandInput } from '../registry.ts'
import { plural, safeText, shortGeneration } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const client = await context.connect()
  const id = encodeURIComponent(input.args[0] ?? '')
  const release = await client.get<Stamped<'ReleaseDetail', ReleaseDetail>>(
    `/api/v1/releases/${id}`,
  )
  if (!out.human) {
    out.document(release)
    return EXIT_OK
  }
  out.line(
    `release ${out.paint.bold(safeText(release.name))}   ${release.channel} ${release.version}   by ${release.author.name}   ${timeText(release.ts)}`,
  )
  out.line(`id ${release.id}`)
  if (release.paths === null) out.line(out.paint.yellow('the manifest is not here yet'))
  else
    out.line(
      `${release.system}   ${plural(release.paths, 'store path')}   ${mebibytes(release.bytes ?? 0)}`,
    )
  if (release.caches.length > 0) out.line(`caches ${release.caches.map(safeText).join(' ')}`)
  out.line()
  out.line(
    table(
      release.generations,
      [
        { title: 'HOST', text: (row) => row.host },
        {
          title: 'GENERATION',
          text: (row) => (out.wide ? row.generation : shortGeneration(row.generation)),
        },
        { title: 'PATHS', text: (row) => String(row.paths) },
        { title: 'SIZE', text: (row) => mebibytes(row.bytes) },
      ],
      out.paint,
    ),
  )
  return EXIT_OK
}

function mebibytes(bytes: number): string {
  return bytes < 1024 * 1024
    ? `${Math.ceil(bytes / 1024)} KiB`
    : `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
