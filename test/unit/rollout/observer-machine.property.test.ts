/** The observer's machine against its dumb twin, against crashes, and against the clock. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stepObserver } from '../../../rollout/observer-machine.ts'
import { OBSERVER_JOURNAL, type ProbeResult } from '../../../rollout/observer-state.ts'
import { type Circumstances, type Round, twinOf, type Verdict } from './observer-twin.ts'
import {
  dutyFor,
  NEW,
  ObserverWorld,
  OLD,
  type Published,
  SETTINGS,
  SILENT,
  WELL,
} from './observer-world.ts'

const anyRound: fc.Arbitrary<Round> = fc.record({
  answer: fc.oneof(
    { weight: 5, arbitrary: fc.constant('well' as const) },
    { weight: 5, arbitrary: fc.constant('silent' as const) },
    { weight: 2, arbitrary: fc.constantFrom('check' as const, 'self' as const) },
    { weight: 1, arbitrary: fc.constantFrom('old' as const, 'reboot' as const) },
  ),
  cutOff: rarely(),
  updating: rarely(),
  lag: fc.integer({ min: 0, max: 20 }).map((n) => n === 0),
})
/** Runs of equal rounds, so that streaks happen. */
const anyRounds = fc
  .array(fc.tuple(anyRound, fc.integer({ min: 1, max: 5 })), { minLength: 1, maxLength: 12 })
  .map((runs) => runs.flatMap(([round, count]) => Array.from({ length: count }, () => round)))
const anyCircumstances: fc.Arbitrary<Circumstances> = fc.record({
  activating: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
  committed: rarely(),
  halted: rarely(),
  beginByMs: fc.constantFrom(300, 1000),
})

describe('an observer', () => {
  it('says exactly what its dumb twin says', () => {
    const seen = { ok: 0, fail: 0, abstain: 0 }
    fc.assert(
      fc.property(anyRounds, anyCircumstances, (rounds, all) => {
        const { world, firstAt, until } = watch(rounds, all)
        const said = world.published.map(verdictOf)
        expect(said).toEqual(twinOf(rounds, all, { firstAt, until }))
        for (const { verdict } of said) seen[verdict]++
      }),
      { numRuns: 600 },
    )
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(50)
  })

  it('never changes the state that it was given', () => {
    fc.assert(
      fc.property(anyRounds, anyCircumstances, (rounds, all) => {
        const { world } = watch(rounds, all)
        const before = structuredClone(world.state)
        for (const event of [
          { kind: 'tick' as const },
          { kind: 'updating' as const, on: true },
          { kind: 'control' as const, reachable: 0, of: 3 },
          { kind: 'duties' as const, duties: [dutyFor({ round: 1 })] },
        ]) {
          stepObserver(world.state, event, world.now + 1000)
          expect(world.state).toEqual(before)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('fails a host that dies between failRounds − 1 and failRounds probe periods after', () => {
    const anyName = fc.integer({ min: 0, max: 999 }).map((n) => `web-${n}`)
    fc.assert(
      fc.property(anyName, fc.integer({ min: 400, max: 900 }), (host, diesAt) => {
        const world = new ObserverWorld()
        world.answer = (_host, now) => (now < diesAt ? WELL : SILENT)
        world.feed({ kind: 'duties', duties: [dutyFor({ host })] })
        world.run(2000)
        const fails = world.published.filter((one) => one.verdict === 'fail')
        expect(fails).toHaveLength(1)
        const afterMs = (fails[0]?.at ?? 0) - diesAt
        expect(afterMs).toBeGreaterThanOrEqual((SETTINGS.failRounds - 1) * SETTINGS.probeMs)
        expect(afterMs).toBeLessThan(SETTINGS.failRounds * SETTINGS.probeMs)
      }),
    )
  })

  it('never uses a window number again, wherever the power went', () => {
    let restarts = 0
    const anyLives = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 2, maxLength: 6 })
    fc.assert(
      fc.property(anyLives, fc.infiniteStream(rarely()), (lives, silences) => {
        const told = new Map<string, string>()
        let journal: ObserverWorld['journal']
        for (const [life, effects] of lives.entries()) {
          const world = new ObserverWorld(journal)
          world.effectsLeft = effects
          world.answer = () => (silences.next().value ? SILENT : WELL)
          const hosts = ['a', 'b', 'c']
          if (silences.next().value) world.feed({ kind: 'duties', duties: [] })
          world.feed({ kind: 'duties', duties: hosts.map((host) => dutyFor({ host })) })
          world.run(5000)
          for (const { host, round, window, verdict } of world.published) {
            const key = `${host}/${round}/${window}/${verdict}`
            expect(told.get(key) ?? `life ${life}`).toBe(`life ${life}`)
            for (const other of ['ok', 'fail', 'abstain']) {
              const earlier = told.get(`${host}/${round}/${window}/${other}`)
              expect(earlier ?? `life ${life}`).toBe(`life ${life}`)
            }
            told.set(key, `life ${life}`)
          }
          if (world.published.length > 0 && life > 0) restarts++
          journal = world.journal
        }
      }),
      { numRuns: 150 },
    )
    expect(restarts).toBeGreaterThan(50)
  })

  it('keeps its window numbers while its duties come and go', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 30 }), (turns) => {
        const world = new ObserverWorld()
        for (const [turn, on] of turns.entries()) {
          world.feed({ kind: 'duties', duties: on ? [dutyFor()] : [] })
          world.run((turn + 1) * 450)
        }
        const windows = world.published.map((one) => one.window)
        expect(new Set(windows).size).toBe(windows.length)
      }),
    )
  })

  it('asks every subject once per period, each at its own place in it', () => {
    const world = new ObserverWorld()
    const hosts = Array.from({ length: 60 }, (_, i) => `web-${i}`)
    world.feed({ kind: 'duties', duties: hosts.map((host) => dutyFor({ host })) })
    world.run(1000)
    const places = new Set<number>()
    for (const host of hosts) {
      const times = world.probes.filter((probe) => probe.host === host).map((probe) => probe.at)
      expect(times.length).toBeGreaterThanOrEqual(10)
      times.slice(1).forEach((at, i) => {
        expect(at - (times[i] ?? 0)).toBe(SETTINGS.probeMs)
      })
      places.add((times[0] ?? 0) % SETTINGS.probeMs)
    }
    expect(places.size).toBeGreaterThan(25)
  })

  it('sums OK time to what it saw, never to more', () => {
    fc.assert(
      fc.property(fc.integer({ min: 500, max: 6000 }), (until) => {
        const world = new ObserverWorld()
        world.feed({ kind: 'duties', duties: [dutyFor()] })
        world.run(until)
        const sum = world.published.reduce((total, one) => total + one.elapsedMs, 0)
        const [first] = world.probes
        expect(sum).toBeLessThanOrEqual(until - (first?.at ?? 0))
        expect(sum).toBeGreaterThanOrEqual(until - 2 * SETTINGS.windowMs - 2 * SETTINGS.probeMs)
      }),
    )
  })

  it('journals what its schema reads back', () => {
    const world = new ObserverWorld()
    world.feed({ kind: 'duties', duties: [dutyFor()] })
    world.run(2000)
    expect(world.published.length).toBeGreaterThan(0)
    const unused = Math.max(...world.published.map((one) => one.window)) + 1
    const journal = { windows: [{ rollout: dutyFor().rollout, unused }] }
    expect(world.journal).toEqual(journal)
    expect(OBSERVER_JOURNAL.decode(OBSERVER_JOURNAL.encode(journal), 'journal')).toEqual(journal)
  })
})

function watch(
  rounds: readonly Round[],
  all: Circumstances,
): { world: ObserverWorld; firstAt: number; until: number } {
  const world = new ObserverWorld()
  let at = -1
  let boot = 0
  let updating = false
  world.beforeAnswer = () => {
    const round = rounds[++at]
    if (round === undefined) throw new Error('expected no more probes than rounds')
    if (round.lag) world.feed({ kind: 'lag', ms: 501 })
    else world.feed({ kind: 'lag', ms: 500 })
    if (round.updating !== updating) world.feed({ kind: 'updating', on: round.updating })
    updating = round.updating
  }
  world.answer = () => {
    const round = rounds[at]
    if (round?.answer === 'reboot') boot++
    return resultOf(round?.answer ?? 'silent', `b${boot}`)
  }
  world.control = () => ({ reachable: rounds[at]?.cutOff ? 3 : 4, of: 8 })
  world.feed({ kind: 'duties', duties: [dutyFor(all)] })
  const firstAt = [...world.state.subjects.values()][0]?.probeAt ?? 0
  const until = firstAt + (rounds.length - 1) * SETTINGS.probeMs
  world.run(until)
  expect(at).toBe(rounds.length - 1)
  return { world, firstAt, until }
}

function resultOf(answer: Round['answer'], boot: string): ProbeResult {
  if (answer === 'silent') return SILENT
  const generation = answer === 'old' ? OLD : NEW
  const plain = { reachable: true, generation, boot, healthy: answer !== 'self' } as const
  return answer === 'check' ? { ...plain, failedCheck: 'http' } : plain
}

function verdictOf(one: Published): Verdict {
  const { at, window, verdict, ok, ko, elapsedMs, generation, boot, why } = one
  return { at, window, verdict, ok, ko, elapsedMs, generation, boot, why }
}

function rarely(): fc.Arbitrary<boolean> {
  return fc.integer({ min: 0, max: 5 }).map((n) => n === 0)
}
