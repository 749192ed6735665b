/** Staging: what passes is waited for, a liar is found out, and only agreement on wrong bytes ends it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NodeError } from '../../../node/errors.ts'
import { NarSource } from '../../../node/nar-source.ts'
import type { Network, Random } from '../../../node/ports.ts'
import { Staging } from '../../../node/staging.ts'
import { createMemorySystem, MemoryMachine, memoryPath } from '../../../node/system/memory.ts'
import type { HostName, Manifest } from '../../../protocol/index.ts'
import type { HostEvent, releaseEntry } from '../../../rollout/index.ts'
import { VirtualClock } from '../../simulation/virtual-clock.ts'
import { NEW, OLD, recorder } from './fakes.ts'

const ROLLOUT = 'b'.repeat(64)
const { entry: PATH, nar: NAR } = memoryPath(NEW)

/** What a peer does when a NAR is pulled from it at `offset`. */
type Peer = (offset: number) => Iterable<Uint8Array>

const honest: Peer = (offset) => [NAR.slice(offset)]
const liar: Peer = (offset) => [NAR.slice(offset).map((byte) => byte ^ 1)]
const poor: Peer = () => {
  throw new Error('not held')
}
/** Sends three wrong bytes and goes away: what follows them is right and the whole is not. */
const spoiler: Peer = function* (offset) {
  if (offset > 0) throw new Error('not held')
  yield NAR.slice(0, 3).map((byte) => byte ^ 1)
  throw new Error('gone')
}
const short: Peer = (offset) => (offset === 0 ? [NAR.slice(0, 5)] : [])

class World {
  readonly clock = new VirtualClock()
  readonly machine = new MemoryMachine({ clock: this.clock, initial: OLD })
  readonly answers: HostEvent[] = []
  readonly log = recorder()
  readonly staging: Staging
  peers: Record<HostName, Peer>
  own: Uint8Array | undefined
  manifestHeld = true
  wanted = true
  pulls = 0

  constructor(peers: Record<HostName, Peer>, others = 9) {
    this.peers = peers
    const system = createMemorySystem(this.machine, () => undefined)
    this.staging = new Staging({
      ...{ system, clock: this.clock, log: this.log, cacheKeys: [], others },
      network: this.network,
      random: this.random,
      entry: () => (this.manifestHeld ? MANIFEST : undefined),
      wanted: () => this.wanted,
      own: async () => (this.own === undefined ? undefined : pieces([this.own])),
      answer: (event) => void this.answers.push(event),
    })
  }

  readonly random: Random = { bytes: (count) => new Uint8Array(count).fill(this.pulls++ * 37) }

  readonly network: Network = {
    peers: () => Object.keys(this.peers),
    pull: (peer: HostName, _hash: string, offset: number) => {
      this.pulls++
      return pieces((this.peers[peer] ?? poor)(offset))
    },
  } as unknown as Network

  async run(ms: number): Promise<readonly HostEvent[]> {
    this.staging.start(ROLLOUT, NEW)
    await this.clock.advance(ms)
    return this.answers
  }
}

async function* pieces(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk
}

const manifest: Manifest = {
  kind: 'portable',
  hosts: [{ host: 'elm', generation: NEW, closure: [NEW], checks: [] }],
  paths: [PATH],
  caches: [],
}
const [hostEntry] = manifest.hosts
const MANIFEST: ReturnType<typeof releaseEntry> =
  hostEntry === undefined ? undefined : { entry: hostEntry, manifest }

describe('a staging', () => {
  it('takes the bytes from whoever holds them', async () => {
    const world = new World({ ash: poor, oak: honest })
    expect(await world.run(10)).toEqual([{ kind: 'staged', rollout: ROLLOUT, ok: true }])
    expect(world.machine.held.has(NEW)).toBe(true)
  })

  it('waits for a manifest that comes later', async () => {
    const world = new World({ oak: honest })
    world.manifestHeld = false
    expect(await world.run(120_000)).toEqual([])
    world.manifestHeld = true
    expect(await world.run(40_000)).toMatchObject([{ ok: true }])
  })

  it('is woken by what it waited for', async () => {
    const world = new World({})
    await world.run(300_000)
    world.peers = { oak: honest }
    world.staging.nudge()
    await world.clock.advance(10)
    expect(world.answers).toMatchObject([{ ok: true }])
  })

  it('never gives up because peers are away, and says so once', async () => {
    const world = new World({ ash: poor })
    expect(await world.run(24 * 3600_000)).toEqual([])
    expect(world.log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1)
    expect(world.staging.troubles.get(ROLLOUT)).toContain('found it at none')
    // Two pulls a minute at most: no peer is asked in a loop.
    expect(world.pulls).toBeLessThan(24 * 60 * 5)
  })

  it('ends unanswered when nobody waits for it any more', async () => {
    const world = new World({ ash: poor })
    await world.run(5_000)
    world.wanted = false
    await world.clock.advance(60_000)
    const { pulls } = world
    await world.clock.advance(3600_000)
    expect(world.pulls).toBe(pulls)
    expect(world.answers).toEqual([])
  })

  it('runs once, however often it is asked for', async () => {
    const world = new World({ oak: honest })
    world.staging.start(ROLLOUT, NEW)
    world.staging.start(ROLLOUT, NEW)
    expect(await world.run(1_000)).toHaveLength(1)
  })

  it('prefers what this host holds, and distrusts even itself', async () => {
    const world = new World({ oak: honest })
    world.own = NAR
    expect(await world.run(10)).toMatchObject([{ ok: true }])
    const rotten = new World({ oak: honest })
    rotten.own = NAR.map((byte) => byte ^ 1)
    expect(await rotten.run(60_000)).toMatchObject([{ ok: true }])
  })
})

describe('peers that lie or die', () => {
  it('cannot keep a host from bytes that anybody holds', async () => {
    const kinds = { honest, liar, poor, spoiler, short }
    const peer = fc.constantFrom<keyof typeof kinds>('liar', 'poor', 'spoiler', 'short')
    await fc.assert(
      fc.asyncProperty(fc.array(peer, { maxLength: 2 }), fc.nat(2), async (bad, at) => {
        const names = [...bad.slice(0, at), 'honest' as const, ...bad.slice(at)]
        const world = new World(
          Object.fromEntries(names.map((kind, i) => [`peer-${i}`, kinds[kind]])),
        )
        expect(await world.run(600_000)).toMatchObject([{ ok: true }])
      }),
      { numRuns: 60 },
    )
  })

  it('one liar alone is no reason to give a release up', async () => {
    const world = new World({ ash: liar })
    expect(await world.run(3600_000)).toEqual([])
    world.peers = { ash: liar, oak: honest }
    world.staging.nudge()
    expect(await world.run(60_000)).toMatchObject([{ ok: true }])
  })

  it('three that agree on nothing right are: the host says that the bytes are wrong', async () => {
    const world = new World({ ash: liar, elm: liar, oak: liar })
    expect(await world.run(600_000)).toMatchObject([{ ok: false, why: 'signature' }])
  })

  it('in a group of two the only other one is', async () => {
    const world = new World({ ash: liar }, 1)
    expect(await world.run(600_000)).toMatchObject([{ ok: false, why: 'signature' }])
  })
})

it('a source with nobody to ask says which bytes are missing', async () => {
  const world = new World({})
  const source = new NarSource({
    network: world.network,
    random: world.random,
    log: world.log,
    others: 3,
    own: async () => undefined,
  })
  const read = async (): Promise<void> => {
    for await (const _ of source.nar(PATH)) void _
  }
  await expect(read()).rejects.toThrow(NodeError)
  await expect(read()).rejects.toThrow(PATH.narHash)
})
