/** `skip` and `close`: how a start ends that nobody used, and how a rollout ends (SPEC §7.4). */
import { describe, expect, test } from 'vitest'
import type { Command, HostName, Outcome, Policy, RolloutId } from '../../../protocol/index.ts'
import { World } from './world.ts'

function skip(rollout: RolloutId, host: HostName, round = 0): Command {
  return { kind: 'skip', rollout, round, hosts: [host] }
}

function close(rollout: RolloutId, outcome: Outcome): Command {
  return { kind: 'close', rollout, outcome }
}

const FREE: Partial<Policy> = { budget: { kind: 'count', count: 8 } }

function started(
  hosts: readonly HostName[],
  policy: Partial<Policy> = {},
): { world: World; r: RolloutId } {
  const world = new World({ hosts: 4, voters: 1 })
  const r = world.plan({ waves: [hosts], policy }).id
  world.settle()
  expect(world.started(r)).toEqual(hosts)
  return { world, r }
}

describe('skip', () => {
  test('an unused start ends after startTimeoutMs, not a millisecond before', () => {
    const { world, r } = started(['h01'])
    world.pass(4_999)
    expect(world.ruling(skip(r, 'h01')).kind).toBe('wait')
    world.pass(1)
    expect(world.ruling(skip(r, 'h01')).kind).toBe('valid')
  })

  test('S17: a voter that granted a lease refuses, however long it takes', () => {
    const { world, r } = started(['h01'])
    world.grant(r, 'h01')
    world.pass(1_000_000)
    expect(world.ruling(skip(r, 'h01')).kind).toBe('invalid')
    expect(world.draft()?.commands ?? [], 'nor does it ask for it').toEqual([])
  })

  test('a grant of another round keeps nothing', () => {
    const { world, r } = started(['h01'])
    world.grant(r, 'h01', 1)
    world.pass(5_000)
    expect(world.ruling(skip(r, 'h01')).kind).toBe('valid')
  })

  test.each(['ACTIVATING', 'PROBATION', 'REVERTING'] as const)(
    'impossible once %s is held, also outside of the basis',
    (to) => {
      const { world, r } = started(['h01'])
      const before = world.view
      world.pass(5_000)
      world.move('h01', r, to)
      expect(world.judge(world.block([skip(r, 'h01')], before)).kind).toBe('invalid')
      expect(world.judge(world.block([skip(r, 'h01')])).kind).toBe('invalid')
    },
  )

  test('a start that has ended, or never was, is not skipped', () => {
    const { world, r } = started(['h01', 'h02'])
    world.pass(5_000)
    world.move('h01', r, 'SKIPPED', { why: 'no-lease' })
    expect(world.ruling(skip(r, 'h01')).kind).toBe('invalid')
    expect(world.ruling(skip(r, 'h02', 1)).kind).toBe('invalid')
    expect(world.ruling(skip(r, 'h03')).kind).toBe('invalid')
  })

  test('a skipped host is terminal for its wave', () => {
    const { world, r } = started(['h01'])
    world.pass(5_000)
    expect(world.settle()).toEqual([skip(r, 'h01'), close(r, 'halted')])
    expect(world.standing(r, 'h01').end).toBe('skipped')
  })
})

describe('close', () => {
  test('waits for every host, and nothing but complete closes what went well', () => {
    const { world, r } = started(['h01', 'h02'])
    world.commitHost('h01', r)
    expect(world.ruling(close(r, 'complete')).kind).toBe('wait')
    world.commitHost('h02', r)
    for (const outcome of ['halted', 'reverted', 'superseded'] as const) {
      expect(world.ruling(close(r, outcome)).kind).toBe('invalid')
    }
    expect(world.settle()).toEqual([close(r, 'complete')])
    expect(world.state.hosts.get('h01')).not.toHaveProperty('claimedBy')
    expect(world.ruling(close(r, 'complete')).kind, 'a rollout closes once').toBe('invalid')
  })

  test('every end counts as done', () => {
    const { world, r } = started(['h00', 'h01', 'h02', 'h03'], FREE)
    world.commitHost('h00', r)
    world.observed('h01', r, 'fail')
    world.lose('h02', r)
    world.move('h03', r, 'ACTIVATING')
    world.move('h03', r, 'STUCK', { why: 'missing' })
    expect(world.settle()).toEqual([close(r, 'complete')])
  })

  test('complete needs one that committed', () => {
    const { world, r } = started(['h01'])
    world.lose('h01', r)
    expect(world.settle()).toEqual([close(r, 'halted')])
  })

  test('not over a halt that stands outside of the basis', () => {
    const { world, r } = started(['h01'])
    world.commitHost('h01', r)
    const before = world.view
    world.halt(r)
    expect(world.judge(world.block([close(r, 'complete')], before)).kind).toBe('invalid')
    expect(world.settle()).toEqual([close(r, 'halted')])
  })

  test('a rollout that sends hosts back waits for them, for as long as a start may take', () => {
    const { world, r } = started(['h01', 'h02'])
    world.commitHost('h01', r)
    world.commitHost('h02', r)
    world.pass(50_000)
    world.halt(r, { revert: true })
    expect(world.settle()).toEqual([])
    world.move('h01', r, 'REVERTED', { why: 'halt' })
    expect(world.settle()).toEqual([])
    world.pass(5_000)
    expect(world.settle()).toEqual([close(r, 'reverted')])
  })

  test('evidence after the close changes nothing', () => {
    const { world, r } = started(['h01', 'h02'])
    for (const host of ['h01', 'h02']) world.commitHost(host, r)
    world.settle()
    world.observed('h01', r, 'fail')
    expect(world.state.rollouts.get(r)).toMatchObject({ status: 'complete', closedBreached: false })
    expect(world.settle()).toEqual([])
    const next = world.plan({ waves: [['h01', 'h02']] }).id
    expect(world.settle()[0]).toEqual({ kind: 'admit', rollout: next })
  })

  test('evidence before the close and outside of its basis is refused by who holds it', () => {
    const { world, r } = started(['h01', 'h02'])
    for (const host of ['h01', 'h02']) world.commitHost(host, r)
    const before = world.view
    world.observed('h01', r, 'fail')
    expect(world.judge(world.block([close(r, 'complete')], before)).kind).toBe('invalid')
  })

  test('a breach closes halted where the plan says halt', () => {
    const { world, r } = started(['h01', 'h02'], { onFailure: 'halt' })
    world.failHost('h01', r)
    world.commitHost('h02', r)
    expect(world.settle()).toEqual([close(r, 'halted')])
  })
})
