/** Closures are held by others until the rollout closes, also when a holder is lost on the way. */
import { describe, expect, test } from 'vitest'
import type { Runtime } from '../../node/runtime.ts'
import { DEMO, type HostName } from '../../protocol/index.ts'
import { rolloutRecord, whyHost } from '../../rollout/index.ts'
import { generationOf, SimFleet } from './fleet.ts'

const HOLDERS = { holders: 2 } as const
const NEW = generationOf(1)

async function started(hosts: number, voters: number): Promise<{ fleet: SimFleet; at: Runtime }> {
  const fleet = new SimFleet({ hosts, voters, timing: DEMO })
  await fleet.start()
  const at = fleet.host('host-01').node
  if (at === undefined) throw new Error('host-01 does not run')
  return { fleet, at }
}

function closed(fleet: SimFleet, rollout: string): boolean {
  return fleet.nodes.every((node) => {
    const { status } = node.gate.state.rollouts.get(rollout) ?? {}
    return status !== undefined && status !== 'open'
  })
}

/** Who said to `at` that it holds the generation, with the highest wave that it said so for. */
function holders(at: Runtime, rollout: string, generation = NEW): ReadonlyMap<HostName, number> {
  return rolloutRecord(at.knowledge().view, rollout).holders.get(generation) ?? new Map()
}

function starts(at: Runtime, rollout: string): ReadonlyMap<HostName, unknown> {
  return at.gate.state.rollouts.get(rollout)?.starts ?? new Map()
}

describe('holders', () => {
  test('others hold the closure before the host starts, pin it, and let it go after the close', async () => {
    const { fleet, at } = await started(6, 3)
    const release = await fleet.announce(at, 1)
    const rollout = await fleet.plan(at, release, [['host-06']], {}, HOLDERS)
    expect(await fleet.until(60_000, () => starts(at, rollout).has('host-06'))).toBe(true)
    const others = [...holders(at, rollout).keys()].filter((name) => name !== 'host-06')
    expect(others.length).toBeGreaterThanOrEqual(2)
    for (const name of others) expect(fleet.host(name).machine.pinned).toContain(NEW)
    const idle = fleet.names.filter((name) => !holders(at, rollout).has(name))
    expect(idle.length, 'not everybody is asked').toBeGreaterThan(0)
    for (const name of idle) expect(fleet.host(name).machine.held.has(NEW)).toBe(false)
    expect(await fleet.until(120_000, () => closed(fleet, rollout))).toBe(true)
    await fleet.clock.advance(2_000)
    for (const name of others) expect(fleet.host(name).machine.pinned).not.toContain(NEW)
    expect(fleet.host('host-06').machine.pinned, 'it runs it').toContain(NEW)
  })

  test('the next wave has its bytes while the one before soaks', async () => {
    const { fleet, at } = await started(5, 3)
    const release = await fleet.announce(at, 1)
    const waves = [['host-05'], ['host-01', 'host-02', 'host-03', 'host-04']]
    const rollout = await fleet.plan(at, release, waves, {}, { ...HOLDERS, soakMs: 20_000 })
    expect(await fleet.until(60_000, () => starts(at, rollout).has('host-05'))).toBe(true)
    const readyWithin = await fleet.until(10_000, () =>
      fleet.names.every((name) => fleet.host(name).machine.held.has(NEW)),
    )
    expect(readyWithin, 'long before the soak is over').toBe(true)
    expect([...starts(at, rollout).keys()]).toEqual(['host-05'])
    for (const name of waves[1] ?? []) {
      const record = rolloutRecord(at.knowledge().view, rollout)
      expect([...(record.hosts.get(name)?.get(0)?.transitions.keys() ?? [])]).toContain('READY')
    }
    expect(await fleet.until(120_000, () => closed(fleet, rollout))).toBe(true)
    expect(fleet.names.map((name) => fleet.host(name).machine.running)).toEqual(
      fleet.names.map(() => NEW),
    )
  })

  test('a wave waits when its holders die, until others have taken their place', async () => {
    const { fleet, at } = await started(7, 3)
    const release = await fleet.announce(at, 1)
    const waves = [['host-07'], ['host-06'], ['host-05']]
    const rollout = await fleet.plan(at, release, waves, {}, HOLDERS)
    expect(await fleet.until(60_000, () => starts(at, rollout).has('host-07'))).toBe(true)
    const first = new Set(holders(at, rollout).keys())
    // The plan's own hosts come first; they, but for the canary, are the ones to die.
    const dead = ['host-06', 'host-05'].filter((name) => first.has(name))
    expect(dead.length, 'they hold what they are to run').toBe(2)
    fleet.crash('host-05')
    const waited = await fleet.until(60_000, () => starts(at, rollout).has('host-06'), 50)
    expect(waited).toBe(true)
    const words = [...holders(at, rollout)].filter(([, wave]) => wave >= 1).map(([name]) => name)
    const others = words.filter((name) => name !== 'host-06')
    expect(others).not.toContain('host-05')
    expect(others.length).toBeGreaterThanOrEqual(2)
    expect(
      others.filter((name) => !first.has(name)),
      'somebody stepped in that was not asked before',
    ).not.toEqual([])
    expect(await fleet.until(240_000, () => closed(fleet, rollout))).toBe(true)
    const ends = fleet.names.slice(0, 4).map((name) => fleet.host(name).machine.running)
    expect(ends, 'nobody outside of the plan changed').toEqual(ends.map(() => generationOf(0)))
  })

  test('nothing starts while too few can hold, and the reason is there to be read', async () => {
    const { fleet, at } = await started(6, 1)
    for (const name of ['host-03', 'host-04', 'host-05']) fleet.crash(name)
    // Whoever is left may hold for others: two, of whom the canary is one.
    fleet.crash('host-02')
    const release = await fleet.announce(at, 1)
    const rollout = await fleet.plan(at, release, [['host-06']], {}, HOLDERS)
    expect(await fleet.until(60_000, () => starts(at, rollout).has('host-06'))).toBe(false)
    expect([...holders(at, rollout).keys()].sort()).toEqual(['host-01', 'host-06'])
    const why = whyHost(at.knowledge(), rollout, 'host-06').map(({ text }) => text)
    expect(why.join(' ')).toContain('the new closure of host-06 is held by 1 of 2 other hosts')
    await fleet.boot('host-02')
    expect(await fleet.until(60_000, () => starts(at, rollout).has('host-06'))).toBe(true)
  })

  test('the closure that the hosts come from is held as well', async () => {
    const { fleet, at } = await started(5, 3)
    const one = await fleet.announce(at, 1)
    const first = await fleet.plan(at, one, [['host-05']], {}, HOLDERS)
    expect(await fleet.until(120_000, () => closed(fleet, first))).toBe(true)
    await fleet.clock.advance(2_000)
    const two = await fleet.announce(at, 2)
    const rollout = await fleet.plan(at, two, [['host-05']], {}, HOLDERS)
    expect(await fleet.until(60_000, () => starts(at, rollout).has('host-05'))).toBe(true)
    for (const generation of [NEW, generationOf(2)]) {
      const others = [...holders(at, rollout, generation).keys()].filter((n) => n !== 'host-05')
      expect(others.length).toBeGreaterThanOrEqual(2)
      for (const name of others) expect(fleet.host(name).machine.pinned).toContain(generation)
    }
  })
})
