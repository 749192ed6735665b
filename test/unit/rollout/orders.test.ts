/** What a host is asked, what an observer has to watch, and what people are told (SPEC §11). */
import { describe, expect, test } from 'vitest'
import type { HostName, Policy, RolloutId } from '../../../protocol/index.ts'
import { dutiesFor, ordersFor } from '../../../rollout/derive-orders.ts'
import { rolloutStatus } from '../../../rollout/gate-status.ts'
import type { Duty, RolloutOrders } from '../../../rollout/orders.ts'
import { whyHost } from '../../../rollout/why.ts'
import { World } from './world.ts'

function started(
  waves: HostName[][],
  policy: Partial<Policy> = {},
): { world: World; r: RolloutId } {
  const world = new World({ hosts: 5, voters: 1 })
  const r = world.plan({ waves, policy }).id
  world.settle()
  return { world, r }
}

function ordersOf(world: World, host: HostName, r: RolloutId): RolloutOrders {
  const one = ordersFor(world.knowledge(), host).rollouts.find(({ rollout }) => rollout === r)
  if (one === undefined) throw new Error(`no orders for ${host}`)
  return one
}

/** Every duty about one host, by observer. */
function duties(world: World, host: HostName): readonly Duty[] {
  return world.names.flatMap((observer) =>
    dutiesFor(world.knowledge(), observer).filter((duty) => duty.host === host),
  )
}

const FREE: Partial<Policy> = { budget: { kind: 'count', count: 5 } }

describe('orders', () => {
  test('a host hears of its own rollouts alone, in the order of their admission', () => {
    const { world, r } = started([['h01']])
    expect(ordersFor(world.knowledge(), 'h02').rollouts).toEqual([])
    const next = world.plan({ waves: [['h01']], supersedes: [r] }).id
    world.settle()
    const mine = ordersFor(world.knowledge(), 'h01').rollouts
    expect(mine.map((one) => [one.rollout, one.status, one.last])).toEqual([
      [r, 'superseded', false],
      [next, 'open', true],
    ])
  })

  test('a committed skip takes the start back', () => {
    const { world, r } = started([['h01']])
    expect(ordersOf(world, 'h01', r).start?.round).toBe(0)
    world.pass(5_000)
    world.settle()
    expect(ordersOf(world, 'h01', r)).toMatchObject({ start: undefined, skipped: [0] })
  })

  test('a halt stops those that it names, revert sends back those that it names', () => {
    const { world, r } = started([['h01', 'h02']])
    world.halt(r, { revert: true, hosts: ['h01'] })
    expect(ordersOf(world, 'h01', r)).toMatchObject({
      halted: true,
      revert: true,
      revertWhy: 'halt',
    })
    expect(ordersOf(world, 'h02', r)).toMatchObject({ halted: false, revert: false })
    world.halt(r, { by: 'rita', revert: true })
    expect(ordersOf(world, 'h02', r), 'a reader stops nobody').toMatchObject({
      halted: false,
      revert: false,
    })
  })

  test('a halt{revert} works after the close', () => {
    const { world, r } = started([['h01']])
    world.commitHost('h01', r)
    world.settle()
    expect(ordersOf(world, 'h01', r)).toMatchObject({ status: 'complete', revert: false })
    world.halt(r, { revert: true })
    expect(ordersOf(world, 'h01', r)).toMatchObject({ status: 'complete', revert: true })
  })

  test('a breach sends everybody back, where the plan says so', () => {
    for (const onFailure of ['halt', 'revertAll'] as const) {
      const { world, r } = started([['h01', 'h02']], { onFailure })
      world.failHost('h01', r)
      expect(ordersOf(world, 'h02', r)).toMatchObject({
        halted: true,
        revert: onFailure === 'revertAll',
      })
    }
  })

  test('a breach that the close did not see changes nothing; one that it saw lasts', () => {
    const { world, r } = started([['h01', 'h02']])
    world.commitHost('h01', r)
    world.commitHost('h02', r)
    world.settle()
    world.observed('h01', r, 'fail')
    expect(ordersOf(world, 'h02', r)).toMatchObject({
      status: 'complete',
      halted: false,
      revert: false,
    })

    const other = started([['h01', 'h02']])
    other.world.failHost('h01', other.r)
    other.world.lose('h02', other.r)
    other.world.pass(5_000)
    other.world.settle()
    other.world.pass(5_000)
    other.world.settle()
    expect(ordersOf(other.world, 'h02', other.r)).toMatchObject({
      status: 'reverted',
      revert: true,
      revertWhy: 'breach',
    })
  })

  test('closed superseded never reverts by breach', () => {
    const { world, r } = started([['h01', 'h02']])
    world.commitHost('h02', r)
    world.failHost('h01', r)
    expect(ordersOf(world, 'h02', r).revert).toBe(true)
    world.plan({ waves: [['h01', 'h02']], supersedes: [r] })
    world.settle()
    expect(ordersOf(world, 'h02', r)).toMatchObject({
      status: 'superseded',
      halted: true,
      revert: false,
    })
    world.halt(r, { revert: true })
    expect(ordersOf(world, 'h02', r), 'an operator still can').toMatchObject({ revert: true })
  })

  test('soaked and failed are what observers prove, round by round', () => {
    const { world, r } = started([['h01']], FREE)
    expect(ordersOf(world, 'h01', r)).toMatchObject({ soaked: [], failed: [] })
    const [one, two, three] = ordersOf(world, 'h01', r).observers
    for (const observer of [one, two]) world.attest(observer ?? '', r, 'h01')
    expect(ordersOf(world, 'h01', r).soaked).toEqual([])
    world.attest(three ?? '', r, 'h01', { generation: 'another' })
    expect(ordersOf(world, 'h01', r).soaked, 'another generation').toEqual([])
    world.attest(three ?? '', r, 'h01', { window: 1 })
    expect(ordersOf(world, 'h01', r).soaked).toEqual([0])
    world.observed('h01', r, 'fail', { window: 2 })
    expect(ordersOf(world, 'h01', r).failed).toEqual([0])
  })

  test('a plan body that comes later brings the orders that it should', () => {
    const { world, r } = started([['h01']])
    const fact = world.view.plans.get(r)
    const body = world.holdPlan(fact?.body.plan ?? '', undefined)
    expect(ordersFor(world.knowledge(), 'h01').rollouts).toEqual([])
    world.move('h01', r, 'ACTIVATING')
    world.holdPlan(fact?.body.plan ?? '', body)
    expect(ordersOf(world, 'h01', r).start?.round).toBe(0)
  })
})

describe('duties', () => {
  test('from the start until the host is done, and until the close for one that committed', () => {
    const { world, r } = started([['h01'], ['h02']], FREE)
    expect(duties(world, 'h02'), 'not before its start').toEqual([])
    expect(duties(world, 'h01')).toHaveLength(4)
    expect(duties(world, 'h01').every((duty) => !duty.activating && !duty.committed)).toBe(true)
    world.commitHost('h01', r)
    expect(duties(world, 'h01').every((duty) => duty.activating && duty.committed)).toBe(true)
    world.settle()
    world.pass(5_000)
    world.settle()
    expect(world.state.rollouts.get(r)?.status).toBe('complete')
    expect(duties(world, 'h01'), 'not after the close').toEqual([])
  })

  test.each(['REVERTED', 'STUCK', 'SKIPPED'] as const)(
    'none for a host that is %s, lost or failed',
    (to) => {
      const { world, r } = started([['h01', 'h02', 'h03']], FREE)
      world.move('h01', r, 'ACTIVATING')
      world.move('h01', r, to, { why: 'halt' })
      world.lose('h02', r)
      world.observed('h03', r, 'fail')
      for (const host of ['h01', 'h02', 'h03']) expect(duties(world, host)).toEqual([])
    },
  )

  test('nobody watches itself, and a halt that covers a host is told', () => {
    const { world, r } = started([['h01', 'h02']])
    expect(dutiesFor(world.knowledge(), 'h01').map((duty) => duty.host)).toEqual(['h02'])
    world.halt(r, { hosts: ['h01'] })
    expect(duties(world, 'h01').every((duty) => duty.halted)).toBe(true)
    expect(duties(world, 'h02').some((duty) => duty.halted)).toBe(false)
  })

  test('who catches up after the close is watched like any other', () => {
    const { world, r } = started([['h01'], ['h02']], FREE)
    world.commitHost('h01', r)
    world.settle()
    world.pass(5_000)
    world.settle()
    world.move('h02', r, 'READY', { round: 1 })
    world.settle()
    expect(duties(world, 'h02').map((duty) => duty.round)).toEqual([1, 1, 1, 1])
    world.move('h02', r, 'CONFIRMED', { round: 1 })
    expect(duties(world, 'h02')).toHaveLength(4)
    world.commitHost('h02', r, 1)
    expect(duties(world, 'h02')).toEqual([])
  })
})

describe('for people', () => {
  function textsOf(world: World, r: RolloutId, host: HostName): string {
    const sentences = whyHost(world.knowledge(), r, host)
    expect(sentences.length, 'there is always a reason').toBeGreaterThan(0)
    for (const { fact, type, author } of sentences) {
      if (fact === undefined || type === 'block') continue
      const signed = world.facts.find(({ id }) => id === fact)
      expect(signed?.type).toBe(type)
      expect(author).toMatch(/^(h\d\d|alice|bob)$/)
    }
    return sentences.map(({ text }) => text).join('\n')
  }

  test('a rollout from its plan to its end', () => {
    const world = new World({ hosts: 4, voters: 1 })
    const r = world.plan({ waves: [['h01'], ['h02']] }).id
    const state = (): object => rolloutStatus(world.knowledge(), r)
    expect(state()).toMatchObject({ state: 'proposed' })
    world.commit(world.block([{ kind: 'admit', rollout: r }]))
    expect(state()).toEqual({ state: 'admitted' })
    world.settle()
    expect(state()).toEqual({ state: 'wave', wave: 0 })
    world.commitHost('h01', r)
    expect(state()).toEqual({ state: 'wave', wave: 1 })
    world.settle()
    world.commitHost('h02', r)
    world.settle()
    expect(state()).toEqual({ state: 'complete' })
    world.halt(r)
    expect(state(), 'nothing is sent back').toEqual({ state: 'complete' })
    world.halt(r, { revert: true })
    expect(state()).toEqual({ state: 'reverted' })
  })

  test('a halted, a superseded and a refused one', () => {
    const { world, r } = started([['h01']])
    const rival = world.plan({ waves: [['h01']] }).id
    expect(rolloutStatus(world.knowledge(), rival)).toMatchObject({
      state: 'rejected',
      rejection: { code: 'conflict', winner: r },
    })
    expect(textsOf(world, rival, 'h01')).toContain('refused')
    world.halt(r)
    expect(rolloutStatus(world.knowledge(), r)).toEqual({ state: 'halted', wave: 0 })
    world.plan({ waves: [['h01']], supersedes: [r] })
    world.settle()
    expect(rolloutStatus(world.knowledge(), r)).toEqual({ state: 'superseded' })
    expect(textsOf(world, r, 'h01')).toContain('superseded')
    expect(rolloutStatus(world.knowledge(), '99'.repeat(32)).state).toBe('proposed')
    expect(textsOf(world, '99'.repeat(32), 'h01')).toContain('does not know')
  })

  test('what a host waits for, from the first wave to the last word', () => {
    const { world, r } = started([['h01'], ['h02']], FREE)
    expect(textsOf(world, r, 'h04')).toContain('not part')
    expect(textsOf(world, r, 'h02')).toContain('h01 of wave 0 is not done')
    expect(textsOf(world, r, 'h01')).toContain('fetching')
    world.move('h01', r, 'READY')
    expect(textsOf(world, r, 'h01')).toContain('fresh lease')
    world.move('h01', r, 'ACTIVATING')
    expect(textsOf(world, r, 'h01')).toContain('switching')
    world.move('h01', r, 'PROBATION')
    expect(textsOf(world, r, 'h01')).toContain('3 confirmations')
    world.move('h01', r, 'CONFIRMED')
    expect(textsOf(world, r, 'h01')).toContain('none has yet')
    world.commitHost('h01', r)
    expect(textsOf(world, r, 'h01')).toContain('It is done')
    const hold = world.say('alice', 'rollout.hold', { kind: 'on', rollout: r, why: 'lunch' })
    expect(whyHost(world.knowledge(), r, 'h02')).toContainEqual({
      text: 'alice paused the rollout: lunch',
      ...{ fact: hold.id, type: 'rollout.hold', author: 'alice' },
    })
  })

  test('who stopped it, who saw it fail, who gave it up, and whether it may come back', () => {
    const { world, r } = started([['h01', 'h02', 'h03']], { budget: { kind: 'count', count: 0 } })
    const [first] = world.standing(r, 'h01').observers
    const seen = world.attest(first ?? '', r, 'h01', { verdict: 'fail', why: 'unreachable' })
    expect(whyHost(world.knowledge(), r, 'h01')).toContainEqual({
      text: `${first} saw it fail in round 0: unreachable.`,
      ...{ fact: seen.id, type: 'obs.attest', author: first },
    })
    expect(textsOf(world, r, 'h01')).toContain('It takes 3 observers')
    world.move('h02', r, 'SKIPPED', { why: 'fetch', detail: 'no peer holds it' })
    expect(textsOf(world, r, 'h02')).toContain('SKIPPED (fetch, no peer holds it)')
    expect(textsOf(world, r, 'h02')).toContain('may catch up later')
    world.lose('h03', r)
    expect(textsOf(world, r, 'h03')).toContain('alice gave the host up')
    world.observed('h01', r, 'fail')
    expect(textsOf(world, r, 'h02')).toContain('1 host failed, the budget is 0')
    const halt = world.halt(r, { by: 'bob', revert: true })
    expect(whyHost(world.knowledge(), r, 'h01')[0]).toEqual({
      text: 'bob halted and sent back the rollout: a test',
      ...{ fact: halt.id, type: 'rollout.halt', author: 'bob' },
    })
  })

  test('permits that others hold, with who holds them, and the block that started a host', () => {
    const { world, r } = started([['h01', 'h02']], {
      maxInFlight: [{ hosts: [], limit: 1 }],
    })
    const text = textsOf(world, r, 'h02')
    expect(text).toContain('2 hosts would be in flight, the limit is 1')
    expect(text).toContain('Under way: h01')
    const { start } = world.standing(r, 'h01')
    expect(whyHost(world.knowledge(), r, 'h01')).toContainEqual({
      text: `It was started at slot ${start?.slot} and is still fetching its closure.`,
      ...{ fact: start?.block, type: 'block' },
    })
  })

  test('a host that the voters skipped is told so', () => {
    const { world, r } = started([['h01']])
    world.pass(5_000)
    world.settle()
    expect(textsOf(world, r, 'h01')).toContain('the voters skipped it in round 0')
  })
})
