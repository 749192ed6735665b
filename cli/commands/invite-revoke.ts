/** `nixfleet invite revoke INVITE`: nobody asks by this ticket any more; who was let in stays. */
import type { InviteRow } from '../../node/index.ts'
import type { Context } from '../context.ts'
import { loadInviter } from '../enrol/inviter.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { publish } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const author = await loadInviter(context, input, client)
  const { items } = await client.all<InviteRow>('/api/v1/invites')
  const [wanted = ''] = input.args
  const found = items.filter(({ id }) => wanted.length >= 4 && id.startsWith(wanted))
  const [row] = found
  if (row === undefined || found.length > 1)
    throw new CliError('NF-1005', `expected one invite ${wanted}, found ${found.length}`, {
      fix: ['nixfleet invite list'],
    })
  const why = (textOption(input.options, 'reason') ?? 'taken back').slice(0, 200)
  const fact = author.seal('invite.revoke', { invite: row.id, why })
  await publish(client, [fact], [])
  const { out } = context
  if (out.human) out.line(`invite ${row.id.slice(0, 12)} is revoked; what waits under it is denied`)
  else out.document(cliDocument('InviteRevoked', { invite: row.id, why, fact: fact.id }))
  return EXIT_OK
}
