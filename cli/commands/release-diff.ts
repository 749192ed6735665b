/** `nixfleet release diff A B`: 2 if anything changes. */
import type { ReleaseDiff, Stamped } from '../../node/index.ts'
import type { Context } from '../context.ts'
import { EXIT_CHANGES, EXIT_OK } from '../exit-codes.ts'
import type { CommandInput } from '../registry.ts'
import { safeText, shortGeneration } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const [from = '', to = ''] = input.args.map(encodeURIComponent)
  const client = await context.connect()
  const diff = await client.get<Stamped<'ReleaseDiff', ReleaseDiff>>(
    `/api/v1/releases/${from}/diff/${to}`,
  )
  const changed = diff.hosts.filter((host) => host.from !== host.to)
  if (!out.human)
    out.list(diff, diff.hosts, [
      { title: 'HOST', text: (row) => row.host },
      { title: 'FROM', text: (row) => row.from ?? '' },
      { title: 'TO', text: (row) => row.to ?? '' },
    ])
  else {
    out.line(
      `${safeText(diff.from.name)} → ${safeText(diff.to.name)}: ${changed.length} of ${diff.hosts.length} hosts change`,
    )
    for (const host of changed) {
      out.line(`${host.host}   ${shortGeneration(host.from)} → ${shortGeneration(host.to)}`)
      for (const path of host.removed) out.line(out.paint.red(`  - ${shortGeneration(path)}`))
      for (const path of host.added) out.line(out.paint.green(`  + ${shortGeneration(path)}`))
    }
  }
  return changed.length > 0 ? EXIT_CHANGES : EXIT_OK
}
