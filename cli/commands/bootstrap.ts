/**
 * `nixfleet bootstrap`: founds a fleet. Makes the admins', the release and the operators' keys, signs
 * root version 1 and the first group's configuration, and writes all of it into one new folder.
 */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import {
  crashesSurvived,
  type FaultModel,
  fleetIdOf,
  type GroupConfig,
  type GroupHost,
  type KeyPair,
  keyPair,
  PRESETS,
  quorumOf,
  ROOT_KEYS_MAX,
  type Root,
  signGroupConfig,
  signRoot,
  type Timing,
  VOTERS_MAX,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { readHostRecord } from '../host-record.ts'
import { type KeyRole, writeKeyFile, writeNew } from '../key-file.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, listOption, textOption } from '../registry.ts'
import { plural } from '../words.ts'

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
/** Voters that a fleet gets unasked: all of a small one, and the smallest number that bears a liar. */
const VOTERS_SMALL = 3
const VOTERS_DEFAULT = 4
/** A soak must see at least so many probes. */
const SOAK_PROBES_MIN = 4

interface Wish {
  readonly name: string
  readonly group: string
  readonly hosts: readonly GroupHost[]
  readonly operators: readonly string[]
  /** How many admin keys there are, and how many of them must sign. */
  readonly admins: number
  readonly threshold: number
  readonly voters: readonly string[]
  readonly timing: Timing
  readonly out: string
}

interface NamedKey {
  readonly role: KeyRole
  readonly name: string
  readonly file: string
  readonly key: KeyPair
}

export async function run(context: Context, input: CommandInput): Promise<number> {
  const wish = wishOf(context, input)
  const keys = makeKeys(context, wish)
  const { root, config } = signDocuments(wish, keys)
  writeAll(wish, keys, { root, config })
  const { out } = context
  const { faultModel, quorum, voters } = config.value
  if (out.human) {
    out.line(
      `founded ${wish.name}: ${plural(wish.hosts.length, 'host')} in group ${wish.group}, ${quorum} of ${plural(voters.length, 'voter')} must agree (${faultModel})`,
    )
    out.line(`root hash ${root.hash}`)
  } else {
    const { name, group } = wish
    out.document(
      cliDocument('Bootstrap', {
        fleet: name,
        group,
        rootHash: root.hash,
        voters,
        quorum,
        faultModel,
        out: wish.out,
      }),
    )
  }
  if (crashesSurvived({ n: voters.length, q: quorum }) === 0) {
    out.note('no voter may fail: with 3 voters one may')
  }
  out.note(
    `next: copy ${join(wish.out, 'trust')} to every host and set rootHash in its configuration`,
  )
  for (const line of adminAdvice(wish)) out.note(line)
  return EXIT_OK
}

function wishOf(context: Context, input: CommandInput): Wish {
  const { options } = input
  const name = named(textOption(options, 'name'), '--name')
  const files = listOption(options, 'host')
  if (files.length === 0)
    throw usage('expected --host with a record of nixfleet node init, found none')
  const folder = textOption(options, 'out')
  if (folder === undefined) throw usage('expected --out with a new folder, found none')
  const operators = listOption(options, 'operator').map((text) => named(text, '--operator'))
  if (operators.length === 0) throw usage('expected --operator with a name, found none')
  const hosts = tagged(
    files.map((file) => readHostRecord(resolve(context.cwd, file))),
    listOption(options, 'tag'),
  )
  const twice = hosts.find((host, i) => hosts.findIndex((other) => other.name === host.name) !== i)
  if (twice !== undefined) throw usage(`host ${twice.name} was given twice`)
  const preset = textOption(options, 'preset') ?? 'production'
  const timing = Object.hasOwn(PRESETS, preset) ? PRESETS[preset] : undefined
  if (timing === undefined)
    throw usage(`expected production or demo after --preset, found ${preset}`)
  const voters = votersOf(hosts, textOption(options, 'voters'))
  const group = named(textOption(options, 'group') ?? 'main', '--group')
  return {
    name,
    group,
    hosts,
    operators: [...new Set(operators)],
    voters,
    timing,
    ...adminsOf(input),
    out: resolve(context.cwd, folder),
  }
}

/** What an admin key is worth depends on where it lies from now on. */
function adminAdvice({ admins, threshold, out }: Wish): readonly string[] {
  if (admins === 1) {
    return [
      `      keep ${join(out, 'keys', 'admin.key')} offline; give each operator their key`,
      '      one admin key decides everything: for more than a lab, --admins 3 --threshold 2',
    ]
  }
  return [
    `      ${threshold} of ${admins} admins sign every change: give each admin one of ${join(out, 'keys', 'admin-*.key')},`,
    '      to keep offline, and leave no copy here; give each operator their key',
  ]
}

/** Admins and how many of them must sign: more than half, so that no two changes have no signer in common. */
function adminsOf({ options }: CommandInput): Pick<Wish, 'admins' | 'threshold'> {
  const count = (name: string): number | undefined => {
    const text = textOption(options, name)
    if (text === undefined || /^[1-9]\d?$/.test(text))
      return text === undefined ? text : Number(text)
    throw usage(`expected a number from 1 to ${ROOT_KEYS_MAX} after --${name}, found ${text}`)
  }
  const admins = count('admins') ?? 1
  const threshold = count('threshold') ?? Math.floor(admins / 2) + 1
  if (admins > ROOT_KEYS_MAX) throw usage(`expected at most ${ROOT_KEYS_MAX} admins`)
  if (threshold <= admins && 2 * threshold > admins) return { admins, threshold }
  throw usage(
    `expected a --threshold of more than half of ${plural(admins, 'admin')} and at most all of them, found ${threshold}`,
  )
}

function named(text: string | undefined, option: string): string {
  if (text !== undefined && NAME.test(text)) return text
  throw usage(`expected a lower-case DNS label after ${option}, found ${text ?? 'none'}`)
}

/** Tags of the command line are added to those that the host itself gave. */
function tagged(hosts: readonly GroupHost[], tags: readonly string[]): readonly GroupHost[] {
  const added = new Map<string, string[]>()
  for (const text of tags) {
    const [, host = '', tag = ''] = /^([^:]+):([a-z0-9-]+=[a-z0-9._-]*)$/.exec(text) ?? []
    if (!hosts.some((known) => known.name === host)) {
      throw usage(`expected HOST:key=value of a host of the fleet after --tag, found ${text}`)
    }
    added.set(host, [...(added.get(host) ?? []), tag])
  }
  return hosts.map((host) => ({
    ...host,
    tags: [...new Set([...host.tags, ...(added.get(host.name) ?? [])])],
  }))
}

function votersOf(hosts: readonly GroupHost[], text: string | undefined): readonly string[] {
  const names = hosts.map((host) => host.name).sort()
  if (text === undefined) {
    return names.length <= VOTERS_SMALL ? names : names.slice(0, VOTERS_DEFAULT)
  }
  const voters = [...new Set(text.split(',').map((name) => name.trim()))].sort()
  const strangers = voters.filter((name) => !names.includes(name))
  if (strangers.length > 0)
    throw usage(`expected voters out of ${names.join(', ')}, found ${strangers.join(', ')}`)
  if (voters.length > VOTERS_MAX)
    throw usage(`expected at most ${VOTERS_MAX} voters, found ${voters.length}`)
  return voters
}

function makeKeys(context: Context, wish: Wish): readonly NamedKey[] {
  const make = (role: KeyRole, name: string, file: string): NamedKey => ({
    role,
    name,
    file,
    key: keyPair(context.random(32)),
  })
  return [
    ...adminNames(wish).map((name) => make('admin', name, `${name}.key`)),
    make('release', 'release', 'release.key'),
    ...wish.operators.map((name) => make('operator', name, `operator-${name}.key`)),
  ]
}

function adminNames({ admins }: Wish): readonly string[] {
  if (admins === 1) return ['admin']
  return Array.from({ length: admins }, (_, i) => `admin-${i + 1}`)
}

function signDocuments(
  wish: Wish,
  keys: readonly NamedKey[],
): { root: ReturnType<typeof signRoot>; config: ReturnType<typeof signGroupConfig> } {
  const of = (role: KeyRole): readonly NamedKey[] => keys.filter((key) => key.role === role)
  const admins = of('admin').map(({ key }) => key)
  const byName = <T extends { readonly name: string }>(rows: readonly T[]): readonly T[] =>
    [...rows].sort((a, b) => (a.name < b.name ? -1 : 1))
  const root: Root = {
    version: 1,
    name: wish.name,
    admins: admins.map((key) => key.publicKey).sort(),
    threshold: wish.threshold,
    operators: byName(
      of('operator').map(({ name, key }) => ({
        name,
        key: key.publicKey,
        role: 'deploy' as const,
        groups: [],
        channels: [],
        expires: 0,
      })),
    ),
    releaseKeys: of('release').map(({ name, key }) => ({ name, key: key.publicKey, channels: [] })),
    groups: [wish.group],
  }
  const signed = signRoot(root, admins)
  const faultModel: FaultModel = wish.voters.length <= VOTERS_SMALL ? 'crash' : 'byzantine'
  const config: GroupConfig = {
    fleet: fleetIdOf(signed.hash),
    group: wish.group,
    epoch: 1,
    hosts: byName(wish.hosts),
    voters: wish.voters,
    faultModel,
    quorum: quorumOf(wish.voters.length, faultModel),
    floors: {
      canaryMin: 1,
      soakMsMin: SOAK_PROBES_MIN * wish.timing.probeMs,
      wavePercentMax: 100,
      budgetMax: Math.ceil(wish.hosts.length / 2),
    },
    timing: wish.timing,
  }
  return { root: signed, config: signGroupConfig(config, admins) }
}

function writeAll(
  wish: Wish,
  keys: readonly NamedKey[],
  { root, config }: ReturnType<typeof signDocuments>,
): void {
  const folders = { keys: join(wish.out, 'keys'), trust: join(wish.out, 'trust') }
  makeFolder(folders.keys, 0o700)
  makeFolder(folders.trust, 0o755)
  for (const { role, name, file, key } of keys) {
    writeKeyFile(join(folders.keys, file), {
      role,
      name,
      fleet: wish.name,
      rootHash: root.hash,
      key,
    })
  }
  writeNew(join(folders.trust, 'root.cbor'), root.bytes, 0o644)
  writeNew(join(folders.trust, 'group.cbor'), config.bytes, 0o644)
  writeNew(join(folders.trust, 'root.hash'), `${root.hash}\n`, 0o644)
}

/** Makes a folder that must not exist: half of an old fleet and half of a new one is none. */
function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(join(path, '..'), { recursive: true })
    mkdirSync(path, { mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new CliError('NF-1006', `${path} exists already`)
  }
}
