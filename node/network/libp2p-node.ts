/** How libp2p is set up: transport, gater, limits. Each setting stands where a default was a trap. */
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { ConnectionGater, Libp2p, PeerId, PeerInfo } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { NodeError } from '../errors.ts'
import {
  CONNECTIONS_MAX,
  HANDSHAKE_MS_MAX,
  HANDSHAKES_MAX,
  HOST_CONNECTIONS_MAX,
  INBOUND_PER_ADDRESS_MAX,
  LAN_QUERY_MS_MIN,
  LAN_QUERY_MS_PER_HOST,
  OPERATOR_CONNECTIONS_MAX,
  STREAM_WINDOW_BYTES_MAX,
  TICKET_CONNECTIONS_MAX,
  TICKET_CONNECTIONS_TOTAL_MAX,
} from '../limits.ts'
import { textOf } from './failures.ts'
import { gossipService, type TopicNames } from './gossip.ts'
import { guardRegistrar, type Registrar } from './guarded-registrar.ts'
import { Handshakes } from './handshakes.ts'
import { isOperator, ticketOf } from './membership.ts'
import type { PeerBook } from './peer-book.ts'

const PING_MS = 5_000
/** The DNS name under which nodes of all fleets announce themselves. */
const LAN_SERVICE = '_nixfleet._udp.local'

type MemberNode = Libp2p<{ pubsub: GossipSub }>

export interface MemberNodeOptions {
  readonly seed: Uint8Array
  readonly listen: readonly string[]
  readonly mdns?: boolean
  readonly pingMs?: number
  readonly book: PeerBook
  readonly topicNames: TopicNames
  /** Called with every announcement on the LAN, also a repeated one. */
  readonly announced: (peer: PeerInfo) => void
  /** Runs on the node before it listens. */
  readonly prepare: (node: MemberNode) => Promise<void>
}

/** A started libp2p node of a member. Throws NodeError PORT_IN_USE. */
export async function startMemberNode(options: MemberNodeOptions): Promise<MemberNode> {
  const { book } = options
  const members = {
    isMember: (peer: PeerId) => book.hostOf(peer) !== undefined,
    isVoter: (peer: string) =>
      book.others().some(({ id, voter }) => voter && id.toString() === peer),
    directPeers: book.directPeers().map(({ id }) => ({ id, addrs: [] })),
  }
  let node: MemberNode | undefined
  const connections = (): readonly PeerId[] =>
    (node?.getConnections() ?? []).map(({ remotePeer }) => remotePeer)
  node = await createLibp2p({
    ...(await baseOptions(options.seed)),
    addresses: { listen: [...options.listen] },
    connectionGater: memberGater(book, connections),
    connectionMonitor: monitorOptions(options.pingMs ?? PING_MS),
    peerDiscovery:
      options.mdns === false ? [] : [lanDiscovery(book.others().length + 1, options.announced)],
    services: {
      identify: notForTickets(book, identify()),
      ping: notForTickets(book, ping()),
      pubsub: gossipService(options.topicNames, members),
    },
  })
  await options.prepare(node)
  try {
    await node.start()
  } catch (error) {
    await node.stop()
    throw listenError(options.listen, error)
  }
  return node
}

/**
 * Announces peer id and addresses, and nothing else: the tag is every fleet's, and the name is drawn
 * anew at each start. Who answers and is no member is nobody's business but the doctor's.
 */
function lanDiscovery(hosts: number, announced: (peer: PeerInfo) => void): ReturnType<typeof mdns> {
  const interval = Math.max(LAN_QUERY_MS_MIN, hosts * LAN_QUERY_MS_PER_HOST)
  const make = mdns({ serviceTag: LAN_SERVICE, interval })
  return (components) => {
    const discovery = make(components)
    // libp2p tells of a peer once; one that dialed us first, or has moved, would not be heard of.
    discovery.addEventListener('peer', ({ detail }) => announced(detail))
    return discovery
  }
}

/** What a member's and an operator's node have in common. They do not start by themselves. */
export async function baseOptions(seed: Uint8Array): Promise<Libp2pOptions> {
  return {
    start: false,
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    nodeInfo: { userAgent: 'nixfleet' },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX } })],
    connectionManager: {
      maxConnections: CONNECTIONS_MAX,
      inboundConnectionThreshold: INBOUND_PER_ADDRESS_MAX,
      maxIncomingPendingConnections: HANDSHAKES_MAX,
      inboundUpgradeTimeout: HANDSHAKE_MS_MAX,
      // Our own loop redials; two of them would open connections twice.
      reconnectRetries: 0,
    },
  }
}

/** Pings often, but forgives a busy host: a late ping would cut a living connection. */
function monitorOptions(pingMs: number): NonNullable<Libp2pOptions['connectionMonitor']> {
  return { pingInterval: pingMs, pingTimeout: { minTimeout: 4_000, maxTimeout: 10_000 } }
}

/** The service, whose streams no holder of a ticket reaches. */
function notForTickets<C extends { registrar: Registrar }, T>(
  book: PeerBook,
  service: (components: C) => T,
): (components: C) => T {
  const admits = (peer: PeerId): boolean => {
    const name = book.nameOf(peer)
    return name !== undefined && ticketOf(name) === undefined
  }
  return (components) => {
    const registrar = guardRegistrar(components.registrar, admits)
    // The components are looked up when they are asked for: they cannot be copied.
    return service(
      new Proxy(components, {
        get: (target, key) => (key === 'registrar' ? registrar : Reflect.get(target, key)),
      }),
    )
  }
}

/** Lets hosts in and out, and operators and holders of tickets in, each with a few connections. */
function memberGater(book: PeerBook, connections: () => readonly PeerId[]): ConnectionGater {
  const denyUnlessHost = (peer: PeerId): boolean => book.hostOf(peer) === undefined
  const handshakes = new Handshakes()
  const isTicket = (peer: PeerId): boolean => {
    const name = book.nameOf(peer)
    return name !== undefined && ticketOf(name) !== undefined
  }
  return {
    denyInboundConnection: (from) => !handshakes.begin(from),
    denyInboundUpgradedConnection: (_, from) => {
      handshakes.end(from)
      return false
    },
    denyDialPeer: denyUnlessHost,
    denyDialMultiaddr: () => false,
    denyOutboundEncryptedConnection: denyUnlessHost,
    denyInboundEncryptedConnection: (peer) => {
      const name = book.nameOf(peer)
      if (name === undefined) return true
      const own = connections().filter((one) => one.equals(peer)).length
      if (isOperator(name)) return own >= OPERATOR_CONNECTIONS_MAX
      if (ticketOf(name) === undefined) return own >= HOST_CONNECTIONS_MAX
      const all = connections().filter(isTicket).length
      return own >= TICKET_CONNECTIONS_MAX || all >= TICKET_CONNECTIONS_TOTAL_MAX
    },
  }
}

function listenError(listen: readonly string[], error: unknown): unknown {
  const found = textOf(error)
  if (!/EADDRINUSE/.test(found)) return error
  return new NodeError(
    'PORT_IN_USE',
    `expected to listen on ${listen.join(', ')}, found an address in use`,
    'Stop the other process on that port (ss -ltnp shows it), or configure another port.',
    { cause: error },
  )
}
