/** Whoever signs invites and denials: an admin, or an operator with role admin for the group. */
import { resolve } from 'node:path'
import type { Client } from '../client.ts'
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { readKeyFile } from '../key-file.ts'
import { type Author, authorOf, verifyFleet } from '../operator.ts'
import { identityPaths } from '../places.ts'
import { type CommandInput, listOption } from '../registry.ts'
import { mayInvite } from './verify.ts'

/** The first --admin-key, else the operator's own key. Throws NF-1203, NF-1204 and what key files do. */
export async function loadInviter(
  context: Context,
  input: CommandInput,
  client: Client,
): Promise<Author> {
  const [admin] = listOption(input.options, 'admin-key')
  const key =
    admin === undefined
      ? readKeyFile(identityPaths(context.settings, context.env, context.cwd), 'operator')
      : readKeyFile([resolve(context.cwd, admin)], 'admin')
  const fleet = await verifyFleet(client, key.rootHash)
  const by = { key: key.key.publicKey, now: context.now() }
  if (!mayInvite(fleet.root, fleet.config.group, by))
    throw new CliError('NF-1203', `${key.path} may not invite into group ${fleet.config.group}`, {
      why: ['it takes an admin key, or an operator with role admin for the group'],
      fix: ['give --admin-key FILE'],
    })
  return authorOf(context, key, fleet)
}
