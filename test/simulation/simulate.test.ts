/**
 * The simulator itself: a few dozen seeds break nothing, each kept scenario stays mended, and a run is
 * the same every time. `npm run simulate` plays as many seeds as somebody has time for.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { COUNTERS, Coverage } from './coverage.ts'
import { play } from './play.ts'
import { allRegressions, readRegression } from './regression.ts'
import { scenarioOf } from './scenario.ts'
import { shrink } from './shrink.ts'

const SEEDS = 16
const here = dirname(fileURLToPath(import.meta.url))

describe('a simulated fleet', () => {
  it('breaks no invariant, whatever goes wrong', { timeout: 300_000 }, async () => {
    const coverage = new Coverage()
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { found, counts, events } = await play(scenarioOf(seed))
      expect(found, `npm run simulate -- --seed ${seed} --trace`).toEqual([])
      expect(events).toBeGreaterThan(0)
      coverage.take(counts)
    }
    const { counts } = coverage
    const seen = COUNTERS.filter((counter) => counts[counter] > 0)
    expect(seen.length).toBeGreaterThan(COUNTERS.length * 0.6)
  })

  it('plays one seed the same way every time, and another one otherwise', async () => {
    const scenario = scenarioOf(12)
    const [first, again] = [await play(scenario), await play(scenario)]
    expect(again.hash).toBe(first.hash)
    expect(again).toEqual(first)
    expect((await play(scenarioOf(13))).hash).not.toBe(first.hash)
  })

  it('plays a scenario that went through a file as it was', async () => {
    const scenario = scenarioOf(12)
    const kept = JSON.parse(JSON.stringify(scenario)) as typeof scenario
    expect((await play(kept)).hash).toBe((await play(scenario)).hash)
  })

  it('tells every event when it is asked to, without playing otherwise', async () => {
    const lines: string[] = []
    const told = await play(scenarioOf(12), { print: (line) => lines.push(line) })
    expect(lines.length).toBeGreaterThan(100)
    expect(told.hash).toBe((await play(scenarioOf(12))).hash)
  })
})

describe('a kept scenario', () => {
  const kept = allRegressions()
  it('is there', () => expect(kept.length).toBeGreaterThan(0))
  it.each(kept)('$name stays mended', { timeout: 60_000 }, async ({ file }) => {
    const { scenario } = readRegression(file)
    expect((await play(scenario)).found).toEqual([])
  })
})

describe('shrinking', () => {
  it('keeps the one act and the one host that a failure needs', async () => {
    const scenario = scenarioOf(5)
    const [needed] = scenario.acts
    const small = await shrink(scenario, async ({ acts }) =>
      acts.some((act) => act.kind === needed?.kind && act.at === needed.at),
    )
    expect(small.acts).toEqual([needed])
    expect(small.liars).toEqual([])
    expect(small.hosts).toBe(small.voters)
  })
})

describe('the simulator drives what ships', () => {
  const sources = readdirSync(here, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => ({ name, text: readFileSync(join(here, name), 'utf8') }))
  const machines = ['stepGate', 'stepHost', 'stepObserver', 'foldFacts', 'gateRules', 'ordersFor']

  it('and holds no machine of its own', () => {
    expect(sources.length).toBeGreaterThan(20)
    for (const machine of machines) {
      const written = sources.filter(({ text }) =>
        new RegExp(`(function|const|let) ${machine}\\b`).test(text),
      )
      expect(written.map(({ name }) => name)).toEqual([])
    }
  })

  it('through its runtime', () => {
    const users = sources.filter(({ text }) => text.includes('new Runtime('))
    expect(users.map(({ name }) => name)).toEqual(['fleet.ts'])
    const fleet = users[0]?.text ?? ''
    expect(fleet).toContain("import { Runtime } from '../../node/runtime.ts'")
  })
})
