/** Facts on the disk: what a restart finds, what leaves memory, what damage looks like. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FactStore } from '../../../node/fact-store.ts'
import { Ingest } from '../../../node/ingest.ts'
import { MemoryDisk } from '../../../node/store/memory.ts'
import { ED25519, type Fact, feedOf, type Signer } from '../../../protocol/index.ts'
import { CHEAP_SIGNER, SimFleet } from '../../simulation/fleet.ts'

const fleet = new SimFleet({ hosts: 3, signer: CHEAP_SIGNER })
const [AUTHOR = ''] = fleet.names
const key = fleet.host(AUTHOR).keys.fact

function storeOn(disk: MemoryDisk, signer: Signer = CHEAP_SIGNER): FactStore {
  return new FactStore(disk.open(), fleet.trust.fleet, signer)
}

async function authored(store: FactStore, session: string, count: number): Promise<Fact[]> {
  const facts: Fact[] = []
  for (let i = 0; i < count; i++) {
    const body = {
      generation: `${'0'.repeat(32)}-g${i}`,
      boot: 'boot-1',
      state: 'healthy',
      checks: [],
    } as const
    const draft = { type: 'health.change', body, key, session, epoch: 1, ts: i } as const
    facts.push((await store.author(draft)) as unknown as Fact)
  }
  return facts
}

async function reopened(
  disk: MemoryDisk,
  signer?: Signer,
): Promise<{ store: FactStore; facts: Fact[] }> {
  disk.crash(disk.unsynced)
  const store = storeOn(disk, signer)
  const facts: Fact[] = []
  for await (const fact of store.load()) facts.push(fact)
  return { store, facts }
}

const SESSION = (n: number): string => String(n).padStart(32, '0')

describe('a store', () => {
  it('finds after a restart what it held, whatever was pruned from memory', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(9), async (counts, pruned) => {
        const disk = new MemoryDisk()
        const before = storeOn(disk)
        const facts: Fact[] = []
        for (const [i, count] of counts.entries()) {
          facts.push(...(await authored(before, SESSION(i), count)))
        }
        before.prune(new Map(facts.map((fact) => [feedOf(fact), { seq: pruned, id: fact.id }])))
        for (const fact of facts) {
          expect((await before.find(feedOf(fact), fact.seq))?.id).toBe(fact.id)
        }
        const { store, facts: found } = await reopened(disk)
        expect(found.map((fact) => fact.id).sort()).toEqual(facts.map((fact) => fact.id).sort())
        expect(store.count).toBe(facts.length)
        expect(store.arrivalCount).toBe(facts.length)
        expect(store.vector()).toEqual(before.vector())
        for (const fact of facts) {
          expect((await store.find(feedOf(fact), fact.seq))?.id).toBe(fact.id)
        }
      }),
      { numRuns: 25 },
    )
  })

  it('cuts a forked feed in one write: after a crash all of it stands or all of it is beside', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: -1, max: 8 }),
        fc.nat(8),
        fc.boolean(),
        async (count, limit, pruned, full) => {
          const disk = new MemoryDisk()
          const before = storeOn(disk)
          const facts = await authored(before, SESSION(0), count)
          const feed = feedOf(facts[0] as Fact)
          before.prune(new Map([[feed, { seq: pruned, id: SESSION(0) }]]))
          disk.full = full
          const done = await before.cut(feed, limit).then(
            () => true,
            () => false,
          )
          disk.full = false
          expect(done).toBe(!full || limit + 1 >= count)
          const kept = done ? Math.min(limit + 1, count) : count
          for (const again of [false, true]) {
            const one = again ? (await reopened(disk)).store : before
            expect(one.head(feed)?.seq).toBe(kept === 0 ? undefined : kept - 1)
            expect(one.head(feed)?.id).toBe(facts[kept - 1]?.id)
            expect(one.count).toBe(kept)
            for (const { seq, id } of facts.slice(kept)) {
              expect(await one.find(feed, seq)).toBeUndefined()
              expect(one.branchFact(feed, seq, id)?.id).toBe(id)
            }
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it('keeps its lines in the order in which they came, also blocks among them', async () => {
    const disk = new MemoryDisk()
    const before = storeOn(disk)
    await authored(before, SESSION(1), 2)
    await before.noteBlock({ epoch: 1, view: 7 })
    await authored(before, SESSION(2), 1)
    const { store } = await reopened(disk)
    const lines = await Promise.all([0, 1, 2, 3, 4].map((index) => store.arrival(index)))
    expect(lines.map((line) => (line?.kind === 'fact' ? line.seq : line?.kind))).toEqual([
      0,
      1,
      'block',
      0,
      undefined,
    ])
    expect(store.noted).toEqual({ epoch: 1, view: 7 })
  })

  it.each([0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 65])('counts %i lines', async (count) => {
    const disk = new MemoryDisk()
    await authored(storeOn(disk), SESSION(1), count)
    expect((await reopened(disk)).store.arrivalCount).toBe(count)
  })

  it('holds nothing in memory of what the basis has folded', async () => {
    const store = storeOn(new MemoryDisk())
    const facts = await authored(store, SESSION(1), 5)
    const last = facts.at(-1)
    if (last === undefined) throw new Error('no facts')
    store.prune(new Map([[feedOf(last), { seq: 3, id: last.id }]]))
    expect(facts.map((fact) => store.factAt(feedOf(fact), fact.seq)?.seq)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      4,
    ])
    expect(store.place(facts[1] as Fact).kind).toBe('duplicate')
    expect(store.place(last).kind).toBe('duplicate')
  })

  it('refuses a disk whose newest fact of a feed is not signed by its author', async () => {
    const disk = new MemoryDisk()
    const facts = await authored(storeOn(disk), SESSION(1), 3)
    await expect(reopened(disk, ED25519)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    expect(facts).toHaveLength(3)
  })

  it('refuses a disk on which a fact in the middle was changed', async () => {
    const disk = new MemoryDisk()
    const facts = await authored(storeOn(disk), SESSION(1), 4)
    const other = await authored(storeOn(new MemoryDisk()), SESSION(1), 4)
    const [, victim] = facts
    const [, , stranger] = other
    if (victim === undefined || stranger === undefined) throw new Error('no facts')
    disk.crash(disk.unsynced)
    const place = `fact/${feedOf(victim)}/${'1'.padStart(16, '0')}`
    expect(disk.read(place)).toBeDefined()
    await disk.open().write([{ key: place, value: stranger.bytes }], { sync: true })
    await expect(reopened(disk)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })

  it('changes nothing when the disk is full, and uses the same place afterwards', async () => {
    const disk = new MemoryDisk()
    const store = storeOn(disk)
    await authored(store, SESSION(1), 2)
    disk.full = true
    await expect(authored(store, SESSION(1), 1)).rejects.toMatchObject({ code: 'STORE_FULL' })
    disk.full = false
    const [fact] = await authored(store, SESSION(1), 1)
    expect(fact?.seq).toBe(2)
    expect((await reopened(disk)).store.arrivalCount).toBe(3)
  })
})

describe('ingest', () => {
  it('takes a batch as it would take its facts one after the other', async () => {
    const source = storeOn(new MemoryDisk())
    const made = [
      ...(await authored(source, SESSION(1), 4)),
      ...(await authored(source, SESSION(2), 3)),
    ]
    const picks = fc.array(fc.nat(made.length - 1), { maxLength: 14 })
    await fc.assert(
      fc.asyncProperty(picks, async (order) => {
        const envelopes = order.flatMap((i) => made[i]?.bytes ?? [])
        const whole = await taken([envelopes])
        const single = await taken(envelopes.map((bytes) => [bytes]))
        expect(whole).toEqual(single)
      }),
      { numRuns: 60 },
    )
  })
})

/** The kinds of intake over batches, and the heads afterwards. */
async function taken(batches: readonly (readonly Uint8Array[])[]): Promise<unknown> {
  const store = storeOn(new MemoryDisk())
  const ingest = new Ingest(store, {
    ...{ trust: () => fleet.trust, signer: CHEAP_SIGNER },
    limitOf: () => undefined,
  })
  const kinds: string[] = []
  for (const batch of batches) {
    const intakes = await ingest.take(batch, 'a test', { sync: false })
    kinds.push(...intakes.map((intake) => intake.kind))
  }
  return { kinds, vector: store.vector() }
}
