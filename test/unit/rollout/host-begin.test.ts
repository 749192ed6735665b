/** Before flight: every arrow up to ACTIVATING, by name. */
import { describe, expect, it } from 'vitest'
import type { HostRules } from '../../../rollout/host-events.ts'
import { waitingLease } from '../../../rollout/host-lease.ts'
import { hostCondition, stepHost } from '../../../rollout/host-machine.ts'
import { confirmed, LIFE_MS, UP_TO_READY } from './host-past.ts'
import { ordersFor, RULES, rolloutId, START_TIMEOUT_MS, started } from './host-setting.ts'
import { World } from './host-world.ts'

describe('QUEUED → STAGING → READY', () => {
  it('begins as soon as the rollout is admitted, before any start', () => {
    const world = new World([ordersFor(1)])
    world.run()
    expect(world.phases(1)).toEqual(UP_TO_READY)
    expect(world.done.map((effect) => effect.kind)).not.toContain('askLease')
  })

  it('waits in QUEUED while the manifest is not held', () => {
    const world = new World([ordersFor(1, { generation: undefined })])
    world.run()
    expect(world.phases(1)).toEqual([])
    world.orders(ordersFor(1))
    world.run()
    expect(world.phases(1)).toEqual(UP_TO_READY)
  })

  it('is staged again after a crash lost the staging', () => {
    const world = new World([ordersFor(1)])
    world.crash()
    world.restart()
    world.run()
    expect(world.phases(1)).toEqual(UP_TO_READY)
  })
})

describe('QUEUED..READY → SKIPPED', () => {
  it.each(['fetch', 'signature'] as const)('when staging fails: %s', (why) => {
    const world = new World()
    world.stages = why
    world.orders(ordersFor(1))
    world.run()
    expect(world.phases(1)).toEqual(['STAGING', `SKIPPED(${why})`])
  })

  it('on a plain halt', () => {
    const world = new World([ordersFor(1)])
    world.run()
    world.orders(ordersFor(1, { halted: true }))
    world.run()
    expect(world.last(1)).toBe('SKIPPED(halt)')
  })

  it('on a breach that reverts', () => {
    const world = new World([ordersFor(1, { halted: true, revert: true, revertWhy: 'breach' })])
    world.run()
    expect(world.phases(1)).toEqual(['SKIPPED(breach)'])
  })

  it('when a skip of its round is committed, and then catches up', () => {
    const world = new World([ordersFor(1)])
    world.run()
    world.orders(ordersFor(1, { skipped: [0] }))
    world.run()
    expect(world.last(1)).toBe('SKIPPED(skipped)')
    expect(world.phases(1, 1)).toEqual(UP_TO_READY)
  })

  it('when the rollout closes without it', () => {
    const world = new World([ordersFor(1)])
    world.run()
    world.orders(ordersFor(1, { status: 'superseded', last: false }))
    world.run()
    expect(world.last(1)).toBe('SKIPPED(closed)')
  })

  it('when it learns of a start only when that rollout is over, so that others need not wait', () => {
    const world = new World([])
    const over = { status: 'superseded', last: false, ...started(1) } as const
    world.orders(ordersFor(1, { ...over, unanswered: true }))
    world.run()
    expect(world.phases(1, 1)).toEqual(['SKIPPED(closed)'])
  })

  it('but says nothing of a start that ended, or that it had begun itself', () => {
    const world = new World([])
    world.orders(ordersFor(1, { status: 'superseded', last: false, ...started() }))
    world.run()
    expect(world.phases(1)).toEqual([])
  })

  it('when no lease came by startTimeoutMs, and not a moment before', () => {
    const world = new World()
    world.grants = () => undefined
    world.orders(ordersFor(1, started()))
    world.run()
    for (const end = world.now + START_TIMEOUT_MS; world.now + 1_000 < end; ) {
      world.tick(1_000)
      world.run()
      expect(world.last(1)).toBe('READY')
    }
    world.tick(1_000)
    world.run()
    expect(world.last(1)).toBe('SKIPPED(no-lease)')
    expect(world.phases(1, 1)).toEqual(UP_TO_READY)
  })
})

describe('READY → ACTIVATING', () => {
  it('needs the start', () => {
    const world = new World([ordersFor(1)])
    world.rest(60_000)
    expect(world.phases(1)).toEqual(UP_TO_READY)
  })

  it('needs q grants of distinct voters', () => {
    const world = new World()
    world.grants = (voter) => (voter === 'v-1' ? {} : { granted: false, refusal: 'ended' })
    world.orders(ordersFor(1, started()))
    world.rest(60_000)
    expect(world.phases(1)).toEqual(UP_TO_READY)
    const waiting = waitingLease(world.state)
    expect(waiting?.lease?.grants.map((grant) => grant.voter)).toEqual(['v-1'])
    expect(waiting?.lease?.refusals).toHaveLength(2)
    expect(hostCondition(world.state).kind).toBe('waiting-lease')
  })

  it('counts one voter once, however often it answers', () => {
    const world = new World()
    world.grants = (voter) => (voter === 'v-1' ? {} : undefined)
    world.orders(ordersFor(1, started()))
    world.rest(1_000)
    const grants = world.state.lease?.grants ?? []
    const answer = {
      nonce: world.state.lease?.nonce ?? '',
      rollout: rolloutId(1),
      round: 0,
      host: 'web-1',
      head: 'c'.repeat(64),
      ttlMs: 20_000,
      granted: true,
    }
    world.send({ kind: 'leaseAnswer', voter: 'v-1', answer })
    expect(world.state.lease?.grants).toHaveLength(grants.length)
    world.send({ kind: 'leaseAnswer', voter: 'stranger', answer })
    world.send({ kind: 'leaseAnswer', voter: 'v-2', answer: { ...answer, nonce: 'f'.repeat(32) } })
    world.send({ kind: 'leaseAnswer', voter: 'v-2', answer: { ...answer, host: 'web-2' } })
    world.send({ kind: 'leaseAnswer', voter: 'v-2', answer: { ...answer, round: 1 } })
    world.run()
    expect(world.phases(1)).toEqual(UP_TO_READY)
    world.send({ kind: 'leaseAnswer', voter: 'v-2', answer })
    world.run()
    expect(world.last(1)).toBe('PROBATION')
  })

  it('counts no grant of one epoch in the next: voters of two epochs together are no quorum', () => {
    const world = new World()
    world.grants = (voter) => (voter === 'v-1' ? {} : undefined)
    world.orders(ordersFor(1, started()))
    world.rest(1_000)
    expect(world.state.lease?.grants).toHaveLength(1)
    const tick = { kind: 'tick', fresh: 'a'.repeat(32) } as const
    const kinds = (rules: HostRules): readonly string[] =>
      stepHost(world.state, tick, world.now, rules).effects.map(({ kind }) => kind)
    expect(kinds({ ...RULES, quorum: 1 }), 'enough in its own epoch').toContain('armDeadman')
    const next = { ...RULES, epoch: 2, quorum: 1 }
    expect(kinds(next)).not.toContain('armDeadman')
    expect(kinds(next), 'it asks anew at once').toContain('askLease')
    const moved = stepHost(world.state, tick, world.now, next).state
    expect(moved.lease).toMatchObject({ epoch: 2, nonce: tick.fresh, grants: [] })
  })

  it('needs the grants to be fresh when the deadman is armed, counting from the nonce', () => {
    const world = new World([ordersFor(1)])
    world.run()
    world.orders(ordersFor(1, started()))
    world.until(() => world.state.deadman !== undefined)
    expect(world.state.deadman?.step).toBe('arming')
    world.now += RULES.timing.leaseMs + 1
    world.run()
    expect(world.phases(1)).toEqual(UP_TO_READY)
    expect(world.deadman.kind).toBe('idle')
    world.tick()
    world.run()
    expect(world.last(1)).toBe('PROBATION')
  })

  it('heeds a shorter ttl of a voter', () => {
    const world = new World()
    world.grants = () => ({ ttlMs: 0 })
    world.orders(ordersFor(1, started()))
    world.pass(1)
    world.until(() => world.state.deadman !== undefined)
    world.now += 1
    world.run()
    expect(world.phases(1)).toEqual(UP_TO_READY)
  })

  it('asks again over a new nonce when half the ttl has gone', () => {
    const world = new World()
    world.grants = () => undefined
    world.orders(ordersFor(1, started()))
    world.run()
    for (let i = 0; i < 21; i++) world.tick(500)
    world.run()
    const asks = world.done.filter((effect) => effect.kind === 'askLease')
    expect(asks).toHaveLength(2)
    expect(new Set(asks.map((ask) => ask.nonce)).size).toBe(2)
  })

  it('needs no halt, also one that comes while the deadman is being armed', () => {
    const world = new World([ordersFor(1)])
    world.run()
    world.orders(ordersFor(1, started()))
    world.until(() => world.state.deadman !== undefined)
    world.orders(ordersFor(1, { ...started(), halted: true }))
    world.rest(10_000)
    expect(world.phases(1)).toEqual([...UP_TO_READY, 'SKIPPED(halt)'])
    expect(world.deadman.kind).toBe('idle')
  })

  it('remembers a halt over a crash that lost the fact', () => {
    const world = new World([ordersFor(1, { halted: true })])
    world.crash()
    world.restart()
    world.orders(ordersFor(1, started()))
    world.rest(60_000)
    expect(world.phases(1)).toEqual(['SKIPPED(halt)'])
  })

  it('remembers a halt that came in flight: no catching up, also when the fact was lost', () => {
    const world = confirmed({ halted: false })
    world.orders(ordersFor(1, { ...started(), halted: true }))
    world.crash()
    world.pass(LIFE_MS)
    world.finishScript()
    world.restart()
    world.orders(ordersFor(1, started()))
    world.rest(10_000)
    expect(world.last(1)).toBe('REVERTED(unconfirmed)')
    expect(world.phases(1, 1)).toEqual([])
  })

  it('needs an armed deadman', () => {
    const world = new World()
    world.arms = false
    world.orders(ordersFor(1, started()))
    for (let i = 0; i < 20; i++) {
      world.tick()
      world.run()
    }
    expect(world.phases(1)).toEqual(UP_TO_READY)
  })

  it('never happens for a rollout that is not the last admitted', () => {
    const world = new World([ordersFor(1, { ...started(), last: false })])
    world.rest(60_000)
    expect(world.phases(1)).toEqual(UP_TO_READY)
  })
})
