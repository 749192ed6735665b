/** Blocks against facts: bases, drafts, and that both judge alike (SPEC §7.1). */
import { expect, test } from 'vitest'
import { BASIS_FEEDS_MAX, GATE_BYTES_MAX, type RolloutId } from '../../../protocol/index.ts'
import { gateRules } from '../../../rollout/gate-judge.ts'
import { session, World } from './world.ts'

function running(): { world: World; r: RolloutId } {
  const world = new World({ hosts: 4, voters: 1 })
  const r = world.plan({ waves: [['h01'], ['h02']] }).id
  world.settle()
  return { world, r }
}

test('everything under the basis counts: a leader that leaves a fact out of the middle proves nothing', () => {
  const { world, r } = running()
  world.move('h01', r, 'ACTIVATING')
  const block = world.block([])
  const [feed] = block.body.basis
  const other = { ...block, body: { ...block.body, basis: [{ ...feed, head: '77'.repeat(32) }] } }
  expect(world.judge(block).kind).toBe('valid')
  expect(world.judge(other as typeof block).kind).toBe('wait')
})

test('what is not held yet is waited for', () => {
  const { world, r } = running()
  world.move('h01', r, 'ACTIVATING')
  const block = world.block([])
  const rules = gateRules({ ...world.held(), factAt: () => undefined })
  expect(rules.judge(block, world.state).kind).toBe('wait')
  expect(rules.apply(block, world.state)).toBeUndefined()
})

test('a basis goes forward only, on the branch that the one before it pinned', () => {
  const { world, r } = running()
  world.move('h01', r, 'ACTIVATING')
  const block = world.block([])
  world.commit(block)
  expect(
    world.judge(world.sealed({ commands: [], rootVersion: 1, basis: block.body.basis })).kind,
  ).toBe('invalid')
  world.move('h01', r, 'PROBATION')
  const next = world.block([])
  const forked = gateRules({
    ...world.held(),
    factAt: (feed, seq, id) => {
      const fact = world.held().factAt(feed, seq, id)
      return fact && { ...fact, prev: '77'.repeat(32) }
    },
  })
  expect(forked.judge(next, world.state).kind).toBe('wait')
  expect(world.judge(next).kind).toBe('valid')
})

test('a block that brings no root names the one in force', () => {
  const { world } = running()
  const kindOf = (rootVersion: number): string =>
    world.judge(world.sealed({ commands: [], rootVersion, basis: [] })).kind
  world.state = { ...world.state, rootVersion: 2 }
  expect([1, 2, 3].map(kindOf)).toEqual(['invalid', 'valid', 'invalid'])
})

test('a promotion on evidence that the leader holds alone is not voted for', () => {
  const { world, r } = running()
  const before = world.view
  world.commitHost('h01', r)
  const start = { kind: 'start', rollout: r, round: 0, hosts: ['h02'] } as const
  expect(world.judge(world.block([start], before)).kind, 'held, but not in the basis').toBe('wait')
  const block = world.block([start])
  const behind = gateRules({ ...world.held(before), factAt: () => undefined })
  expect(behind.judge(block, world.state).kind, 'in the basis, but not held').toBe('wait')
  expect(world.judge(block).kind).toBe('valid')
})

test('commands are judged one after the other, each on the state that the one before left', () => {
  const world = new World({ hosts: 3, voters: 1 })
  const r = world.plan({ waves: [['h01']] }).id
  const admit = { kind: 'admit', rollout: r } as const
  const start = { kind: 'start', rollout: r, round: 0, hosts: ['h01'] } as const
  expect(world.ruling(start).kind).toBe('wait')
  expect(world.ruling(admit, start).kind).toBe('valid')
  expect(world.ruling(admit, start, start).kind).toBe('invalid')
  expect(world.ruling(admit, admit).kind).toBe('invalid')
})

test('L5: a log with nothing to decide is silent, but for an anchor an hour', () => {
  const { world, r } = running()
  expect(world.draft()).toBeUndefined()
  world.move('h01', r, 'ACTIVATING')
  expect(world.draft(), 'a fact is no request').toBeUndefined()
  world.pass(100_000)
  expect(world.draft()?.commands).toEqual([])
  const slot = world.state.slot
  expect(world.settle()).toEqual([])
  expect(world.state.slot).toBe(slot + 1)
  world.pass(100_000)
  expect(world.draft(), 'nothing new, nothing to pin').toBeUndefined()
})

test('S16: the same facts make the same draft, byte by byte, whatever the order of arrival', () => {
  const { world, r } = running()
  world.commitHost('h01', r)
  world.plan({ waves: [['h03']] })
  const other = running().world
  const late = world.facts.slice(other.facts.length)
  for (const fact of late.toReversed()) other.tell(fact)
  const [mine, theirs] = [world, other].map((one) =>
    gateRules({ ...world.held(one.view) }).draft(world.state),
  )
  expect(theirs).toEqual(mine)
  expect(mine?.commands.length).toBeGreaterThan(0)
})

test('a crowded draft stays inside a block: commands that do not fit wait for the next one', () => {
  const world = new World({ hosts: 60, voters: 1 })
  const r = world.plan({
    waves: [world.names],
    policy: { budget: { kind: 'count', count: 60 } },
  }).id
  world.settle()
  world.pass(5_000)
  for (let i = 0; i < BASIS_FEEDS_MAX - 1; i++) {
    const body = { generation: 'g', boot: 'b', state: 'healthy', checks: [] } as const
    world.say('h01', 'health.change', body, { session: session(1_000 + i) })
  }
  const draft = world.draft()
  if (draft === undefined) throw new Error('expected a draft')
  expect(draft.basis.length).toBe(BASIS_FEEDS_MAX - 1)
  expect(world.sealed(draft).bytes.length).toBeLessThanOrEqual(GATE_BYTES_MAX)
  expect(draft.commands.length).toBeLessThan(60)
  world.settle()
  expect(world.state.rollouts.get(r)?.skips.size).toBe(60)
})

test('more feeds than a basis holds are pinned in turns, and then decided over', () => {
  const world = new World({ hosts: 2, voters: 1 })
  for (let i = 0; i <= BASIS_FEEDS_MAX; i++) {
    const body = { generation: 'g', boot: 'b', state: 'healthy', checks: [] } as const
    world.say('h01', 'health.change', body, { session: session(1_000 + i) })
  }
  const r = world.plan({ waves: [['h00']] }).id
  expect(world.draft()).toMatchObject({ commands: [] })
  world.settle()
  expect(world.started(r)).toEqual(['h00'])
})
