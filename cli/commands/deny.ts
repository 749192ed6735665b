/** `nixfleet deny REQUEST…`: who asked is not wanted; the use of the invite is free again. */
import type { Context } from '../context.ts'
import { readAsked } from '../enrol/approve.ts'
import { loadInviter } from '../enrol/inviter.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { publish } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const author = await loadInviter(context, input, client)
  const { requests } = await readAsked(client)
  const why = (textOption(input.options, 'reason') ?? 'not wanted').slice(0, 200)
  const rows = input.args.map((wanted) => {
    const open = requests.filter(({ state }) => state !== 'admitted' && state !== 'denied')
    const found = open.filter(
      ({ id, name }) => name === wanted || (wanted.length >= 4 && id.startsWith(wanted)),
    )
    const [row] = found
    if (row !== undefined && found.length === 1) return row
    throw new CliError('NF-1005', `expected one request ${wanted}, found ${found.length}`, {
      fix: ['nixfleet requests list'],
    })
  })
  const facts = rows.map(({ id }) => author.seal('enroll.deny', { request: id, why }))
  await publish(client, facts, [])
  const { out } = context
  if (out.human) for (const { name, id } of rows) out.line(`denied ${name} (${id.slice(0, 12)})`)
  else
    out.document(cliDocument('Denied', { items: rows.map(({ id, name }) => ({ id, name, why })) }))
  return EXIT_OK
}
