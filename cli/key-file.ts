/**
 * Key files of people and pipelines: a seed, and the fleet that it belongs to.
 *
 * The file pins the hash of the fleet's first root, so whoever signs with it also knows whom to
 * believe: a peer cannot show another fleet's documents. Mode 0600, never overwritten.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { fromHex, type KeyPair, keyPair, toHex } from '../protocol/index.ts'
import { CliError } from './errors.ts'
import { writeNew } from './whole-file.ts'

export type KeyRole = 'operator' | 'release' | 'admin'

/** A key as its file holds it. */
export interface KeyFile {
  readonly path: string
  readonly role: KeyRole
  /** The name under which the root knows it. */
  readonly name: string
  /** The fleet's name, for people. */
  readonly fleet: string
  /** Hash of root version 1: the fleet's identity. */
  readonly rootHash: string
  readonly key: KeyPair
}

const KIND = 'nixfleet-key/v1'
const ROLES: readonly KeyRole[] = ['operator', 'release', 'admin']
/** A key file is some 300 bytes; more is something else. */
const KEY_FILE_BYTES_MAX = 4096

/** Writes a key file. Throws NF-1006 when there is one. */
export function writeKeyFile(path: string, file: Omit<KeyFile, 'path'>): void {
  const { role, name, fleet, rootHash, key } = file
  const text = {
    kind: KIND,
    role,
    name,
    fleet,
    rootHash,
    publicKey: key.publicKey,
    seed: toHex(key.seed),
  }
  writeNew(path, `${JSON.stringify(text, null, 2)}\n`, 0o600)
}

/**
 * The first of `paths` that exists, as a key of `role`. Throws NF-1202 when there is none, NF-1201 when
 * others may read it, NF-1004 when it is no key file of that role.
 */
export function readKeyFile(paths: readonly string[], role: KeyRole): KeyFile {
  return readOneOf(paths, role)
}

/** The key file at `path`, whatever its role. Throws NF-1202, NF-1201, NF-1004. */
export function readAnyKeyFile(path: string): KeyFile {
  return readOneOf([path], undefined)
}

/** What others may know of a key. */
export function publicKeyText({ name, role, key }: Pick<KeyFile, 'name' | 'role' | 'key'>): string {
  const record = { kind: 'nixfleet-public/v1', name, role, publicKey: key.publicKey }
  return `${JSON.stringify(record, null, 2)}\n`
}

function readOneOf(paths: readonly string[], role: KeyRole | undefined): KeyFile {
  const path = paths.find((candidate) => existsSync(candidate))
  if (path === undefined) {
    throw new CliError('NF-1202', `no ${role ?? ''} key was found`, {
      why: paths.map((tried) => `${tried}: not there`),
      fix: [role === 'release' ? 'give --release-key FILE' : 'give --identity FILE'],
    })
  }
  const { mode, size } = statSync(path)
  if ((mode & 0o077) !== 0) {
    throw new CliError('NF-1201', `others may use the key file ${path}`, {
      why: [`expected mode 0600, found 0${(mode & 0o777).toString(8)}`],
      fix: [`chmod 600 ${path}`, 'if others may have read it, have an admin replace the key'],
    })
  }
  if (size > KEY_FILE_BYTES_MAX) throw malformed(path, `a file of ${size} bytes`)
  return parseKey(path, readFileSync(path, 'utf8'), role)
}

function parseKey(path: string, text: string, wanted: KeyRole | undefined): KeyFile {
  const value = parseJson(path, text)
  const part = (name: string, pattern: RegExp): string => {
    const found = value[name]
    if (typeof found === 'string' && pattern.test(found)) return found
    throw malformed(path, `no good ${name}`)
  }
  if (value['kind'] !== KIND) throw malformed(path, `kind ${JSON.stringify(value['kind'])}`)
  const role = ROLES.find((one) => one === value['role'])
  if (role === undefined || (wanted !== undefined && role !== wanted))
    throw malformed(path, `a key of role ${String(value['role'])}`, wanted)
  const key = keyPair(fromHex(part('seed', /^[0-9a-f]{64}$/)))
  if (key.publicKey !== value['publicKey']) throw malformed(path, 'a public key of another seed')
  return {
    path,
    role,
    name: part('name', /^[a-z0-9-]{1,63}$/),
    fleet: part('fleet', /^[a-z0-9-]{1,63}$/),
    rootHash: part('rootHash', /^[0-9a-f]{64}$/),
    key,
  }
}

function parseJson(path: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    throw malformed(path, 'no JSON')
  }
  throw malformed(path, 'no JSON object')
}

function malformed(path: string, found: string, role?: KeyRole): CliError {
  const expected = role ? `the key of role ${role}` : 'a key'
  return new CliError('NF-1004', `expected ${expected} (${KIND}) in ${path}, found ${found}`, {
    why: [],
    fix: ['key files are made by: nixfleet bootstrap'],
  })
}
