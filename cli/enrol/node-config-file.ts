/** The node's configuration as `enroll` writes it, once; a file that is there is only compared. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { GroupHost, Ticket } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { type CommandInput, flagOption, listOption, textOption } from '../registry.ts'
import { writeNew } from '../whole-file.ts'
import type { HostPlaces } from './host-side.ts'

const DATA_DEFAULT = '/var/lib/nixfleet'
/** Where `node run` looks by itself. */
const CONFIG_DEFAULT = '/etc/nixfleet/node.json'
const LISTEN_DEFAULT = '/ip4/0.0.0.0/tcp/7460'

/** The data folder that was given, else the system's. */
export function dataOption(context: Context, { options }: CommandInput): string {
  return resolve(context.cwd, textOption(options, 'data') ?? DATA_DEFAULT)
}

/** Writes the configuration, or compares one that is there; gives its path. Throws NF-1007. */
export function settleNodeConfig(
  context: Context,
  input: CommandInput,
  given: { places: HostPlaces; host: GroupHost; ticket: Ticket; peers: readonly string[] },
): string {
  const { places, host, ticket } = given
  const path = configPath(context, input, places)
  if (existsSync(path)) {
    assertSame(path, { name: host.name, rootHash: ticket.rootHash })
    return path
  }
  const { options } = input
  const kind = textOption(options, 'system') ?? 'nix'
  const initial = textOption(options, 'initial')
  const config = {
    name: host.name,
    data: places.data,
    listen: host.addresses.length > 0 ? host.addresses : [LISTEN_DEFAULT],
    trust: places.trust,
    rootHash: ticket.rootHash,
    system: {
      kind,
      cacheKeys: listOption(options, 'cache-key'),
      ...(initial === undefined ? {} : { initial: resolve(context.cwd, initial) }),
    },
    mdns: flagOption(options, 'mdns'),
    peers: given.peers,
  }
  mkdirSync(dirname(path), { recursive: true })
  writeNew(path, `${JSON.stringify(config, null, 2)}\n`, 0o644)
  return path
}

/** What the options say about the system must fit, before anybody is asked. Throws usage errors. */
export function assertSystem({ options }: CommandInput): void {
  const kind = textOption(options, 'system') ?? 'nix'
  if (kind !== 'nix' && kind !== 'portable')
    throw usage(`expected nix or portable after --system, found ${kind}`)
  if ((kind === 'portable') !== (textOption(options, 'initial') !== undefined))
    throw usage('--initial DIR goes with --system portable: the tree that the host begins with')
}

function configPath(context: Context, { options }: CommandInput, { data }: HostPlaces): string {
  const given = textOption(options, 'node-config')
  if (given !== undefined) return resolve(context.cwd, given)
  return data === DATA_DEFAULT ? CONFIG_DEFAULT : join(data, 'node.json')
}

/** On NixOS the module wrote it: it must speak of this host and this fleet. */
function assertSame(path: string, expected: Readonly<Record<string, string>>): void {
  if (!path.endsWith('.json')) return
  const found = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  for (const [key, value] of Object.entries(expected)) {
    if (found[key] === value) continue
    throw new CliError(
      'NF-1007',
      `expected ${key} ${value} in ${path}, found ${String(found[key])}`,
      {
        why: ['the file was there before, and is not overwritten'],
        fix: ['correct it, or give another file: --node-config FILE'],
      },
    )
  }
}
