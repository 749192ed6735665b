/** `nixfleet rollout pause [ID]`: a hold; voters start nothing of the rollout while there is one. */
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { loadOperator, publish } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { pickRollout } from '../pick-rollout.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { shortId } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const author = await loadOperator(context, client)
  const { id } = await pickRollout(client, input.args[0])
  const why = textOption(input.options, 'reason') ?? ''
  const fact = author.seal('rollout.hold', { kind: 'on', rollout: id, why })
  await publish(client, [fact], [])
  const { out } = context
  if (!out.human)
    out.document(cliDocument('Signed', { type: fact.type, ids: [fact.id], rollout: id }))
  else out.line(`paused ${shortId(id)}: hosts that were started go on, no other is started`)
  out.note(`next: nixfleet rollout resume ${shortId(id)}`)
  return EXIT_OK
}
