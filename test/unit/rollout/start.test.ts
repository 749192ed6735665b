/** `start`: when a host may go, and everything that keeps it (SPEC §7.4). */
import { describe, expect, test } from 'vitest'
import type { Command, HostName, Policy, RolloutId } from '../../../protocol/index.ts'
import { hostNames, World } from './world.ts'

function start(rollout: RolloutId, hosts: readonly HostName[], round = 0): Command {
  return { kind: 'start', rollout, round, hosts }
}

/** A world whose one rollout is admitted, and nothing else decided. */
function admitted(
  waves: readonly (readonly HostName[])[],
  options: { hosts?: number; voters?: number; policy?: Partial<Policy> } = {},
): { world: World; r: RolloutId } {
  const { hosts = 8, voters = 1, policy = {} } = options
  const world = new World({ hosts, voters })
  const r = world.plan({ waves, policy }).id
  world.commit(world.block([{ kind: 'admit', rollout: r }]))
  return { world, r }
}

const FREE: Partial<Policy> = { budget: { kind: 'count', count: 8 } }

describe('waves', () => {
  test('S6: no host goes before every host of the waves before it is done', () => {
    const { world, r } = admitted([['h01', 'h02'], ['h03']])
    expect(world.ruling(start(r, ['h03'])).kind).toBe('wait')
    world.settle()
    expect(world.started(r)).toEqual(['h01', 'h02'])
    world.commitHost('h01', r)
    expect(world.ruling(start(r, ['h03'])).kind).toBe('wait')
    world.commitHost('h02', r)
    expect(world.settle()).toEqual([start(r, ['h03'])])
  })

  test('hosts of two waves never start in one command', () => {
    const { world, r } = admitted([['h01'], ['h02']])
    expect(world.ruling(start(r, ['h01', 'h02'])).kind).toBe('invalid')
    expect(world.ruling(start(r, ['h07'])).kind, 'nor one outside of the plan').toBe('invalid')
  })

  test('a host goes once: a second start of round 0 is refused', () => {
    const { world, r } = admitted([['h01', 'h02']])
    world.settle()
    expect(world.ruling(start(r, ['h01'])).kind).toBe('invalid')
    world.move('h01', r, 'SKIPPED', { why: 'no-lease' })
    expect(world.ruling(start(r, ['h01'])).kind).toBe('invalid')
  })

  test('a canary that only says that it committed promotes nobody', () => {
    const { world, r } = admitted([['h01'], ['h02']])
    world.settle()
    for (const to of ['ACTIVATING', 'PROBATION', 'CONFIRMED', 'SOAKED', 'COMMITTED'] as const) {
      world.move('h01', r, to)
    }
    expect(world.settle()).toEqual([])
    const [first, second, ...others] = world.standing(r, 'h01').observers
    expect(others.length, 'three of five are needed').toBe(3)
    for (const observer of [first, second]) world.attest(observer ?? '', r, 'h01')
    expect(world.settle()).toEqual([])
    world.attest(others[0] ?? '', r, 'h01')
    expect(world.settle()).toEqual([start(r, ['h02'])])
  })

  test('a host alone in the world takes its own word', () => {
    const { world, r } = admitted([['h00']], { hosts: 1 })
    world.settle()
    world.commitHost('h00', r)
    expect(world.settle()).toEqual([{ kind: 'close', rollout: r, outcome: 'complete' }])
  })

  test('a canary that was skipped or lost promotes nobody: the next wave is as narrow as it was', () => {
    const rest = ['h02', 'h03', 'h04', 'h05']
    const { world, r } = admitted([['h01'], rest], { policy: FREE })
    world.settle()
    world.lose('h01', r)
    expect(world.settle()).toEqual([start(r, ['h02'])])
    expect(world.ruling(start(r, ['h03'])).kind).toBe('wait')
    world.move('h02', r, 'ACTIVATING')
    world.move('h02', r, 'PROBATION')
    world.move('h02', r, 'CONFIRMED')
    expect(world.settle(), 'a confirmation is no soak').toEqual([])
    world.observed('h02', r, 'ok')
    world.move('h02', r, 'SOAKED')
    world.move('h02', r, 'COMMITTED')
    expect(world.settle()).toEqual([start(r, ['h03', 'h04', 'h05'])])
  })

  test('a host that never started ends nothing but itself', () => {
    const { world, r } = admitted([['h01'], ['h02']])
    world.move('h02', r, 'REVERTED', { why: 'check' })
    world.settle()
    expect(world.started(r)).toEqual(['h01'])
    expect(world.ruling(start(r, ['h02'])).kind).toBe('invalid')
  })
})

describe('stopping', () => {
  test('no start over a halt, not even over one that stands outside of the basis', () => {
    const { world, r } = admitted([['h01']])
    const before = world.view
    world.halt(r)
    expect(world.judge(world.block([start(r, ['h01'])], before)).kind).toBe('invalid')
    expect(world.judge(world.block([start(r, ['h01'])])).kind).toBe('invalid')
  })

  test('a halt of an operator out of scope keeps nobody', () => {
    const { world, r } = admitted([['h01']])
    for (const by of ['rita', 'olga', 'h02']) world.halt(r, { by })
    expect(world.ruling(start(r, ['h01'])).kind).toBe('valid')
  })

  test('a halt with hosts keeps those alone', () => {
    const { world, r } = admitted([['h01', 'h02']])
    world.halt(r, { hosts: ['h02'] })
    expect(world.ruling(start(r, ['h02'])).kind).toBe('invalid')
    expect(world.settle()).toEqual([start(r, ['h01'])])
    world.commitHost('h01', r)
    expect(world.settle(), 'the other counts as skipped').toEqual([
      { kind: 'close', rollout: r, outcome: 'complete' },
    ])
  })

  test('a hold keeps back starts and nothing else, and any operator in scope ends it', () => {
    const { world, r } = admitted([['h01'], ['h02']], { policy: FREE })
    world.settle()
    const hold = world.say('alice', 'rollout.hold', { kind: 'on', rollout: r, why: 'lunch' })
    world.commitHost('h01', r)
    expect(world.settle()).toEqual([])
    const off = { kind: 'off', rollout: r, releases: [hold.id], why: 'back' } as const
    world.say('rita', 'rollout.hold', off)
    expect(world.settle()).toEqual([])
    world.say('bob', 'rollout.hold', off)
    expect(world.settle()).toEqual([start(r, ['h02'])])
    world.say('alice', 'rollout.hold', { kind: 'on', rollout: r, why: 'dinner' })
    world.pass(5_000)
    expect(world.settle(), 'skips and closes go on').toEqual([
      { kind: 'skip', rollout: r, round: 0, hosts: ['h02'] },
      { kind: 'close', rollout: r, outcome: 'complete' },
    ])
  })

  test('more failures than the budget stop everything, as many as the budget do not', () => {
    const { world, r } = admitted([['h01', 'h02'], ['h03', 'h04'], ['h05']], {
      policy: { budget: { kind: 'count', count: 1 } },
    })
    world.settle()
    world.failHost('h01', r)
    world.commitHost('h02', r)
    expect(world.settle()).toHaveLength(1)
    world.observed('h03', r, 'fail')
    expect(world.standing(r, 'h03').end).toBe('failed')
    expect(world.ruling(start(r, ['h05'])).kind).toBe('invalid')
    world.commitHost('h04', r)
    world.pass(5_000)
    expect(world.settle()).toEqual([{ kind: 'close', rollout: r, outcome: 'reverted' }])
  })

  test('unconfirmed breaches nothing and stops further starts', () => {
    const { world, r } = admitted([['h01', 'h02'], ['h03']])
    world.settle()
    world.move('h01', r, 'ACTIVATING')
    world.move('h01', r, 'REVERTED', { why: 'unconfirmed' })
    world.commitHost('h02', r)
    expect(world.standing(r, 'h01')).toMatchObject({ failure: false, inconclusive: true })
    expect(world.settle()).toEqual([])
    expect(world.ruling(start(r, ['h03'])).kind).toBe('wait')
    world.move('h01', r, 'READY', { round: 1 })
    expect(world.settle()).toEqual([start(r, ['h01'], 1)])
    expect(world.ruling(start(r, ['h03'])).kind, 'a second try proves nothing').toBe('wait')
    world.commitHost('h01', r, 1)
    expect(world.settle()).toEqual([start(r, ['h03'])])
  })

  test('unconfirmed in the last round is a failure', () => {
    const { world, r } = admitted([['h01'], ['h02']])
    world.settle()
    for (const round of [0, 1, 2]) {
      expect(world.standing(r, 'h01').failure).toBe(false)
      world.move('h01', r, 'ACTIVATING', { round })
      world.move('h01', r, 'REVERTED', { round, why: 'unconfirmed' })
      if (round < 2) world.move('h01', r, 'READY', { round: round + 1 })
      world.settle()
    }
    expect(world.standing(r, 'h01').failure).toBe(true)
    expect(world.state.rollouts.get(r)?.status).toBe('reverted')
  })

  test('an operator who gives an unconfirmed host up lets the others go on', () => {
    const { world, r } = admitted([['h01', 'h02'], ['h03']])
    world.settle()
    world.move('h01', r, 'ACTIVATING')
    world.move('h01', r, 'REVERTED', { why: 'unconfirmed' })
    world.commitHost('h02', r)
    expect(world.settle()).toEqual([])
    world.lose('h01', r)
    expect(world.settle()).toEqual([start(r, ['h03'])])
  })

  test('sent back by a halt is no failure', () => {
    const { world, r } = admitted([['h01']])
    world.settle()
    world.move('h01', r, 'ACTIVATING')
    world.halt(r, { revert: true })
    world.move('h01', r, 'REVERTED', { why: 'halt' })
    expect(world.standing(r, 'h01').failure).toBe(false)
    expect(world.settle()).toEqual([{ kind: 'close', rollout: r, outcome: 'reverted' }])
  })
})

describe('permits', () => {
  const hosts = hostNames(8).slice(1)

  test('S10: no more than maxInFlight, of all and of those that it names', () => {
    const maxInFlight = [
      { hosts: [], limit: 3 },
      { hosts: ['h01', 'h02'], limit: 1 },
    ]
    const { world, r } = admitted([hosts], { policy: { ...FREE, maxInFlight } })
    expect(world.settle()).toEqual([start(r, ['h01', 'h03', 'h04'])])
    expect(world.ruling(start(r, ['h05'])).kind).toBe('wait')
    world.move('h03', r, 'ACTIVATING')
    world.move('h03', r, 'CONFIRMED')
    expect(world.settle()).toEqual([start(r, ['h05'])])
    world.move('h01', r, 'SKIPPED', { why: 'fetch' })
    expect(world.settle()).toEqual([start(r, ['h02'])])
  })

  test('S10: limits count over all rollouts, whoever set them', () => {
    const world = new World({ hosts: 8, voters: 1 })
    const maxInFlight = [{ hosts: [], limit: 2 }]
    const a = world.plan({ waves: [['h01', 'h02', 'h03']], policy: { maxInFlight } }).id
    const b = world.plan({ waves: [['h04', 'h05', 'h06']] }).id
    world.settle()
    expect(world.started(a).length + world.started(b).length).toBe(2)
  })

  test('S10: no more voters than may be away, over all rollouts', () => {
    const world = new World({ hosts: 5, voters: 5 })
    const a = world.plan({ waves: [['h00', 'h01']], policy: FREE }).id
    const b = world.plan({ waves: [['h02', 'h03', 'h04']], policy: FREE }).id
    world.settle()
    expect([...world.started(a), ...world.started(b)], 'five voters, quorum three').toHaveLength(2)
  })

  test('S10: one voter goes where none may be away, or nobody ever could', () => {
    const world = new World({ hosts: 2, voters: 2 })
    const r = world.plan({ waves: [['h00', 'h01']] }).id
    world.settle()
    expect(world.started(r)).toEqual(['h00'])
  })

  test.each(['lost', 'failed'])(
    'S10: a voter that is %s keeps its permit while it may switch',
    (how) => {
      const world = new World({ hosts: 3, voters: 3 })
      const r = world.plan({ waves: [['h00', 'h01', 'h02']], policy: FREE }).id
      world.settle()
      expect(world.started(r)).toEqual(['h00'])
      world.move('h00', r, 'ACTIVATING')
      if (how === 'lost') world.lose('h00', r)
      else world.observed('h00', r, 'fail')
      world.note()
      world.pass(3_499)
      expect(world.settle()).toEqual([])
      world.pass(1)
      expect(world.settle()).toEqual([start(r, ['h01'])])
    },
  )

  test('a lost voter keeps no permit for ever, also when its rollout is closed and forgotten', () => {
    const world = new World({ hosts: 3, voters: 3 })
    const r = world.plan({ waves: [['h00']], policy: FREE }).id
    world.settle()
    world.lose('h00', r)
    world.settle()
    expect(world.state.rollouts.get(r)?.status).not.toBe('open')
    const next = world.plan({ waves: [['h01']] }).id
    world.pass(3_500)
    world.settle()
    expect(world.started(next)).toEqual(['h01'])
  })

  test('a rollout that cannot be counted keeps everybody back', () => {
    const { world, r } = admitted([['h01'], ['h02']], { policy: FREE })
    const fact = world.plan({
      waves: [['h03', 'h04']],
      policy: { maxInFlight: [{ hosts: [], limit: 1 }] },
    })
    world.commit(world.block([{ kind: 'admit', rollout: fact.id }]))
    const body = world.holdPlan(fact.body.plan, undefined)
    expect(world.ruling(start(r, ['h01'])).kind).toBe('wait')
    world.holdPlan(fact.body.plan, body)
    expect(world.ruling(start(r, ['h01'])).kind).toBe('valid')
  })

  test('a host has one start that has not ended over all rollouts', () => {
    const { world, r } = admitted([['h01', 'h02']])
    world.settle()
    world.move('h01', r, 'ACTIVATING')
    const next = world.plan({ waves: [['h01', 'h02']], supersedes: [r] }).id
    world.commit(world.block([{ kind: 'admit', rollout: next }]))
    expect(world.ruling(start(next, ['h01'])).kind).toBe('invalid')
    world.move('h01', r, 'REVERTED', { why: 'closed' })
    expect(world.settle()).toEqual([start(next, ['h01'])])
    world.pass(5_000)
    expect(world.settle(), 'an idle start ends in a closed rollout too').toContainEqual({
      kind: 'skip',
      rollout: r,
      round: 0,
      hosts: ['h02'],
    })
  })
})

describe('catching up', () => {
  /** h01 was skipped, the rest committed, the rollout closed. */
  function closed(): { world: World; r: RolloutId } {
    const { world, r } = admitted([['h02'], ['h01']], { policy: FREE })
    world.settle()
    world.commitHost('h02', r)
    world.settle()
    world.pass(5_000)
    world.settle()
    expect(world.state.rollouts.get(r)?.status).toBe('complete')
    return { world, r }
  }

  test('a skipped host that is READY again is started, also after the close', () => {
    const { world, r } = closed()
    expect(world.ruling(start(r, ['h01'], 1)).kind).toBe('wait')
    world.move('h01', r, 'READY', { round: 1 })
    expect(world.settle()).toEqual([start(r, ['h01'], 1)])
  })

  test('READY has to stand in the basis', () => {
    const { world, r } = closed()
    const before = world.view
    world.move('h01', r, 'READY', { round: 1 })
    expect(world.judge(world.block([start(r, ['h01'], 1)], before)).kind).toBe('wait')
  })

  test('three rounds in all', () => {
    const { world, r } = closed()
    for (const round of [1, 2]) {
      world.move('h01', r, 'READY', { round })
      expect(world.settle()).toEqual([start(r, ['h01'], round)])
      world.pass(5_000)
      expect(world.settle()).toEqual([{ kind: 'skip', rollout: r, round, hosts: ['h01'] }])
    }
    expect(world.ruling(start(r, ['h01'], 2)).kind).toBe('invalid')
    expect(world.settle()).toEqual([])
  })

  test('rounds are not left out', () => {
    const { world, r } = closed()
    world.move('h01', r, 'READY', { round: 2 })
    expect(world.ruling(start(r, ['h01'], 2)).kind).toBe('invalid')
  })

  test('only for the last rollout that was admitted for the host', () => {
    const { world, r } = closed()
    const next = world.plan({ waves: [['h03'], ['h01']] }).id
    world.move('h01', r, 'READY', { round: 1 })
    expect(world.ruling(start(r, ['h01'], 1)).kind).toBe('valid')
    world.commit(world.block([{ kind: 'admit', rollout: next }]))
    expect(world.ruling(start(r, ['h01'], 1)).kind).toBe('invalid')
  })

  test('not under a halt, also one that came after the close', () => {
    const { world, r } = closed()
    world.move('h01', r, 'READY', { round: 1 })
    world.halt(r)
    expect(world.settle()).toEqual([])
  })

  test('not for a host that failed, nor for one that committed', () => {
    const { world, r } = admitted([['h01', 'h02', 'h03']], { policy: FREE })
    world.settle()
    world.failHost('h01', r)
    world.commitHost('h02', r)
    for (const host of ['h01', 'h02']) {
      world.move(host, r, 'READY', { round: 1 })
      expect(world.ruling(start(r, [host], 1)).kind).toBe('invalid')
    }
  })

  test('not for one that peers saw fail, whatever it says itself', () => {
    const { world, r } = admitted([['h01', 'h02']], { policy: FREE })
    world.settle()
    world.move('h01', r, 'ACTIVATING')
    world.move('h01', r, 'REVERTED', { why: 'unconfirmed' })
    world.move('h01', r, 'READY', { round: 1 })
    expect(world.ruling(start(r, ['h01'], 1)).kind).toBe('valid')
    world.observed('h01', r, 'fail')
    expect(world.ruling(start(r, ['h01'], 1)).kind).toBe('invalid')
  })

  test('not ahead of the waves: who skips himself does not overtake the canary', () => {
    const { world, r } = admitted([['h01'], ['h02']], { policy: FREE })
    world.settle()
    world.move('h02', r, 'SKIPPED', { why: 'fetch' })
    world.move('h02', r, 'READY', { round: 1 })
    expect(world.ruling(start(r, ['h02'], 1)).kind).toBe('wait')
    world.commitHost('h01', r)
    expect(world.settle()).toContainEqual(start(r, ['h02'], 1))
  })

  test('not beside a canary that has not committed', () => {
    const { world, r } = admitted([['h01'], ['h02']], { policy: FREE })
    world.settle()
    world.move('h01', r, 'SKIPPED', { why: 'fetch' })
    world.settle()
    expect(world.started(r)).toEqual(['h01', 'h02'])
    world.move('h01', r, 'READY', { round: 1 })
    expect(world.ruling(start(r, ['h01'], 1)).kind).toBe('wait')
  })

  test('its failure counts while the rollout is open, and after the close for itself alone', () => {
    const { world, r } = closed()
    world.move('h01', r, 'READY', { round: 1 })
    world.settle()
    world.failHost('h01', r, 1)
    expect(world.standing(r, 'h01').failure).toBe(true)
    expect(world.settle()).toEqual([])
    expect(world.state.rollouts.get(r)?.status).toBe('complete')
  })

  test('a host that went back over a breach which the close left out may catch up', () => {
    const world = new World({ hosts: 8, voters: 1 })
    const r = world.plan({ waves: [['h01', 'h02']] }).id
    world.settle()
    for (const host of ['h01', 'h02']) world.commitHost(host, r)
    world.settle()
    expect(world.state.rollouts.get(r)?.status).toBe('complete')
    world.observed('h02', r, 'fail')
    world.move('h01', r, 'REVERTED', { why: 'breach' })
    world.move('h01', r, 'READY', { round: 1 })
    expect(world.settle()).toEqual([start(r, ['h01'], 1)])
  })
})
