/** `nixfleet tokens create`: a token that reads; shown here once, and nowhere again. */
import { timeText } from '../columns.ts'
import type { Context } from '../context.ts'
import { dataFolder } from '../data-folder.ts'
import { usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, listOption, textOption } from '../registry.ts'
import { duration } from '../settings.ts'

const TTL_DEFAULT = '24h'
const NAME = /^[\x20-\x7e]{0,63}$/

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { options } = input
  const role = textOption(options, 'role') ?? 'readonly'
  if (role !== 'readonly')
    throw usage(
      `expected readonly after --role, found ${role}`,
      'a token never changes anything; who deploys signs with a key: nixfleet operators add',
    )
  const name = textOption(options, 'name') ?? ''
  if (!NAME.test(name)) throw usage('expected at most 63 printable characters after --name')
  const ttlMs = duration(textOption(options, 'ttl') ?? TTL_DEFAULT, '--ttl')
  const data = dataFolder(context, input)
  const { ownCertificateFiles, readPlace, TOKEN_SCOPES, TokenStore } = await import(
    '../../node/index.ts'
  )
  const given = listOption(options, 'scope')
  const unknown = given.find((scope) => !TOKEN_SCOPES.some((known) => known === scope))
  if (unknown !== undefined)
    throw usage(`expected ${TOKEN_SCOPES.join(', ')} after --scope, found ${unknown}`)
  const asked = given.length === 0 ? ['status'] : given
  const scopes = TOKEN_SCOPES.filter((scope) => asked.includes(scope))
  const world = { nowMs: context.now(), random: context.random }
  const made = await new TokenStore(data).create({ name, scopes, ttlMs }, world)
  const place = await readPlace(data)
  const { sha256: _, ...record } = made.record
  const { out } = context
  if (out.human) out.line(made.token)
  else
    out.document(cliDocument('TokenCreated', { token: made.token, ...record, api: place ?? null }))
  const until = timeText(record.expires)
  out.note(`token ${record.id} reads ${scopes.join(', ')} until ${until}; it is not shown again`)
  if (place === undefined) {
    out.note("this node's API is on its socket alone: set api.listen in its configuration")
    return EXIT_OK
  }
  out.note(`send it to ${place.url} as: Authorization: Bearer TOKEN`)
  if (place.fingerprint !== null) {
    out.note(`the certificate there has the SHA-256 fingerprint ${place.fingerprint}`)
    out.note(`one that the node made itself is ${ownCertificateFiles(data).cert}`)
  }
  return EXIT_OK
}
