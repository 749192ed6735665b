/**
 * Islands that exchange files instead of words: the shipped nodes, the shipped files, in virtual time.
 *
 * The group is cut in two for good. Every exchange is a vector file one way and a bundle the other.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BundleSource, memoryBundle, verifyBundle } from '../../cli/bundle-file.ts'
import { type BundleImport, importBundle } from '../../cli/bundle-import.ts'
import { Bundles } from '../../node/bundles.ts'
import { concatBytes, DEMO, type HostName } from '../../protocol/index.ts'
import { generationOf, SimFleet } from './fleet.ts'
import { digests, forkedLogs, logOf } from './laws.ts'

const NORTH: readonly HostName[] = ['host-01', 'host-02', 'host-03']
const SOUTH: readonly HostName[] = ['host-04', 'host-05']

class Islands {
  readonly fleet: SimFleet
  #version = 0

  private constructor(fleet: SimFleet) {
    this.fleet = fleet
  }

  static async create(seed: number, ...sides: (readonly HostName[])[]): Promise<Islands> {
    const fleet = new SimFleet({ hosts: 5, voters: 4, timing: DEMO, seed })
    await fleet.start()
    fleet.hub.partition(...(sides.length > 0 ? sides : [NORTH, SOUTH]))
    await fleet.clock.advance(5_000)
    return new Islands(fleet)
  }

  node(name: HostName) {
    const { node } = this.fleet.host(name)
    if (node === undefined) throw new Error(`${name} does not run`)
    return node
  }

  bundles(name: HostName): Bundles {
    const node = this.node(name)
    return new Bundles({
      node,
      files: { trust: this.fleet.trust, newer: [], ...this.fleet.documents },
      depot: { has: () => false },
      manifests: () => [],
      heldPaths: async () => new Set(),
    })
  }

  async vector(at: HostName): Promise<Uint8Array> {
    return await bytesOf(await this.bundles(at).vector())
  }

  async bundle(at: HostName, since?: Uint8Array): Promise<Uint8Array> {
    return await bytesOf(await this.bundles(at).export(since, { closures: false }))
  }

  /** Takes a file as the command line does. */
  async import(at: HostName, bytes: Uint8Array): Promise<BundleImport> {
    const node = this.node(at)
    const bundles = this.bundles(at)
    const source: BundleSource = memoryBundle(bytes)
    const index = await verifyBundle(source, { rootHash: this.fleet.documents.rootHash })
    const sink = {
      facts: (batch: Uint8Array) => bundles.takeFacts(batch),
      gate: (batch: Uint8Array) => bundles.takeGate(batch),
      wanted: async () => node.blobs.wanted(node.knowledge().view),
      put: async ({ hash, open }: { hash: string; open: () => AsyncIterable<Uint8Array> }) => {
        const found = node.blobs.wanted(node.knowledge().view).find((one) => one.hash === hash)
        if (found === undefined) throw new Error(`nobody wanted ${hash}`)
        await node.blobs.put(hash, found.kind, await bytesOf(open()))
        node.blobArrived()
      },
    }
    return await importBundle({ source, index }, { sink, group: 'site' })
  }

  /** Something to tell: a release and, where voters are, a rollout of it. */
  async happen(at: HostName): Promise<void> {
    const release = await this.fleet.announce(this.node(at), ++this.#version)
    if (NORTH.includes(at)) await this.fleet.plan(this.node(at), release, [[at]])
    await this.fleet.clock.advance(60_000)
  }

  /** Nobody talks any more, so that islands can be compared. */
  async rest(): Promise<void> {
    await this.fleet.clock.advance(120_000)
  }

  /** Files both ways until neither side has anything that the other lacks; the number of rounds. */
  async exchange(a: HostName, b: HostName): Promise<number> {
    for (let round = 1; round < 10; round++) {
      const [toB, toA] = [
        await this.bundle(a, await this.vector(b)),
        await this.bundle(b, await this.vector(a)),
      ]
      const news = [await this.import(b, toB), await this.import(a, toA)]
      await this.fleet.clock.advance(10_000)
      const same = new Set([this.node(a).digest(), this.node(b).digest()]).size === 1
      if (same && digests(this.fleet) === 1) return round
      expect(news.map((one) => one.facts.forks + one.facts.refused)).toEqual([0, 0])
    }
    throw new Error('the islands never became one')
  }
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk.slice())
  return concatBytes(...parts)
}

type Act = {
  readonly kind: 'happen' | 'carry' | 'again'
  readonly north: number
  readonly south: number
  readonly way: boolean
}
const anyAct: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom('happen', 'carry', 'carry', 'again'),
  north: fc.nat(2),
  south: fc.nat(1),
  way: fc.boolean(),
})

describe('two islands', () => {
  test('that exchange bundles in any order, with repeats, hold the same facts and the same log', async () => {
    let carried = 0
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 99 }),
        fc.array(anyAct, { minLength: 3, maxLength: 7 }),
        async (seed, acts) => {
          const islands = await Islands.create(seed)
          const files: { to: readonly HostName[]; bytes: Uint8Array }[] = []
          for (const { kind, north, south, way } of acts) {
            const [n = '', s = ''] = [NORTH[north], SOUTH[south]]
            const [from, to] = way ? [n, s] : [s, n]
            if (kind === 'happen') await islands.happen(from)
            else if (kind === 'carry') {
              const bytes = await islands.bundle(from, await islands.vector(to))
              files.push({ to: way ? SOUTH : NORTH, bytes })
              await islands.import(to, bytes)
              carried++
            }
            // An old file once more, at whichever host of its island: nothing is lost by it.
            const old = files[(north + south) % Math.max(1, files.length)]
            if (kind === 'again' && old !== undefined)
              await islands.import(old.to[0] ?? '', old.bytes)
          }
          await islands.rest()
          await islands.exchange('host-01', 'host-05')
          expect(digests(islands.fleet)).toBe(1)
          expect(forkedLogs(islands.fleet)).toEqual([])
          const logs = islands.fleet.names.map((name) => logOf(islands.fleet, name).join())
          expect(new Set(logs).size).toBe(1)
        },
      ),
      { numRuns: 4, seed: 11 },
    )
    expect(carried).toBeGreaterThan(3)
  }, 120_000)

  test('a bundle grows with what was missing, not with what there is', async () => {
    const islands = await Islands.create(3)
    for (let i = 0; i < 3; i++) await islands.happen('host-01')
    await islands.rest()
    const whole = await islands.bundle('host-01')
    await islands.import('host-05', whole)
    await islands.exchange('host-01', 'host-05')
    const nothing = await islands.bundle('host-01', await islands.vector('host-05'))
    const vector = await islands.vector('host-05')
    const sizes: number[] = []
    for (let i = 0; i < 2; i++) {
      await islands.happen('host-02')
      sizes.push((await islands.bundle('host-01', vector)).length - nothing.length)
    }
    const [one = 0, two = 0] = sizes
    expect(nothing.length).toBeLessThan(4096)
    expect(one).toBeGreaterThan(0)
    expect(one).toBeLessThan(whole.length / 2)
    expect(two / one).toBeGreaterThan(1.5)
    expect(two / one).toBeLessThan(2.5)
  })

  test('the same moment makes the same bytes, and importing them twice changes nothing', async () => {
    const islands = await Islands.create(4)
    await islands.happen('host-01')
    const vector = await islands.vector('host-04')
    const bytes = await islands.bundle('host-01', vector)
    expect(await islands.bundle('host-01', vector)).toEqual(bytes)
    const first = await islands.import('host-04', bytes)
    const before = {
      digest: islands.node('host-04').digest(),
      log: logOf(islands.fleet, 'host-04'),
    }
    const again = await islands.import('host-04', bytes)
    expect(first.facts.taken).toBeGreaterThan(5)
    expect(again.facts).toMatchObject({ taken: 0, known: first.facts.taken, gaps: 0 })
    expect(again.blobs).toBe(0)
    expect(islands.node('host-04').digest()).toBe(before.digest)
    expect(logOf(islands.fleet, 'host-04')).toEqual(before.log)
  })

  test('a bundle that goes on after what is held names the gap, and fits after the one before it', async () => {
    const islands = await Islands.create(5)
    const start = await islands.vector('host-04')
    await islands.happen('host-01')
    const first = await islands.bundle('host-01', start)
    const later = await islands.vector('host-01')
    await islands.happen('host-01')
    const second = await islands.bundle('host-01', later)
    const early = await islands.import('host-05', second)
    expect(early.facts.gaps).toBeGreaterThan(0)
    expect(early.firstGap?.found).toBeGreaterThan(early.firstGap?.held ?? Number.NaN)
    await islands.import('host-05', first)
    expect((await islands.import('host-05', second)).facts.gaps).toBe(0)
    expect(logOf(islands.fleet, 'host-05')).toEqual(logOf(islands.fleet, 'host-01'))
  })

  test('a release that came in a file is rolled out by the island that took it', async () => {
    const site = ['host-01', 'host-02', 'host-03', 'host-04']
    const islands = await Islands.create(6, site, ['host-05'])
    const { fleet } = islands
    const release = await fleet.announce(islands.node('host-05'), 7)
    const file = await islands.bundle('host-05', await islands.vector('host-01'))
    expect((await islands.import('host-01', file)).blobs).toBe(1)
    const waves = [['host-01'], ['host-02', 'host-03', 'host-04']]
    const rollout = await fleet.plan(islands.node('host-02'), release, waves)
    const done = (): boolean =>
      site.every((name) => fleet.host(name).machine.bootDefault === generationOf(7))
    expect(await fleet.until(240_000, done)).toBe(true)
    await islands.rest()
    await islands.exchange('host-03', 'host-05')
    expect(islands.node('host-05').gate.state.rollouts.get(rollout)?.status).toBe('complete')
  })

  test('no file is written of a log with a change of voters: it would verify at nobody', async () => {
    const islands = await Islands.create(8, [...NORTH, ...SOUTH])
    const { fleet } = islands
    await fleet.configure(islands.node('host-01'), { voters: ['host-01', 'host-02', 'host-03'] })
    const changed = (): boolean => islands.node('host-01').gate.state.epochs.length === 1
    expect(await fleet.until(60_000, changed)).toBe(true)
    const refusal = { code: 'BUNDLE_EPOCHS', fix: expect.stringContaining('audit pull') }
    await expect(islands.bundle('host-01')).rejects.toMatchObject(refusal)
    await expect(islands.vector('host-01')).rejects.toMatchObject(refusal)
  })
})
