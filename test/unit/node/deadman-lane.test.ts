/** Questions to the deadman are answered exactly once, and by what the disk says. */
import { expect, it } from 'vitest'
import { DeadmanLane } from '../../../node/deadman-lane.ts'
import type { HostEvent } from '../../../rollout/index.ts'
import { FaultySystem, OLD, recorder } from './fakes.ts'

const ARM = { kind: 'armDeadman', token: 't1', target: OLD, afterMs: 600_000 } as const
const RENEW = { ...ARM, kind: 'renewDeadman' } as const
const DISARM = { kind: 'disarmDeadman', token: 't1' } as const

function lane(): { host: FaultySystem; lane: DeadmanLane; answers: HostEvent[] } {
  const host = new FaultySystem()
  const answers: HostEvent[] = []
  const { deadman } = host.system
  const answer = (event: HostEvent): void => void answers.push(event)
  const parts = { deadman, clock: host.clock, log: recorder(), answer }
  return { host, answers, lane: new DeadmanLane(parts) }
}

it('arms, renews and disarms in order', async () => {
  const { host, lane: one, answers } = lane()
  for (const effect of [ARM, RENEW, DISARM]) one.carry(effect)
  await host.clock.advance(1)
  expect(answers).toEqual([
    { kind: 'deadmanArmed', token: 't1' },
    { kind: 'deadmanRenewed', token: 't1', ok: true },
    { kind: 'deadmanDisarmed', token: 't1', won: true },
  ])
})

it.each([
  ['renew', RENEW, { kind: 'deadmanRenewed', token: 't1', ok: true }],
  ['disarm', DISARM, { kind: 'deadmanDisarmed', token: 't1', won: true }],
] as const)('a failing %s is asked again until the disk answers', async (act, effect, expected) => {
  const { host, lane: one, answers } = lane()
  one.carry(ARM)
  await host.clock.advance(1)
  host.failures.set(act, 4)
  one.carry(effect)
  await host.clock.advance(1_000)
  expect(answers).toHaveLength(1)
  await host.clock.advance(60_000)
  expect(answers.slice(1)).toEqual([expected])
})

it('one that fires while its renewal fails is answered as fired', async () => {
  const { host, lane: one, answers } = lane()
  one.carry({ ...ARM, afterMs: 3_000 })
  await host.clock.advance(1)
  host.failures.set('renew', 3)
  one.carry(RENEW)
  await host.clock.advance(60_000)
  expect(answers.slice(1)).toEqual([{ kind: 'deadmanRenewed', token: 't1', ok: false }])
})

it('one that could not be armed is said to be off, and nothing of it fires', async () => {
  const { host, lane: one, answers } = lane()
  host.failures.set('arm', 1)
  one.carry(ARM)
  await host.clock.advance(700_000)
  expect(answers).toEqual([{ kind: 'deadmanDisarmed', token: 't1', won: true }])
  expect(await host.system.deadman.state()).toEqual({ kind: 'idle' })
})

it('one that could not be armed beside another says nothing of the other', async () => {
  const { host, lane: one, answers } = lane()
  await host.machine.deadman.arm({ token: 'other', target: OLD, afterMs: 600_000 })
  one.carry(ARM)
  await host.clock.advance(1_000)
  expect(answers).toEqual([{ kind: 'deadmanDisarmed', token: 't1', won: true }])
  expect(await host.system.deadman.state()).toMatchObject({ kind: 'armed', token: 'other' })
})
