/** `reconfig`: who belongs and who votes from the next slot on (SPEC §7.7). */
import { describe, expect, test } from 'vitest'
import type { Command, RolloutId } from '../../../protocol/index.ts'
import { dutiesFor, ordersFor } from '../../../rollout/derive-orders.ts'
import { openEpoch, recoverEpoch, trustAt } from '../../../rollout/epochs.ts'
import { EMPTY_VIEW } from '../../../rollout/fleet-view.ts'
import { foldFacts } from '../../../rollout/fold.ts'
import { gateRules } from '../../../rollout/gate-judge.ts'
import { permitsOf } from '../../../rollout/permits.ts'
import { configStatus } from '../../../rollout/reconfig-rules.ts'
import { recoveriesOf } from '../../../rollout/recover-rules.ts'
import { World } from './world.ts'

function reconfig(config: string): Command {
  return { kind: 'reconfig', config }
}

function startOf(r: RolloutId, host: string, round = 0): Command {
  return { kind: 'start', rollout: r, round, hosts: [host] }
}

describe('a configuration', () => {
  test('is drafted alone, before anything else, and begins the next epoch', () => {
    const world = new World({ hosts: 4, voters: 3 })
    world.plan({ waves: [['h03']] })
    const { document } = world.configure(world.nextConfig({ voters: ['h01', 'h02', 'h03'] }))
    expect(world.draft()?.commands).toEqual([reconfig(document)])
    world.step()
    expect(world.state).toMatchObject({ epoch: 2, view: 0, slot: 1 })
    expect(world.state.head).toBe(world.blocks.at(-1)?.id)
    expect(world.trust.config.voters).toEqual(['h01', 'h02', 'h03'])
    expect(world.draft()?.commands.map((command) => command.kind)).toEqual(['admit', 'start'])
  })

  test('shares its block with nothing', () => {
    const world = new World({ hosts: 3 })
    const { document } = world.configure(world.nextConfig({ voters: ['h00'] }))
    const plan = world.plan({ waves: [['h02']] })
    const admit: Command = { kind: 'admit', rollout: plan.id }
    for (const commands of [
      [reconfig(document), admit],
      [admit, reconfig(document)],
      [reconfig(document), reconfig(document)],
    ]) {
      expect(world.ruling(...commands).kind).toBe('invalid')
    }
  })

  test('waits for its announcement and for its document', () => {
    const world = new World({ hosts: 3 })
    const other = new World({ hosts: 3 })
    const { document } = other.configure(other.nextConfig({ voters: ['h00'] }))
    expect(world.ruling(reconfig(document))).toMatchObject({ kind: 'wait', why: /announced/ })
    world.configure(world.nextConfig({ voters: ['h00'] }), { bodyless: true })
    expect(world.ruling(reconfig(document))).toMatchObject({ kind: 'wait', why: /not held/ })
    expect(world.draft()?.commands ?? []).toEqual([])
  })

  test.each(['alice', 'rita', 'h00', 'ci'])('means nothing when %s announces it', (by) => {
    const world = new World({ hosts: 3 })
    const { document, fact } = world.configure(world.nextConfig({ voters: ['h00'] }), { by })
    expect(world.ruling(reconfig(document)).kind).toBe('wait')
    expect(world.draft()?.commands ?? []).toEqual([])
    expect(configStatus(world.knowledge(), fact.id)).toBeUndefined()
  })

  test('of two rivals one wins, and the other is told which', () => {
    const world = new World({ hosts: 4, voters: 1 })
    const mine = world.configure(world.nextConfig({ add: ['h07'] }))
    const yours = world.configure(world.nextConfig({ remove: ['h03'] }))
    const [first, second] = mine.fact.id < yours.fact.id ? [mine, yours] : [yours, mine]
    world.settle()
    expect(configStatus(world.knowledge(), first.fact.id)).toMatchObject({
      state: 'committed',
      epoch: 2,
      slot: 1,
    })
    const lost = configStatus(world.knowledge(), second.fact.id)
    expect(lost).toMatchObject({ state: 'rejected' })
    expect(JSON.stringify(lost)).toContain(first.document.slice(0, 12))
    expect(world.ruling(reconfig(second.document)).kind).toBe('invalid')
  })

  test('leaves out no epoch, repeats none and belongs to this group', () => {
    const world = new World({ hosts: 3 })
    for (const change of [{ epoch: 1 + 2 }, { epoch: 2, group: 'elsewhere' }]) {
      const { document } = world.configure(world.nextConfig(change))
      expect(world.ruling(reconfig(document)).kind).not.toBe('valid')
    }
    const recovery = { recover: { slot: 0, head: world.state.head } }
    const { document } = world.configure(world.nextConfig(recovery))
    expect(world.ruling(reconfig(document)).kind).toBe('invalid')
  })

  test('gives no name other keys and no key another name, also after the host has left', () => {
    const world = new World({ hosts: 3 })
    world.reconfigure({ remove: ['h02'], voters: ['h00', 'h01'] })
    const back = world.nextConfig({ add: ['h02'] })
    const stranger = world.nextConfig({ add: ['h09'] }).hosts.at(-1)
    const old = back.hosts.at(-1)
    if (stranger === undefined || old === undefined) throw new Error('no hosts')
    const keys = { ...stranger, name: 'h02' }
    const name = { ...old, name: 'h03' }
    for (const host of [keys, name]) {
      const hosts = [...back.hosts.slice(0, 2), host]
      const { document } = world.configure({ ...back, hosts })
      expect(world.ruling(reconfig(document)).kind).toBe('invalid')
    }
    const { document } = world.configure(back)
    expect(world.ruling(reconfig(document)).kind).toBe('valid')
  })

  test('S10: makes no voters of more hosts under way than a start could', () => {
    const world = new World({ hosts: 6, voters: 3 })
    const r = world.plan({ waves: [['h03', 'h04', 'h05']] }).id
    world.settle()
    expect(world.started(r)).toHaveLength(3)
    const { document } = world.configure(world.nextConfig({ voters: ['h00', 'h03', 'h04'] }))
    expect(world.ruling(reconfig(document))).toMatchObject({ kind: 'wait', why: /in flight/ })
    world.commitHost('h03', r)
    expect(world.ruling(reconfig(document)).kind).toBe('valid')
  })
})

describe('a stop sign', () => {
  test('bears nothing but empty blocks, and they change nothing', () => {
    const world = new World({ hosts: 4, voters: 1 })
    const { document } = world.configure(world.nextConfig({ remove: ['h03'] }))
    const plan = world.plan({ waves: [['h02']] })
    const judged = world.judge(world.block([reconfig(document)]))
    if (judged.kind !== 'valid') throw new Error(judged.kind)
    const rules = gateRules(world.held())
    const stopped = judged.state
    expect(stopped).toMatchObject({ epoch: 1, next: { epoch: 2, genesis: stopped.head } })
    expect(rules.draft(stopped)).toBeUndefined()
    const on = (commands: readonly Command[], basis = world.state.evidence) => {
      const { body, ...rest } = world.block(commands, basis)
      return { ...rest, body: { ...body, parent: stopped.head, view: stopped.view + 1 } }
    }
    const admit = on([{ kind: 'admit', rollout: plan.id }])
    expect(rules.judge(admit, stopped).kind).toBe('invalid')
    expect(rules.apply(admit, stopped)).toBeUndefined()
    world.say('h00', 'health.change', HEALTHY)
    expect(rules.judge(on([], world.view), stopped).kind, 'nor an anchor').toBe('invalid')
    const empty = rules.judge(on([]), stopped)
    if (empty.kind !== 'valid') throw new Error(empty.why)
    expect(openEpoch(empty.state)).toEqual(openEpoch(stopped))
    expect(openEpoch(stopped)).toMatchObject({ epoch: 2, view: 0, head: stopped.head })
  })
})

describe('rollouts across epochs', () => {
  test('carry over: claims, starts and the permits that they hold', () => {
    const world = new World({ hosts: 5, voters: 1 })
    const r = world.plan({ waves: [['h01', 'h02']], policy: POLICY_ONE }).id
    world.settle()
    expect(world.started(r)).toEqual(['h01'])
    world.reconfigure({ add: ['h07'] })
    expect(permitsOf(world.scene()).open.get('h01')).toBe(r)
    expect(world.ruling(startOf(r, 'h02')), 'the permit is still out').toMatchObject({
      kind: 'wait',
    })
    world.commitHost('h01', r)
    world.settle()
    expect(world.started(r)).toEqual(['h01', 'h02'])
    world.commitHost('h02', r)
    world.settle()
    expect(world.state.rollouts.get(r)?.status).toBe('complete')
  })

  test('no epoch skips a round that an earlier one started', () => {
    const world = new World({ hosts: 4, voters: 1 })
    const r = world.plan({ waves: [['h01'], ['h02']], policy: { budget: FREE } }).id
    world.settle()
    world.reconfigure({ add: ['h07'] })
    world.pass(1_000_000)
    const skip: Command = { kind: 'skip', rollout: r, round: 0, hosts: ['h01'] }
    expect(world.ruling(skip)).toMatchObject({ kind: 'invalid', why: /epoch 1/ })
    expect(world.draft()?.commands ?? [], 'nor asks for it').toEqual([])
    world.move('h01', r, 'SKIPPED', { why: 'no-lease' })
    world.settle()
    expect(world.standing(r, 'h01').end).toBe('skipped')
    expect(world.started(r), 'its own round may be skipped').toContain('h02')
    world.pass(1_000_000)
    expect(world.ruling({ ...skip, hosts: ['h02'] }).kind).toBe('valid')
  })

  test('a host that left is lost to them, for good', () => {
    const world = new World({ hosts: 5, voters: 1 })
    const r = world.plan({ waves: [['h01'], ['h02'], ['h03']] }).id
    world.settle()
    expect(world.started(r)).toEqual(['h01'])
    world.reconfigure({ remove: ['h01', 'h02'] })
    expect(world.standing(r, 'h01').end).toBe('lost')
    expect(world.standing(r, 'h02').end).toBe('lost')
    expect(permitsOf(world.scene()).open.size).toBe(0)
    expect(ordersFor(world.knowledge(), 'h01').rollouts[0]?.lost).toBe(true)
    world.reconfigure({ add: ['h01', 'h02'] })
    expect(world.standing(r, 'h02').end, 'also when it comes back').toBe('lost')
    expect(world.ruling(startOf(r, 'h02')).kind).not.toBe('valid')
    world.settle()
    expect(world.started(r)).toEqual(['h01', 'h03'])
    world.commitHost('h03', r)
    world.settle()
    expect(world.state.rollouts.get(r)?.status).toBe('complete')
  })

  test('a host that left neither starts nor catches up while it is away', () => {
    const world = new World({ hosts: 4, voters: 1 })
    const r = world.plan({ waves: [['h01', 'h02']] }).id
    world.settle()
    world.move('h02', r, 'SKIPPED', { why: 'no-lease' })
    world.commitHost('h01', r)
    world.settle()
    expect(world.state.rollouts.get(r)?.status).toBe('complete')
    world.move('h02', r, 'READY', { round: 1 })
    world.reconfigure({ remove: ['h02'] })
    expect(world.ruling(startOf(r, 'h02', 1)).kind).toBe('invalid')
    const plan = world.plan({ waves: [['h02']] })
    expect(world.ruling({ kind: 'admit', rollout: plan.id }).kind).toBe('invalid')
  })

  test('observers of a round stay those that its epoch drew, whoever leaves', () => {
    const world = new World({ hosts: 7, voters: 1, faultModel: 'byzantine' })
    const r = world.plan({ waves: [['h01'], ['h02']], policy: { budget: FREE } }).id
    world.settle()
    const drawn = world.standing(r, 'h01').observers
    const [a, b, c] = drawn
    if (a === undefined || b === undefined || c === undefined) throw new Error('no observers')
    for (const observer of [a, b, c]) world.attest(observer, r, 'h01', { verdict: 'fail' })
    expect(world.standing(r, 'h01').end).toBe('failed')
    const leaving = [a, b, c].filter((name) => name !== 'h00')
    const adding = ['h10', 'h11', 'h12', 'h13']
    world.reconfigure({ remove: leaving, add: adding })
    expect(world.standing(r, 'h01').observers).toEqual(drawn)
    expect(world.standing(r, 'h01').end, 'a proof is not taken back').toBe('failed')
    expect(world.standing(r, 'h01').failure).toBe(true)
    world.settle()
    const later = world.standing(r, 'h02').observers
    expect(world.started(r)).toContain('h02')
    expect(later.filter((name) => leaving.includes(name))).toEqual([])
    const [one = ''] = later
    expect(dutiesFor(world.knowledge(), one).map((duty) => duty.host)).toContain('h02')
  })
})

describe('authors', () => {
  test('what a member said stays true after it left, in whatever order it is heard', () => {
    const world = new World({ hosts: 4, voters: 1 })
    const r = world.plan({ waves: [['h01', 'h02']] }).id
    world.settle()
    world.commitHost('h01', r)
    world.reconfigure({ remove: ['h01'], add: ['h07'] })
    world.say('h07', 'health.change', HEALTHY)
    const again = foldFacts(EMPTY_VIEW, world.facts.toReversed(), world.trust)
    expect(again.rollouts).toEqual(world.view.rollouts)
    expect(again.health.get('h07')).toBeDefined()
    expect(world.standing(r, 'h01').end).toBe('committed')
    const first = trustAt(world.trust, { epochs: [], roots: [] })
    expect(foldFacts(EMPTY_VIEW, world.facts, first).health.get('h07'), 'not yet').toBeUndefined()
  })
})

describe('a group that bears no liar', () => {
  test('decides nothing but a change of its voters once one of them is proven to lie', () => {
    const world = new World({ hosts: 4, voters: 3 })
    const r = world.plan({ waves: [['h03']] }).id
    const accused = world.trust.config.hosts.find(({ name }) => name === 'h00')?.fact ?? ''
    const proof = { kind: 'inline', first: 'aa', second: 'bb' } as const
    const fact = world.say('h01', 'equivocation', { kind: 'ballot', accused, proof })
    const place = { in: 'gate', group: 'site', epoch: 1, view: 1 }
    const lie = { accused, kind: 'E2', place, first: 'a', second: 'b' }
    const proven = new Map([['lie', { lie, fact }]]) as unknown as typeof world.view.lies
    world.view = { ...world.view, lies: proven }
    expect(world.draft()?.commands ?? []).toEqual([])
    const before = world.state.evidence
    const unseen = world.judge(world.block([{ kind: 'admit', rollout: r }], before))
    expect(unseen.kind, 'also over a basis without the proof').toBe('invalid')
    const { document } = world.configure(world.nextConfig({ voters: ['h01', 'h02', 'h03'] }))
    expect(world.draft()?.commands).toEqual([reconfig(document)])
    world.step()
    expect(
      world.draft()?.commands.map((one) => one.kind),
      'and then goes on',
    ).toEqual(['admit', 'start'])
  })
})

describe('a recovery', () => {
  function recovery(world: World, slot: number, head: string): readonly string[] {
    world.configure(world.nextConfig({ voters: ['h02'], recover: { slot, head } }))
    return recoveriesOf(world.knowledge()).map(({ kind }) => kind)
  }

  test('is taken only where the log ends at the very block that it names', () => {
    const world = new World({ hosts: 3 })
    world.plan({ waves: [['h00']] })
    world.settle()
    const { slot, head } = world.state
    expect(slot).toBeGreaterThan(0)
    expect(recovery(world, slot, head)).toEqual(['take'])
    expect(recovery(new World({ hosts: 3 }), 7, head)).toEqual(['wait'])
    const ahead = new World({ hosts: 3 })
    ahead.plan({ waves: [['h00']] })
    ahead.settle()
    expect(recovery(ahead, 0, ahead.trust.genesis)).toEqual(['refuse'])
  })

  test('goes on from the same state under new voters, with the configuration as genesis', () => {
    const world = new World({ hosts: 3 })
    const r = world.plan({ waves: [['h01']] }).id
    world.settle()
    const { slot, head } = world.state
    recovery(world, slot, head)
    const [ruling] = recoveriesOf(world.knowledge())
    if (ruling === undefined) throw new Error('no recovery')
    const before = world.state
    world.state = recoverEpoch(world.state, ruling)
    expect(world.state).toMatchObject({ epoch: 2, view: 0, slot, head: ruling.genesis })
    expect(world.state.rollouts.get(r)).toEqual(before.rollouts.get(r))
    expect(world.trust.config.voters).toEqual(['h02'])
    expect(recoveriesOf(world.knowledge()), 'once').toEqual([])
  })
})

describe('a replay', () => {
  test('S16: the blocks alone give the state that the log led to, through every epoch', () => {
    const world = new World({ hosts: 5, voters: 3 })
    const first = world.state
    const r = world.plan({ waves: [['h01'], ['h02', 'h03']] }).id
    world.settle()
    world.reconfigure({ remove: ['h03'], add: ['h07'], voters: ['h00', 'h01', 'h07'] })
    world.commitHost('h01', r)
    world.settle()
    world.reconfigure({ voters: ['h01', 'h02', 'h07'] })
    world.commitHost('h02', r)
    world.settle()
    expect(world.state.epoch).toBe(3)
    const rules = gateRules(world.held())
    const again = world.blocks.reduce((state, block) => {
      const next = rules.apply(block, state)
      if (next === undefined) throw new Error('a committed block does not apply')
      return openEpoch(next)
    }, first)
    expect(again).toEqual(world.state)
    expect(again.rollouts.get(r)?.status).toBe('complete')
  })
})

const FREE = { kind: 'count', count: 8 } as const
const POLICY_ONE = { maxInFlight: [{ hosts: [], limit: 1 }] }
const HEALTHY = { generation: 'g', boot: 'b0', state: 'healthy', checks: [] } as const
