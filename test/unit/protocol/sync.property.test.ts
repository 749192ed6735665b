/** A sync against the dumb twin that exchanges everything. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  answerSync,
  bucketHash,
  bucketOf,
  decodeSyncQuestion,
  EMPTY_BUCKET,
  encodeSyncQuestion,
  type SyncAnswer,
  startSync,
  stepSync,
  treeRoot,
  vectorTree,
} from '../../../protocol/index.ts'
import { feedNumber, type Holding, holdingOf, runSync, unionOf, vectorOf } from './sync-twin.ts'

/** Two holdings of up to `feeds` feeds; a tenth of them forked, some only on one side. */
function twoHoldings(feeds: number, lengthMax: number): fc.Arbitrary<[Holding, Holding]> {
  const feed = fc.record({
    ours: fc.nat(lengthMax),
    theirs: fc.option(fc.nat(lengthMax), { freq: 1 }),
    forked: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
    weight: fc.nat(700),
  })
  return fc.array(feed, { maxLength: feeds }).map((all) => {
    const specs = all.map((one, i) => ({
      ...one,
      feed: feedNumber(i),
      theirs: one.theirs ?? one.ours,
    }))
    return [
      holdingOf(specs.map(({ feed, ours, weight }) => ({ feed, length: ours, weight }))),
      holdingOf(
        specs.map(({ feed, theirs, weight, forked }) => ({
          feed,
          length: theirs,
          weight,
          branch: forked ? 1 : 0,
        })),
      ),
    ]
  })
}

const asText = (holding: Holding): unknown =>
  [...holding]
    .map(([feed, facts]) => [feed, facts.map((fact) => new TextDecoder().decode(fact))])
    .sort()

describe('a sync', () => {
  it('leaves both with the union that a dumb exchange gives, forks aside', async () => {
    await fc.assert(
      fc.asyncProperty(twoHoldings(60, 6), async ([asker, answerer]) => {
        const expected = [unionOf(asker, answerer), unionOf(answerer, asker)].map(asText)
        await runSync(asker, answerer)
        expect([asText(asker), asText(answerer)]).toEqual(expected)
      }),
      { numRuns: 150 },
    )
  })

  it('gives both sides the proof of every fork, and says which it saw at equal heads', async () => {
    await fc.assert(
      fc.asyncProperty(twoHoldings(30, 4), async ([asker, answerer]) => {
        const forked = [...asker.keys()].filter((feed) => {
          const theirs = answerer.get(feed)
          return theirs !== undefined && String(theirs[0]) !== String(asker.get(feed)?.[0])
        })
        const equal = forked.filter(
          (feed) => answerer.get(feed)?.length === asker.get(feed)?.length,
        )
        const { forks, proofs } = await runSync(asker, answerer)
        expect([...forks].sort()).toEqual(equal.sort())
        expect(new Set([...proofs.asker, ...proofs.answerer])).toEqual(new Set(forked))
        for (const feed of equal) {
          expect(proofs.asker).toContain(feed)
          expect(proofs.answerer).toContain(feed)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('costs one round trip below 250 bytes when both hold the same', async () => {
    await fc.assert(
      fc.asyncProperty(twoHoldings(300, 3), async ([holding]) => {
        const run = await runSync(holding, new Map([...holding].reverse()))
        expect(run.roundTrips).toBe(1)
        expect(run.bytes).toBeLessThan(250)
      }),
      { numRuns: 20 },
    )
  })

  it('finds one new fact among 1,000 feeds in few and short messages', async () => {
    const specs = Array.from({ length: 1_000 }, (_, i) => ({ feed: feedNumber(i), length: 3 }))
    const behind = holdingOf(specs)
    const ahead = holdingOf(specs.map((spec, i) => ({ ...spec, length: i === 500 ? 4 : 3 })))
    for (const [asker, answerer] of [
      [holdingOf(specs), ahead],
      [new Map(ahead), behind],
    ] as const) {
      const run = await runSync(asker, answerer)
      expect(run.roundTrips).toBeLessThanOrEqual(5)
      expect(run.bytes).toBeLessThan(4_000)
    }
    expect(asText(behind)).toEqual(asText(ahead))
  })

  it('brings a newcomer everything in bounded messages, whichever side asks', async () => {
    const specs = Array.from({ length: 400 }, (_, i) => ({
      feed: feedNumber(i),
      length: 1 + (i % 9),
      weight: (i * 97) % 3_900,
    }))
    const full = holdingOf(specs)
    for (const newcomerAsks of [true, false]) {
      const newcomer: Holding = new Map()
      const held = holdingOf(specs)
      const run = newcomerAsks ? await runSync(newcomer, held) : await runSync(held, newcomer)
      const same = JSON.stringify(asText(newcomer)) === JSON.stringify(asText(full))
      expect(same).toBe(true)
      expect(run.largestMessage).toBeLessThanOrEqual(128 * 1024)
      expect(run.largestBatch).toBeGreaterThan(60 * 1024)
    }
  })

  it('ends with an error, not with a loop, when an answer does not fit', () => {
    const { state } = startSync(
      vectorTree(vectorOf(holdingOf([{ feed: feedNumber(1), length: 2 }]))),
    )
    const unfit: SyncAnswer[] = [
      { kind: 'took' },
      { kind: 'nodes', nodes: [] },
      { kind: 'nodes', nodes: [{ prefix: 'a', feeds: [] }] },
      { kind: 'facts', facts: [], next: { range: 0, seq: 0 } },
    ]
    for (const answer of unfit) {
      expect(() => stepSync(state, { kind: 'answer', answer })).toThrow(/in a sync/)
    }
    const theirs = {
      author: 'ab'.repeat(32),
      session: 'cd'.repeat(16),
      seq: 5,
      head: 'ef'.repeat(32),
    }
    const answer: SyncAnswer = { kind: 'nodes', nodes: [{ prefix: '', feeds: [theirs] }] }
    const fetching = stepSync(state, { kind: 'answer', answer }).state
    expect(fetching.phase).toBe('fetch')
    const stuck: SyncAnswer = { kind: 'facts', facts: [], next: { range: 0, seq: 0 } }
    expect(() => stepSync(fetching, { kind: 'answer', answer: stuck })).toThrow(/progress/)
  })

  it('stops looking at a peer that splits its buckets for ever', () => {
    let { state, effects } = startSync(vectorTree(new Map()))
    let rounds = 0
    const children = Array.from({ length: 16 }, (_, i) =>
      String(i % 10)
        .repeat(64)
        .replace(/^0+$/, '1'.repeat(64)),
    )
    for (; state.phase === 'hello' || state.phase === 'walk'; rounds++) {
      expect(rounds).toBeLessThan(1_000)
      const question = effects.flatMap((effect) =>
        effect.kind === 'ask' ? [effect.question] : [],
      )[0]
      const prefixes = question?.kind === 'look' ? question.prefixes : ['']
      const answer: SyncAnswer = {
        kind: 'nodes',
        nodes: prefixes.map((prefix) => ({ prefix, children })),
      }
      ;({ state, effects } = stepSync(state, { kind: 'answer', answer }))
    }
    expect(state.phase).toBe('done')
  })
})

describe('the vector tree', () => {
  it('has one hash for one set of feeds, in whatever order and after whatever tree', () => {
    fc.assert(
      fc.property(twoHoldings(40, 3), ([holding, other]) => {
        const vector = vectorOf(holding)
        const root = treeRoot(vectorTree(vector))
        expect(
          treeRoot(vectorTree(new Map([...vector].reverse()), vectorTree(vectorOf(other)))),
        ).toBe(root)
        const differs = JSON.stringify(asText(holding)) !== JSON.stringify(asText(other))
        expect(treeRoot(vectorTree(vectorOf(other))) !== root).toBe(differs)
      }),
    )
  })

  it('hashes no feeds to zero and answers for buckets that are empty', () => {
    const tree = vectorTree(new Map())
    expect(treeRoot(tree)).toBe(EMPTY_BUCKET)
    expect(bucketHash(tree, 'abc')).toBe(EMPTY_BUCKET)
    expect(bucketOf(tree, 'abc')).toEqual({ prefix: 'abc', feeds: [] })
  })

  it('answers a greeting by saying same, or by its root bucket', () => {
    const tree = vectorTree(vectorOf(holdingOf([{ feed: feedNumber(1), length: 2 }])))
    const gate = Uint8Array.of(1, 2)
    const hello = { kind: 'hello', root: treeRoot(tree), gate } as const
    expect(decodeSyncQuestion(encodeSyncQuestion(hello), 'a test')).toEqual(hello)
    expect(answerSync(tree, hello, gate)).toEqual({
      kind: 'answer',
      answer: { kind: 'same', gate },
    })
    expect(answerSync(tree, { ...hello, root: EMPTY_BUCKET })).toMatchObject({
      answer: { kind: 'nodes', nodes: [{ prefix: '', feeds: [{ seq: 1 }] }] },
    })
  })
})
