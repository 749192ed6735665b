import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FACT_BYTES_MAX, REACH_RUMOURS_MAX, REACH_SEEN_MAX } from '../../../protocol/index.ts'
import { passesOf, suspicionMs, unknownMs } from '../../../rollout/index.ts'
import { DetectorWorld, wireBytes } from './detector-world.ts'

/** Periods until somebody asks a given member, but for a chance of e^-20; and until all have heard of it. */
const ASKED_PERIODS = 20
const SPREAD_PERIODS = 25

function settings(world: DetectorWorld) {
  return { members: world.names, periodMs: world.periodMs }
}

/** The latest that a dead member is unreachable for all, when three others can be asked. */
function boundMs(world: DetectorWorld): number {
  return (ASKED_PERIODS + SPREAD_PERIODS) * world.periodMs + suspicionMs(settings(world), 1)
}

/** Living members that anybody took for gone. `slow` may be one of them: it does not answer in time. */
function falselyBuried(world: DetectorWorld, slow?: string): readonly object[] {
  return world.changes.filter(
    ({ host, to }) => to === 'unreachable' && host !== slow && !world.dead.has(host),
  )
}

function warm(members: number, seed: number): DetectorWorld {
  const world = new DetectorWorld({ members, seed })
  world.run(20 * world.periodMs)
  return world
}

describe('arithmetic', () => {
  /** The same by counting: confirmations beyond the first of two that are wanted. */
  function dumbSuspicionMs(members: number, periodMs: number, accusers: number): number {
    const scale = Math.max(1, Math.log(Math.max(1, members)) / Math.LN10)
    const least = Math.ceil(4 * scale * periodMs)
    const wanted = 2
    if (members - 2 < wanted) return least
    let confirmations = 0
    for (let i = 1; i < accusers; i++) confirmations++
    const frac = Math.log2(confirmations + 1) / Math.log2(wanted + 1)
    const raw = 6 * least - frac * (5 * least)
    return raw < least ? least : Math.ceil(raw)
  }

  function dumbPasses(members: number): number {
    let digits = 0
    for (let power = 1; power < members + 1; power *= 10) digits++
    return digits * 4
  }

  test('the time of a suspect agrees with its dumb twin to a millisecond', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 250 }),
        fc.integer({ min: 20, max: 100_000 }),
        fc.integer({ min: 1, max: 10 }),
        (n, periodMs, accusers) => {
          const members = Array.from({ length: n }, (_, i) => `h${i}`)
          const found = suspicionMs({ members, periodMs }, accusers)
          expect(Math.abs(found - dumbSuspicionMs(n, periodMs, accusers))).toBeLessThanOrEqual(1)
          expect(passesOf(n)).toBe(dumbPasses(n))
        },
      ),
    )
  })

  test('more accusers never give a suspect more time', () => {
    const members = Array.from({ length: 50 }, (_, i) => `h${i}`)
    const times = [1, 2, 3, 4].map((accusers) => suspicionMs({ members, periodMs: 1000 }, accusers))
    expect(times).toEqual([...times].sort((a, b) => b - a))
    expect(times[0]).toBe(6 * (times[2] ?? 0))
  })
})

describe('a dead host', () => {
  test.each([
    [2, 1],
    [3, 2],
    [5, 3],
    [20, 4],
    [50, 5],
  ])('of %i members is unreachable for all others within the bound', (members, seed) => {
    const world = warm(members, seed)
    world.dead.add('h1')
    const others = world.names.filter((name) => name !== 'h1')
    // Whoever is left alone hears nobody and blames nobody: then it is unknown.
    const gone = members === 2 ? 'unknown' : 'unreachable'
    const limit =
      members === 2
        ? 2 * unknownMs({ ...settings(world), self: 'h0', timeoutMs: 1 })
        : boundMs(world)
    const found = world.run(limit, () => others.every((name) => world.reach(name, 'h1') === gone))
    expect(found).toBe(true)
    expect(falselyBuried(world)).toEqual([])
  })

  test('is told to a member that begins later, without its asking', () => {
    const world = warm(20, 7)
    world.dead.add('h1')
    world.run(boundMs(world))
    world.start('h2')
    expect(world.reach('h2', 'h1')).toBe('unknown')
    expect(world.run(boundMs(world), () => world.reach('h2', 'h1') === 'unreachable')).toBe(true)
  })

  test('that comes back is alive for all within the bound', () => {
    const world = warm(20, 8)
    world.dead.add('h1')
    world.run(boundMs(world))
    world.start('h1')
    const others = world.names.filter((name) => name !== 'h1')
    const back = (): boolean => others.every((name) => world.reach(name, 'h1') === 'alive')
    expect(world.run(boundMs(world), back)).toBe(true)
  })
})

describe('Lifeguard', () => {
  test('a member whose event loop lags buries nobody, and gets nobody buried but itself', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.integer({ min: 1_500, max: 9_000 }),
        (seed, lag) => {
          const world = warm(12, seed)
          world.lag.set('h0', lag)
          world.run(60 * world.periodMs)
          expect(falselyBuried(world, 'h0')).toEqual([])
        },
      ),
      { numRuns: 6, endOnFailure: true },
    )
  })

  test('a member that loses most of what it sends and hears buries no healthy one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0.3, max: 0.7, noNaN: true }),
        (seed, loss) => {
          const world = warm(12, seed)
          world.loss.set('h0', loss)
          world.run(60 * world.periodMs)
          expect(falselyBuried(world, 'h0')).toEqual([])
        },
      ),
      { numRuns: 6, endOnFailure: true },
    )
  })

  test('a member that is cut off blames nobody, and after a while knows nothing', () => {
    const world = warm(12, 3)
    world.loss.set('h0', 1)
    world.run(unknownMs({ ...settings(world), self: 'h0', timeoutMs: 1 }) + 12 * world.periodMs)
    const seen = world.names.slice(1).map((name) => world.reach('h0', name))
    expect(new Set(seen)).toEqual(new Set(['unknown']))
    expect(world.states.get('h0')?.delay).toBeGreaterThan(0)
    // The others are right about it, and about each other.
    expect(world.names.slice(1).map((name) => world.reach(name, 'h0'))).toEqual(
      world.names.slice(1).map(() => 'unreachable'),
    )
    expect(falselyBuried(world).filter((one) => (one as { host: string }).host !== 'h0')).toEqual(
      [],
    )
  })

  test('a lagging member asks less often, and waits longer', () => {
    const world = warm(12, 4)
    world.lag.set('h0', 9_000)
    world.run(60 * world.periodMs)
    expect(world.states.get('h0')?.delay).toBeGreaterThan(4)
    const state = world.states.get('h0')
    expect((state?.nextAt ?? 0) - world.now).toBeGreaterThan(world.periodMs)
  })
})

describe('refutation', () => {
  test('wins over any number of liars, whatever incarnation they claim', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 5 }),
        (seed, incarnations) => {
          const world = warm(12, seed)
          incarnations.forEach((incarnation, i) => {
            for (const to of world.names.slice(6)) {
              const by = `h${i + 1}`
              world.inject(by, to, { kind: 'suspect', host: 'h0', incarnation, by })
            }
          })
          world.run(boundMs(world))
          expect(falselyBuried(world)).toEqual([])
          const others = world.names.slice(1).map((name) => world.reach(name, 'h0'))
          expect(new Set(others)).toEqual(new Set(['alive']))
        },
      ),
      { numRuns: 8, endOnFailure: true },
    )
  })

  test('an old refutation revives nobody whom somebody suspects since', () => {
    const world = warm(12, 9)
    world.inject('h3', 'h4', { kind: 'suspect', host: 'h0', incarnation: 0, by: 'h3' })
    world.run(30 * world.periodMs)
    const incarnation = world.states.get('h0')?.incarnation ?? 0
    expect(incarnation).toBeGreaterThan(0)
    world.dead.add('h0')
    world.run(boundMs(world))
    world.inject('h3', 'h4', { kind: 'refute', host: 'h0', incarnation })
    expect(world.reach('h4', 'h0')).toBe('unreachable')
  })
})

describe('load', () => {
  test('messages of a member a minute do not depend on how many members there are', () => {
    const perMinute = [5, 50, 250].map((members) => {
      const world = new DetectorWorld({ members, seed: 6 })
      world.run(2 * world.periodMs)
      const before = [...world.sent.values()].reduce(
        (sum, one) => sum + one.questions + one.answers,
        0,
      )
      world.run(2 * 60_000)
      const after = [...world.sent.values()].reduce(
        (sum, one) => sum + one.questions + one.answers,
        0,
      )
      expect([...world.sent.values()].reduce((sum, one) => sum + one.relays, 0)).toBe(0)
      return (after - before) / members / 2
    })
    // Six questions and as many answers.
    for (const found of perMinute) expect(Math.abs(found - 12)).toBeLessThan(0.5)
  })

  test('half a group that is dead costs a bounded number of messages more, whatever its size', () => {
    const world = warm(50, 6)
    for (const name of world.names.slice(25)) world.dead.add(name)
    world.run(10 * 60_000)
    for (const name of world.names.slice(0, 25)) {
      const sent = world.sent.get(name)
      const periods = world.now / world.periodMs
      // One question a period, and news at most once in the time of a direct answer.
      expect(sent?.questions).toBeLessThanOrEqual((1 + 5) * (periods + 1))
      expect(sent?.relays).toBeLessThanOrEqual(3 * (periods + 1))
      expect(sent?.news).toBeLessThanOrEqual(REACH_RUMOURS_MAX * (sent?.questions ?? 0) * 6)
    }
  })

  test('the largest message fits a fact, and a quiet one stays below 1 kB', () => {
    expect(wireBytes({ rumours: REACH_RUMOURS_MAX, seen: REACH_SEEN_MAX })).toBeLessThan(
      FACT_BYTES_MAX,
    )
    expect(wireBytes({ rumours: 0, seen: REACH_SEEN_MAX })).toBeLessThan(1_000)
  })
})
