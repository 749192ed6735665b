/** The lane of effects on the system: the way back first, every answer once, nothing forgotten. */
import { describe, expect, it } from 'vitest'
import type { MemoryBehaviour } from '../../../node/system/memory.ts'
import { SystemLane } from '../../../node/system-lane.ts'
import type { HostEffect, HostEvent } from '../../../rollout/index.ts'
import { FaultySystem, NEW, OLD, recorder } from './fakes.ts'

const ROLLOUT = 'a'.repeat(64)
const ACTIVATE: HostEffect & { kind: 'activate' } = {
  kind: 'activate',
  rollout: ROLLOUT,
  round: 0,
  generation: NEW,
  timeoutMs: 100_000,
}
const REVERT: HostEffect & { kind: 'revert' } = {
  kind: 'revert',
  overtakes: false,
  generation: OLD,
  timeoutMs: 5_000,
}

function lane(behaviour?: (generation: string) => MemoryBehaviour): {
  host: FaultySystem
  lane: SystemLane
  answers: HostEvent[]
} {
  const host = new FaultySystem(behaviour)
  const answers: HostEvent[] = []
  const { clock, system } = host
  const answer = (event: HostEvent): void => void answers.push(event)
  return { host, answers, lane: new SystemLane({ system, clock, log: recorder(), answer }) }
}

const HANGS = (generation: string): MemoryBehaviour =>
  generation === NEW ? { activation: 'hangs' } : {}

describe('the way back', () => {
  it('ends an activation that hangs, and is there long before its timeout', async () => {
    const { host, lane: one, answers } = lane(HANGS)
    one.carry(ACTIVATE)
    await host.clock.advance(1_000)
    expect(one.busy).toBe(true)
    one.carry(REVERT)
    await host.clock.advance(1_000)
    expect(answers.map(({ kind }) => kind)).toEqual(['activated', 'reverted'])
    expect(answers[0]).toMatchObject({ ok: false })
    expect(answers[1]).toMatchObject({ ok: true, generation: OLD })
    expect(host.machine.running).toBe(OLD)
    expect(one.busy).toBe(false)
  })

  it('ends a deadman that hangs on its way back, and lets one be that it was not told to', async () => {
    for (const overtakes of [true, false]) {
      const {
        host,
        lane: one,
        answers,
      } = lane((generation) => (generation === NEW ? { activateMs: 60_000 } : {}))
      // The deadman leads to what is no longer wanted, and takes its time.
      await host.system.deadman.arm({ token: 'r1', target: NEW, afterMs: 1 })
      await host.clock.advance(1_000)
      host.failures.set('end', 2)
      one.carry({ ...REVERT, overtakes })
      await host.clock.advance(200_000)
      const fired = { kind: 'fired', done: true, ok: !overtakes }
      expect(await host.system.deadman.state()).toMatchObject(fired)
      expect(answers).toMatchObject([{ kind: 'reverted', ok: overtakes }])
      expect(host.machine.running).toBe(overtakes ? OLD : NEW)
      expect(host.acts.includes('end')).toBe(overtakes)
    }
  })

  it('overtakes an activation that has not begun, which is answered and never run', async () => {
    const { host, lane: one, answers } = lane()
    one.carry({ kind: 'setBootDefault', generation: OLD })
    one.carry(ACTIVATE)
    one.carry(REVERT)
    await host.clock.advance(1_000)
    expect(answers.map(({ kind }) => kind)).toEqual(['activated', 'reverted'])
    expect(host.acts.filter((act) => act === 'activate')).toHaveLength(1)
    expect(host.machine.running).toBe(OLD)
  })

  it('sets the boot default as often as it takes, within its bound', async () => {
    const { host, lane: one, answers } = lane()
    host.machine.drift(NEW)
    host.machine.bootDefault = NEW
    host.failures.set('setBootDefault', 3)
    one.carry(REVERT)
    await host.clock.advance(60_000)
    expect(answers).toMatchObject([{ kind: 'reverted', ok: true }])
    expect(host.machine.bootDefault).toBe(OLD)
  })

  it('says that it failed when the boot default cannot be set at all', async () => {
    const { host, lane: one, answers } = lane()
    host.failures.set('setBootDefault', Number.POSITIVE_INFINITY)
    one.carry(REVERT)
    await host.clock.advance(200_000)
    expect(answers).toMatchObject([{ kind: 'reverted', ok: false, missing: false }])
  })

  it('never fetches what is not there', async () => {
    const { host, lane: one, answers } = lane()
    one.carry({ ...REVERT, generation: '00000000000000000000000000000002-gone' })
    await host.clock.advance(1_000)
    expect(answers).toMatchObject([{ kind: 'reverted', ok: false, missing: true }])
  })
})

describe('a boot default', () => {
  it('that could not be set is set later, and answered once', async () => {
    const { host, lane: one, answers } = lane()
    host.failures.set('setBootDefault', 5)
    one.carry({ kind: 'setBootDefault', generation: NEW })
    await host.clock.advance(1_000)
    expect(answers).toEqual([])
    await host.clock.advance(60_000)
    expect(answers).toEqual([{ kind: 'bootDefaultSet', generation: NEW }])
    expect(host.machine.bootDefault).toBe(NEW)
  })

  it('that failed is not set after a later wish or a way back', async () => {
    const later: readonly (HostEffect & { kind: 'setBootDefault' | 'revert' })[] = [
      { kind: 'setBootDefault', generation: OLD },
      REVERT,
    ]
    for (const wish of later) {
      const { host, lane: one } = lane()
      host.failures.set('setBootDefault', 1)
      one.carry({ kind: 'setBootDefault', generation: NEW })
      await host.clock.advance(100)
      one.carry(wish)
      await host.clock.advance(60_000)
      expect(host.machine.bootDefault).toBe(OLD)
    }
  })

  it('is not tried again once the node stops', async () => {
    const { host, lane: one } = lane()
    host.failures.set('setBootDefault', 1)
    one.carry({ kind: 'setBootDefault', generation: NEW })
    await host.clock.advance(100)
    one.stop()
    await host.clock.advance(60_000)
    expect(host.machine.bootDefault).toBe(OLD)
  })
})

it('every change moves the count, so that an old look is known as one', async () => {
  const { host, lane: one } = lane(() => ({ activateMs: 500 }))
  const before = one.changes
  one.carry(ACTIVATE)
  await host.clock.advance(100)
  const during = one.changes
  await host.clock.advance(1_000)
  expect(during).not.toBe(before)
  expect(one.changes).not.toBe(during)
})
