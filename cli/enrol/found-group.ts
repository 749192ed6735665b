/**
 * The second step of founding a fleet by tickets: hosts that asked with files become the first group.
 * The root was made before, and invites lie beside it, so that the tickets could name both.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import {
  fleetIdOf,
  type GroupConfig,
  type GroupHost,
  openFirstRoot,
  type SignedDocument,
  signersNeeded,
  signGroupConfig,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { firstConfig, groupWish } from '../first-config.ts'
import { readHostRecord } from '../host-record.ts'
import { readKeyFile } from '../key-file.ts'
import { type CommandInput, listOption, textOption } from '../registry.ts'
import { writeNew } from '../whole-file.ts'
import { isRequestFile, openRequestFile, readInvites } from './request-file.ts'
import { verified } from './verify.ts'

/** Whether a fleet's root was made in `out` and its group not yet. */
export function isHalfFounded(out: string): boolean {
  const trust = join(out, 'trust')
  return existsSync(join(trust, 'root.cbor')) && !existsSync(join(trust, 'group.cbor'))
}

/**
 * Makes the first group of the fleet in `out` of the hosts in the files: requests by ticket, or records
 * of `node init`. Throws NF-1205 when more admins must sign, and NF-1303, NF-1305, NF-1310 for requests.
 */
export function foundGroup(
  context: Context,
  input: CommandInput,
  out: string,
): SignedDocument<GroupConfig> & { readonly fleetName: string; readonly rootHash: string } {
  const { options } = input
  const trust = join(out, 'trust')
  const keys = listOption(options, 'admin-key').map((path) =>
    readKeyFile([resolve(context.cwd, path)], 'admin'),
  )
  const rootHash = readFileSync(join(trust, 'root.hash'), 'utf8').trim()
  const { value: root } = openFirstRoot(
    new Uint8Array(readFileSync(join(trust, 'root.cbor'))),
    rootHash,
  )
  const stranger = keys.find(({ key }) => !root.admins.includes(key.publicKey))
  if (stranger !== undefined)
    throw new CliError('NF-1203', `${stranger.path} is no admin key of this fleet`)
  const given = new Set(keys.map(({ key }) => key.publicKey)).size
  const needed = signersNeeded(root, {})
  if (given < needed)
    throw new CliError('NF-1205', `expected the keys of ${needed} admins, found ${given}`)
  const group = textOption(options, 'group') ?? root.groups[0] ?? ''
  if (!root.groups.includes(group))
    throw usage(`expected a group that the root names after --group, found ${group}`)
  const fleet = fleetIdOf(rootHash)
  const hosts = hostsOf(context, input, { trust, rootHash, root, group })
  const config = firstConfig(fleet, groupWish(input, group, hosts))
  const signed = signGroupConfig(
    config,
    keys.map(({ key }) => key),
  )
  writeNew(join(trust, 'group.cbor'), signed.bytes, 0o644)
  return { ...signed, fleetName: root.name, rootHash }
}

function hostsOf(
  context: Context,
  { options }: CommandInput,
  place: {
    readonly trust: string
    readonly rootHash: string
    readonly root: Parameters<typeof verified>[2]['root']
    readonly group: string
  },
): readonly GroupHost[] {
  const { trust, rootHash, root, group } = place
  const fleet = fleetIdOf(rootHash)
  const invites = readInvites(trust, fleet)
  const spent = new Map<string, Set<string>>()
  return listOption(options, 'host').map((file) => {
    const path = resolve(context.cwd, file)
    if (!isRequestFile(path)) return readHostRecord(path)
    const request = openRequestFile(path, rootHash, fleet)
    const invite = invites.find(({ id }) => id === request.invite)
    if (invite === undefined)
      throw new CliError('NF-1306', `no invite beside the root in ${trust} is that of ${file}`)
    const { host } = verified(request, invite, { root, fleet, group, now: context.now() })
    if (host === undefined)
      throw new CliError('NF-1307', `${request.name} asks to be an operator, not a host`)
    if (context.now() > invite.body.notAfter)
      throw new CliError('NF-1302', `the invite of ${request.name} has ended`)
    const keys = (spent.get(invite.id) ?? new Set()).add(request.key)
    spent.set(invite.id, keys)
    if (keys.size > invite.body.uses)
      throw new CliError('NF-1303', `more hosts than the ${invite.body.uses} uses of one invite`)
    return host
  })
}
