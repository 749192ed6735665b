/** Voters that change in the middle of storms: one log across epochs, and nobody speaks twice (S1, S12). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { liarsTolerated, quorumOf } from '../../../protocol/index.ts'
import { disagreement, doubleVoices } from './gate-checks.ts'
import { VIEW_MS_MAX } from './gate-fakes.ts'
import { runTrial, SYNC_MS, type Trial, type Weather } from './gate-network.ts'

const RUNS = 60
const QUIET_MS = 600

function storms(n: number): fc.Arbitrary<Weather> {
  const model = n >= 4 ? 'byzantine' : 'crash'
  const spare = n - quorumOf(n, model)
  return fc
    .record({
      seed: fc.nat(),
      liars: fc.nat(liarsTolerated(n, model)),
      down: fc.nat(spare),
      changes: fc.integer({ min: 1, max: Math.max(1, quorumOf(n, model) - 1) }),
      requests: fc.integer({ min: 1, max: 6 }),
      stormMs: fc.integer({ min: 10, max: 2_500 }),
      loss: fc.constantFrom(0, 10, 40, 70),
      doubling: fc.constantFrom(0, 30),
      delayMs: fc.constantFrom(2, 30, 150),
      crashes: fc.nat(6),
      cuts: fc.nat(3),
    })
    .map(({ down, ...rest }) => {
      return { ...rest, n, dead: Math.min(down, spare - rest.liars), followers: rest.changes }
    })
}

/** Each change costs as much as a decision; the rest as in a storm without changes. */
function boundMs({ dead, liars, changes = 0 }: Weather): number {
  return (dead + liars + 3) * (1 + changes) * VIEW_MS_MAX + (6 + 2 * changes) * SYNC_MS
}

/** Every block of a later epoch stands above every block of an earlier one. */
function outOfOrder({ logs }: Trial): readonly string[] {
  return logs.flatMap(({ name, log }) => {
    const epochs = log.map((block) => block.body.epoch)
    return epochs.some((epoch, i) => epoch < (epochs[i - 1] ?? 1)) ? [name] : []
  })
}

/** What stands on a reconfig in its own epoch never enters the log. */
function afterStop({ logs }: Trial): readonly string[] {
  return logs.flatMap(({ name, log }) => {
    const stops = log.filter(({ body }) => body.commands.some(({ kind }) => kind === 'reconfig'))
    return stops.flatMap((stop) => {
      const next = log[log.indexOf(stop) + 1]
      return next !== undefined && next.body.epoch === stop.body.epoch ? [`${name} ${next.id}`] : []
    })
  })
}

describe.each([1, 3, 4, 5])('%i voters that are replaced in a storm', (n) => {
  it('agree on one log, speak once, come to the last epoch and fall silent', () => {
    let tails = 0
    let restarts = 0
    fc.assert(
      fc.property(storms(n), (weather) => {
        const seen = runTrial(weather, boundMs(weather), QUIET_MS)
        tails += seen.tails
        restarts += seen.restarts
        expect(disagreement(seen)).toBeUndefined()
        expect(seen.conflicts).toBe(0)
        expect(seen.broken).toEqual([])
        expect(doubleVoices(seen)).toEqual([])
        expect(outOfOrder(seen)).toEqual([])
        expect(afterStop(seen)).toEqual([])
        expect(seen.settledMs).toBeDefined()
        expect(new Set(seen.epochs)).toEqual(new Set([1 + (weather.changes ?? 0)]))
        expect(new Set(seen.lengths).size).toBe(1)
        expect(seen.noise).toBe(0)
      }),
      { numRuns: RUNS },
    )
    expect(restarts).toBeGreaterThan(0)
    if (n > 1) expect(tails, 'some reconfig is committed by a block above it').toBeGreaterThan(0)
  }, 60_000)
})
