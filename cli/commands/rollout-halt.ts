/**
 * `nixfleet rollout halt [ID]`: an emergency stop. It needs no quorum and no question; with --revert
 * it sends running hosts back, so it asks.
 */
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { sealHalts } from '../halt.ts'
import { loadOperator, publish } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { pickRollout } from '../pick-rollout.ts'
import { type CommandInput, flagOption, listOption, textOption } from '../registry.ts'
import { plural, shortId } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const client = await context.connect()
  const author = await loadOperator(context, client)
  const { id, waves } = await pickRollout(client, input.args[0])
  const named = listOption(input.options, 'host')
  const hosts =
    named.length > 0 ? named : waves.flatMap((wave) => wave.hosts.map((host) => host.name))
  const revert = flagOption(input.options, 'revert')
  if (revert) {
    await confirm(
      context,
      `Send ${plural(hosts.length, 'host')} of rollout ${shortId(id)} back?`,
      hosts,
    )
  }
  const why = textOption(input.options, 'reason') ?? ''
  const facts = sealHalts(author, { rollout: id, revert, hosts: named, why })
  await publish(client, facts, [])
  const ids = facts.map((fact) => fact.id)
  if (!out.human) out.document(cliDocument('Signed', { type: 'rollout.halt', ids, rollout: id }))
  else
    out.line(
      `halted ${shortId(id)}${revert ? ': its hosts go back' : ': no host is started any more'}`,
    )
  out.note(`next: nixfleet rollout watch ${shortId(id)}`)
  return EXIT_OK
}
