/** The gate log under storms: agreement always, progress and silence once the network settles. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Block } from '../../../protocol/index.ts'
import { type FaultModel, liarsTolerated, quorumOf } from '../../../protocol/index.ts'
import { disagreement, doubleVoices } from './gate-checks.ts'
import { requestsOf, VIEW_MS_MAX } from './gate-fakes.ts'
import { runTrial, SYNC_MS, type Trial, type Weather } from './gate-network.ts'

const QUIET_MS = 600
const RUNS = 60

/** After a storm: each bad leader in a row costs a longest view, plus the way to it and some syncs. */
function boundMs(faulty: number): number {
  return (faulty + 3) * VIEW_MS_MAX + 6 * SYNC_MS
}

function modelOf(n: number): FaultModel {
  return n >= 4 ? 'byzantine' : 'crash'
}

function storms(n: number): fc.Arbitrary<Weather> {
  const spare = n - quorumOf(n, modelOf(n))
  return fc
    .record({
      seed: fc.nat(),
      liars: fc.nat(liarsTolerated(n, modelOf(n))),
      down: fc.nat(spare),
      followers: fc.nat(2),
      requests: fc.integer({ min: 1, max: 6 }),
      stormMs: fc.integer({ min: 10, max: 2_500 }),
      loss: fc.constantFrom(0, 10, 40, 70),
      doubling: fc.constantFrom(0, 30),
      delayMs: fc.constantFrom(2, 30, 150),
      crashes: fc.nat(6),
      cuts: fc.nat(3),
    })
    .map(({ down, ...rest }) => ({ ...rest, n, dead: Math.min(down, spare - rest.liars) }))
}

function repeated(log: readonly Block[]): readonly string[] {
  const ids = log.flatMap(requestsOf)
  return ids.filter((id, i) => ids.indexOf(id) < i)
}

describe.each([1, 2, 3, 4, 5, 7])('%i voters in a storm', (n) => {
  it('agree, never speak twice, decide each request once, and fall silent', () => {
    let restarts = 0
    let skips = 0
    fc.assert(
      fc.property(storms(n), (weather) => {
        const seen = runTrial(weather, boundMs(weather.dead + weather.liars), QUIET_MS)
        restarts += seen.restarts
        skips += seen.votes.filter((vote) => vote.kind === 'skip').length
        expect(disagreement(seen)).toBeUndefined()
        expect(seen.conflicts).toBe(0)
        expect(seen.broken).toEqual([])
        expect(doubleVoices(seen)).toEqual([])
        expect(seen.logs.flatMap(({ log }) => repeated(log))).toEqual([])
        expect(seen.settledMs).toBeDefined()
        expect(new Set(seen.lengths).size).toBe(1)
        expect(seen.noise).toBe(0)
      }),
      { numRuns: RUNS },
    )
    expect(restarts).toBeGreaterThan(0)
    expect(skips > 0).toBe(n > 1)
  })
})

describe('the same checks see what they should', () => {
  const rough = {
    ...{ liars: 0, dead: 0, followers: 0, requests: 6, stormMs: 1_500 },
    ...{ loss: 20, doubling: 10, delayMs: 30, crashes: 0, cuts: 3 },
  }
  const trials = (weather: Omit<Weather, 'seed'>, count: number): readonly Trial[] =>
    Array.from({ length: count }, (_, seed) => runTrial({ ...weather, seed }, 500, 0))

  it.each([
    ['n=4 q=2', { n: 4, quorum: 2 }],
    ['n=4 q=2 with a liar', { n: 4, quorum: 2, liars: 1 }],
  ])('a quorum that is too small lets logs differ: %s', (_, faults) => {
    const seen = trials({ ...rough, ...faults }, 40)
    expect(seen.filter((trial) => disagreement(trial) !== undefined)).not.toEqual([])
  })

  it.each([
    ['n=3 q=2', { n: 3, quorum: 2, liars: 1 }],
    ['n=5 q=3', { n: 5, quorum: 3, liars: 1 }],
    ['n=7 q=4', { n: 7, quorum: 4, liars: 2 }],
  ])(
    'more liars than the quorum bears are caught by contradicting certificates: %s',
    (_, faults) => {
      const seen = trials({ ...rough, ...faults }, 40)
      expect(seen.filter((trial) => trial.conflicts > 0)).not.toEqual([])
    },
  )

  it('voters that lose their journals speak twice, and logs differ', () => {
    const seen = trials({ ...rough, n: 3, crashes: 12, forgetful: true }, 60)
    expect(seen.filter((trial) => doubleVoices(trial).length > 0)).not.toEqual([])
    expect(seen.filter((trial) => disagreement(trial) !== undefined)).not.toEqual([])
  })
})
