/**
 * Epochs and roots of the gate log on the disk: where an epoch began, and which documents say who belongs
 * to it and who has a role.
 */
import {
  BLOCK_ID,
  decodeCanonical,
  encodeCanonical,
  type FleetId,
  followRoot,
  HASH,
  openConfigBlob,
  openUnderAny,
  ProtocolError,
  type Root,
  readRoot,
  type Schema,
  sha256,
  shape,
  toHex,
  type UnsignedRoot,
  uint,
} from '../protocol/index.ts'
import { type GateEpoch, type RootEra, rootsOf, type Trust } from '../rollout/index.ts'
import { NodeError } from './errors.ts'
import type { Store, StoreOp } from './ports.ts'

type EpochRecord = Pick<GateEpoch, 'genesis' | 'slot' | 'document'>

const RECORD: Schema<EpochRecord> = shape<EpochRecord>({
  genesis: BLOCK_ID,
  slot: uint(),
  document: HASH,
})
/** A record is some 100 bytes. */
const RECORD_BYTES_MAX = 1024

/** What writes the record of an epoch. Its document is on the disk already, as a blob. */
export function epochOp({ epoch, genesis, slot, document }: GateEpoch): StoreOp {
  const value = encodeCanonical(RECORD.encode({ genesis, slot, document }))
  return { key: `gate/epoch/${String(epoch).padStart(16, '0')}`, value }
}

/** What writes a root that came into force: its signed document, under its version. */
export function rootOp({ value, bytes }: UnsignedRoot): StoreOp {
  return { key: `gate/root/${String(value.version).padStart(16, '0')}`, value: bytes }
}

/** The root of a record, verified as the one after `before`. Throws STORE_CORRUPT. */
export function readRootEra(
  before: Root,
  fleet: FleetId,
  { key, bytes }: { key: string; bytes: Uint8Array },
): RootEra {
  try {
    const root = followRoot(readRoot(bytes), before, fleet).value
    return { root, document: toHex(sha256(bytes)), block: '', slot: 0, before: new Map() }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw corruptRecord(key, error.message, error)
  }
}

/**
 * The epoch of a record, with its configuration; both are verified. `trust` is under the newest root:
 * the configuration was signed under it or under one before. Throws STORE_CORRUPT.
 */
export async function readEpoch(
  store: Store,
  trust: Trust,
  { key, bytes }: { key: string; bytes: Uint8Array },
): Promise<GateEpoch> {
  try {
    const record = RECORD.decode(decodeCanonical(bytes, RECORD_BYTES_MAX, key), key)
    const document = await store.get(`blob/${record.document}`)
    if (document === undefined) throw corruptRecord(key, 'that its configuration is not there')
    const { fleet } = trust
    openConfigBlob(document, record.document, fleet)
    const config = openUnderAny(document, { roots: rootsOf(trust), fleet }).value
    return { ...record, epoch: config.epoch, config }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw corruptRecord(key, error.message, error)
  }
}

/** A record of this node's gate log that cannot be read. */
export function corruptRecord(key: string, found: string, cause?: unknown): NodeError {
  return new NodeError(
    'STORE_CORRUPT',
    `the record ${key} of the store is damaged: ${found}`,
    'Stop the node, move its data folder away, and start it again: it fetches the log from its peers. Keep the old folder for the auditor.',
    { cause },
  )
}
