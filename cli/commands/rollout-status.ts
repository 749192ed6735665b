/** `nixfleet rollout status [ID]`. */
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { pickRollout } from '../pick-rollout.ts'
import type { CommandInput } from '../registry.ts'
import { rolloutTree } from '../tree.ts'
import { seconds } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out, words } = context
  const client = await context.connect()
  const status = await pickRollout(client, input.args[0])
  if (out.human) {
    out.line(rolloutTree(status, words, { nowMs: context.now() }))
    out.note(`view of ${status.observedBy}, ${seconds(status.viewAgeMs)} old`)
  } else if (out.format === 'csv') {
    const hosts = status.waves.flatMap((wave) =>
      wave.hosts.map((host) => ({ ...host, wave: wave.index + 1 })),
    )
    out.list(status, hosts, [
      { title: 'HOST', text: (row) => row.name },
      { title: 'WAVE', text: (row) => String(row.wave), value: (row) => row.wave },
      { title: 'PHASE', text: (row) => row.phase ?? '' },
      { title: 'ROUND', text: (row) => String(row.round), value: (row) => row.round },
      { title: 'WHY', text: (row) => row.why ?? '' },
    ])
  } else out.document(status)
  return EXIT_OK
}
