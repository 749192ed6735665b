/** After flight: back, stuck, catching up and drift, by name. */
import { describe, expect, it } from 'vitest'
import { hostCondition } from '../../../rollout/host-machine.ts'
import { COMMITTED, committed, confirmed, history, LIFE_MS, UP_TO_READY } from './host-past.ts'
import { OLD, ordersFor, RULES, started } from './host-setting.ts'
import { World } from './host-world.ts'

describe('COMMITTED → REVERTING', () => {
  it.each(['halt', 'breach'] as const)('%s, also after the close', (why) => {
    const world = committed(2)
    const halted = { halted: true, revert: true, revertWhy: why }
    world.orders(...history(1), ordersFor(2, { ...started(), status: 'complete', ...halted }))
    world.run()
    expect(world.phases(2).slice(-2)).toEqual([`REVERTING(${why})`, `REVERTED(${why})`])
    expect([world.top, world.running, world.bootDefault]).toEqual(['gen-1', 'gen-1', 'gen-1'])
  })

  it('never for a failure certificate, a close or a loss', () => {
    const world = committed(1)
    world.orders(ordersFor(1, { ...started(), status: 'complete', failed: [0], lost: true }))
    world.rest(10_000)
    expect(world.last(1)).toBe('COMMITTED')
  })

  it('is whole after a crash in the middle, whatever an earlier deadman left on the disk', () => {
    const world = committed(2)
    world.deadman = { kind: 'fired', token: 'older', target: OLD, done: true, ok: true }
    world.orders(...history(1), ordersFor(2, { ...started(), halted: true, revert: true }))
    world.until(() => world.effects[0]?.kind === 'revert')
    world.crashAmid()
    world.restart()
    world.run()
    expect([world.whole, world.last(2), world.running]).toEqual([true, 'REVERTED(halt)', 'gen-1'])
  })

  it('below the top takes the entry off and activates nothing', () => {
    const world = committed(3)
    const reverts = world.done.length
    world.orders(...history(3, (n) => (n === 2 ? { halted: true, revert: true } : {})))
    world.run()
    expect(world.last(2)).toBe('REVERTED(halt)')
    expect(world.state.stack.map((entry) => entry.generation)).toEqual([OLD, 'gen-1', 'gen-3'])
    expect(world.done.slice(reverts).map((effect) => effect.kind)).not.toContain('revert')
  })

  it('under a rollout in flight moves the deadman and the boot default, and lets it fly', () => {
    const world = committed(1)
    world.orders(...history(1), ordersFor(2, started()))
    world.rest(3_000)
    expect(world.last(2)).toBe('CONFIRMED')
    expect(world.deadman).toMatchObject({ target: 'gen-1' })
    world.orders(...history(1, () => ({ halted: true, revert: true })), ordersFor(2, started()))
    const says = (to: string) =>
      world.effects.some((effect) => effect.kind === 'sign' && effect.transition.to === to)
    world.until(() => says('REVERTED'))
    expect(world.deadman).toMatchObject({ kind: 'armed', target: OLD })
    expect(world.bootDefault).toBe(OLD)
    world.run()
    expect(world.last(1)).toBe('REVERTED(halt)')
    expect(world.deadman).toMatchObject({ kind: 'armed', target: OLD })
    expect([world.running, world.bootDefault]).toEqual(['gen-2', OLD])
    world.orders(
      ...history(1, () => ({ revert: true })),
      ordersFor(2, { ...started(), failed: [0] }),
    )
    world.run()
    expect([world.last(2), world.running]).toEqual(['REVERTED(peers)', OLD])
  })
})

describe('REVERTING → STUCK', () => {
  it('missing: the generation is gone; a later REVERTED outranks it', () => {
    const world = committed(2)
    world.missing = new Set(['gen-1'])
    world.orders(...history(2, (n) => (n === 2 ? { halted: true, revert: true } : {})))
    world.run()
    expect(world.last(2)).toBe('STUCK(missing)')
    expect(hostCondition(world.state).kind).toBe('stuck')
    world.rest(2 * RULES.timing.activateMs)
    expect(world.last(2)).toBe('STUCK(missing)')
    world.missing = new Set()
    world.rest(2 * RULES.timing.activateMs)
    expect(world.last(2)).toBe('REVERTED(halt)')
    expect(world.running).toBe('gen-1')
  })

  it('not-revertable: the release that ran forbids it', () => {
    const world = committed(1)
    const strict = { ...started(), notRevertable: ['gen-1'] }
    world.orders(...history(1), ordersFor(2, strict))
    world.rest(3_000)
    expect(world.deadman).toMatchObject({ kind: 'armed', target: 'gen-2' })
    world.orders(...history(1), ordersFor(2, { ...strict, failed: [0] }))
    world.rest(10_000)
    expect(world.last(2)).toBe('STUCK(not-revertable)')
    expect(world.done.map((effect) => effect.kind)).not.toContain('revert')
    world.crash()
    world.restart()
    world.rest(10_000)
    expect(world.done.map((effect) => effect.kind)).not.toContain('revert')
  })

  it('a generation deployed again later is not barred by what an earlier release said', () => {
    const world = committed(1)
    world.orders(
      ...history(1),
      ordersFor(2, { ...started(), soaked: [0], notRevertable: ['gen-1'] }),
    )
    world.rest(10_000)
    const two = history(2, (n) => (n === 2 ? { notRevertable: ['gen-1'] } : {}))
    world.orders(...two, ordersFor(3, { ...started(), generation: 'gen-1', soaked: [0] }))
    world.rest(10_000)
    expect(world.last(3)).toBe('COMMITTED')
    const three = [
      ...two,
      ordersFor(3, { ...started(), generation: 'gen-1', status: 'complete', last: false }),
    ]
    world.orders(...three, ordersFor(4, started()))
    world.rest(3_000)
    world.orders(...three, ordersFor(4, { ...started(), failed: [0] }))
    world.rest(10_000)
    expect([world.last(4), world.running]).toEqual(['REVERTED(peers)', 'gen-1'])
  })

  it('keeps the reason when going back itself fails, and the deadman has one more try', () => {
    const world = confirmed()
    world.broken = new Set([OLD])
    world.orders(ordersFor(1, { ...started(), failed: [0] }))
    world.run()
    expect(world.last(1)).toBe('STUCK(peers)')
    expect(world.deadman.kind).toBe('armed')
    world.rest(2 * LIFE_MS)
    expect([world.last(1), world.running]).toEqual(['REVERTED(peers)', OLD])
  })
})

describe('catching up', () => {
  it('after REVERTED(unconfirmed), in a new round with its own lease', () => {
    const world = new World()
    world.confirms = () => false
    world.orders(ordersFor(1, started()))
    world.rest(2 * LIFE_MS)
    expect(world.last(1)).toBe('REVERTED(unconfirmed)')
    expect(world.phases(1, 1)).toEqual(UP_TO_READY)
    world.confirms = () => true
    world.orders(ordersFor(1, { ...started(1), status: 'complete', soaked: [1] }))
    world.rest(10_000)
    expect(world.phases(1, 1)).toEqual(COMMITTED)
  })

  it('at most three rounds', () => {
    const world = new World([ordersFor(1, { skipped: [0, 1, 2] })])
    world.rest(10_000)
    expect(world.phases(1, 2)).toContain('SKIPPED(skipped)')
    expect(world.state.rollouts[0]).toMatchObject({ round: 2, phase: 'SKIPPED' })
  })

  it.each([
    ['halted', { halted: true }],
    ['not the last', { last: false }],
    ['superseded', { status: 'superseded' }],
    ['lost', { lost: true }],
  ] as const)('not when %s', (_, fields) => {
    const world = new World([ordersFor(1)])
    world.run()
    world.orders(ordersFor(1, { skipped: [0], ...fields }))
    world.rest(10_000)
    expect(world.phases(1, 1)).toEqual([])
  })

  it('not after a proven failure', () => {
    const world = confirmed()
    world.orders(ordersFor(1, { ...started(), failed: [0] }))
    world.rest(10_000)
    expect(world.phases(1, 1)).toEqual([])
  })
})

describe('drift', () => {
  it('is seen and left alone until the next start, which goes back to the top if it fails', () => {
    const world = committed(1)
    world.drift('by-hand')
    world.rest(10_000)
    expect(hostCondition(world.state)).toEqual({
      kind: 'drifted',
      running: 'by-hand',
      top: 'gen-1',
    })
    expect(world.running).toBe('by-hand')
    world.orders(...history(1), ordersFor(2, started()))
    world.rest(3_000)
    world.orders(...history(1), ordersFor(2, { ...started(), failed: [0] }))
    world.rest(10_000)
    expect([world.last(2), world.running]).toEqual(['REVERTED(peers)', 'gen-1'])
    expect(hostCondition(world.state).kind).toBe('steady')
  })

  it('ends at the next halt that concerns the host', () => {
    const world = committed(2)
    world.drift('by-hand')
    world.orders(...history(2, (n) => (n === 1 ? { halted: true, revert: true } : {})))
    world.run()
    expect([world.last(1), world.running]).toEqual(['REVERTED(halt)', 'gen-2'])
  })
})
