import { describe, expect, test } from 'vitest'
import type { Runtime } from '../../node/runtime.ts'
import { DEMO } from '../../protocol/index.ts'
import { type FleetOptions, generationOf, SimFleet } from './fleet.ts'

const ALL = (fleet: SimFleet) => fleet.names

async function started(
  options: Partial<FleetOptions> = {},
): Promise<{ fleet: SimFleet; first: Runtime }> {
  const fleet = new SimFleet({ hosts: 5, voters: 4, timing: DEMO, ...options })
  await fleet.start()
  const first = fleet.host('host-01').node
  if (first === undefined) throw new Error('host-01 does not run')
  return { fleet, first }
}

function statuses(fleet: SimFleet, rollout: string): (string | undefined)[] {
  return fleet.nodes.map((node) => node.gate.state.rollouts.get(rollout)?.status)
}

function running(fleet: SimFleet): string[] {
  return fleet.names.map((name) => fleet.host(name).machine.running)
}

async function closed(fleet: SimFleet, rollout: string, ms = 120_000): Promise<boolean> {
  return await fleet.until(ms, () =>
    statuses(fleet, rollout).every((status) => status !== undefined && status !== 'open'),
  )
}

describe('a fleet in virtual time', () => {
  test('a good release reaches every host and every node agrees', async () => {
    const { fleet, first } = await started()
    const release = await fleet.announce(first, 1)
    const rollout = await fleet.plan(first, release, [['host-01'], ALL(fleet).slice(1)])
    expect(await closed(fleet, rollout)).toBe(true)
    expect(new Set(statuses(fleet, rollout))).toEqual(new Set(['complete']))
    expect(running(fleet)).toEqual(ALL(fleet).map(() => generationOf(1)))
    expect(fleet.names.map((name) => fleet.host(name).machine.bootDefault)).toEqual(
      ALL(fleet).map(() => generationOf(1)),
    )
    await fleet.clock.advance(10_000)
    expect(new Set(fleet.nodes.map((node) => node.digest())).size).toBe(1)
  })

  test('what only peers see sends the host back, halts, and starts nobody else', async () => {
    const { fleet, first } = await started({
      behaviour: (_, generation) =>
        generation === generationOf(1) ? { outsideBad: { fromMs: 0 } } : {},
    })
    const release = await fleet.announce(first, 1)
    const rollout = await fleet.plan(first, release, [
      ['host-02'],
      ['host-01', 'host-03', 'host-04', 'host-05'],
    ])
    expect(await closed(fleet, rollout)).toBe(true)
    expect(new Set(statuses(fleet, rollout))).toEqual(new Set(['halted']))
    expect(running(fleet)).toEqual(ALL(fleet).map(() => generationOf(0)))
    const starts = first.gate.state.rollouts.get(rollout)?.starts
    expect([...(starts?.keys() ?? [])]).toEqual(['host-02'])
  })

  test('a failing activation is the host s own word and costs no observer', async () => {
    const { fleet, first } = await started({
      behaviour: (_, generation) => (generation === generationOf(1) ? { activation: 'fails' } : {}),
    })
    const release = await fleet.announce(first, 1)
    const rollout = await fleet.plan(first, release, [['host-02'], ['host-03']])
    expect(await closed(fleet, rollout)).toBe(true)
    expect(new Set(statuses(fleet, rollout))).toEqual(new Set(['halted']))
    expect(running(fleet)).toEqual(ALL(fleet).map(() => generationOf(0)))
  })

  test('a release that turns bad late sends every host of the rollout back', async () => {
    const { fleet, first } = await started({
      behaviour: (_, generation) =>
        generation === generationOf(1) ? { outsideBad: { fromMs: 9_000 } } : {},
    })
    const release = await fleet.announce(first, 1)
    const rollout = await fleet.plan(
      first,
      release,
      [['host-01'], ['host-02'], ['host-03'], ['host-04'], ['host-05']],
      {},
      { onFailure: 'revertAll' },
    )
    expect(await closed(fleet, rollout)).toBe(true)
    await fleet.clock.advance(20_000)
    expect(new Set(statuses(fleet, rollout))).toEqual(new Set(['reverted']))
    expect(running(fleet)).toEqual(ALL(fleet).map(() => generationOf(0)))
  })

  test('observers that soak themselves still see a fault that only peers see', async () => {
    const { fleet, first } = await started({
      behaviour: (_, generation) =>
        generation === generationOf(1) ? { outsideBad: { fromMs: 30_000 } } : {},
    })
    const release = await fleet.announce(first, 1)
    const policy = { onFailure: 'revertAll', soakMs: 600_000 } as const
    const rollout = await fleet.plan(first, release, [ALL(fleet)], {}, policy)
    await fleet.until(60_000, () => running(fleet).every((one) => one === generationOf(1)))
    expect(running(fleet)).toEqual(ALL(fleet).map(() => generationOf(1)))
    expect(await closed(fleet, rollout)).toBe(true)
    expect(new Set(statuses(fleet, rollout))).toEqual(new Set(['reverted']))
    expect(running(fleet)).toEqual(ALL(fleet).map(() => generationOf(0)))
  })

  test('an operator sends a complete rollout back, and the boot default with it', async () => {
    const { fleet, first } = await started()
    const release = await fleet.announce(first, 1)
    const rollout = await fleet.plan(first, release, [ALL(fleet)])
    expect(await closed(fleet, rollout)).toBe(true)
    await fleet.sign(first, fleet.operator, 'rollout.halt', { rollout, revert: true, why: 'test' })
    expect(
      await fleet.until(20_000, () => running(fleet).every((one) => one === generationOf(0))),
    ).toBe(true)
    await fleet.clock.advance(5_000)
    expect(fleet.names.map((name) => fleet.host(name).machine.bootDefault)).toEqual(
      ALL(fleet).map(() => generationOf(0)),
    )
  })

  test('a dead host is skipped, the others finish, and it catches up when it is back', async () => {
    const { fleet, first } = await started()
    const release = await fleet.announce(first, 1)
    fleet.crash('host-03')
    const rollout = await fleet.plan(first, release, [['host-01'], ALL(fleet).slice(1)])
    expect(await closed(fleet, rollout)).toBe(true)
    expect(new Set(statuses(fleet, rollout))).toEqual(new Set(['complete']))
    expect(fleet.host('host-03').machine.running).toBe(generationOf(0))
    await fleet.boot('host-03')
    expect(
      await fleet.until(
        90_000,
        () => fleet.host('host-03').machine.bootDefault === generationOf(1),
      ),
    ).toBe(true)
    await fleet.clock.advance(10_000)
    expect(new Set(fleet.nodes.map((node) => node.digest())).size).toBe(1)
  })

  test('a host that dies inside its own wave is failed by its peers and goes back by its deadman', async () => {
    const { fleet, first } = await started()
    const release = await fleet.announce(first, 1)
    const rollout = await fleet.plan(
      first,
      release,
      [['host-01'], ['host-03'], ['host-02', 'host-04', 'host-05']],
      {},
      { budget: { kind: 'count', count: 1 } },
    )
    expect(
      await fleet.until(
        60_000,
        () => fleet.host('host-03').machine.running === generationOf(1),
        20,
      ),
    ).toBe(true)
    fleet.crash('host-03')
    expect(await closed(fleet, rollout)).toBe(true)
    expect(new Set(statuses(fleet, rollout))).toEqual(new Set(['complete']))
    expect(
      await fleet.until(60_000, () => fleet.host('host-03').machine.running === generationOf(0)),
    ).toBe(true)
    await fleet.boot('host-03')
    await fleet.clock.advance(30_000)
    expect(fleet.host('host-03').machine.running).toBe(generationOf(0))
    expect(running(fleet).filter((one) => one === generationOf(1))).toHaveLength(4)
    expect(new Set(fleet.nodes.map((node) => node.digest())).size).toBe(1)
  })

  test('of two rival plans exactly one is admitted', async () => {
    const { fleet, first } = await started()
    const second = fleet.host('host-05').node
    if (second === undefined) throw new Error('host-05 does not run')
    const release = await fleet.announce(first, 1)
    await fleet.clock.advance(2_000)
    const [one, two] = await Promise.all([
      fleet.plan(first, release, [ALL(fleet)]),
      fleet.plan(second, release, [ALL(fleet)]),
    ])
    await fleet.until(
      60_000,
      () =>
        statuses(fleet, one).some((s) => s === 'complete') ||
        statuses(fleet, two).some((s) => s === 'complete'),
    )
    const known = fleet.nodes.map((node) =>
      [one, two].filter((id) => node.gate.state.rollouts.has(id)),
    )
    expect(known.every((ids) => ids.length === 1)).toBe(true)
    expect(new Set(known.flat()).size).toBe(1)
  })
})
