/** What both stores demand of a key, so that they sort alike. */
import { STORE_KEY_CHARS_MAX } from '../limits.ts'
import type { StoreOp } from '../ports.ts'

/**
 * Throws RangeError unless every key is 1 to 256 characters of printable ASCII.
 *
 * LevelDB sorts by UTF-8 and JavaScript by UTF-16; within ASCII the two orders are one.
 */
export function assertStoreKeys(ops: readonly StoreOp[]): void {
  for (const { key } of ops) {
    if (key.length <= STORE_KEY_CHARS_MAX && /^[\x20-\x7e]+$/.test(key)) continue
    throw new RangeError(
      `expected a store key of 1 to ${STORE_KEY_CHARS_MAX} printable ASCII characters, found ${JSON.stringify(key.slice(0, 80))}`,
    )
  }
}
