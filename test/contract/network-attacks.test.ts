/**
 * What somebody in the network tries against a real node: connections, handshakes, streams and frames
 * that no honest peer makes. docs/security.md names each of these tests.
 */
import './loopback-group.ts'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  ASK_READ_MS_MAX,
  ASKS_PER_PEER_MAX,
  GOSSIP_FRAME_BYTES_MAX,
  HOST_CONNECTIONS_MAX,
} from '../../node/limits.ts'
import { ASK_PROTOCOL } from '../../node/network/ask-protocol.ts'
import type { Libp2pNetwork } from '../../node/network/libp2p.ts'
import { peerIdOfKey } from '../../node/network/peer-book.ts'
import { ASK_BYTES_MAX, utf8 } from '../../protocol/index.ts'
import { LoopbackGroup, pause, transportOf, until } from './loopback-group.ts'
import { Recorder } from './network.ts'

const NAMES = ['ash', 'elm', 'fir'] as const
/** Long enough for a dial that is tried again after it failed, on a machine that does other work. */
const PATIENCE_MS = 30_000

let group: LoopbackGroup
let ash: Libp2pNetwork
let recorder: Recorder
const cleanUp: (() => unknown)[] = []

beforeEach(async () => {
  group = new LoopbackGroup()
  await group.reserve([...NAMES])
  await startAsh(60_000)
})
afterEach(async () => {
  for (const act of cleanUp.splice(0).reverse()) await act()
  await group.stop()
})

/** `redialMs`: how often it looks for members without gossip, on whom it hangs up. */
async function startAsh(redialMs: number): Promise<void> {
  recorder = new Recorder()
  const membership = group.membership(NAMES)
  const hosts = membership.hosts.map((host) => ({ ...host, addresses: [] }))
  ash = group.make('ash', NAMES, { membership: { ...membership, hosts }, redialMs })
  await ash.start(recorder)
}

async function restartAsh(redialMs: number): Promise<void> {
  await ash.stop()
  await startAsh(redialMs)
}

/** A member that only dials: ash hears of it when it comes in, and could not go and fetch it. */
async function join(name: (typeof NAMES)[number]): Promise<[Libp2pNetwork, Recorder]> {
  const [network, own] = [group.make(name, NAMES, { listen: [] }), new Recorder()]
  await network.start(own)
  await until(() => network.peers().includes('ash'), PATIENCE_MS)
  return [network, own]
}

/** A connection with the key of a member, by a node that does what it likes. */
async function dial(name: (typeof NAMES)[number]): Promise<Connection | undefined> {
  const node = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', transportOf(name).seed),
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
  })
  cleanUp.push(() => node.stop())
  const id = peerIdOfKey(transportOf('ash').publicKey).toString()
  return await node.dial(multiaddr(`${group.address('ash')}/p2p/${id}`)).catch(() => undefined)
}

async function enemy(name: (typeof NAMES)[number]): Promise<Connection> {
  const connection = await dial(name)
  await until(() => ash.peers().includes(name), PATIENCE_MS)
  if (connection === undefined) throw new Error('expected a connection of a member')
  return connection
}

/** A connection that says what it is given and reads what comes. */
function raw(from: string, first: Uint8Array = new Uint8Array()): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const at = { host: '127.0.0.1', port: group.ports.get('ash') ?? 0, localAddress: from }
    const socket = connect(at, () => {
      socket.write(first)
      resolve(socket)
    })
    socket.on('error', reject)
    cleanUp.push(() => socket.destroy())
  })
}

/** A message of multistream-select, the first words of every connection. */
function line(text: string): Buffer {
  const bytes = Buffer.from(`${text}\n`)
  return Buffer.concat([Buffer.of(bytes.length), bytes])
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.resume()
    if (socket.destroyed) resolve()
    else socket.once('close', () => resolve())
  })

const isGone = (stream: Stream): boolean => stream.status !== 'open' && stream.status !== 'closing'

describe('a stranger in the network', () => {
  it('finds no way in but Noise: plain text and other encryption are refused', async () => {
    for (const other of ['/plaintext/2.0.0', '/plaintext/1.0.0', '/tls/1.0.0', '/secio/1.0.0']) {
      const socket = await raw(
        '127.0.0.1',
        Buffer.concat([line('/multistream/1.0.0'), line(other)]),
      )
      let said = ''
      socket.on('data', (bytes: Buffer) => {
        said += bytes.toString('latin1')
      })
      await until(() => said.includes('na\n') || socket.destroyed, PATIENCE_MS)
      expect(said, other).not.toContain(other)
      expect(said, other).toContain('na\n')
    }
    expect(ash.peers()).toEqual([])
  })

  it('who replays a member’s recorded handshake and questions is nobody', async () => {
    const recorded: Buffer[] = []
    const sockets: Socket[] = []
    const tap: Server = createServer((inbound) => {
      const outbound = connect(group.ports.get('ash') ?? 0, '127.0.0.1')
      sockets.push(inbound, outbound)
      inbound.on('data', (bytes: Buffer) => {
        recorded.push(bytes)
        outbound.write(bytes)
      })
      outbound.on('data', (bytes: Buffer) => inbound.write(bytes))
      for (const one of [inbound, outbound]) one.on('error', () => undefined)
      inbound.on('close', () => outbound.destroy())
      outbound.on('close', () => inbound.destroy())
    })
    await new Promise<void>((resolve) => tap.listen(0, '127.0.0.1', resolve))
    cleanUp.push(() => tap.close())
    const { port } = tap.address() as { port: number }
    // elm believes that ash is behind the tap; ash has no address of elm.
    const membership = group.membership(NAMES)
    const through = membership.hosts.map((host) =>
      host.name === 'ash' ? { ...host, addresses: [`/ip4/127.0.0.1/tcp/${port}`] } : host,
    )
    const elm = group.make('elm', NAMES, {
      listen: [],
      membership: { ...membership, hosts: through },
    })
    await elm.start(new Recorder())
    await until(() => ash.peers().includes('elm') && elm.peers().includes('ash'), PATIENCE_MS)
    await elm.ask('ash', 'probe', utf8('hello'), 5_000)
    expect(recorder.asked).toEqual(['probe from elm'])
    await elm.stop()
    for (const socket of sockets) socket.destroy()
    await until(() => ash.peers().length === 0, PATIENCE_MS)
    const events = [...recorder.events]
    expect(Buffer.concat(recorded).length).toBeGreaterThan(1_000)
    const replay = await raw('127.0.0.1', Buffer.concat(recorded))
    await closed(replay)
    expect(ash.peers()).toEqual([])
    expect([recorder.asked, recorder.events]).toEqual([['probe from elm'], events])
  })

  it('who holds hundreds of silent connections keeps no member out', async () => {
    const [fir] = await join('fir')
    let over = false
    cleanUp.push(() => {
      over = true
    })
    // What is hung up on comes again at once, for as long as this test lasts.
    const hold = async (from: string): Promise<void> => {
      while (!over) {
        const socket = await raw(from).catch(() => undefined)
        if (socket !== undefined) await closed(socket)
        await pause(250)
      }
    }
    for (let i = 0; i < 240; i++) void hold(`127.0.1.${1 + (i % 4)}`)
    await pause(1_000)
    const [elm] = await join('elm')
    await elm.ask('ash', 'probe', utf8('one'), 10_000)
    await fir.ask('ash', 'probe', utf8('two'), 10_000)
    expect([...recorder.asked].sort()).toEqual(['probe from elm', 'probe from fir'])
  })
})

describe('a host of another fleet', () => {
  it('with the very same keys hears and says nothing here', async () => {
    const [fir, heard] = await join('fir')
    const own = new Recorder()
    const elm = group.make('elm', NAMES, { fleet: 'e2'.repeat(16) })
    await elm.start(own)
    await until(() => elm.peers().includes('ash'), PATIENCE_MS)
    let round = 0
    await until(() => {
      elm.publish('ctl', utf8('warm elm'))
      elm.publish('fact', utf8('from another fleet'))
      ash.publish('fact', utf8(`warm ash ${round++}`))
      return heard.warm.has('ash')
    }, PATIENCE_MS)
    await pause(1_500)
    expect([recorder.heard, [...recorder.warm]]).toEqual([[], []])
    expect([own.heard, [...own.warm]]).toEqual([[], []])
    expect(fir.peers()).toContain('ash')
  })
})

describe('a member that is an enemy', () => {
  it('finds no older and no other protocol to speak', async () => {
    const connection = await enemy('elm')
    for (const protocol of [
      '/nixfleet/ask/0',
      '/nixfleet/ask/2',
      '/nixfleet/ask',
      '/floodsub/1.0.0',
      '/ipfs/kad/1.0.0',
      '/libp2p/circuit/relay/0.2.0/hop',
      '/libp2p/autonat/1.0.0',
    ]) {
      const opened = connection.newStream(protocol, { signal: AbortSignal.timeout(5_000) })
      await expect(opened, protocol).rejects.toMatchObject({ name: 'UnsupportedProtocolError' })
    }
    const known = await connection.newStream(ASK_PROTOCOL)
    expect(known.protocol).toBe(ASK_PROTOCOL)
    known.abort(new Error('enough'))
  })

  it('holds a bounded number of silent streams, each for a bounded time, and stops nobody', async () => {
    const [fir] = await join('fir')
    const connection = await enemy('elm')
    const streams: Stream[] = []
    for (let i = 0; i < 8 * ASKS_PER_PEER_MAX; i++) {
      const stream = await connection
        .newStream(ASK_PROTOCOL, { signal: AbortSignal.timeout(5_000), maxOutboundStreams: 10_000 })
        .catch(() => undefined)
      if (stream === undefined) continue
      // Half of a length: without a byte the stream would not even be agreed upon.
      if (!isGone(stream)) stream.send(Uint8Array.of(0x80))
      streams.push(stream)
    }
    await until(() => ash.openStreams() >= ASKS_PER_PEER_MAX, PATIENCE_MS)
    expect(ash.openStreams()).toBeLessThanOrEqual(2 * ASKS_PER_PEER_MAX)
    await fir.ask('ash', 'probe', utf8('still there?'), 10_000)
    expect(recorder.asked).toEqual(['probe from fir'])
    await until(() => ash.openStreams() === 0, ASK_READ_MS_MAX + PATIENCE_MS)
  })

  it('holds a bounded number of connections, and takes no place from another', async () => {
    const nodes = await Promise.all(
      Array.from({ length: 3 * HOST_CONNECTIONS_MAX }, () => dial('elm')),
    )
    const open = (): number => nodes.filter((one) => one?.status === 'open').length
    await until(() => open() <= HOST_CONNECTIONS_MAX, PATIENCE_MS)
    expect(open()).toBeGreaterThan(0)
    const [fir] = await join('fir')
    await fir.ask('ash', 'probe', utf8('still there?'), 10_000)
    expect(recorder.asked).toEqual(['probe from fir'])
  })

  it('has a question cut off that is larger than any, or says that it will be', async () => {
    const [fir] = await join('fir')
    const connection = await enemy('elm')
    const gigabyte = Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x04)
    const large = new Uint8Array(ASK_BYTES_MAX + 1024).fill(1)
    const lengthOf = (count: number): Uint8Array =>
      Uint8Array.of((count & 0x7f) | 0x80, ((count >> 7) & 0x7f) | 0x80, count >> 14)
    for (const bytes of [gigabyte, Buffer.concat([lengthOf(large.length), large])]) {
      const stream = await connection.newStream(ASK_PROTOCOL)
      stream.send(bytes)
      await until(() => isGone(stream), ASK_READ_MS_MAX / 2)
    }
    await fir.ask('ash', 'probe', utf8('still there?'), 10_000)
    expect(recorder.asked).toEqual(['probe from fir'])
  })

  it('is hung up on after a gossip frame larger than any, and the others go on hearing', async () => {
    await restartAsh(300)
    const [fir, heard] = await join('fir')
    const connection = await enemy('elm')
    const stream = await connection.newStream('/meshsub/1.1.0')
    const size = 64 * GOSSIP_FRAME_BYTES_MAX
    const length = [size & 0x7f, (size >> 7) & 0x7f, (size >> 14) & 0x7f].map((part) => part | 0x80)
    stream.send(Uint8Array.from([...length, size >> 21]))
    for (let sent = 0; sent < size && !isGone(stream); sent += 65_536) {
      stream.send(new Uint8Array(65_536))
      await pause(1)
    }
    await until(() => isGone(stream), PATIENCE_MS)
    let round = 0
    await until(() => {
      ash.publish('fact', utf8(`warm ash ${round++}`))
      return heard.warm.has('ash')
    }, PATIENCE_MS)
    expect(recorder.heard).toEqual([])
    expect(fir.peers()).toContain('ash')
  })
})
