/**
 * An operator's way to a peer: questions to the API and nothing else.
 *
 * The client proves itself by the operator key, joins no gossip and listens on nothing. Changes are
 * still made by signed facts alone; the link only carries them.
 */
import type { Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Hex } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { ASK_PROTOCOL, askOnStream } from './ask-protocol.ts'
import { textOf, timedOut, unreachable } from './failures.ts'
import { baseOptions } from './libp2p-node.ts'
import type { OperatorLink } from './memory.ts'
import { peerIdOfKey } from './peer-book.ts'
import { assertAskSize } from './sizes.ts'

export interface OperatorLinkOptions {
  /** The 32-byte seed of the operator's key. */
  readonly seed: Uint8Array
  /** The peer: its name for errors, its transport key, and its multiaddrs without a peer id. */
  readonly peer: {
    readonly name: string
    readonly transport: Hex
    readonly addresses: readonly string[]
  }
}

/** A link to one peer. It connects at the first question, and again whenever the connection is lost. */
export async function openOperatorLink(options: OperatorLinkOptions): Promise<OperatorLink> {
  const node = await createLibp2p({ ...(await baseOptions(options.seed)), start: true })
  return {
    ask: (bytes, timeoutMs) => askPeer(node, options.peer, { bytes, timeoutMs }),
    close: async () => await node.stop(),
  }
}

async function askPeer(
  node: Libp2p,
  peer: OperatorLinkOptions['peer'],
  question: { bytes: Uint8Array; timeoutMs: number },
): Promise<Uint8Array> {
  const { bytes, timeoutMs } = question
  assertAskSize(bytes)
  const id = peerIdOfKey(peer.transport)
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const open = node.getConnections(id).find(({ status }) => status === 'open')
    const addresses = peer.addresses.map((text) => multiaddr(`${text}/p2p/${id.toString()}`))
    const connection = open ?? (await node.dial(addresses, { signal }))
    const stream = await connection.newStream(ASK_PROTOCOL, { signal })
    return await askOnStream(stream, { peer: peer.name, kind: 'api', bytes, signal })
  } catch (error) {
    if (error instanceof NodeError) throw error
    throw signal.aborted
      ? timedOut(peer.name, timeoutMs, error)
      : unreachable(peer.name, textOf(error), error)
  }
}
