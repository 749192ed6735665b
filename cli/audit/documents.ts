/** The documents of a pull, believed only as far as the given root hash and its admins carry. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type FleetId,
  fleetIdOf,
  followRoot,
  type GroupConfig,
  type KeyId,
  openFirstRoot,
  openUnderAny,
  type Root,
  readRoot,
  sha256,
  toHex,
} from '../../protocol/index.ts'
import type { Report } from './findings.ts'
import { namesIn } from './layout.ts'

/** One epoch of one group. */
export interface KnownConfig {
  readonly config: GroupConfig
  /** Of its payload: the genesis of its gate log, or of the epoch that it begins as a recovery. */
  readonly hash: string
  /** SHA-256 of the signed document: what a reconfig names. */
  readonly document: string
}

/** Whom an auditor believes. */
export interface KnownTrust {
  readonly fleet: FleetId
  /** The newest root. */
  readonly root: Root
  /** The root chain, the first first. */
  readonly roots: readonly Root[]
  readonly configs: readonly KnownConfig[]
}

/** Reads and judges the documents; undefined when not even the root can be believed. */
export function readDocuments(
  pull: string,
  rootHash: string,
  report: Report,
): KnownTrust | undefined {
  const folder = join(pull, 'documents')
  const where = 'documents/root.1.cbor'
  try {
    const source = new Uint8Array(readFileSync(join(pull, where)))
    const { value: first } = openFirstRoot(source, rootHash)
    const fleet = fleetIdOf(rootHash)
    const roots = readChain(folder, { first, fleet }, report)
    const root = roots.at(-1) ?? first
    const configs: KnownConfig[] = []
    for (const name of namesIn(folder).filter((one) => one.startsWith('group.'))) {
      try {
        const bytes = new Uint8Array(readFileSync(join(folder, name)))
        const { value: config, hash } = openUnderAny(bytes, { roots, fleet })
        configs.push({ config, hash, document: toHex(sha256(bytes)) })
      } catch (error) {
        report({ code: 'CONFIG', where: `documents/${name}`, text: messageOf(error) })
      }
    }
    if (configs.length === 0)
      report({
        code: 'CONFIG',
        where: 'documents',
        text: 'expected a group configuration, found none',
      })
    return { fleet, root, roots, configs }
  } catch (error) {
    report({ code: 'ROOT', where, text: messageOf(error) })
    return undefined
  }
}

/** The roots of the folder, as far as each follows the one before; what does not is reported. */
function readChain(
  folder: string,
  { first, fleet }: { first: Root; fleet: FleetId },
  report: Report,
): readonly Root[] {
  const roots = [first]
  const versions = namesIn(folder).filter((name) => name.startsWith('root.')).length
  for (let version = 2; version <= versions; version++) {
    const name = `root.${version}.cbor`
    try {
      const read = readRoot(new Uint8Array(readFileSync(join(folder, name))))
      roots.push(followRoot(read, roots.at(-1) ?? first, fleet).value)
    } catch (error) {
      report({ code: 'ROOT', where: `documents/${name}`, text: messageOf(error) })
      break
    }
  }
  return roots
}

/** The configuration of a group in an epoch. */
export function configOf(trust: KnownTrust, group: string, epoch: number): KnownConfig | undefined {
  return trust.configs.find(({ config }) => config.group === group && config.epoch === epoch)
}

/** The fact keys of an epoch's voters. */
export function votersOf({ config }: KnownConfig): readonly KeyId[] {
  return config.voters.flatMap((name) => {
    const host = config.hosts.find((one) => one.name === name)
    return host === undefined ? [] : [host.fact]
  })
}

/** Who a key is, by the newest document that names it; undefined for a stranger. */
export function personOf(
  trust: KnownTrust,
  key: KeyId,
): { name: string; role: string } | undefined {
  for (const { config } of trust.configs) {
    const host = config.hosts.find((one) => one.fact === key)
    if (host !== undefined) return { name: host.name, role: 'host' }
  }
  for (const root of trust.roots.toReversed()) {
    const operator = root.operators.find((one) => one.key === key)
    if (operator !== undefined) return { name: operator.name, role: operator.role }
    const release = root.releaseKeys.find((one) => one.key === key)
    if (release !== undefined) return { name: release.name, role: 'release' }
    if (root.admins.includes(key)) return { name: `admin ${key.slice(0, 8)}`, role: 'admin' }
  }
  return undefined
}

/** The message of a thrown thing. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
