/** The explorer sees what it should: all of a small space, every broken quorum, and its own caps. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CASES, casesOf } from './cases.ts'
import { GateModel } from './gate-model.ts'
import type { GateCase, GatePool, Voter } from './gate-setting.ts'
import { MinimalModel } from './minimal.ts'
import { lineOf, problemOf, reportOf, runCase } from './report.ts'
import { type Model, search } from './search.ts'
import { LOCAL_IDS_MAX, StateTable } from './state-table.ts'

const SMALL: GateCase = { n: 4, quorum: 3, liars: [1], views: 1, puppets: [2], crashes: 0 }
const STATES_MAX = 1_000_000

describe('the explorer', () => {
  it.each(casesOf('quick').map((one) => [one.name, one] as const))('%s', (_, one) => {
    const report = runCase(one, STATES_MAX)
    expect(report.problem, lineOf(report)).toBeUndefined()
    expect(report.states).toBeGreaterThan(100)
    if (one.expects !== undefined) expect(report.violations[0]?.trace.length).toBeGreaterThan(2)
  })

  it('counts the same states every time', () => {
    const [first, again] = [1, 2].map(() => search(new GateModel(SMALL), STATES_MAX))
    expect(first?.states).toBe(1_516)
    expect({ ...again, seconds: 0 }).toEqual({ ...first, seconds: 0 })
  })

  it('never calls a search exhaustive that hit its cap', () => {
    const outcome = search(new GateModel(SMALL), 1_000)
    expect(outcome).toMatchObject({ exhaustive: false, violations: [] })
    expect(problemOf({}, outcome, 1_000)).toContain('stopped at the cap of 1000')
  })

  it('is not content with a control that broke nothing, with another law, or with nothing seen', () => {
    const fine = search(new GateModel(SMALL), STATES_MAX)
    expect(problemOf({}, fine, STATES_MAX)).toBeUndefined()
    expect(problemOf({ expects: 'S1' }, fine, STATES_MAX)).toContain('expected S1 broken')
    const broken = { ...fine, violations: [{ invariant: 'S13', what: '', trace: [] }] }
    expect(problemOf({ expects: 'S1' }, broken, STATES_MAX)).toContain('expected S13 to hold')
    expect(problemOf({}, { ...fine, states: 1 }, STATES_MAX)).toContain('saw none')
    expect(reportOf([]).ok).toBe(false)
  })

  it('names every case once', () => {
    expect(new Set(CASES.map((one) => one.name)).size).toBe(CASES.length)
  })
})

describe('lazy moves', () => {
  it.each([
    ['two blocks in one view', SMALL],
    ['a second view', { ...SMALL, n: 3, quorum: 2, views: 2, puppets: [1, 1], liars: [1] }],
    ['a quorum that is too small, where nobody looks', { ...SMALL, quorum: 2, views: 1 }],
  ] as const)('reach the same votes as single messages: %s', (_, options) => {
    const whole = pools({ ...options, lazy: false })
    expect(pools({ ...options, lazy: true })).toEqual(whole)
    expect(whole.size).toBeGreaterThan(20)
  })
})

describe('the fewest local states', () => {
  it.each([
    ['two blocks in one view', SMALL],
    ['a second view', { ...SMALL, n: 3, quorum: 2, views: 2, puppets: [1, 1], liars: [1] }],
    ['four voters, a second view', { ...SMALL, views: 2, puppets: [1, 1] }],
  ] as const)('reach the same votes as all of them, through fewer states: %s', (_, options) => {
    const lazy = { ...options, lazy: true }
    const [all, few] = [new GateModel(lazy), new MinimalModel(new GateModel(lazy))]
    expect(pools(lazy, (model) => new MinimalModel(model))).toEqual(pools(lazy))
    expect(few.merged.to).toBeLessThan(few.merged.from)
    expect(search(few, STATES_MAX).states).toBeLessThan(search(all, STATES_MAX).states)
  })

  it('see a quorum that is too small, and tell how it came to that', () => {
    const broken = { ...SMALL, quorum: 2, views: 2, puppets: [2, 1], lazy: true }
    const { violations } = search(new MinimalModel(new GateModel(broken)), STATES_MAX)
    expect(violations[0]).toMatchObject({ invariant: 'S1' })
    expect(violations[0]?.trace.length).toBeGreaterThan(1)
  })

  it('are refused for cases in which a voter has more to remember', () => {
    const crash = new GateModel({ ...SMALL, lazy: true, crashes: 1 })
    expect(() => new MinimalModel(crash)).toThrow('without crashes')
  })
})

describe('the table of states', () => {
  it('holds each state once, and gives back what it was given, whatever the ids', () => {
    const id = fc.oneof(fc.nat(3), fc.integer({ min: 0, max: LOCAL_IDS_MAX - 1 }))
    const states = fc
      .integer({ min: 1, max: 7 })
      .chain((width) =>
        fc.array(fc.array(id, { minLength: width, maxLength: width }), { minLength: 1 }),
      )
    fc.assert(
      fc.property(states, (given) => {
        const table = new StateTable(given[0]?.length ?? 1)
        const twin = new Set<string>()
        for (const [i, ids] of given.entries()) {
          expect(table.add(ids, Math.max(0, table.size - 1))).toBe(!twin.has(ids.join()))
          twin.add(ids.join())
          expect(table.size).toBe(twin.size)
          expect(i).toBeGreaterThanOrEqual(table.size - 1)
        }
        const held = [...twin.keys()].map((_, at) => table.read(at).join())
        expect(held).toEqual([...twin])
        expect(table.parentOf(table.size - 1)).toBe(Math.max(0, table.size - 2))
      }),
    )
  })

  it('finds its states again after it has grown', () => {
    const table = new StateTable(3)
    const count = 100_000
    for (let i = 0; i < count; i++) expect(table.add([i, i % 7, count - i], 0)).toBe(true)
    for (let i = 0; i < count; i++) if (table.add([i, i % 7, count - i], 0)) throw new Error(`${i}`)
    expect(table.read(count - 1)).toEqual([count - 1, (count - 1) % 7, 1])
  })
})

/** Every set of votes that the voters can have cast, voter by voter. */
function pools<L>(
  options: GateCase,
  searched?: (model: GateModel) => Model<L, GatePool>,
): ReadonlySet<string> {
  const seen = new Set<string>()
  const model = new GateModel(options)
  const watched = Object.assign(model, {
    judgeCertificates: () => [],
    judge: (voters: readonly Voter[]) => {
      seen.add(
        voters
          .map((voter) => ballotsOf(voter))
          .sort()
          .join('|'),
      )
      return []
    },
  })
  const outcome =
    searched === undefined ? search(watched, STATES_MAX) : search(searched(watched), STATES_MAX)
  expect(outcome.exhaustive).toBe(true)
  return new Set([...seen].sort())
}

function ballotsOf({ life, around }: Voter): string {
  const ballots = life.sent.map((number) => around.catalogue.ballot(number))
  return ballots
    .map(({ kind, view, block }) => `${kind}${view}${around.catalogue.nameOf(block)}`)
    .sort()
    .join()
}
