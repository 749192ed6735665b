/** `nixfleet hosts show HOST`. */
import type { HostDetail, Stamped } from '../../node/index.ts'
import { timeText } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import type { CommandInput } from '../registry.ts'
import { ago, phaseWord, reachText, safeText, seconds, shortGeneration, shortId } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const client = await context.connect()
  const name = encodeURIComponent(input.args[0] ?? '')
  const host = await client.get<Stamped<'HostDetail', HostDetail>>(`/api/v1/hosts/${name}`)
  if (!out.human) {
    out.document(host)
    return EXIT_OK
  }
  printHost(context, host)
  out.note(`view of ${host.observedBy}, ${seconds(host.viewAgeMs)} old`)
  return EXIT_OK
}

function printHost({ out, words }: Context, host: HostDetail): void {
  const row = (label: string, text: string): void =>
    out.line(`${out.paint.dim(label.padEnd(12))} ${text}`)
  out.line(`${out.paint.bold(host.name)}   ${words.host(host.state)}`)
  row('runs', shortGeneration(host.generation))
  row('should run', shortGeneration(host.target))
  if (host.why !== undefined) row('why', safeText(host.why))
  row('seen', `${ago(host.seenAgeMs)} (${host.path})`)
  row('heard', reachText(host.reach))
  row('votes', host.voter ? 'yes' : 'no')
  row('tags', host.tags.join(' ') || '-')
  row('addresses', host.addresses.join(' ') || '-')
  row('fact key', host.keys.fact)
  for (const check of host.checks)
    row('check', `${words.mark(check.ok ? 'ok' : 'fail')} ${check.name}`)
  for (const [index, entry] of host.committed.entries()) {
    const rollout = entry.rollout ? `rollout ${shortId(entry.rollout)}` : ''
    row(index === 0 ? 'committed' : 'before', `${shortGeneration(entry.generation)}   ${rollout}`)
  }
  for (const step of host.transitions) {
    const why = [step.why, step.detail].filter((part) => part !== undefined).join(', ')
    row(
      timeText(step.ts).slice(11),
      `${phaseWord(step.phase)}${why ? `: ${safeText(why)}` : ''}   rollout ${shortId(step.rollout)}`,
    )
  }
}
