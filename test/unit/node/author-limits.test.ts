import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  AuthorLimits,
  type Bucket,
  type BucketRules,
  factRules,
  takeToken,
} from '../../../node/author-limits.ts'
import { DEMO, PRODUCTION } from '../../../protocol/index.ts'

const HOUR_MS = 3600_000
const QUIET = { windowMs: PRODUCTION.windowMs, openRollouts: 0 }

/** Runs acts at the given times through one bucket; gives those that were let through. */
function letThrough(rules: BucketRules, times: readonly number[]): readonly number[] {
  let bucket: Bucket | undefined
  return times.filter((now) => {
    const next = takeToken(bucket, rules, now)
    bucket = next ?? bucket
    return next !== undefined
  })
}

/** The same by counting: whole tokens drip one by one into a bucket that overflows. */
function dumbLetThrough(rules: BucketRules, times: readonly number[]): readonly number[] {
  const everyMs = HOUR_MS / rules.perHour
  let tokens = rules.burst
  let filledTo = times[0] ?? 0
  return times.filter((now) => {
    while (filledTo + everyMs <= now) {
      filledTo += everyMs
      if (tokens < rules.burst) tokens++
    }
    if (tokens === 0) return false
    // A full bucket drips away: its clock starts when something is taken.
    if (tokens === rules.burst) filledTo = now
    tokens--
    return true
  })
}

const rulesArb = fc.record({
  perHour: fc.constantFrom(60, 120, 360, 3600),
  burst: fc.integer({ min: 1, max: 50 }),
})
const timesArb = fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 200 }).map((gaps) => {
  let at = 0
  return gaps.map((gap) => {
    at += 1000 * gap
    return at
  })
})

describe('a token bucket', () => {
  test('agrees with its dumb twin to one act in whole tokens', () => {
    fc.assert(
      fc.property(rulesArb, timesArb, (rules, times) => {
        const found = letThrough(rules, times).length
        expect(Math.abs(found - dumbLetThrough(rules, times).length)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('lets through no more than its burst and its rate, in any stretch of time', () => {
    fc.assert(
      fc.property(rulesArb, timesArb, (rules, times) => {
        const passed = letThrough(rules, times)
        passed.forEach((from, i) => {
          passed.slice(i).forEach((to, j) => {
            const most = rules.burst + ((to - from) * rules.perHour) / HOUR_MS
            expect(j + 1).toBeLessThanOrEqual(most + 1e-6)
          })
        })
      }),
    )
  })
})

describe('an author', () => {
  function passedOf(
    pace: { windowMs: number; openRollouts: number },
    everyMs: number,
    hours: number,
  ) {
    const limits = new AuthorLimits()
    let passed = 0
    let said = 0
    for (let now = 0; now < hours * HOUR_MS; now += everyMs, said++)
      if (limits.take('a', pace, now, { newSession: false })) passed++
    return { passed, said }
  }

  test('that spams is bounded by its burst and its hourly share', () => {
    const { passed, said } = passedOf(QUIET, 100, 2)
    expect(said).toBe(72_000)
    expect(passed).toBeLessThanOrEqual(200 + 2 * 60 + 1)
  })

  test.each([
    ['production', PRODUCTION],
    ['demo', DEMO],
  ])('that observes a rollout for a day in the %s preset is never limited', (_, timing) => {
    const pace = { windowMs: timing.windowMs, openRollouts: 1 }
    const { passed, said } = passedOf(pace, timing.windowMs, timing === DEMO ? 1 : 24)
    expect(passed).toBe(said)
  })

  test('that says 200 things at once is not limited, and no other author pays for it', () => {
    const limits = new AuthorLimits()
    const takes = (author: string): boolean => limits.take(author, QUIET, 0, { newSession: false })
    expect(Array.from({ length: 201 }, () => takes('a')).filter(Boolean)).toHaveLength(200)
    expect(takes('b')).toBe(true)
  })

  test('opens at most 20 sessions an hour, and goes on in those that it has', () => {
    const limits = new AuthorLimits()
    const opened = Array.from({ length: 30 }, (_, i) =>
      limits.take('a', QUIET, i, { newSession: true }),
    )
    expect(opened.filter(Boolean)).toHaveLength(20)
    expect(limits.take('a', QUIET, 100, { newSession: false })).toBe(true)
    expect(limits.take('a', QUIET, 3 * 60_000 + 100, { newSession: true })).toBe(true)
  })

  test('has more room while rollouts are open, and in proportion to short windows', () => {
    expect(factRules({ ...QUIET, openRollouts: 2 }).perHour).toBe(60 + 2 * 120)
    expect(factRules({ windowMs: DEMO.windowMs, openRollouts: 0 })).toEqual({
      ...{ perHour: 30 * 60, burst: 30 * 200 },
    })
    expect(factRules({ windowMs: 1, openRollouts: 0 }).perHour).toBe(100 * 60)
  })
})
