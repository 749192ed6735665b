/**
 * `nixfleet bootstrap`: founds a fleet. Makes the admins', the release and the operators' keys, signs
 * root version 1 and the first group's configuration, and writes all of it into one new folder.
 */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import {
  crashesSurvived,
  fleetIdOf,
  type GroupConfig,
  type KeyPair,
  keyPair,
  ROOT_KEYS_MAX,
  type Root,
  signGroupConfig,
  signRoot,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { foundGroup, isHalfFounded } from '../enrol/found-group.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { firstConfig, type GroupWish, groupWish } from '../first-config.ts'
import { readHostRecord } from '../host-record.ts'
import { type KeyRole, writeKeyFile } from '../key-file.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, listOption, textOption } from '../registry.ts'
import { writeNew } from '../whole-file.ts'
import { plural } from '../words.ts'

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
interface Wish {
  readonly name: string
  /** Its first group; absent where hosts come by ticket, once there is a root to come to. */
  readonly first: GroupWish | undefined
  readonly group: string
  readonly operators: readonly string[]
  /** How many admin keys there are, and how many of them must sign. */
  readonly admins: number
  readonly threshold: number
  readonly out: string
}

interface NamedKey {
  readonly role: KeyRole
  readonly name: string
  readonly file: string
  readonly key: KeyPair
}

export async function run(context: Context, input: CommandInput): Promise<number> {
  const folder = textOption(input.options, 'out')
  if (folder === undefined) throw usage('expected --out with a new folder, found none')
  const path = resolve(context.cwd, folder)
  if (listOption(input.options, 'host').length > 0 && isHalfFounded(path)) {
    const { value, rootHash, fleetName } = foundGroup(context, input, path)
    say(context, { name: fleetName, rootHash, config: value, out: path, tickets: true })
    return EXIT_OK
  }
  const wish = wishOf(context, input, path)
  const keys = makeKeys(context, wish)
  const { root, config } = signDocuments(wish, keys)
  writeAll(wish, keys, { root, config })
  say(context, {
    ...{ name: wish.name, rootHash: root.hash, config: config?.value, out: wish.out },
  })
  for (const line of adminAdvice(wish)) context.out.note(line)
  return EXIT_OK
}

function say(
  { out }: Context,
  found: {
    name: string
    rootHash: string
    config: GroupConfig | undefined
    out: string
    tickets?: boolean
  },
): void {
  const { name, rootHash, config } = found
  if (config === undefined) {
    if (out.human) {
      out.line(`made the root of ${name}; it has no group yet`)
      out.line(`root hash ${rootHash}`)
    } else out.document(cliDocument('Bootstrap', { fleet: name, rootHash, out: found.out }))
    out.note(
      `next: nixfleet invite --trust ${join(found.out, 'trust')} --uses N --admin-key …, then on each host`,
    )
    out.note(
      `      nixfleet enroll TICKET --request-out FILE, then nixfleet bootstrap --out ${found.out} --host FILE …`,
    )
    return
  }
  const { faultModel, quorum, voters, group, hosts } = config
  if (out.human) {
    out.line(
      `founded ${name}: ${plural(hosts.length, 'host')} in group ${group}, ${quorum} of ${plural(voters.length, 'voter')} must agree (${faultModel})`,
    )
    out.line(`root hash ${rootHash}`)
  } else {
    out.document(
      cliDocument('Bootstrap', {
        ...{ fleet: name, group, rootHash, voters, quorum, faultModel, out: found.out },
      }),
    )
  }
  if (crashesSurvived({ n: voters.length, q: quorum }) === 0) {
    out.note('no voter may fail: with 3 voters one may')
  }
  out.note(
    `next: copy ${join(found.out, 'trust')} to every host and set rootHash in its configuration`,
  )
  if (found.tickets === true)
    out.note('      hosts that came by ticket: nixfleet enroll TICKET --trust <the copy>')
}

function wishOf(context: Context, input: CommandInput, out: string): Wish {
  const { options } = input
  const name = named(textOption(options, 'name'), '--name')
  const operators = listOption(options, 'operator').map((text) => named(text, '--operator'))
  const group = named(textOption(options, 'group') ?? 'main', '--group')
  const records = listOption(options, 'host').map((file) =>
    readHostRecord(resolve(context.cwd, file)),
  )
  if (records.length > 0 && operators.length === 0)
    throw usage('expected --operator with a name, found none')
  const first = records.length === 0 ? undefined : groupWish(input, group, records)
  return { name, group, first, operators: [...new Set(operators)], ...adminsOf(input), out }
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
): {
  root: ReturnType<typeof signRoot>
  config: ReturnType<typeof signGroupConfig> | undefined
} {
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
  if (wish.first === undefined) return { root: signed, config: undefined }
  const config = firstConfig(fleetIdOf(signed.hash), wish.first)
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
  if (config !== undefined) writeNew(join(folders.trust, 'group.cbor'), config.bytes, 0o644)
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
