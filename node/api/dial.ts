/** A peer's API from afar: its multiaddr names its key, so nobody else can answer in its place. */
import { toHex } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'

/** Questions to one peer's API, as CBOR of `ask.ts`. */
export interface ApiLink {
  /** Rejects with NodeError PEER_UNREACHABLE or PEER_TIMEOUT. */
  ask(bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  close(): Promise<void>
}

/**
 * A link to the peer at `address`, proven by the operator's `seed`. libp2p is loaded here and not
 * before. Throws NodeError PEER_REFUSED for an address without a usable `/p2p/` at its end.
 */
export async function dialApi(address: string, seed: Uint8Array): Promise<ApiLink> {
  const [{ peerIdFromString }, { openOperatorLink }] = await Promise.all([
    import('@libp2p/peer-id'),
    import('../network/operator-link.ts'),
  ])
  const [, where = '', id = ''] = /^(.*)\/p2p\/([^/]+)$/.exec(address) ?? []
  const transport = keyIn(() => peerIdFromString(id))
  if (transport === undefined || where === '') {
    throw new NodeError(
      'PEER_REFUSED',
      `expected a multiaddr that ends in the /p2p/ of an Ed25519 key, found ${address}`,
      'copy the whole address from: nixfleet peers --format wide',
    )
  }
  return openOperatorLink({ seed, peer: { name: address, transport, addresses: [where] } })
}

function keyIn(read: () => { publicKey?: { raw: Uint8Array } | undefined }): string | undefined {
  try {
    const raw = read().publicKey?.raw
    return raw?.length === 32 ? toHex(raw) : undefined
  } catch {
    return undefined
  }
}
