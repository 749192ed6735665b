/** The sizes that both networks demand of what they are given to send. */
import { ASK_BYTES_MAX } from '../../protocol/index.ts'
import { GOSSIP_BYTES_MAX } from '../limits.ts'

/** Throws RangeError for a message that no peer would take. */
export function assertGossipSize(bytes: Uint8Array): void {
  if (bytes.length <= GOSSIP_BYTES_MAX) return
  throw new RangeError(
    `expected at most ${GOSSIP_BYTES_MAX} bytes to gossip, found ${bytes.length}`,
  )
}

/** Throws RangeError for a question or an answer that no peer would take. */
export function assertAskSize(bytes: Uint8Array): void {
  if (bytes.length <= ASK_BYTES_MAX) return
  throw new RangeError(`expected at most ${ASK_BYTES_MAX} bytes to ask, found ${bytes.length}`)
}
