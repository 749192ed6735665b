/** `nixfleet node init`: this host's seed, made once, and its public record on stdout. */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { deriveHostKeys, type GroupHost, hostIdentity, toHex } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { hostRecordText } from '../host-record.ts'
import { type CommandInput, listOption, textOption } from '../registry.ts'
import { writeNew } from '../whole-file.ts'

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const TAG = /^[a-z0-9-]+=[a-z0-9._-]*$/

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out, cwd } = context
  const name = textOption(input.options, 'name')
  const folder = textOption(input.options, 'data')
  if (name === undefined || !NAME.test(name)) {
    throw usage(`expected --name with a lower-case DNS label, found ${name ?? 'none'}`)
  }
  if (folder === undefined) throw usage('expected --data with a folder, found none')
  const addresses = listOption(input.options, 'listen')
  const tags = listOption(input.options, 'tag')
  for (const address of addresses) {
    if (!/^\/[\x21-\x7e]+$/.test(address))
      throw usage(`expected a multiaddr after --listen, found ${address}`)
  }
  for (const tag of tags)
    if (!TAG.test(tag)) throw usage(`expected key=value after --tag, found ${tag}`)
  const data = resolve(cwd, folder)
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const seed = context.random(32)
  writeNew(join(data, 'seed'), `${toHex(seed)}\n`, 0o600)
  writeNew(join(data, 'new'), 'no node has written to this folder yet\n', 0o600)
  const host: GroupHost = { ...hostIdentity(name, deriveHostKeys(seed)), addresses, tags }
  const record = hostRecordText(host)
  writeNew(join(data, 'host.json'), record, 0o644)
  out.stdout.write(record)
  out.note(`the seed is in ${join(data, 'seed')} and never leaves this host`)
  if (addresses.length === 0)
    out.note('without --listen, peers find this host by multicast on the LAN only')
  out.note('next: nixfleet bootstrap --host <this record> …, where the fleet is founded')
  return EXIT_OK
}
