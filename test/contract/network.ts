/** What every network must do, run over each adapter with the same fleet of four. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type {
  Acceptance,
  Ask,
  Network,
  NetworkHandlers,
  PeerName,
  Topic,
} from '../../node/ports.ts'
import { type HostName, sha256, toHex } from '../../protocol/index.ts'

/** The hosts of the group; `alien` has keys of its own and believes to be one of them. */
export const MEMBERS = ['ash', 'elm', 'fir', 'oak'] as const
export const ALIEN = 'alien'

/** A fleet on one kind of network. */
export interface NetworkFleet {
  /** A network for a host; the same host may be made again after a stop. */
  make(name: HostName): Promise<Network>
  /** A link of the operator, to one host. */
  operator(peer: HostName): Promise<{
    ask(bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>
    close(): Promise<void>
  }>
  /** The name under which that operator comes. */
  readonly operatorName: PeerName
  /** Waits for `ms` of the fleet's own time, which goes on by itself. */
  pass(ms: number): Promise<void>
  /** Streams that this network has open now. */
  openStreams(network: Network): number
  dispose(): Promise<void>
}

/** A runtime that remembers what it was told. */
export class Recorder implements NetworkHandlers {
  /** What was gossiped, except what only warms the network up. */
  readonly heard: string[] = []
  /** Who was heard warming up. */
  readonly warm: Set<PeerName> = new Set()
  readonly asked: string[] = []
  readonly events: string[] = []
  acceptance: Acceptance = 'accept'
  blobs: Map<string, Uint8Array> = new Map()
  chunkBytes = 48 * 1024
  answerer: (kind: Ask, bytes: Uint8Array) => Promise<Uint8Array> = async (_kind, bytes) => bytes

  async gossip(topic: Topic, bytes: Uint8Array): Promise<Acceptance> {
    const message = new TextDecoder().decode(bytes)
    const [warm, name = ''] = message.split(' ')
    if (warm === 'warm') this.warm.add(name)
    else this.heard.push(`${topic}:${message}`)
    return this.acceptance
  }

  async answer(kind: Ask, bytes: Uint8Array, from: PeerName): Promise<Uint8Array> {
    this.asked.push(`${kind} from ${from}`)
    return await this.answerer(kind, bytes)
  }

  async serve(hash: string, offset: number): Promise<AsyncIterable<Uint8Array> | undefined> {
    const blob = this.blobs.get(hash)
    return blob === undefined ? undefined : this.chunksOf(blob, offset)
  }

  async pieces(question: Uint8Array, from: PeerName): Promise<AsyncIterable<Uint8Array>> {
    const blob = this.blobs.get(words(question))
    if (blob === undefined) throw new Error('no such question')
    this.asked.push(`pieces from ${from}`)
    return this.chunksOf(blob, 0)
  }

  peer(peer: HostName, up: boolean): void {
    this.events.push(`${peer} ${up ? 'up' : 'down'}`)
  }

  async *chunksOf(blob: Uint8Array, offset: number): AsyncGenerator<Uint8Array> {
    for (let at = offset; at < blob.length; at += this.chunkBytes) {
      yield blob.subarray(at, Math.min(blob.length, at + this.chunkBytes))
    }
  }
}

const text = (words: string): Uint8Array => new TextEncoder().encode(words)
const words = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

export function networkContract(adapter: string, makeFleet: () => Promise<NetworkFleet>): void {
  describe(`${adapter} keeps the contract of Network`, () => {
    let fleet: NetworkFleet
    const networks = new Map<HostName, Network>()
    const recorders = new Map<HostName, Recorder>()

    const network = (name: HostName): Network => networks.get(name) ?? fail(`no network of ${name}`)
    const recorder = (name: HostName): Recorder => recorders.get(name) ?? fail(`no ${name}`)

    async function start(name: HostName): Promise<void> {
      networks.set(name, await fleet.make(name))
      recorders.set(name, new Recorder())
      await network(name).start(recorder(name))
    }
    async function until(done: () => boolean, limitMs = 8_000): Promise<void> {
      for (let waited = 0; !done(); waited += 50) {
        if (waited >= limitMs) throw new Error(`not within ${limitMs} ms: ${done}`)
        await fleet.pass(50)
      }
    }
    /** Gossip starts some round trips after a connection, and nobody sends again what was too early. */
    async function warmUp(): Promise<void> {
      let round = 0
      const others = MEMBERS.length - 1
      await until(() => {
        for (const name of MEMBERS) network(name).publish('fact', text(`warm ${name} ${round}`))
        round++
        return MEMBERS.every((name) => recorder(name).warm.size >= others)
      })
    }
    const allConnected = (): boolean =>
      MEMBERS.every((name) => network(name).peers().length === MEMBERS.length - 1)

    beforeEach(async () => {
      fleet = await makeFleet()
      for (const name of MEMBERS) await start(name)
      await until(allConnected)
    })
    afterEach(async () => {
      await Promise.all([...networks.values()].map((one) => one.stop()))
      networks.clear()
      recorders.clear()
      await fleet.dispose()
    })

    it('connects the members, tells each of it, and knows where they are', async () => {
      expect(network('ash').peers()).toEqual(['elm', 'fir', 'oak'])
      expect([...recorder('ash').events].sort()).toEqual(['elm up', 'fir up', 'oak up'])
      expect(network('ash').addressOf('elm')).toBeTruthy()
      expect(network('ash').addressOf(ALIEN)).toBeUndefined()
    })

    it('carries a question and its answer, with the name that the asker proved', async () => {
      recorder('elm').answerer = async (_kind, bytes) => text(`${words(bytes)}!`)
      for (const kind of ['probe', 'confirm', 'lease', 'sync', 'gate', 'api', 'cosign'] as const) {
        expect(words(await network('ash').ask('elm', kind, text(kind), 5_000))).toBe(`${kind}!`)
      }
      expect(recorder('elm').asked).toContain('lease from ash')
      const large = new Uint8Array(128 * 1024).fill(7)
      recorder('elm').answerer = async (_kind, bytes) => bytes
      expect(await network('ash').ask('elm', 'sync', large, 5_000)).toEqual(large)
      expect(await network('ash').ask('elm', 'sync', new Uint8Array(), 5_000)).toEqual(
        new Uint8Array(),
      )
      await expect(
        network('ash').ask('elm', 'sync', new Uint8Array(128 * 1024 + 1), 5_000),
      ).rejects.toThrow(RangeError)
    })

    it('carries many questions at once', async () => {
      const asks = Array.from({ length: 30 }, (_, i) =>
        network('ash').ask('elm', 'probe', Uint8Array.of(i), 5_000),
      )
      expect((await Promise.all(asks)).map(([byte]) => byte)).toEqual(asks.map((_, i) => i))
    })

    it('tells a refusal, a silence and an absence apart, each by the peer’s name', async () => {
      recorder('elm').answerer = async () => {
        throw new Error('the basis is not held')
      }
      await expect(network('ash').ask('elm', 'lease', text('?'), 5_000)).rejects.toMatchObject({
        code: 'PEER_REFUSED',
        message: expect.stringMatching(/elm.*the basis is not held/),
      })
      recorder('elm').answerer = () => new Promise(() => undefined)
      await expect(network('ash').ask('elm', 'lease', text('?'), 700)).rejects.toMatchObject({
        code: 'PEER_TIMEOUT',
        message: expect.stringMatching(/elm within 700 ms/),
      })
      await network('elm').stop()
      await expect(network('ash').ask('elm', 'lease', text('?'), 3_000)).rejects.toMatchObject({
        code: 'PEER_UNREACHABLE',
        message: expect.stringMatching(/elm/),
      })
      await expect(network('ash').ask('nobody', 'lease', text('?'), 3_000)).rejects.toMatchObject({
        code: 'PEER_UNREACHABLE',
      })
    })

    it('leaves no stream open after questions that timed out', async () => {
      recorder('elm').answerer = () => new Promise(() => undefined)
      const asks = Array.from({ length: 5 }, () =>
        network('ash').ask('elm', 'probe', text('?'), 300),
      )
      const settled = await Promise.allSettled(asks)
      expect(settled.map(({ status }) => status)).toEqual(Array(5).fill('rejected'))
      await until(() => fleet.openStreams(network('ash')) + fleet.openStreams(network('elm')) === 0)
    })

    it('brings a gossiped message to every member once, and not to its sender', async () => {
      await warmUp()
      network('ash').publish('fact', text('one'))
      network('oak').publish('ctl', text('two'))
      network('fir').publish('gate', text('three'))
      const expected: Record<string, string[]> = {
        ash: ['ctl:two', 'gate:three'],
        elm: ['ctl:two', 'fact:one', 'gate:three'],
        fir: ['ctl:two', 'fact:one'],
        oak: ['fact:one', 'gate:three'],
      }
      const heard = (): Record<string, string[]> =>
        Object.fromEntries(MEMBERS.map((name) => [name, [...recorder(name).heard].sort()]))
      await until(() => JSON.stringify(heard()) === JSON.stringify(expected))
      await fleet.pass(500)
      expect(heard()).toEqual(expected)
    })

    it('does not let the same bytes under one topic hide them under another', async () => {
      await warmUp()
      network('ash').publish('fact', text('same'))
      await until(() => recorder('elm').heard.includes('fact:same'))
      network('ash').publish('ctl', text('same'))
      await until(() => recorder('elm').heard.includes('ctl:same'))
    })

    it('keeps an outsider out, whatever it believes itself', async () => {
      await start(ALIEN)
      network(ALIEN).publish('fact', text('let me in'))
      for (const name of MEMBERS) {
        await expect(network(ALIEN).ask(name, 'probe', text('?'), 2_000)).rejects.toMatchObject({
          name: 'NodeError',
        })
        await expect(network(name).ask(ALIEN, 'probe', text('?'), 1_000)).rejects.toMatchObject({
          code: 'PEER_UNREACHABLE',
        })
      }
      await fleet.pass(1_000)
      for (const name of MEMBERS) {
        expect(recorder(name).asked).toEqual([])
        expect(recorder(name).heard).toEqual([])
        expect(network(name).peers()).not.toContain(ALIEN)
      }
      expect(recorder(ALIEN).asked).toEqual([])
    })

    it('lets an operator ask the API and nothing else', async () => {
      const link = await fleet.operator('fir')
      recorder('fir').answerer = async (kind) => text(kind)
      expect(words(await link.ask(text('status'), 5_000))).toBe('api')
      expect(recorder('fir').asked).toEqual([`api from ${fleet.operatorName}`])
      expect(network('fir').peers()).toEqual(['ash', 'elm', 'oak'])
      expect(recorder('fir').events).not.toContain(`${fleet.operatorName} up`)
      await link.close()
    })

    it('finds a host again that was restarted, within a few seconds', async () => {
      await network('oak').stop()
      await until(() => !network('ash').peers().includes('oak'))
      expect(recorder('ash').events.at(-1)).toBe('oak down')
      await start('oak')
      await until(allConnected, 6_000)
      expect(recorder('ash').events.at(-1)).toBe('oak up')
      expect(words(await network('ash').ask('oak', 'probe', text('back'), 3_000))).toBe('back')
      recorder('oak').warm.clear()
      await warmUp()
      network('ash').publish('fact', text('again'))
      await until(() => recorder('oak').heard.includes('fact:again'))
    })

    it('brings a blob of 8 MiB whole to a slow reader, and its rest from an offset', async () => {
      const blob = Uint8Array.from(
        { length: 8 * 1024 * 1024 },
        (_, i) => (i * 31 + (i >> 11)) & 255,
      )
      const hash = toHex(sha256(blob))
      recorder('elm').blobs.set(hash, blob)
      const whole = await collect(network('ash').pull('elm', hash, 0))
      expect(toHex(sha256(whole))).toBe(hash)
      const offset = 5_000_001
      const rest = await collect(network('ash').pull('elm', hash, offset))
      expect(toHex(sha256(rest))).toBe(toHex(sha256(blob.subarray(offset))))
      expect(await collect(network('ash').pull('elm', hash, blob.length))).toEqual(new Uint8Array())
      await until(() => fleet.openStreams(network('elm')) === 0)
    })

    it('says of a blob that is not held that it is missing, and frees a stream that is left', async () => {
      const absent = 'ab'.repeat(32)
      await expect(collect(network('ash').pull('elm', absent, 0))).rejects.toMatchObject({
        code: 'BLOB_MISSING',
        message: expect.stringMatching(/elm/),
      })
      recorder('elm').blobs.set(absent, new Uint8Array(4 * 1024 * 1024))
      for await (const _chunk of network('ash').pull('elm', absent, 0)) break
      await until(() => fleet.openStreams(network('ash')) + fleet.openStreams(network('elm')) === 0)
    })

    it('brings an answer about pieces whole, with the name of the asker, and ends what is aborted', async () => {
      const never = new AbortController().signal
      const ask = (question: string, signal = never): Promise<Uint8Array> =>
        collect(network('ash').pieces('elm', text(question), signal))
      const piece = Uint8Array.from({ length: 2_500_000 }, (_, i) => (i * 7 + (i >> 9)) & 255)
      recorder('elm').blobs.set('a piece', piece)
      const [one, two] = await Promise.all([ask('a piece'), ask('a piece')])
      expect([one, two].map((bytes) => toHex(sha256(bytes)))).toEqual([
        ...[toHex(sha256(piece)), toHex(sha256(piece))],
      ])
      expect(recorder('elm').asked).toEqual(['pieces from ash', 'pieces from ash'])
      await expect(ask('nonsense')).rejects.toThrow()
      const end = new AbortController()
      for await (const _chunk of network('ash').pieces('elm', text('a piece'), end.signal)) {
        end.abort()
        break
      }
      await expect(ask('a piece', end.signal)).rejects.toThrow()
      await until(() => fleet.openStreams(network('ash')) + fleet.openStreams(network('elm')) === 0)
    })
  })
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk.slice())
  return new Uint8Array(Buffer.concat(parts))
}

function fail(message: string): never {
  throw new Error(message)
}
