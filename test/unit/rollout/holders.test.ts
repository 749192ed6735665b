/** Holders: a wave starts only where enough others hold its bytes and those of the way back (SPEC §7.4). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Command, HostName, Policy, RolloutId } from '../../../protocol/index.ts'
import {
  holdersNeeded,
  holdingsFor,
  keeperOrder,
  rolloutRecord,
  standing,
} from '../../../rollout/index.ts'
import { generationOf, World } from './world.ts'

function start(rollout: RolloutId, hosts: readonly HostName[], round = 0): Command {
  return { kind: 'start', rollout, round, hosts }
}

interface Setting {
  readonly hosts?: number
  readonly voters?: number
  readonly policy?: Partial<Policy>
}

function admitted(waves: readonly (readonly HostName[])[], setting: Setting = {}) {
  const { hosts = 6, voters = 1, policy = {} } = setting
  const world = new World({ hosts, voters })
  return { world, r: next(world, waves, policy) }
}

/** One more rollout, of a release of the next version. */
function next(world: World, waves: readonly (readonly HostName[])[], policy: Partial<Policy> = {}) {
  const r = world.plan({ waves, policy: { holders: 2, ...policy } }).id
  world.commit(world.block([{ kind: 'admit', rollout: r }]))
  return r
}

/** A host says that it holds what `host` gets in release `version`. */
function hold(world: World, by: HostName, r: RolloutId, host: HostName, wave = 0, version = 1) {
  world.say(by, 'closure.held', { rollout: r, wave, generations: [generationOf(host, version)] })
}

describe('a start', () => {
  test('waits until enough others hold the new closure, and the host itself never counts', () => {
    const { world, r } = admitted([['h00']])
    const why = (): unknown => world.ruling(start(r, ['h00']))
    expect(why()).toMatchObject({
      kind: 'wait',
      why: 'the new closure of h00 is held by 0 of 2 other hosts',
    })
    hold(world, 'h00', r, 'h00')
    hold(world, 'h01', r, 'h00')
    hold(world, 'h01', r, 'h00')
    expect(why()).toMatchObject({ kind: 'wait' })
    hold(world, 'h02', r, 'h00')
    expect(world.settle()).toEqual([start(r, ['h00'])])
  })

  test('waits for nobody where the plan asks for none', () => {
    for (const holders of [0, undefined]) {
      const { world, r } = admitted([['h00']], { policy: { holders } })
      expect(world.settle()).toEqual([start(r, ['h00'])])
    }
  })

  test('waits for every host of its wave, not only for those that are held', () => {
    const { world, r } = admitted([['h00', 'h01']])
    for (const by of ['h02', 'h03']) hold(world, by, r, 'h00')
    expect(world.settle()).toEqual([])
    for (const by of ['h02', 'h03']) hold(world, by, r, 'h01')
    expect(world.settle()).toEqual([start(r, ['h00', 'h01'])])
  })

  test('waits for words about its own wave: one for a wave before says nothing of today', () => {
    const { world, r } = admitted([['h00'], ['h01']])
    for (const by of ['h02', 'h03']) hold(world, by, r, 'h00')
    for (const by of ['h02', 'h03']) hold(world, by, r, 'h01', 0)
    world.settle()
    world.commitHost('h00', r)
    expect(world.settle()).toEqual([])
    for (const by of ['h02', 'h03']) hold(world, by, r, 'h01', 1)
    expect(world.settle()).toEqual([start(r, ['h01'])])
  })

  test('rests on the basis alone: what the voter knows beside it does not help', () => {
    const { world, r } = admitted([['h00']])
    const before = world.view
    for (const by of ['h01', 'h02']) hold(world, by, r, 'h00')
    expect(world.judge(world.block([start(r, ['h00'])], before)).kind).toBe('wait')
    expect(world.judge(world.block([start(r, ['h00'])])).kind).toBe('valid')
  })

  test('a holder that an operator gave up holds nothing', () => {
    const { world, r } = admitted([['h00']], { policy: { budget: { kind: 'count', count: 1 } } })
    for (const by of ['h01', 'h02']) hold(world, by, r, 'h00')
    world.lose('h02', r)
    expect(world.settle()).toEqual([])
    hold(world, 'h03', r, 'h00')
    expect(world.settle()).toEqual([start(r, ['h00'])])
  })

  test('strangers and people hold nothing', () => {
    const { world, r } = admitted([['h00']])
    hold(world, 'h01', r, 'h00')
    for (const by of ['alice', 'ci', 'mallory']) hold(world, by, r, 'h00')
    expect(world.settle()).toEqual([])
  })

  test('a host that comes back asks for no holders: it is one, and its wave has gone', () => {
    const { world, r } = admitted([['h00'], ['h01']], {
      policy: { budget: { kind: 'count', count: 2 } },
    })
    for (const by of ['h02', 'h03']) hold(world, by, r, 'h00')
    world.settle()
    world.move('h00', r, 'SKIPPED', { why: 'no-lease' })
    world.move('h00', r, 'READY', { round: 1 })
    expect(world.settle()).toEqual([start(r, ['h00'], 1)])
  })
})

describe('the previous closure', () => {
  /** h00 has committed release 1; the next rollout over it is admitted. */
  function second(policy: Partial<Policy> = {}) {
    const { world, r } = admitted([['h00']])
    for (const by of ['h01', 'h02']) hold(world, by, r, 'h00')
    world.settle()
    world.commitHost('h00', r)
    world.settle()
    return { world, first: r, r: next(world, [['h00']], policy) }
  }

  test('is asked for as well, once a release of the fleet put the host there', () => {
    const { world, r } = second()
    for (const by of ['h01', 'h02']) hold(world, by, r, 'h00', 0, 2)
    expect(world.ruling(start(r, ['h00']))).toMatchObject({
      why: 'the previous closure of h00 is held by 0 of 2 other hosts',
    })
    for (const by of ['h01', 'h02']) hold(world, by, r, 'h00', 0, 1)
    expect(world.settle()).toEqual([start(r, ['h00'])])
  })

  test('words of the rollout before do not count: they ended with its close', () => {
    const { world, first, r } = second()
    for (const by of ['h01', 'h02']) {
      hold(world, by, first, 'h00', 9, 1)
      hold(world, by, r, 'h00', 0, 2)
    }
    expect(world.settle()).toEqual([])
  })

  test('is not that of a rollout that sent the host back', () => {
    const { world, first, r } = second()
    world.halt(first, { revert: true })
    for (const by of ['h01', 'h02']) hold(world, by, r, 'h00', 0, 2)
    expect(world.settle(), 'back is the enrolment now').toEqual([start(r, ['h00'])])
  })
})

describe('how many', () => {
  test.each([
    { hosts: 1, voters: 1, asked: 2, needed: 0 },
    { hosts: 2, voters: 2, asked: 2, needed: 1 },
    { hosts: 3, voters: 3, asked: 2, needed: 1 },
    { hosts: 4, voters: 4, asked: 2, needed: 2 },
    { hosts: 4, voters: 3, asked: 3, needed: 2 },
    { hosts: 9, voters: 3, asked: 2, needed: 2 },
    { hosts: 9, voters: 3, asked: 8, needed: 7 },
  ])('$hosts hosts with $voters voters, asked for $asked, take $needed', (given) => {
    const { hosts, voters, asked: holders, needed } = given
    const { world, r } = admitted([['h00']], { hosts, voters, policy: { holders } })
    const stage = standing(world.knowledge(), r)
    if (stage === undefined) throw new Error('expected a stage')
    expect(holdersNeeded(world.trust, stage, rolloutRecord(world.view, r), 'h00')).toBe(needed)
  })

  test('a site of three with one host dead still starts its waves', () => {
    const { world, r } = admitted([['h00']], { hosts: 3, voters: 3 })
    hold(world, 'h01', r, 'h00')
    expect(world.settle()).toEqual([start(r, ['h00'])])
  })

  test('whoever could not take part is not waited for', () => {
    const waves = [['h00', 'h01'], ['h02']]
    const { world, r } = admitted(waves, {
      hosts: 4,
      policy: { budget: { kind: 'count', count: 4 }, holders: 3 },
    })
    for (const host of ['h00', 'h01']) {
      for (const by of world.names) hold(world, by, r, host)
    }
    world.settle()
    world.move('h00', r, 'SKIPPED', { why: 'no-lease' })
    world.commitHost('h01', r)
    hold(world, 'h01', r, 'h02', 1)
    expect(world.settle()).toEqual([])
    hold(world, 'h03', r, 'h02', 1)
    expect(world.settle(), 'h00 was away: two others are left').toEqual([start(r, ['h02'])])
  })
})

describe('keepers', () => {
  test('everything of an open rollout is to be held, and what the next wave needs is due', () => {
    const { world, r } = admitted([['h00'], ['h01']])
    const holdings = holdingsFor(world.knowledge())
    expect(holdings.map(({ generation, wave, short }) => ({ generation, wave, short }))).toEqual([
      { generation: generationOf('h00', 1), wave: 0, short: true },
      { generation: generationOf('h01', 1), wave: undefined, short: false },
    ])
    for (const by of ['h02', 'h03']) hold(world, by, r, 'h00')
    expect(holdingsFor(world.knowledge())[0]).toMatchObject({ said: ['h02', 'h03'], short: false })
    world.settle()
    expect(holdingsFor(world.knowledge())[1]?.wave, 'wave 0 soaks').toBeUndefined()
    world.commitHost('h00', r)
    expect(holdingsFor(world.knowledge())[1]).toMatchObject({ wave: 1, said: [] })
  })

  test('nothing is to be held once the rollout is closed', () => {
    const { world, r } = admitted([['h00']])
    world.halt(r)
    expect(holdingsFor(world.knowledge())[0]?.wave, 'halted: nothing is due').toBeUndefined()
    world.settle()
    expect(holdingsFor(world.knowledge())).toEqual([])
  })

  test('the order is a permutation that begins with those who need it for themselves', () => {
    const { world } = admitted([['h00']])
    fc.assert(
      fc.property(fc.subarray([...world.names]), fc.string(), (of, generation) => {
        const admitBlock = world.state.head
        const order = keeperOrder(world.trust.config, { admitBlock, generation, of })
        expect([...order].sort()).toEqual([...world.names].sort())
        expect(order.slice(0, of.length).sort()).toEqual([...of].sort())
      }),
    )
  })

  test('the load spreads: of many closures nobody keeps them all', () => {
    const { world } = admitted([['h00']])
    const first = new Set(
      Array.from({ length: 64 }, (_, i) => {
        const place = { admitBlock: world.state.head, generation: `g${i}`, of: [] }
        return keeperOrder(world.trust.config, place)[0]
      }),
    )
    expect(first.size).toBe(world.names.length)
  })
})

describe('the rule and its dumb twin', () => {
  const WORD = fc.record({
    by: fc.constantFrom('h00', 'h01', 'h02', 'h03', 'h04', 'h05'),
    about: fc.constantFrom('h00', 'h01'),
    wave: fc.nat(2),
  })

  test('agree over every set of words, in every order', () => {
    let valid = 0
    fc.assert(
      fc.property(
        fc.array(WORD, { maxLength: 24 }),
        fc.subarray(['h02', 'h03', 'h04']),
        (words, lost) => {
          const { world, r } = admitted([['h00', 'h01']], {
            policy: { budget: { kind: 'count', count: 6 } },
          })
          for (const { by, about, wave } of words) hold(world, by, r, about, wave)
          for (const host of lost) world.lose(host, r)
          const others = 5 - lost.length
          const isHeld = (host: HostName): boolean => {
            const by = words.filter((one) => one.about === host && one.by !== host)
            const alive = by.filter((one) => !lost.includes(one.by))
            return new Set(alive.map((one) => one.by)).size >= Math.min(2, others)
          }
          const expected = isHeld('h00') && isHeld('h01')
          if (expected) valid++
          expect(world.ruling(start(r, ['h00'])).kind).toBe(expected ? 'valid' : 'wait')
        },
      ),
      { numRuns: 320 },
    )
    expect(valid, 'a property that saw no start proves nothing').toBeGreaterThan(10)
  })

  test('one more word never takes a start back', () => {
    fc.assert(
      fc.property(fc.array(WORD, { maxLength: 16 }), (words) => {
        const { world, r } = admitted([['h00', 'h01']])
        let started = false
        for (const { by, about, wave } of words) {
          hold(world, by, r, about, wave)
          const may = world.ruling(start(r, ['h00'])).kind === 'valid'
          expect(started && !may).toBe(false)
          started = may
        }
      }),
      { numRuns: 25 },
    )
  })
})
