/**
 * The `Network` port over libp2p 3: a closed network of a group's hosts and their operators.
 *
 * Entry points must import `node/shims.ts` before this file. Who may connect is decided by proven
 * keys at the connection gater; who may speak which protocol, at each stream.
 */
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { Connection, Libp2p, PeerId, PeerInfo, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { FleetId, GroupName, Hash, HostName } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import {
  ASKS_MAX,
  ASKS_PER_PEER_MAX,
  BLOB_STALL_MS_MAX,
  BLOBS_MAX,
  BLOBS_PER_PEER_MAX,
  DIAL_MS_MAX,
  ENROLL_CONNECTION_MS_MAX,
  ENROLLS_MAX,
  GOSSIP_MISSING_ROUNDS_MAX,
  PIECE_STREAMS_MAX,
  PIECE_STREAMS_PER_PEER_MAX,
  REDIAL_MS,
  TICKET_STREAMS_MAX,
} from '../limits.ts'
import type { Absences, Ask, Logger, Network, NetworkHandlers, PeerName, Topic } from '../ports.ts'
import { ASK_PROTOCOL, answerOnStream, askOnStream } from './ask-protocol.ts'
import { BLOB_PROTOCOL, pullOnStream, serveOnStream } from './blob-protocol.ts'
import { answerEnrollOnStream, ENROLL_PROTOCOL } from './enroll-protocol.ts'
import { textOf, timedOut, unreachable } from './failures.ts'
import { isGossip, type TopicNames, topicNames, validateWith } from './gossip.ts'
import { startMemberNode } from './libp2p-node.ts'
import { type Membership, ticketOf } from './membership.ts'
import { hasMulticastRoute } from './multicast-route.ts'
import { PeerBook } from './peer-book.ts'
import { askPiecesOnStream, givePiecesOnStream, PIECE_PROTOCOL } from './piece-protocol.ts'
import { Quota } from './quota.ts'
import { chooseDials } from './redial.ts'
import { Sightings } from './sightings.ts'
import { assertAskSize, assertGossipSize } from './sizes.ts'

export interface Libp2pNetworkOptions {
  readonly fleet: FleetId
  readonly group: GroupName
  /** This host's name. */
  readonly name: HostName
  /** The 32-byte seed of this host's transport key. */
  readonly seed: Uint8Array
  /** Multiaddrs to listen on; none makes a node that only dials. */
  readonly listen: readonly string[]
  readonly membership: Membership
  readonly logger: Logger
  /** Finds members on the LAN. Default true; off in tests. */
  readonly mdns?: boolean
  /** Multiaddrs of members, with `/p2p/`, besides those of the membership. */
  readonly peers?: readonly string[]
  /** Topics that this host hears. Default all three. */
  readonly topics?: readonly Topic[]
  /** Between two rounds of redialing, in ms. Default 2000. */
  readonly redialMs?: number
  /** Between two pings of a connection, in ms. Default 5000. */
  readonly pingMs?: number
  /** How long a ticket's connection lives, in ms. Default 30,000. */
  readonly ticketMs?: number
}

/** What runs between `start` and `stop`. */
interface Running {
  readonly node: Libp2p<{ pubsub: GossipSub }>
  readonly handlers: NetworkHandlers
  readonly timer: NodeJS.Timeout
}

/** One host's place in the network. */
export class Libp2pNetwork implements Network {
  readonly #options: Libp2pNetworkOptions
  readonly #topics: TopicNames
  readonly #book: PeerBook
  readonly #asks = new Quota({ perPeer: ASKS_PER_PEER_MAX, total: ASKS_MAX })
  readonly #blobs = new Quota({ perPeer: BLOBS_PER_PEER_MAX, total: BLOBS_MAX })
  readonly #pieces = new Quota({ perPeer: PIECE_STREAMS_PER_PEER_MAX, total: PIECE_STREAMS_MAX })
  readonly #enrolls = new Quota({ perPeer: ENROLLS_MAX, total: ENROLLS_MAX })
  readonly #lastTried = new Map<HostName, number>()
  readonly #dialing = new Set<HostName>()
  readonly #gossipMissing = new Map<HostName, number>()
  readonly #sightings = new Sightings()
  #round = 0
  #running: Running | undefined

  constructor(options: Libp2pNetworkOptions) {
    this.#options = options
    this.#topics = topicNames(options.fleet, options.group)
    this.#book = new PeerBook(options.name, options.membership)
    this.#book.addStatic(options.peers ?? [])
  }

  /** Listens and starts to dial. Throws NodeError PORT_IN_USE when an address is taken. */
  async start(handlers: NetworkHandlers): Promise<void> {
    const node = await startMemberNode({
      ...this.#options,
      book: this.#book,
      topicNames: this.#topics,
      announced: (peer) => this.#discovered(peer),
      prepare: (prepared) => this.#prepare(prepared, handlers),
    })
    const timer = setInterval(() => this.#redial(), this.#options.redialMs ?? REDIAL_MS)
    this.#running = { node, handlers, timer }
    if (this.#options.mdns !== false) await this.#warnOfNoRoute()
    for (const topic of this.#options.topics ?? (['ctl', 'fact', 'gate'] as const)) {
      node.services.pubsub.subscribe(this.#topics[topic])
    }
    this.#redial()
  }

  async #warnOfNoRoute(): Promise<void> {
    if ((await hasMulticastRoute()) !== false) return
    const fix = 'ip route add 224.0.0.0/4 dev <interface>'
    this.#options.logger.warn({ fix }, 'no route for multicast: this host is not heard on the LAN')
  }

  async stop(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    if (running === undefined) return
    clearInterval(running.timer)
    await running.node.stop()
  }

  /** Where this node can be reached, with its peer id. */
  listening(): readonly string[] {
    return this.#running?.node.getMultiaddrs().map(String) ?? []
  }

  /** Streams of our protocols that are open now; for metrics, and to find leaks. */
  openStreams(): number {
    const connections = this.#running?.node.getConnections() ?? []
    return connections
      .flatMap(({ streams }) => streams)
      .filter(({ protocol }) => OWN_PROTOCOLS.includes(protocol)).length
  }

  /** Replaces the membership and hangs up on everybody who left. */
  async setMembership(membership: Membership): Promise<void> {
    this.#book.replace(membership)
    const node = this.#running?.node
    if (node === undefined) return
    replaceDirectPeers(node.services.pubsub, this.#book)
    const gone = node.getPeers().filter((peer) => this.#book.nameOf(peer) === undefined)
    await Promise.allSettled(gone.map((peer) => node.hangUp(peer)))
  }

  publish(topic: Topic, bytes: Uint8Array): void {
    assertGossipSize(bytes)
    this.#running?.node.services.pubsub.publish(this.#topics[topic], bytes).catch((error) => {
      this.#options.logger.debug({ topic, why: textOf(error) }, 'a message was not published')
    })
  }

  async ask(peer: HostName, kind: Ask, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    assertAskSize(bytes)
    const signal = AbortSignal.timeout(timeoutMs)
    try {
      const stream = await this.#openStream(peer, ASK_PROTOCOL, signal)
      return await askOnStream(stream, { peer, kind, bytes, signal })
    } catch (error) {
      if (error instanceof NodeError) throw error
      throw signal.aborted
        ? timedOut(peer, timeoutMs, error)
        : unreachable(peer, textOf(error), error)
    }
  }

  async *pull(peer: HostName, hash: Hash, offset: number): AsyncGenerator<Uint8Array> {
    try {
      const signal = AbortSignal.timeout(BLOB_STALL_MS_MAX)
      const stream = await this.#openStream(peer, BLOB_PROTOCOL, signal)
      yield* pullOnStream(stream, { peer, hash, offset })
    } catch (error) {
      throw error instanceof NodeError ? error : unreachable(peer, textOf(error), error)
    }
  }

  async *pieces(
    peer: HostName,
    question: Uint8Array,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    try {
      const soon = AbortSignal.any([signal, AbortSignal.timeout(BLOB_STALL_MS_MAX)])
      const stream = await this.#openStream(peer, PIECE_PROTOCOL, soon)
      yield* askPiecesOnStream(stream, { peer, question, signal })
    } catch (error) {
      throw error instanceof NodeError ? error : unreachable(peer, textOf(error), error)
    }
  }

  peers(): readonly HostName[] {
    const peers = this.#running?.node.getPeers() ?? []
    return peers.flatMap((peer) => this.#book.hostOf(peer) ?? []).sort()
  }

  /**
   * Who is called may have been called from any of the caller's addresses, or through a NAT: then
   * what it declares counts, unless it declares the one that was seen.
   */
  addressOf(peer: HostName): string | undefined {
    const connection = this.#connectionOf(peer)
    if (connection === undefined) return undefined
    const seen = ipOf(connection.remoteAddr)
    if (connection.direction === 'outbound') return seen
    const declared = this.#book.addresses(peer).map(ipOf)
    return declared.includes(seen) ? seen : (declared.find((ip) => ip !== undefined) ?? seen)
  }

  absences(): Absences {
    const connected = new Set(this.peers())
    const absent = this.#book.others().filter(({ name }) => !connected.has(name))
    const members = absent.map(({ name }) =>
      this.#sightings.absence(name, this.#book.addresses(name).map(String)),
    )
    const { strangers } = this.#sightings
    return { members, strangers, multicast: this.#options.mdns !== false }
  }

  /** A member that is new at an address is dialed at once; a stranger is counted and left alone. */
  #discovered({ id, multiaddrs }: PeerInfo): void {
    const name = this.#book.hostOf(id)
    if (name === undefined) this.#sightings.heardStranger(id.toString())
    if (name === undefined || name === this.#options.name) return
    this.#sightings.heard(name)
    if (this.#book.learn(name, multiaddrs)) this.#redial()
  }

  /** Everything that must stand before the first connection: handlers, validators, events. */
  async #prepare(node: Running['node'], handlers: NetworkHandlers): Promise<void> {
    const host = (peer: PeerId, act: (name: HostName) => void): void => {
      const name = this.#book.hostOf(peer)
      if (name !== undefined) act(name)
    }
    node.addEventListener('peer:connect', ({ detail }) =>
      host(detail, (name) => handlers.peer(name, true)),
    )
    node.addEventListener('peer:disconnect', ({ detail }) =>
      host(detail, (name) => {
        this.#sightings.lost(name, performance.now())
        handlers.peer(name, false)
      }),
    )
    validateWith(node.services.pubsub, this.#topics, async (topic, bytes, peer) => {
      const from = this.#book.hostOf(peer)
      return from === undefined ? 'ignore' : await handlers.gossip(topic, bytes, from)
    })
    const { answer, serve } = handlers
    await this.#handle(node, ASK_PROTOCOL, {
      streams: ASKS_PER_PEER_MAX,
      who: 'members',
      run: (stream, from) =>
        answerOnStream(stream, { from, quota: this.#asks, answer: answer.bind(handlers) }),
    })
    await this.#handle(node, BLOB_PROTOCOL, {
      streams: BLOBS_PER_PEER_MAX,
      who: 'hosts',
      run: (stream, from) =>
        serveOnStream(stream, { from, quota: this.#blobs, serve: serve.bind(handlers) }),
    })
    const enroll = handlers.enroll?.bind(handlers)
    if (enroll !== undefined) await this.#takeTickets(node, enroll)
    const pieces = handlers.pieces?.bind(handlers)
    if (pieces === undefined) return
    await this.#handle(node, PIECE_PROTOCOL, {
      streams: PIECE_STREAMS_PER_PEER_MAX,
      who: 'hosts',
      run: (stream, from) => givePiecesOnStream(stream, { from, quota: this.#pieces, pieces }),
    })
  }

  /** Holders of a ticket ask on streams of their own, and are hung up on soon, whatever they do. */
  async #takeTickets(
    node: Running['node'],
    enroll: NonNullable<NetworkHandlers['enroll']>,
  ): Promise<void> {
    node.addEventListener('connection:open', ({ detail }) => {
      const name = this.#book.nameOf(detail.remotePeer)
      if (name === undefined || ticketOf(name) === undefined) return
      const end = (): void => detail.abort(new Error('a ticket is not let stay'))
      setTimeout(end, this.#options.ticketMs ?? ENROLL_CONNECTION_MS_MAX).unref()
    })
    await this.#handle(node, ENROLL_PROTOCOL, {
      streams: TICKET_STREAMS_MAX,
      who: 'tickets',
      run: (stream, from) =>
        answerEnrollOnStream(stream, {
          ...{ ticket: ticketOf(from) ?? '', quota: this.#enrolls, answer: enroll },
        }),
    })
  }

  async #handle(
    node: Running['node'],
    protocol: string,
    handler: {
      streams: number
      who: 'hosts' | 'members' | 'tickets'
      run: (stream: Stream, from: PeerName) => Promise<void>
    },
  ): Promise<void> {
    const nameOf = (peer: PeerId): PeerName | undefined => {
      if (handler.who === 'hosts') return this.#book.hostOf(peer)
      const name = this.#book.nameOf(peer)
      const isTicket = name !== undefined && ticketOf(name) !== undefined
      return isTicket === (handler.who === 'tickets') ? name : undefined
    }
    await node.handle(
      protocol,
      async (stream, connection) => {
        const from = nameOf(connection.remotePeer)
        if (from === undefined) stream.abort(new Error('this peer may not ask for this'))
        else await handler.run(stream, from)
      },
      { maxInboundStreams: 2 * handler.streams, maxOutboundStreams: 2 * handler.streams },
    )
  }

  async #openStream(peer: HostName, protocol: string, signal: AbortSignal): Promise<Stream> {
    const node = this.#running?.node
    if (node === undefined) throw unreachable(peer, 'that this node is stopped')
    const connection = this.#connectionOf(peer) ?? (await this.#dial(node, peer, signal))
    return await connection.newStream(protocol, { signal })
  }

  #connectionOf(peer: HostName): Connection | undefined {
    const id = this.#book.entry(peer)?.id
    const connections = id === undefined ? [] : (this.#running?.node.getConnections(id) ?? [])
    return connections.find(({ status }) => status === 'open')
  }

  async #dial(node: Running['node'], peer: HostName, signal: AbortSignal): Promise<Connection> {
    const addresses = this.#book.addresses(peer)
    if (addresses.length === 0) {
      throw unreachable(peer, this.#book.entry(peer) ? 'no address of it' : 'that it is no member')
    }
    return await node.dial(addresses, { signal })
  }

  #redial(): void {
    const node = this.#running?.node
    if (node === undefined) return
    this.#round++
    const connected = new Set(this.peers())
    const candidates = this.#book
      .others()
      .filter(({ name }) => connected.has(name) || this.#book.addresses(name).length > 0)
      .filter(({ name }) => !this.#leavesFirstTry(name))
      .map(({ name, voter }) => ({
        name,
        voter,
        connected: connected.has(name),
        dialing: this.#dialing.has(name),
        lastTried: this.#lastTried.get(name),
      }))
    for (const name of chooseDials(candidates)) void this.#tryDial(node, name)
    for (const name of connected) this.#renewWithoutGossip(node, name)
  }

  /** Of two hosts that start together one dials first, so that they do not connect twice. */
  #leavesFirstTry(peer: HostName): boolean {
    if (this.#lastTried.has(peer) || peer > this.#options.name) return false
    this.#lastTried.set(peer, this.#round)
    return true
  }

  async #tryDial(node: Running['node'], peer: HostName): Promise<void> {
    this.#lastTried.set(peer, this.#round)
    this.#dialing.add(peer)
    try {
      await this.#dial(node, peer, AbortSignal.timeout(DIAL_MS_MAX))
      this.#sightings.reached(peer, performance.now())
    } catch (error) {
      this.#sightings.failed(peer, error)
      this.#options.logger.debug({ peer, why: textOf(error) }, 'a dial failed')
    } finally {
      this.#dialing.delete(peer)
    }
  }

  /**
   * Hangs up on a member whose gossip streams broke while its connection lives: gossipsub opens one
   * stream each way for a connection and never another, so a single bad frame would mute it for good.
   */
  #renewWithoutGossip(node: Running['node'], peer: HostName): void {
    const entry = this.#book.entry(peer)
    if (entry === undefined) return
    const streams = node.getConnections(entry.id).flatMap((connection) => connection.streams)
    const gossips = (direction: Stream['direction']): boolean =>
      streams.some((stream) => stream.direction === direction && isGossip(stream.protocol))
    const whole = gossips('inbound') && gossips('outbound')
    const rounds = whole ? 0 : (this.#gossipMissing.get(peer) ?? 0) + 1
    this.#gossipMissing.set(peer, rounds)
    if (rounds <= GOSSIP_MISSING_ROUNDS_MAX) return
    this.#gossipMissing.delete(peer)
    this.#options.logger.info({ peer }, 'a connection without gossip is made anew')
    node.hangUp(entry.id).catch(() => undefined)
  }
}

const OWN_PROTOCOLS: readonly string[] = [
  ASK_PROTOCOL,
  BLOB_PROTOCOL,
  PIECE_PROTOCOL,
  ENROLL_PROTOCOL,
]

/** Voters hand each other every message, whatever the mesh is; the library fixes them at its start. */
function replaceDirectPeers(pubsub: GossipSub, book: PeerBook): void {
  const direct = (pubsub as GossipSub & { direct?: unknown }).direct
  if (!(direct instanceof Set)) return
  direct.clear()
  for (const { id } of book.directPeers()) direct.add(id.toString())
}

function ipOf(address: Multiaddr): string | undefined {
  const components = address.getComponents()
  return components.find(({ name }) => name === 'ip4' || name === 'ip6')?.value
}
