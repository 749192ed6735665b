/**
 * The two records that say whose store this is and how it is written, checked before anything else.
 *
 * A store of a newer format or of another fleet is left as it was found: an old node started by
 * mistake must not spoil what a newer one wrote.
 */
import { type FleetId, utf8 } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import type { Store } from '../ports.ts'

/** The format that this version writes. */
export const STORE_FORMAT = 1

const FORMAT_KEY = 'meta/format'
const FLEET_KEY = 'meta/fleet'

/**
 * Marks an empty store as `fleet`'s in this format, or checks that it already is.
 *
 * Throws NodeError STORE_NEWER, STORE_FOREIGN, and STORE_CORRUPT for a store with entries and
 * without these records; in all three cases nothing is written.
 */
export async function claimStore(store: Store, fleet: FleetId): Promise<void> {
  const format = await readText(store, FORMAT_KEY)
  const owner = await readText(store, FLEET_KEY)
  if (format === undefined && owner === undefined && (await isEmpty(store))) {
    const ops = [
      { key: FORMAT_KEY, value: utf8(String(STORE_FORMAT)) },
      { key: FLEET_KEY, value: utf8(fleet) },
    ]
    return await store.write(ops, { sync: true })
  }
  assertFormat(format)
  if (owner !== fleet) throw foreign(fleet, owner)
}

function assertFormat(format: string | undefined): void {
  if (format === String(STORE_FORMAT)) return
  if (format !== undefined && /^[1-9][0-9]{0,8}$/.test(format) && Number(format) > STORE_FORMAT) {
    throw new NodeError(
      'STORE_NEWER',
      `expected a store of format ${STORE_FORMAT} or older, found format ${format}`,
      'Start the newer nixfleet that wrote this store; nothing in it was changed.',
    )
  }
  throw new NodeError(
    'STORE_CORRUPT',
    `expected a store of format ${STORE_FORMAT}, found ${format === undefined ? 'entries without a format' : JSON.stringify(format)}`,
    'Give nixfleet a state directory of its own; nothing in this one was changed.',
  )
}

function foreign(fleet: FleetId, owner: string | undefined): NodeError {
  return new NodeError(
    'STORE_FOREIGN',
    `expected the store of fleet ${fleet}, found that of ${owner === undefined ? 'no fleet' : `fleet ${owner}`}`,
    "Check the configured trust root, or use an empty state directory to join this fleet; the other fleet's store was not changed.",
  )
}

async function readText(store: Store, key: string): Promise<string | undefined> {
  const value = await store.get(key)
  return value === undefined ? undefined : new TextDecoder().decode(value)
}

async function isEmpty(store: Store): Promise<boolean> {
  for await (const _entry of store.range('\u0000', '\u007f')) return false
  return true
}
