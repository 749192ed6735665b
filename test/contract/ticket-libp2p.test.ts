/** What the holder of a ticket reaches on a real node: one protocol, and nothing else of it. */
import '../../node/shims.ts'
import { createServer } from 'node:net'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type EnrolLink, openEnrolLink } from '../../node/network/enrol-link.ts'
import { ENROLL_PROTOCOL } from '../../node/network/enroll-protocol.ts'
import { Libp2pNetwork } from '../../node/network/libp2p.ts'
import { baseOptions } from '../../node/network/libp2p-node.ts'
import { peerIdOfKey } from '../../node/network/peer-book.ts'
import type { Logger } from '../../node/ports.ts'
import {
  deriveHostKeys,
  deriveSeed,
  ENROLL_QUESTION_BYTES_MAX,
  type KeyId,
  keyPair,
  type TicketPeer,
} from '../../protocol/index.ts'
import { Recorder } from './network.ts'

const SILENT: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
function ignore(): void {}

const seedOf = (label: string): Uint8Array => deriveSeed(new Uint8Array(32), label)
const ASH = deriveHostKeys(seedOf('ash')).transport
const ELM = deriveHostKeys(seedOf('elm')).transport
const TICKET = keyPair(seedOf('ticket'))
const STRANGER = keyPair(seedOf('stranger'))
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A node that also takes tickets. */
class Desk extends Recorder {
  readonly enrolled: string[] = []

  async enroll(question: Uint8Array, ticket: KeyId): Promise<Uint8Array> {
    this.enrolled.push(ticket)
    return utf8(`${new TextDecoder().decode(question)}!`)
  }
}

describe('the holder of a ticket', () => {
  let port = 0
  let ash: Libp2pNetwork
  let desk: Desk
  let others: { stop(): Promise<void> | void }[] = []
  const peer = (): TicketPeer => ({
    address: `/ip4/127.0.0.1/tcp/${port}`,
    key: ASH.publicKey,
  })
  const membership = (tickets: readonly KeyId[]) => ({
    hosts: [
      { name: 'ash', transport: ASH.publicKey, addresses: [peer().address] },
      { name: 'elm', transport: ELM.publicKey, addresses: [] },
    ],
    voters: ['ash'],
    operators: [],
    tickets,
  })

  async function start(ticketMs?: number): Promise<void> {
    ash = new Libp2pNetwork({
      ...{ fleet: 'f1'.repeat(16), group: 'site', name: 'ash', seed: ASH.seed, mdns: false },
      ...{ listen: [peer().address], membership: membership([TICKET.publicKey]), logger: SILENT },
      ...(ticketMs === undefined ? {} : { ticketMs }),
    })
    desk = new Desk()
    await ash.start(desk)
    others.push(ash)
  }

  /** A plain libp2p node with that key, which may try whatever it likes. */
  async function raw(seed: Uint8Array): Promise<Libp2p<{ identify: Identify }>> {
    const node = await createLibp2p({
      ...(await baseOptions(seed)),
      start: true,
      connectionMonitor: { enabled: false },
      services: { identify: identify() },
    })
    others.push(node)
    return node
  }
  const where = () => multiaddr(`${peer().address}/p2p/${peerIdOfKey(ASH.publicKey).toString()}`)
  const dial = (node: Libp2p): Promise<Connection> => node.dial(where())

  async function link(seed: Uint8Array): Promise<EnrolLink> {
    const opened = await openEnrolLink(seed)
    others.push({ stop: () => opened.close() })
    return opened
  }

  beforeEach(async () => {
    port = await freePort()
  })
  afterEach(async () => {
    await Promise.all(others.map((one) => one.stop()))
    others = []
  })

  it('asks and is answered, by the key that it proved', async () => {
    await start()
    const ask = await link(TICKET.seed)
    for (const text of ['let me in', 'and again']) {
      const answer = await ask.ask(peer(), utf8(text), 5_000)
      expect(new TextDecoder().decode(answer)).toBe(`${text}!`)
    }
    expect(desk.enrolled).toEqual([TICKET.publicKey, TICKET.publicKey])
  })

  it('reaches no other protocol that the node speaks with members, and is no member', async () => {
    await start()
    const member = await raw(ELM.seed)
    await dial(member)
    const known = async (): Promise<string[]> =>
      (await member.peerStore.get(peerIdOfKey(ASH.publicKey))).protocols
    await until(async () => (await known()).length > 5)
    const protocols = await known()
    expect(protocols).toEqual(
      expect.arrayContaining([ENROLL_PROTOCOL, '/nixfleet/ask/1', '/ipfs/id/1.0.0']),
    )
    const holder = await raw(TICKET.seed)
    const connection = await dial(holder)
    await expect(holder.services.identify.identify(connection)).rejects.toThrow()
    for (const protocol of protocols) {
      if (protocol === ENROLL_PROTOCOL) continue
      expect(await bytesOf(connection, protocol), protocol).toBe(0)
    }
    expect(ash.peers()).toEqual(['elm'])
    expect(desk.asked).toEqual([])
    expect(desk.events).toEqual(['elm up'])
    expect(desk.heard).toEqual([])
  })

  it('is told nothing by members either: only its own key opens the protocol', async () => {
    await start()
    const member = await raw(ELM.seed)
    expect(await bytesOf(await dial(member), ENROLL_PROTOCOL)).toBe(0)
    expect(desk.enrolled).toEqual([])
  })

  it('is hung up on once its ticket is not let speak any more, as every stranger is', async () => {
    await start()
    const ask = await link(TICKET.seed)
    await ask.ask(peer(), utf8('first'), 5_000)
    await ash.setMembership(membership([]))
    for (const seed of [TICKET.seed, STRANGER.seed]) {
      const stranger = await link(seed)
      await expect(stranger.ask(peer(), utf8('again'), 5_000)).rejects.toMatchObject({
        name: 'NodeError',
      })
    }
    expect(desk.enrolled).toHaveLength(1)
  })

  it('sends no more than a question, and the node reads none of it', async () => {
    await start()
    const ask = await link(TICKET.seed)
    const large = new Uint8Array(ENROLL_QUESTION_BYTES_MAX + 1)
    await expect(ask.ask(peer(), large, 5_000)).rejects.toMatchObject({ name: 'NodeError' })
    expect(desk.enrolled).toEqual([])
    await ask.ask(peer(), large.subarray(1), 5_000)
    expect(desk.enrolled).toHaveLength(1)
  })

  it('holds few connections, and none for long', async () => {
    await start(1_500)
    const held: Connection[] = []
    for (let i = 0; i < 20; i++) {
      const node = await raw(TICKET.seed)
      held.push(await dial(node))
    }
    await until(() => held.filter(({ status }) => status !== 'open').length >= 4)
    await until(() => held.every(({ status }) => status !== 'open'))
  })
})

/** Bytes that a stream of `protocol` gives before it ends, whatever is sent. */
async function bytesOf(connection: Connection, protocol: string): Promise<number> {
  let count = 0
  try {
    const signal = AbortSignal.timeout(3_000)
    const stream = await connection.newStream(protocol, { signal })
    stream.send(new Uint8Array([1, 1]))
    signal.addEventListener('abort', () => stream.abort(new Error('nothing came')))
    for await (const chunk of stream) count += chunk.length
  } catch {
    return count
  }
  return count
}

async function until(done: () => boolean | Promise<boolean>, limitMs = 15_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${done}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
