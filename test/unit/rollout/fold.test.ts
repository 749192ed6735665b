/** Who may say what: facts without authority change nothing (SPEC §10). */
import { expect, test } from 'vitest'
import { rolloutRecord, roundRecord } from '../../../rollout/fleet-view.ts'
import { isHeld } from '../../../rollout/steering.ts'
import { World } from './world.ts'

const R = '11'.repeat(32)

test.each(['rita', 'olga', 'h00', 'ci', 'stranger'])(
  'a halt, a hold and a loss by %s change nothing',
  (by) => {
    const world = new World({ hosts: 3 })
    world.halt(R, { by })
    world.say(by, 'rollout.hold', { kind: 'on', rollout: R, why: 'a test' })
    world.lose('h01', R, by)
    expect(world.view.rollouts.size).toBe(0)
    expect(world.view.vector.size, 'their feeds are whole all the same').toBe(1)
  },
)

test('an expired operator still stops: stop facts ignore expiry', () => {
  const world = new World({ hosts: 3 })
  world.wallMs = 5_000
  world.halt(R, { by: 'eve' })
  expect(rolloutRecord(world.view, R).halts.size).toBe(1)
})

test('a host speaks for itself alone, whatever it writes', () => {
  const world = new World({ hosts: 3 })
  world.move('h01', R, 'REVERTED', { why: 'check' })
  expect([...rolloutRecord(world.view, R).hosts.keys()]).toEqual(['h01'])
  world.say('stranger', 'host.transition', {
    rollout: R,
    round: 0,
    from: 'READY',
    to: 'REVERTED',
    generation: 'x',
    boot: 'b',
  })
  expect([...rolloutRecord(world.view, R).hosts.keys()]).toEqual(['h01'])
})

test('an attestation about oneself is ignored', () => {
  const world = new World({ hosts: 3 })
  world.attest('h01', R, 'h01')
  expect(world.view.rollouts.size).toBe(0)
  world.attest('h01', R, 'h02')
  expect(roundRecord(rolloutRecord(world.view, R), 'h02', 0).attests.size).toBe(1)
})

test('a release counts only from a release key, and only in its channels', () => {
  const world = new World({ hosts: 3 })
  world.announce({ version: 1 }, 'alice')
  world.announce({ version: 1 }, 'ci-edge')
  expect(world.view.releases.size).toBe(0)
  world.announce({ version: 1, channel: 'edge' }, 'ci-edge')
  world.announce({ version: 1 }, 'ci')
  expect(world.view.releases.size).toBe(2)
})

test('any operator in scope releases a hold, and nobody else', () => {
  const world = new World({ hosts: 3 })
  const hold = world.say('alice', 'rollout.hold', { kind: 'on', rollout: R, why: 'lunch' })
  const off = { kind: 'off', rollout: R, releases: [hold.id], why: 'back' } as const
  expect(isHeld(rolloutRecord(world.view, R))).toBe(true)
  for (const by of ['rita', 'olga', 'h00']) world.say(by, 'rollout.hold', off)
  expect(isHeld(rolloutRecord(world.view, R))).toBe(true)
  world.say('bob', 'rollout.hold', off)
  expect(isHeld(rolloutRecord(world.view, R))).toBe(false)
  world.say('alice', 'rollout.hold', { kind: 'on', rollout: R, why: 'dinner' })
  expect(isHeld(rolloutRecord(world.view, R)), 'a later hold is another one').toBe(true)
})

test('a host takes nothing back: not in its feed, and not in a second one', () => {
  const world = new World({ hosts: 3 })
  const whyOf = (): string | undefined =>
    roundRecord(rolloutRecord(world.view, R), 'h01', 0).transitions.get('REVERTED')?.body.why
  world.move('h01', R, 'QUEUED')
  world.move('h01', R, 'REVERTED', { why: 'unconfirmed' })
  world.move('h01', R, 'REVERTED', { why: 'halt' })
  expect(whyOf()).toBe('unconfirmed')
  world.move('h01', R, 'REVERTED', { why: 'check' })
  expect(whyOf(), 'against itself a host is always believed').toBe('check')
  world.move('h01', R, 'REVERTED', { why: 'halt', session: '77'.repeat(16) })
  expect(whyOf()).toBe('check')
})

test('the newest health report is the newest of its feed, whatever the clock says', () => {
  const world = new World({ hosts: 3 })
  const report = (boot: string, options: { ts: number; session?: string }): void => {
    const body = { generation: 'g', boot, state: 'healthy', checks: [] } as const
    world.say('h01', 'health.change', body, options)
  }
  report('first', { ts: 9_000 })
  report('set-back', { ts: 10 })
  expect(world.view.health.get('h01')?.body.boot).toBe('set-back')
  report('new-disk', { ts: 9_500, session: '77'.repeat(16) })
  expect(world.view.health.get('h01')?.body.boot).toBe('new-disk')
})

test('an observer that came back from an old disk takes no window back', () => {
  const world = new World({ hosts: 3 })
  const attests = (): readonly string[] =>
    [...(roundRecord(rolloutRecord(world.view, R), 'h01', 0).attests.values().next().value ?? [])]
      .map(([, { subject }]) => subject.verdict)
      .toSorted()
  const { body } = world.attest('h02', R, 'h00')
  world.attest('h02', R, 'h01', { window: 7 })
  const subjects = body.subjects.map((one) => ({ ...one, host: 'h01', window: 7 }))
  const abstain = subjects.map((one) => ({ ...one, verdict: 'abstain' as const }))
  world.say('h02', 'obs.attest', { rollout: R, subjects: abstain }, { session: '77'.repeat(16) })
  expect(attests()).toEqual(['abstain', 'ok'])
  world.say('h02', 'obs.attest', { rollout: R, subjects: abstain })
  expect(attests(), 'in one feed the first word on a window counts').toEqual(['abstain', 'ok'])
})
