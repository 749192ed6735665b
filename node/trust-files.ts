/**
 * The fleet's documents in a folder, checked against the pinned hash: `root.cbor`, `group.cbor`, which
 * is the configuration of epoch 1, and any number of later ones as `root-<version>.cbor` and
 * `group-<epoch>.cbor`. A host that joined later needs a configuration that names it, and the roots whose
 * admins signed that; nobody else needs any.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type FleetId,
  fleetIdOf,
  followRoot,
  type GroupConfig,
  type Hex,
  openFirstRoot,
  openGroupConfig,
  openUnderAny,
  ProtocolError,
  type Root,
  readRoot,
} from '../protocol/index.ts'
import type { Trust } from '../rollout/index.ts'
import { NodeError } from './errors.ts'

/** The documents as read, for peers and for the CLI. */
export interface TrustFiles {
  readonly trust: Trust
  readonly rootHash: Hex
  readonly root: Uint8Array
  /** The configuration of epoch 1. */
  readonly group: Uint8Array
  /** Later configurations, the oldest first: whom to dial, not whom to believe. */
  readonly newer: readonly GroupConfig[]
}

/** Reads and verifies the documents. Throws NodeError TRUST_UNREADABLE; nothing is changed. */
export async function readTrustFiles(folder: string, rootHash: Hex): Promise<TrustFiles> {
  const root = await read(join(folder, 'root.cbor'))
  const group = await read(join(folder, 'group.cbor'))
  try {
    const first = openFirstRoot(root, rootHash)
    const fleet = fleetIdOf(rootHash)
    const config = openGroupConfig(group, { root: first.value, fleet })
    if (config.value.epoch !== 1) throw notFirst(folder, config.value.epoch)
    const roots = await readRoots(folder, first.value, fleet)
    const newer = await readNewer(folder, { roots, fleet })
    return {
      newer,
      trust: { fleet, root: first.value, config: config.value, genesis: config.hash },
      rootHash,
      root,
      group,
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new NodeError(
      'TRUST_UNREADABLE',
      `the documents in ${folder} are not this fleet's: ${error.message}`,
      'Compare rootHash in the configuration with the file root.hash that bootstrap wrote, and copy the folder again.',
      { cause: error },
    )
  }
}

/** The chain of roots in the folder, the first first. They do not come into force by lying here. */
async function readRoots(folder: string, first: Root, fleet: FleetId): Promise<readonly Root[]> {
  const numbers = (await readdir(folder)).flatMap((name) => {
    const number = /^root-(\d{1,10})\.cbor$/.exec(name)?.[1]
    return number === undefined ? [] : [Number(number)]
  })
  const roots = [first]
  for (const number of numbers.sort((a, b) => a - b)) {
    const bytes = await read(join(folder, `root-${number}.cbor`))
    roots.push(followRoot(readRoot(bytes), roots.at(-1) ?? first, fleet).value)
  }
  return roots
}

/** A configuration was signed under the root of its time. */
async function readNewer(
  folder: string,
  trust: { roots: readonly Root[]; fleet: FleetId },
): Promise<readonly GroupConfig[]> {
  const names = (await readdir(folder)).filter((name) => /^group-\d{1,10}\.cbor$/.test(name))
  const configs: GroupConfig[] = []
  for (const name of names) {
    configs.push(openUnderAny(await read(join(folder, name)), trust).value)
  }
  return configs.sort((a, b) => a.epoch - b.epoch)
}

function notFirst(folder: string, epoch: number): NodeError {
  return new NodeError(
    'TRUST_UNREADABLE',
    `expected the configuration of epoch 1 in ${join(folder, 'group.cbor')}, found that of epoch ${epoch}`,
    `Name it group-${epoch}.cbor, and copy group.cbor from a host that was there at bootstrap.`,
  )
}

async function read(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    throw new NodeError(
      'TRUST_UNREADABLE',
      `expected the document ${path}: ${error instanceof Error ? error.message : String(error)}`,
      'Copy the trust folder that `nixfleet bootstrap` wrote, and set `trust` to it.',
      { cause: error },
    )
  }
}
