/** `nixfleet tokens revoke ID`: a token that counts no more from now on. */
import type { TokenRecord, TokenStore } from '../../node/index.ts'
import type { Context } from '../context.ts'
import { dataFolder } from '../data-folder.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, flagOption } from '../registry.ts'

/** The id, or a whole token: whoever found one in a wrong place has nothing else. */
const GIVEN = /^(?:nfread-)?([0-9a-f]{12})(?:-[0-9a-f]{64})?$/

export async function run(context: Context, input: CommandInput): Promise<number> {
  const [given] = input.args
  const all = flagOption(input.options, 'all')
  if ((given === undefined) !== all)
    throw usage('expected the id of a token or --all, one of the two')
  const id = given === undefined ? undefined : GIVEN.exec(given)?.[1]
  if (given !== undefined && id === undefined)
    throw usage('expected the 12 digits of a token, as nixfleet tokens list shows them')
  const data = dataFolder(context, input)
  const { TokenStore } = await import('../../node/index.ts')
  const revoked = await revoke(new TokenStore(data), id, context.now())
  const { out } = context
  if (out.human) for (const one of revoked) out.line(one.id)
  else out.document(cliDocument('TokensRevoked', { ids: revoked.map((one) => one.id) }))
  if (revoked.length === 0) out.note('there was no token to revoke')
  else out.note('refused from now on; open streams end within two seconds')
  return EXIT_OK
}

async function revoke(
  store: TokenStore,
  id: string | undefined,
  nowMs: number,
): Promise<readonly TokenRecord[]> {
  const ids =
    id === undefined
      ? (await store.list()).filter((one) => one.revoked === null).map((one) => one.id)
      : [id]
  const revoked: TokenRecord[] = []
  for (const one of ids) {
    const record = await store.revoke(one, nowMs)
    if (record !== undefined) revoked.push(record)
    else if (id !== undefined)
      throw new CliError('NF-1005', `this host has no token ${one}`, {
        why: [],
        fix: ['nixfleet tokens list; another host has its own tokens'],
      })
  }
  return revoked
}
