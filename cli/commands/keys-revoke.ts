/**
 * `nixfleet keys revoke WHOM`: what the key signs from now on counts nowhere. Needs no quorum: each node
 * refuses as soon as it hears of it.
 */
import { resolve } from 'node:path'
import type { FeedRow } from '../../node/index.ts'
import { REVOKED_FEEDS_MAX, type RevokedFeed, type Root } from '../../protocol/index.ts'
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type KeyFile, readKeyFile } from '../key-file.ts'
import { authorOf, publish, verifyFleet } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { identityPaths } from '../places.ts'
import { type CommandInput, flagOption, textOption } from '../registry.ts'
import { plural } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const by = signerOf(context, input)
  const client = await context.connect()
  const fleet = await verifyFleet(client, by.rootHash)
  const [whom = ''] = input.args
  const { name, key } = holderOf(fleet.root, whom)
  if (key !== by.key.publicKey && !fleet.root.admins.includes(by.key.publicKey))
    throw new CliError('NF-1203', `${by.path} is no admin key in force, and not the key of ${name}`)
  const held = (await client.all<FeedRow>('/api/v1/log/feeds')).items.filter(
    ({ author }) => author === key,
  )
  const feeds = flagOption(input.options, 'nothing') ? [] : vouchedFor(held)
  await confirm(context, `Revoke the key of ${name} (${key.slice(0, 8)}…) for good?`, [name])
  const why = textOption(input.options, 'reason') ?? `the key of ${name} was revoked`
  const fact = authorOf(context, by, fleet).seal('key.revoke', { key, feeds, why })
  await publish(client, [fact], [])
  const { out } = context
  if (out.human) {
    out.line(
      `the key of ${name} is revoked: ${plural(feeds.length, 'feed')} of it count as far as this peer held them`,
    )
    out.note(`next: nixfleet operators remove ${name}, or a new key for ${name}`)
  } else out.document(cliDocument('KeyRevoked', { name, key, feeds, fact: fact.id }))
  return EXIT_OK
}

/** The admin's key that was given, else the operator's own. */
function signerOf(context: Context, { options }: CommandInput): KeyFile {
  const admin = textOption(options, 'admin-key')
  if (admin !== undefined) return readKeyFile([resolve(context.cwd, admin)], 'admin')
  return readKeyFile(identityPaths(context.settings, context.env, context.cwd), 'operator')
}

/** An operator or release key by its name, or by the first digits of the key. Throws NF-1005. */
function holderOf(root: Root, whom: string): { readonly name: string; readonly key: string } {
  const all = [...root.operators, ...root.releaseKeys]
  const named = all.filter(({ name }) => name === whom)
  const found = named.length > 0 ? named : all.filter(({ key }) => key.startsWith(whom))
  const [one] = found
  if (one !== undefined && found.length === 1) return one
  throw new CliError(
    'NF-1005',
    `expected one operator or release key ${whom}, found ${found.length}`,
  )
}

/** The longest feeds first: those that do not fit count as far as the log has pinned them. */
function vouchedFor(held: readonly FeedRow[]): readonly RevokedFeed[] {
  return [...held]
    .sort((a, b) => b.size - a.size)
    .slice(0, REVOKED_FEEDS_MAX)
    .map(({ session, size }) => ({ session, seq: size - 1 }))
}
