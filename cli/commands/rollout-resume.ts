/** `nixfleet rollout resume [ID]`: releases every hold that is known of the rollout. */
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { loadOperator, publish } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { pickRollout } from '../pick-rollout.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { plural, shortId } from '../words.ts'

/** Holds that one fact can release (protocol/plan.ts). */
const RELEASES_MAX = 32

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const author = await loadOperator(context, client)
  const { id, holds } = await pickRollout(client, input.args[0])
  if (holds.length === 0) {
    throw new CliError('NF-1005', `rollout ${shortId(id)} is not paused`, { why: [], fix: [] })
  }
  const why = textOption(input.options, 'reason') ?? ''
  const facts = []
  for (let at = 0; at < holds.length; at += RELEASES_MAX) {
    const releases = holds.slice(at, at + RELEASES_MAX).map((hold) => hold.id)
    facts.push(author.seal('rollout.hold', { kind: 'off', rollout: id, releases, why }))
  }
  await publish(client, facts, [])
  const { out } = context
  const ids = facts.map((fact) => fact.id)
  if (!out.human) out.document(cliDocument('Signed', { type: 'rollout.hold', ids, rollout: id }))
  else out.line(`resumed ${shortId(id)}: released ${plural(holds.length, 'pause')}`)
  return EXIT_OK
}
