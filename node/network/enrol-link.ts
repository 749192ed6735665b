/**
 * The way of somebody who is not in yet: questions to the peers of a ticket, proven by its one-time key.
 *
 * The node listens on nothing and runs no service. A connection ends with its answer: peers let tickets
 * hold few, and not for long.
 */
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { TicketPeer } from '../../protocol/index.ts'
import { askEnrollOnStream, ENROLL_PROTOCOL } from './enroll-protocol.ts'
import { textOf, timedOut, unreachable } from './failures.ts'
import { baseOptions } from './libp2p-node.ts'
import { peerIdOfKey } from './peer-book.ts'

/** Questions to any peer, until it is closed. */
export interface EnrolLink {
  /** Rejects with NodeError PEER_UNREACHABLE or PEER_TIMEOUT. */
  ask(peer: TicketPeer, question: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** A link that proves the ticket whose seed this is. */
export async function openEnrolLink(seed: Uint8Array): Promise<EnrolLink> {
  const node = await createLibp2p({
    ...(await baseOptions(seed)),
    start: true,
    // The peer answers no ping of a ticket, which would end the connection.
    connectionMonitor: { enabled: false },
  })
  return {
    ask: async (peer, question, timeoutMs) => {
      const id = peerIdOfKey(peer.key)
      const where = `${peer.address}/p2p/${id.toString()}`
      const signal = AbortSignal.timeout(timeoutMs)
      try {
        const connection = await node.dial(multiaddr(where), { signal })
        const stream = await connection.newStream(ENROLL_PROTOCOL, { signal })
        return await askEnrollOnStream(stream, question, signal)
      } catch (error) {
        throw signal.aborted
          ? timedOut(where, timeoutMs, error)
          : unreachable(where, textOf(error), error)
      } finally {
        await node.hangUp(id).catch(() => undefined)
      }
    },
    close: async () => await node.stop(),
  }
}
