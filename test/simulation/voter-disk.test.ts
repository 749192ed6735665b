/**
 * When voters speak again after a start: at once on a disk that is known to be whole, and after enough
 * others have answered where it may not be (SPEC §7.6). A group that cannot know stays silent and says so.
 */
import { describe, expect, test } from 'vitest'
import { DEMO, type HostName } from '../../protocol/index.ts'
import { accusedIn, restore, snapshotOf } from './disks.ts'
import { CHEAP_SIGNER, type FleetOptions, SimFleet } from './fleet.ts'
import { forkedLogs } from './laws.ts'

const PATIENCE_MS = 40_000

async function begun(
  hosts: number,
  options: Partial<FleetOptions> = {},
  boots?: readonly HostName[],
): Promise<SimFleet> {
  const timing = { ...DEMO, anchorMs: 200 }
  const fleet = new SimFleet({ hosts, voters: hosts, timing, signer: CHEAP_SIGNER, ...options })
  for (const name of boots ?? fleet.names) await fleet.boot(name)
  await fleet.clock.advance(2_000)
  return fleet
}

/** A fact that the log is to pin, handed to the first node that runs. */
async function ask(fleet: SimFleet): Promise<void> {
  const [first] = fleet.nodes
  if (first === undefined) throw new Error('no node runs')
  const body = { rollout: 'a'.repeat(64), revert: false, why: `${fleet.clock.bootMs()}` }
  await fleet.sign(first, fleet.operator, 'rollout.halt', body)
}

function slots(fleet: SimFleet): readonly number[] {
  return fleet.nodes.map((node) => node.gate.state.slot)
}

/** Whether every node that runs commits something more. */
async function decides(fleet: SimFleet): Promise<boolean> {
  const before = Math.max(...slots(fleet))
  await ask(fleet)
  return await fleet.until(PATIENCE_MS, () => slots(fleet).every((slot) => slot > before))
}

function silent(fleet: SimFleet): readonly HostName[] {
  return fleet.nodes.filter((node) => node.gate.silent).map((node) => node.parts.name)
}

function sound(fleet: SimFleet): void {
  expect(forkedLogs(fleet)).toEqual([])
  expect(accusedIn(fleet)).toEqual([])
  expect(fleet.nodes.filter((node) => node.gate.frozen)).toEqual([])
}

describe('a fleet that starts for the first time', () => {
  test('does so without one of four voters, whose hosts were told that they are new', async () => {
    const fleet = await begun(4, {}, ['host-01', 'host-02', 'host-03'])
    expect(await decides(fleet)).toBe(true)
    await fleet.boot('host-04')
    expect(await decides(fleet)).toBe(true)
    sound(fleet)
  })

  test('waits for every voter where nobody said that the disks are new', async () => {
    const fleet = await begun(4, { newDisks: false }, ['host-01', 'host-02', 'host-03'])
    expect(await decides(fleet)).toBe(false)
    expect(silent(fleet)).toEqual(['host-01', 'host-02', 'host-03'])
    await fleet.boot('host-04')
    expect(await decides(fleet)).toBe(true)
    expect(silent(fleet)).toEqual([])
    sound(fleet)
  })
})

describe('a daemon that starts again', () => {
  test('on its own disk votes at once, with one of three voters dead for good', async () => {
    const fleet = await begun(3)
    expect(await decides(fleet)).toBe(true)
    fleet.crash('host-03')
    fleet.crash('host-02')
    await fleet.boot('host-02')
    expect(silent(fleet)).toEqual([])
    expect(await decides(fleet)).toBe(true)
    sound(fleet)
  })

  test('on a lost disk decides nothing before it has heard of every other of three', async () => {
    const fleet = await begun(3)
    expect(await decides(fleet)).toBe(true)
    fleet.crash('host-03')
    fleet.loseDisk('host-02')
    await fleet.boot('host-02')
    expect(await decides(fleet)).toBe(false)
    expect(silent(fleet)).toEqual(['host-02'])
    expect(fleet.host('host-02').node?.gate.awaited).toBe(1)
    await fleet.boot('host-03')
    expect(await decides(fleet)).toBe(true)
    expect(silent(fleet)).toEqual([])
    sound(fleet)
  })

  test('that was silent when it died is silent again', async () => {
    const fleet = await begun(3)
    fleet.crash('host-03')
    fleet.loseDisk('host-02')
    for (let life = 0; life < 3; life++) {
      await fleet.boot('host-02')
      await fleet.clock.advance(3_000)
      expect(silent(fleet)).toEqual(['host-02'])
      fleet.crash('host-02')
    }
    fleet.losePower('host-02')
    await fleet.boot('host-02')
    await fleet.clock.advance(3_000)
    expect(silent(fleet)).toEqual(['host-02'])
  })
})

describe('a disk that was put back while the only other voter that knows is away', () => {
  test.each(['the daemon', 'the machine'])('of %s contradicts nothing', async (what) => {
    const fleet = await begun(3)
    expect(await decides(fleet)).toBe(true)
    // host-01 alone does not hear what the other two decide.
    fleet.hub.partition(['host-02', 'host-03'], ['host-01'])
    const old = snapshotOf(fleet.host('host-02').disk)
    const at = fleet.host('host-03').node
    if (at === undefined) throw new Error('host-03 does not run')
    const before = at.gate.state.slot
    const body = { rollout: 'b'.repeat(64), revert: false, why: 'cut off' }
    await fleet.sign(at, fleet.operator, 'rollout.halt', body)
    expect(await fleet.until(PATIENCE_MS, () => at.gate.state.slot > before)).toBe(true)
    const head = at.gate.state.slot
    fleet.crash('host-03')
    if (what === 'the machine') fleet.losePower('host-02')
    fleet.hub.partition(fleet.names)
    await restore(fleet, 'host-02', old)
    expect(await decides(fleet)).toBe(false)
    expect(silent(fleet)).toEqual(['host-02'])
    await fleet.boot('host-03')
    expect(await decides(fleet)).toBe(true)
    expect(slots(fleet).every((slot) => slot > head)).toBe(true)
    sound(fleet)
  })
})

describe('after the power of a whole site went', () => {
  test.each([
    [2, 0],
    [3, 0],
    [3, 40],
    [3, 90],
    [4, 0],
    [4, 60],
  ])('%i voters with whole disks go on, %i ms into a decision', async (voters, moment) => {
    const fleet = await begun(voters, { seed: voters + moment })
    expect(await decides(fleet)).toBe(true)
    await ask(fleet)
    await fleet.clock.advance(moment)
    for (const name of fleet.names) fleet.losePower(name)
    for (const name of fleet.names) await fleet.boot(name)
    expect(await decides(fleet)).toBe(true)
    expect(silent(fleet)).toEqual([])
    sound(fleet)
  })

  test('four voters go on without one that is dead for good', async () => {
    const fleet = await begun(4)
    expect(await decides(fleet)).toBe(true)
    for (const name of fleet.names) fleet.losePower(name)
    for (const name of fleet.names.slice(1)) await fleet.boot(name)
    expect(await decides(fleet)).toBe(true)
    sound(fleet)
  })

  test('two of three cannot know, wait and say so, until the third is back', async () => {
    const fleet = await begun(3)
    expect(await decides(fleet)).toBe(true)
    for (const name of fleet.names) fleet.losePower(name)
    for (const name of fleet.names.slice(1)) await fleet.boot(name)
    expect(await decides(fleet)).toBe(false)
    expect(silent(fleet)).toEqual(['host-02', 'host-03'])
    await fleet.boot('host-01')
    expect(await decides(fleet)).toBe(true)
    sound(fleet)
  })

  test('two of three go on where the witnesses of their disks survive it', async () => {
    const fleet = await begun(3)
    expect(await decides(fleet)).toBe(true)
    for (const name of fleet.names) fleet.crash(name)
    for (const name of fleet.names.slice(1)) await fleet.boot(name)
    expect(await decides(fleet)).toBe(true)
    sound(fleet)
  })
})
