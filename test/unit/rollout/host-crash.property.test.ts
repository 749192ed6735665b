/**
 * Crashes, power cuts and a deadman that fires at every boundary between two effects. The world
 * checks S3, S4, S5, S9, one transition per rank and one flight at a time after every single step.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RolloutOrders } from '../../../rollout/orders.ts'
import { anyDeed, Fleet } from './host-fleet.ts'
import { committed, history, LIFE_MS } from './host-past.ts'
import { OLD, ordersFor, RULES, started } from './host-setting.ts'
import { World } from './host-world.ts'

const MUCH_LATER_MS = 400_000

/** One rollout that commits, then one that fails: every step of a host's life but for STUCK. */
function live(world: World, steps: { left: number }): void {
  const orders = (...rollouts: RolloutOrders[]) => {
    if (steps.left > 0) world.orders(...rollouts)
  }
  const go = (ticks: number) => {
    for (let tick = 0; tick < ticks && steps.left > 0; tick++) {
      while (steps.left > 0 && (world.perform() || world.deliver())) steps.left -= 1
      if (steps.left > 0) world.tick()
    }
  }
  orders(ordersFor(1, started()))
  go(6)
  orders(ordersFor(1, { ...started(), soaked: [0] }))
  go(4)
  const one = ordersFor(1, { ...started(), soaked: [0], status: 'complete', last: false })
  orders(one, ordersFor(2, started()))
  go(6)
  orders(one, ordersFor(2, { ...started(), failed: [0] }))
  go(4)
}

/** What may happen to a daemon between two effects. */
const FATES: Readonly<Record<string, (world: World) => void>> = {
  'kill -9': (world) => world.crash(),
  'kill -9 in the middle of a switch': (world) => world.crashAmid(),
  'kill -9, and the deadman fires meanwhile': (world) => {
    world.crash()
    world.pass(MUCH_LATER_MS)
  },
  'kill -9, and the deadman finishes meanwhile': (world) => {
    world.crash()
    world.pass(MUCH_LATER_MS)
    world.finishScript()
  },
  'a power cut': (world) => world.reboot(true),
  'a power cut that takes the deadman with it': (world) => world.reboot(false),
  'kill -9 twice': (world) => {
    world.crash()
    world.restart()
    world.perform()
    world.crash()
  },
}

describe.each(Object.entries(FATES))('%s', (_, strike) => {
  it('at any step of a rollout leaves the host whole, at home, and as its stack says', () => {
    let strikes = 0
    for (let at = 1; ; at++) {
      const steps = { left: at }
      const world = new World()
      live(world, steps)
      if (steps.left > 0) break
      expect(at, 'a life that comes to an end').toBeLessThan(1_000)
      strikes += 1
      strike(world)
      world.restart()
      world.rest(100_000, 5_000)
      world.orders(
        ordersFor(1, { ...started(), soaked: [0], status: 'complete', last: false }),
        ordersFor(2, { ...started(), failed: [0] }),
      )
      world.rest(100_000, 5_000)
      const home = world.feed.some((one) => one.to === 'COMMITTED') ? 'gen-1' : OLD
      expect([world.top, world.running, world.bootDefault]).toEqual([home, home, home])
      expect(['idle', 'fired']).toContain(world.deadman.kind)
      expect(world.state.deadman).toBeUndefined()
      expect(world.state.unsigned).toEqual([])
      expect(world.whole).toBe(true)
    }
    expect(strikes).toBeGreaterThan(60)
  })
})

/** A host whose second rollout nobody confirmed any more: its deadman has fired, and leads to the first. */
function fired(script: 'works' | 'hangs'): World {
  const world = committed(1)
  world.orders(...history(1), ordersFor(2, started()))
  world.rest(3_000)
  expect(world.last(2)).toBe('CONFIRMED')
  world.hangs = script === 'hangs'
  world.pass(LIFE_MS)
  expect(world.deadman).toMatchObject({ kind: 'fired', done: false, target: 'gen-1' })
  return world
}

const TAKEN_BACK = ordersFor(1, { ...started(), halted: true, revert: true, revertWhy: 'halt' })

describe('a power cut while the deadman goes back', () => {
  it('ends its script for good: the host goes home by itself, also past where it led', () => {
    const world = fired('works')
    world.orders(TAKEN_BACK)
    world.reboot(false)
    world.restart()
    world.rest(100_000, 5_000)
    expect([world.top, world.running, world.bootDefault]).toEqual([OLD, OLD, OLD])
    expect(world.last(1)).toBe('REVERTED(halt)')
    expect(world.deadman).toMatchObject({ kind: 'fired', done: false })
  })
})

describe('a deadman whose script hangs', () => {
  it('is ended before the host goes home by itself, also past where it led', () => {
    const world = fired('hangs')
    world.tick()
    world.orders(TAKEN_BACK)
    world.rest(RULES.timing.activateMs, 5_000)
    expect(world.done.some(({ kind }) => kind === 'revert')).toBe(false)
    world.rest(1_000_000, 5_000)
    expect([world.top, world.running, world.bootDefault]).toEqual([OLD, OLD, OLD])
    expect(world.last(1)).toBe('REVERTED(halt)')
    expect(world.deadman).toMatchObject({ kind: 'fired', done: true, ok: false })
    world.hangs = false
    world.finishScript()
    expect(world.running).toBe(OLD)
    expect(world.state.deadman).toBeUndefined()
  })

  it('is ended also where a stuck host finds its old generation running', () => {
    const world = committed(1)
    world.orders(...history(1), ordersFor(2, started()))
    world.rest(3_000)
    world.broken = new Set(['gen-1'])
    world.orders(...history(1), ordersFor(2, { ...started(), failed: [0] }))
    world.rest(2_000)
    expect(world.last(2)).toBe('STUCK(peers)')
    world.broken = new Set()
    world.hangs = true
    world.pass(LIFE_MS)
    expect(world.deadman).toMatchObject({ kind: 'fired', done: false, target: 'gen-1' })
    // It has switched, and hangs in what comes after.
    Object.assign(world, { running: 'gen-1', bootDefault: 'gen-1' })
    world.crash()
    world.restart()
    world.rest(1_000_000, 5_000)
    expect(world.last(2)).toBe('REVERTED(peers)')
    expect(world.deadman).toMatchObject({ kind: 'fired', done: true, ok: false })
    expect(world.state.deadman).toBeUndefined()
  })
})

describe('whatever happens, in whatever order', () => {
  it('no invariant of the host breaks, and in the end it rests on its stack', () => {
    let flights = 0
    let commits = 0
    let returns = 0
    fc.assert(
      fc.property(fc.array(anyDeed, { minLength: 50, maxLength: 150 }), (deeds) => {
        const fleet = new Fleet()
        for (const deed of deeds) fleet.do(deed)
        fleet.settle()
        const { world } = fleet
        flights += world.feed.filter((one) => one.to === 'ACTIVATING').length
        commits += world.feed.filter((one) => one.to === 'COMMITTED').length
        returns += world.feed.filter((one) => one.to === 'REVERTED').length
        expect(world.state.stack.map((entry) => entry.rollout)).toEqual(fleet.stackTwin())
        expect([world.running, world.bootDefault]).toEqual([world.top, world.top])
        expect(world.state.deadman).toBeUndefined()
        for (const { rollout, round } of fleet.skips) {
          const began = world.feed.some(
            (one) => one.rollout === rollout && one.round === round && one.to === 'ACTIVATING',
          )
          expect(began, 'S17: skipped or leased, never both').toBe(false)
        }
      }),
      { numRuns: 200 },
    )
    expect(flights).toBeGreaterThan(150)
    expect(commits).toBeGreaterThan(50)
    expect(returns).toBeGreaterThan(50)
  })
})
