/** `nixfleet rollout why HOST [ID]`. */
import type { Stamped, WhyHost } from '../../node/index.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { pickRollout } from '../pick-rollout.ts'
import type { CommandInput } from '../registry.ts'
import { safeText, seconds, shortId } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const [host = '', given] = input.args
  const client = await context.connect()
  const { id } = await pickRollout(client, given)
  const path = `/api/v1/rollouts/${id}/why/${encodeURIComponent(host)}`
  const why = await client.get<Stamped<'WhyHost', WhyHost>>(path)
  if (!out.human) {
    out.document(why)
    return EXIT_OK
  }
  out.line(`${out.paint.bold(why.host)} in rollout ${shortId(why.rollout)}`)
  for (const { text, fact, type, author } of why.sentences) {
    const proof = [shortId(fact ?? ''), type, author].filter((part) => part).join(' ')
    out.line(`  ${safeText(text)}${fact ? out.paint.dim(`   ${safeText(proof)}`) : ''}`)
  }
  out.note(`view of ${why.observedBy}, ${seconds(why.viewAgeMs)} old`)
  return EXIT_OK
}
