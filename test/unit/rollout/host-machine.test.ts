/** The machine as a whole: what it keeps, what it never says twice, what it never touches. */
import { describe, expect, it } from 'vitest'
import { type HostDraft, move } from '../../../rollout/host-draft.ts'
import { HOST_ROLLOUTS_MAX } from '../../../rollout/host-limits.ts'
import { stepHost } from '../../../rollout/host-machine.ts'
import { committed, history } from './host-past.ts'
import { ordersFor, RULES, rolloutId, started } from './host-setting.ts'
import { World } from './host-world.ts'

describe('the machine', () => {
  it('pins the newest five generations of the stack, what runs and what is staged, and no more', () => {
    const world = committed(7)
    expect(world.pinned).toEqual(['gen-3', 'gen-4', 'gen-5', 'gen-6', 'gen-7'])
    world.orders(...history(7), ordersFor(8))
    world.run()
    expect(world.pinned).toContain('gen-8')
    expect(world.pinned).toHaveLength(6)
  })

  it('remembers a bounded number of rollouts, and never one twice', () => {
    const world = new World()
    for (let n = 1; n <= HOST_ROLLOUTS_MAX + 40; n++) {
      const before =
        n === 1 ? [] : [ordersFor(n - 1, { last: false, status: 'halted', halted: true })]
      world.orders(...before, ordersFor(n, { halted: true }))
      world.run()
    }
    world.orders(ordersFor(1, { last: false, status: 'halted', halted: true }))
    world.run()
    expect(world.state.rollouts).toHaveLength(HOST_ROLLOUTS_MAX)
    expect(world.phases(1)).toEqual(['SKIPPED(halt)'])
  })

  it('signs no rank twice and none below what it signed, whoever asks', () => {
    const { state } = committed(1)
    const draft: HostDraft = { state, effects: [], fresh: undefined, now: 0, rules: RULES }
    for (const to of ['COMMITTED', 'READY', 'REVERTING', 'REVERTING'] as const) {
      move(draft, rolloutId(1), to)
    }
    expect(draft.effects.map((effect) => effect.kind === 'sign' && effect.transition.to)).toEqual([
      'REVERTING',
    ])
  })

  it('never changes the state that it is given, and returns it when nothing changes', () => {
    const world = committed(1)
    const frozen = deepFreeze(world.state)
    const step = stepHost(frozen, { kind: 'tick', fresh: 'a'.repeat(32) }, world.now, RULES)
    expect(step.state).toBe(frozen)
    expect(step.effects).toEqual([])
    const orders = { host: 'web-1', rollouts: [...history(1), ordersFor(2, started())] }
    expect(
      stepHost(frozen, { kind: 'orders', orders, fresh: 'b'.repeat(32) }, world.now, RULES).effects,
    ).not.toEqual([])
  })
})

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.freeze(value)
    for (const item of Object.values(value)) deepFreeze(item)
  }
  return value
}
