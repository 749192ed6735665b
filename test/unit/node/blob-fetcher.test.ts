/** Plans and manifests from peers: patient, never hot, and no sender of facts can get in the way. */
import { describe, expect, it } from 'vitest'
import { BlobFetcher } from '../../../node/blob-fetcher.ts'
import { BlobStore, type Wanted } from '../../../node/blob-store.ts'
import type { Network } from '../../../node/ports.ts'
import { MemoryDisk } from '../../../node/store/memory.ts'
import {
  blobOf,
  type HostName,
  type Manifest,
  manifestBlob,
  type PlanBody,
  planBlob,
} from '../../../protocol/index.ts'
import { EMPTY_VIEW, type FleetView } from '../../../rollout/index.ts'
import { SimFleet } from '../../simulation/fleet.ts'
import { VirtualClock } from '../../simulation/virtual-clock.ts'
import { NEW, recorder } from './fakes.ts'

const fleet = new SimFleet({ hosts: 3 })
const plan: PlanBody = {
  release: 'a'.repeat(64),
  kind: 'forward',
  groups: [{ group: 'site', base: fleet.trust.genesis, waves: [['host-01']] }],
  policy: {
    ...{ soakMs: 1_000, confirmMs: 1_000, startTimeoutMs: 1_000 },
    ...{ budget: { kind: 'count', count: 0 }, onFailure: 'halt', maxInFlight: [] },
  },
  ...{ supersedes: [], strategy: 'test', reason: 'test' },
}
const PLAN = planBlob(plan)
const MANIFEST = manifestBlob({
  kind: 'portable',
  hosts: [{ host: 'host-01', generation: NEW, closure: [NEW], checks: [] }],
  paths: [{ path: NEW, narHash: 'a'.repeat(64), narSize: 1, references: [], signatures: [] }],
  caches: [],
} satisfies Manifest)
const WANTED: Wanted = { hash: PLAN.hash, kind: 'plan', bytesMax: PLAN.bytes.length }

class World {
  readonly clock = new VirtualClock()
  readonly disk = new MemoryDisk()
  readonly blobs = new BlobStore(this.disk.open(), () => fleet.trust)
  readonly log = recorder()
  readonly held = new Map<HostName, Uint8Array>()
  peers: HostName[] = []
  pulls = 0
  arrived = 0
  readonly fetcher: BlobFetcher

  constructor() {
    const network = {
      peers: () => this.peers,
      pull: (peer: HostName) => this.#pull(peer),
    } as unknown as Network
    this.fetcher = new BlobFetcher({
      ...{ network, blobs: this.blobs, clock: this.clock, log: this.log },
      random: { bytes: (count) => new Uint8Array(count).fill(this.pulls * 53) },
      arrived: () => void this.arrived++,
    })
  }

  async *#pull(peer: HostName): AsyncGenerator<Uint8Array> {
    this.pulls++
    const bytes = this.held.get(peer)
    if (bytes === undefined) throw new Error('not held')
    yield bytes
  }

  /** Asks as the node does, a few times a second. */
  async live(ms: number, wanted: readonly Wanted[]): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      this.fetcher.want(wanted)
      await this.clock.advance(250)
    }
  }
}

describe('a fetcher', () => {
  it('brings what a peer holds, once', async () => {
    const world = new World()
    world.peers = ['ash', 'oak']
    world.held.set('oak', PLAN.bytes)
    await world.live(1_000, [WANTED])
    expect(world.blobs.plan(PLAN.hash)).toEqual(plan)
    expect(world.arrived).toBeGreaterThan(0)
  })

  it('asks for what nobody holds later and later', async () => {
    const world = new World()
    world.peers = ['ash', 'oak']
    await world.live(600_000, [WANTED])
    expect(world.pulls).toBeGreaterThan(20)
    // Two rounds over two peers in each try, and a try in 30 s: no loop.
    expect(world.pulls).toBeLessThan(150)
    expect(world.log.lines.filter((line) => !line.startsWith('debug'))).toHaveLength(1)
  })

  it('asks at once when somebody comes', async () => {
    const world = new World()
    world.peers = ['ash']
    await world.live(300_000, [WANTED])
    world.peers = ['ash', 'oak']
    world.held.set('oak', PLAN.bytes)
    world.fetcher.nudge()
    await world.live(250, [WANTED])
    expect(world.blobs.plan(PLAN.hash)).toBeDefined()
  })

  it('is not misled by a peer that lies, nor by a fact that lies about the size', async () => {
    const world = new World()
    world.peers = ['ash', 'elm', 'oak']
    world.held.set(
      'ash',
      PLAN.bytes.map((byte) => byte ^ 1),
    )
    world.held.set('oak', PLAN.bytes)
    const lies: Wanted[] = [1, 99].map((bytesMax) => ({ ...WANTED, bytesMax }))
    await world.live(5_000, [...lies, WANTED])
    expect(world.blobs.plan(PLAN.hash)).toBeDefined()
  })

  it('is not starved by facts that name nothing', async () => {
    const world = new World()
    world.peers = ['oak']
    world.held.set('oak', PLAN.bytes)
    const nothing = Array.from({ length: 200 }, (_, i): Wanted => {
      return { hash: i.toString(16).padStart(64, '0'), kind: 'plan', bytesMax: 100 }
    })
    // The one peer answers everything with a plan: wrong for all but one.
    await world.live(60_000, [...nothing, WANTED])
    expect(world.blobs.plan(PLAN.hash)).toBeDefined()
  })

  it('never asks again for bytes that hash right and mean nothing', async () => {
    const world = new World()
    const junk = blobOf(Uint8Array.of(1, 2, 3))
    world.peers = ['oak']
    world.held.set('oak', junk.bytes)
    await world.live(120_000, [{ hash: junk.hash, kind: 'plan', bytesMax: 3 }])
    const view = viewNaming(junk.hash, 3, fleet.operator.publicKey)
    expect(world.blobs.wanted(view)).toEqual([])
  })

  it('keeps asking while the disk is full', async () => {
    const world = new World()
    world.peers = ['oak']
    world.held.set('oak', PLAN.bytes)
    world.disk.full = true
    await world.live(20_000, [WANTED])
    expect(world.blobs.plan(PLAN.hash)).toBeUndefined()
    world.disk.full = false
    await world.live(40_000, [WANTED])
    expect(world.blobs.plan(PLAN.hash)).toBeDefined()
  })

  it('begins nothing after it was stopped', async () => {
    const world = new World()
    world.peers = ['oak']
    world.held.set('oak', PLAN.bytes)
    world.fetcher.stop()
    await world.live(5_000, [WANTED])
    expect(world.blobs.plan(PLAN.hash)).toBeUndefined()
    expect(world.log.lines).toEqual([])
  })
})

describe('a blob store', () => {
  it('wants the plans of those who may deploy, and of nobody else', () => {
    const blobs = new BlobStore(new MemoryDisk().open(), () => fleet.trust)
    const byOperator = viewNaming(PLAN.hash, 10, fleet.operator.publicKey)
    const byHost = viewNaming(PLAN.hash, 10, fleet.host('host-01').keys.fact.publicKey)
    expect(blobs.wanted(byOperator)).toHaveLength(1)
    expect(blobs.wanted(byHost)).toEqual([])
  })

  it('takes bytes under their own hash alone', async () => {
    const blobs = new BlobStore(new MemoryDisk().open(), () => fleet.trust)
    await expect(blobs.put('b'.repeat(64), 'manifest', MANIFEST.bytes)).rejects.toMatchObject({
      code: 'BAD_BLOB',
    })
    await expect(blobs.put(MANIFEST.hash, 'plan', MANIFEST.bytes)).rejects.toThrow()
    expect(blobs.manifest(MANIFEST.hash)).toBeUndefined()
    await blobs.put(MANIFEST.hash, 'manifest', MANIFEST.bytes)
    expect(blobs.manifest(MANIFEST.hash)?.hosts[0]?.closure).toEqual([NEW])
  })

  it('starts with a blob that its disk has spoilt, and wants it again', async () => {
    const disk = new MemoryDisk()
    const before = new BlobStore(disk.open(), () => fleet.trust)
    await before.put(PLAN.hash, 'plan', PLAN.bytes)
    disk.crash()
    const store = disk.open()
    await store.write([{ key: `blob/${PLAN.hash}`, value: Uint8Array.of(0) }], { sync: true })
    const blobs = new BlobStore(store, () => fleet.trust)
    const view = viewNaming(PLAN.hash, PLAN.bytes.length, fleet.operator.publicKey)
    await blobs.load(view)
    expect(blobs.wanted(view)).toHaveLength(1)
    await blobs.put(PLAN.hash, 'plan', PLAN.bytes)
    expect(blobs.wanted(view)).toEqual([])
  })
})

function viewNaming(hash: string, bytes: number, author: string): FleetView {
  const fact = { author, body: { plan: hash, planBytes: bytes } }
  return { ...EMPTY_VIEW, plans: new Map([['r', fact]]) } as unknown as FleetView
}
