/** The network contract over libp2p on loopback, and what only real connections can show. */
import '../../node/shims.ts'
import { afterEach, describe, expect, it } from 'vitest'
import type { Libp2pNetwork } from '../../node/network/libp2p.ts'
import { type Membership, operatorName } from '../../node/network/membership.ts'
import { openOperatorLink } from '../../node/network/operator-link.ts'
import { peerIdOfKey } from '../../node/network/peer-book.ts'
import type { Network } from '../../node/ports.ts'
import type { HostName } from '../../protocol/index.ts'
import { LoopbackGroup, listenOn, OPERATOR, pause, transportOf, until } from './loopback-group.ts'
import { ALIEN, MEMBERS, networkContract, Recorder } from './network.ts'

/** The membership without any address. */
function withoutAddresses(membership: Membership): Membership {
  return { ...membership, hosts: membership.hosts.map((host) => ({ ...host, addresses: [] })) }
}

networkContract('the libp2p network', async () => {
  const group = new LoopbackGroup()
  await group.reserve([...MEMBERS, ALIEN])
  return {
    operatorName: operatorName(OPERATOR.publicKey),
    make: async (name) => group.make(name, name === ALIEN ? [...MEMBERS, ALIEN] : MEMBERS),
    operator: (peer) =>
      openOperatorLink({
        seed: OPERATOR.seed,
        peer: {
          name: peer,
          transport: transportOf(peer).publicKey,
          addresses: [group.address(peer)],
        },
      }),
    pass: pause,
    openStreams: (network: Network) => (network as Libp2pNetwork).openStreams(),
    dispose: () => group.stop(),
  }
})

describe('the libp2p network', () => {
  let group = new LoopbackGroup()
  afterEach(async () => {
    await group.stop()
    group = new LoopbackGroup()
  })

  async function startAll(names: readonly HostName[]): Promise<[Libp2pNetwork, Recorder][]> {
    await group.reserve(names)
    const started: [Libp2pNetwork, Recorder][] = []
    for (const name of names) {
      const [network, recorder] = [group.make(name, names), new Recorder()]
      await network.start(recorder)
      started.push([network, recorder])
    }
    return started
  }

  it('says PORT_IN_USE and what to do when its address is taken', async () => {
    await group.reserve(['ash'])
    const server = await listenOn(group.ports.get('ash') ?? 0)
    await expect(group.make('ash', ['ash']).start(new Recorder())).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      fix: expect.stringMatching(/ss -ltnp/),
    })
    server.close()
    const retry = group.make('ash', ['ash'])
    await retry.start(new Recorder())
    expect(retry.listening()).toHaveLength(1)
  })

  it('hangs up on a member who is removed, and does not answer it any more', async () => {
    const [ash, elm] = await startAll(['ash', 'elm'])
    if (ash === undefined || elm === undefined) throw new Error('expected two hosts')
    await until(() => ash[0].peers().length === 1 && elm[0].peers().length === 1)
    await ash[0].setMembership(group.membership(['ash']))
    await until(() => ash[0].peers().length === 0 && elm[0].peers().length === 0)
    await expect(elm[0].ask('ash', 'probe', new Uint8Array(), 2_000)).rejects.toMatchObject({
      name: 'NodeError',
    })
    expect(ash[1].asked).toEqual([])
  })

  it('dials a member by an address of its own configuration, and answers over that connection', async () => {
    const names = ['ash', 'elm']
    await group.reserve(names)
    const membership = withoutAddresses(group.membership(names))
    const ash = group.make('ash', names, { membership })
    const recorder = new Recorder()
    const peers = [`${group.address('ash')}/p2p/${peerIdOfKey(transportOf('ash').publicKey)}`]
    // Nobody can dial elm: it listens nowhere, and no address of it is known.
    const elm = group.make('elm', names, { membership, listen: [], peers })
    await ash.start(new Recorder())
    await elm.start(recorder)
    await until(() => ash.peers().includes('elm'))
    await ash.ask('elm', 'probe', new Uint8Array(1), 2_000)
    expect(recorder.asked).toHaveLength(1)
    expect(ash.absences()).toEqual({ members: [], strangers: 0, multicast: false })
  })

  it('says of a member that is not connected why its dials fail', async () => {
    const names = ['ash', 'elm', 'oak', 'yew']
    await group.reserve(names)
    // elm is off, another key answers in place of oak, and yew lets nobody in but itself.
    const ash = group.make('ash', names)
    const impostor = group.make('elm', names, { listen: [group.address('oak')] })
    const yew = group.make('yew', ['yew'])
    for (const network of [impostor, yew]) await network.start(new Recorder())
    await ash.start(new Recorder())
    const fault = (peer: string): string | undefined =>
      ash.absences().members.find((one) => one.peer === peer)?.fault?.kind
    await until(() => ['elm', 'oak', 'yew'].every((peer) => fault(peer) !== undefined))
    await until(() => fault('yew') === 'denied')
    expect([fault('elm'), fault('oak')]).toEqual(['refused', 'stranger'])
  })

  it('keeps an operator’s key out of gossip, blobs and all questions but the API’s', async () => {
    const names = ['ash', 'elm', 'spy']
    await group.reserve(names)
    const [ash, recorder] = [group.make('ash', ['ash', 'elm']), new Recorder()]
    await ash.start(recorder)
    const spy = group.make('spy', ['ash'], { seed: OPERATOR.seed })
    const overheard = new Recorder()
    await spy.start(overheard)
    await until(() => spy.peers().includes('ash'))
    await expect(spy.ask('ash', 'lease', new Uint8Array(), 2_000)).rejects.toMatchObject({
      code: 'PEER_REFUSED',
    })
    recorder.blobs.set('ab'.repeat(32), new Uint8Array(9))
    const pulled = spy.pull('ash', 'ab'.repeat(32), 0)[Symbol.asyncIterator]()
    await expect(pulled.next()).rejects.toMatchObject({ name: 'NodeError' })
    const elm = group.make('elm', ['ash', 'elm'])
    const witness = new Recorder()
    await elm.start(witness)
    let round = 0
    await until(() => {
      spy.publish('fact', new TextEncoder().encode('from the spy'))
      ash.publish('fact', new TextEncoder().encode(`warm ash ${round++}`))
      return witness.warm.size > 0
    })
    await pause(500)
    expect(recorder.heard).toEqual([])
    expect(overheard.warm.size).toBe(0)
    expect(recorder.asked).toEqual([])
    expect(recorder.events).toEqual(['elm up'])
  })

  it('does not hand on a message that its receiver rejects', async () => {
    const names = ['ash', 'elm', 'oak']
    await group.reserve(names)
    // A chain: ash knows only elm, oak knows only elm.
    const ash = group.make('ash', ['ash', 'elm'])
    const elm = group.make('elm', names)
    const oak = group.make('oak', ['elm', 'oak'])
    const recorders = [new Recorder(), new Recorder(), new Recorder()] as const
    await ash.start(recorders[0])
    await elm.start(recorders[1])
    await oak.start(recorders[2])
    let round = 0
    await until(() => {
      ash.publish('fact', new TextEncoder().encode(`warm ash ${round++}`))
      return recorders[2].warm.size > 0
    })
    recorders[1].acceptance = 'reject'
    ash.publish('fact', new TextEncoder().encode('bad'))
    await until(() => recorders[1].heard.length === 1)
    recorders[1].acceptance = 'accept'
    ash.publish('fact', new TextEncoder().encode('good'))
    await until(() => recorders[2].heard.length > 0)
    expect(recorders[2].heard).toEqual(['fact:good'])
  })

  it('holds a sender back while the reader rests, and loses nothing', async () => {
    const [ash, elm] = await startAll(['ash', 'elm'])
    if (ash === undefined || elm === undefined) throw new Error('expected two hosts')
    await until(() => ash[0].peers().length === 1)
    const total = 64 * 1024 * 1024
    let served = 0
    elm[1].blobs.set('ab'.repeat(32), new Uint8Array())
    elm[1].chunksOf = async function* () {
      const chunk = new Uint8Array(64 * 1024)
      for (; served < total; served += chunk.length) yield chunk
    }
    let read = 0
    let resting = 0
    for await (const chunk of ash[0].pull('elm', 'ab'.repeat(32), 0)) {
      read += chunk.length
      if (resting === 0 && read > 2 * 1024 * 1024) {
        await pause(700)
        resting = served - read
      }
    }
    expect(read).toBe(total)
    // A window of 2 MiB, what was read ahead, and the sockets' buffers; never the rest of the blob.
    expect(resting).toBeGreaterThan(0)
    expect(resting).toBeLessThan(16 * 1024 * 1024)
  })

  it('runs twelve hosts in one process, and one message reaches all', {
    timeout: 60_000,
  }, async () => {
    const names = Array.from({ length: 12 }, (_, i) => `host-${String(i).padStart(2, '0')}`)
    const started = await startAll(names)
    await until(() => started.every(([network]) => network.peers().length >= 3), 20_000)
    const [first] = started
    // One at a time: two thousand deliveries a second would be a test of this machine.
    for (let round = 0; started.slice(1).some(([, { heard }]) => heard.length === 0); round++) {
      expect(round).toBeLessThan(20)
      first?.[0].publish('ctl', new TextEncoder().encode(`all ${round}`))
      await pause(1_000)
    }
  })
})
