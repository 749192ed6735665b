/** In flight: every arrow from ACTIVATING to COMMITTED, and every reason to turn back, by name. */
import { describe, expect, it } from 'vitest'
import { hostCondition } from '../../../rollout/host-machine.ts'
import { COMMITTED, confirmed, LIFE_MS } from './host-past.ts'
import { OLD, ordersFor, RULES, rolloutId, SOAK_MS, started } from './host-setting.ts'
import { World } from './host-world.ts'

describe('ACTIVATING → PROBATION → CONFIRMED → SOAKED → COMMITTED', () => {
  it('is signed in order, and the stack, the boot default and the deadman follow', () => {
    const world = confirmed()
    world.orders(ordersFor(1, { ...started(), soaked: [0] }))
    world.rest(10_000)
    expect(world.phases(1)).toEqual(COMMITTED)
    expect(world.top).toBe('gen-1')
    expect([world.running, world.bootDefault, world.deadman.kind]).toEqual([
      'gen-1',
      'gen-1',
      'idle',
    ])
    expect(hostCondition(world.state)).toEqual({ kind: 'steady', generation: 'gen-1' })
    expect(world.state.unsigned).toEqual([])
  })

  it.each([false, true])(
    'gives the deadman its full life before the boot default changes (crash: %s)',
    (crash) => {
      const world = confirmed()
      world.pass(LIFE_MS / 2)
      world.orders(ordersFor(1, { ...started(), soaked: [0] }))
      const toBoot = () => {
        world.until(() => world.effects.some((effect) => effect.kind === 'setBootDefault'))
      }
      toBoot()
      if (crash) {
        world.crash()
        world.pass(LIFE_MS / 2)
        world.restart()
        world.orders(ordersFor(1, { ...started(), soaked: [0] }))
        toBoot()
      }
      expect(world.bootDefault).toBe(OLD)
      expect(world.deadman).toMatchObject({ kind: 'armed', at: world.now + LIFE_MS })
    },
  )

  it('leaves the boot default until it is SOAKED', () => {
    expect(confirmed().bootDefault).toBe(OLD)
  })

  it('waits for the peers: own health alone soaks nothing', () => {
    const world = confirmed()
    world.rest(10 * SOAK_MS)
    expect(world.last(1)).toBe('CONFIRMED')
  })

  it('waits for distinct observers of this round, this boot and this generation', () => {
    const world = new World()
    world.confirms = (observer) => observer === 'o-1'
    world.orders(ordersFor(1, started()))
    world.rest(3_000)
    expect(world.last(1)).toBe('PROBATION')
    const nonce = world.state.flight?.confirm?.nonce ?? ''
    const answer = {
      nonce,
      rollout: rolloutId(1),
      round: 0,
      generation: 'gen-1',
      boot: world.boot,
      host: 'web-1',
      ok: true,
    }
    world.send({ kind: 'confirmAnswer', observer: 'o-1', answer })
    world.send({ kind: 'confirmAnswer', observer: 'o-9', answer })
    world.send({ kind: 'confirmAnswer', observer: 'o-2', answer: { ...answer, boot: 'other' } })
    world.send({
      kind: 'confirmAnswer',
      observer: 'o-2',
      answer: { ...answer, generation: 'gen-9' },
    })
    world.send({
      kind: 'confirmAnswer',
      observer: 'o-2',
      answer: { ...answer, nonce: 'f'.repeat(32) },
    })
    world.send({ kind: 'confirmAnswer', observer: 'o-2', answer: { ...answer, ok: false } })
    world.run()
    expect(world.last(1)).toBe('PROBATION')
    world.send({ kind: 'confirmAnswer', observer: 'o-2', answer })
    world.run()
    expect(world.last(1)).toBe('CONFIRMED')
  })

  it('goes on being confirmed for as long as it soaks', () => {
    const world = confirmed()
    world.rest(10 * LIFE_MS)
    expect(world.last(1)).toBe('CONFIRMED')
    expect(world.deadman.kind).toBe('armed')
  })

  it('decides alone without observers, by its own checks and clock', () => {
    const alone = { observers: [], confirmations: 0 }
    const world = new World([ordersFor(1, { ...started(), ...alone })])
    world.until(() => world.last(1) === 'CONFIRMED')
    const since = world.now
    world.until(() => world.last(1) !== 'CONFIRMED')
    expect(world.now - since).toBeGreaterThanOrEqual(SOAK_MS)
    world.run()
    expect(world.phases(1)).toEqual(COMMITTED)
  })

  it('counts its own soak anew after every bad result', () => {
    const world = new World([ordersFor(1, { ...started(), observers: [], confirmations: 0 })])
    for (let i = 0; i < 30; i++) {
      world.run()
      world.sick = i % 6 === 0 ? new Set(['gen-1']) : new Set()
      world.tick()
    }
    world.run()
    expect(world.last(1)).toBe('CONFIRMED')
  })

  it('needs no activation when the generation runs already, and still pushes its entry', () => {
    const world = new World([ordersFor(1, { ...started(), generation: OLD, soaked: [0] })])
    world.rest(10_000)
    expect(world.phases(1)).toEqual(COMMITTED)
    expect(world.done.map((effect) => effect.kind)).not.toContain('activate')
    expect(world.state.stack.map((entry) => entry.rollout)).toHaveLength(2)
  })

  it('goes through with it under a plain halt', () => {
    const world = confirmed()
    world.orders(ordersFor(1, { ...started(), halted: true, soaked: [0] }))
    world.rest(10_000)
    expect(world.phases(1)).toEqual(COMMITTED)
  })

  it('signs CONFIRMED only after winning the deadman', () => {
    const world = new World([ordersFor(1, started())])
    world.run()
    world.until(() => world.state.deadman?.step === 'renewing')
    world.pass(LIFE_MS)
    world.run()
    world.finishScript()
    world.tick()
    world.run()
    expect(world.phases(1)).not.toContain('CONFIRMED')
    expect(world.last(1)).toBe('REVERTED(unconfirmed)')
    expect(world.running).toBe(OLD)
  })

  it('signs COMMITTED only after winning the deadman, and takes its entry off when it lost', () => {
    const world = confirmed()
    world.orders(ordersFor(1, { ...started(), soaked: [0] }))
    world.until(() => world.state.deadman?.step === 'disarming')
    expect(world.top).toBe('gen-1')
    world.pass(LIFE_MS)
    world.rest(10_000)
    expect(world.phases(1).slice(-3)).toEqual([
      'SOAKED',
      'REVERTING(unconfirmed)',
      'REVERTED(unconfirmed)',
    ])
    expect([world.top, world.running, world.bootDefault]).toEqual([OLD, OLD, OLD])
  })
})

describe('ACTIVATING..SOAKED → REVERTING', () => {
  it('activate: the switch failed', () => {
    const world = new World()
    world.broken = new Set(['gen-1'])
    world.orders(ordersFor(1, started()))
    world.rest(1_000)
    expect(world.phases(1).slice(-3)).toEqual([
      'ACTIVATING',
      'REVERTING(activate)',
      'REVERTED(activate)',
    ])
    expect([world.running, world.deadman.kind]).toEqual([OLD, 'idle'])
  })

  it('check: after two bad results in a row, not after one', () => {
    const world = confirmed()
    world.sick = new Set(['gen-1'])
    world.tick()
    world.run()
    expect(world.last(1)).toBe('CONFIRMED')
    world.tick()
    world.run()
    expect(world.last(1)).toBe('REVERTED(check)')
    expect(world.feed.at(-2)?.detail).toBe('http')
  })

  it('check: something else runs', () => {
    const world = confirmed()
    world.running = 'by-hand'
    for (let i = 0; i < 3; i++) {
      world.tick()
      world.run()
    }
    expect(world.last(1)).toBe('REVERTED(check)')
    expect(world.running).toBe(OLD)
  })

  it.each([
    ['peers', { failed: [0] }],
    ['lost', { lost: true }],
    ['closed', { status: 'complete' }],
    ['closed', { status: 'superseded', last: false }],
    ['halt', { halted: true, revert: true, revertWhy: 'halt' }],
    ['breach', { halted: true, revert: true, revertWhy: 'breach' }],
  ] as const)('%s', (why, fields) => {
    const world = confirmed()
    world.orders(ordersFor(1, { ...started(), ...fields }))
    world.run()
    expect(world.phases(1).slice(-2)).toEqual([`REVERTING(${why})`, `REVERTED(${why})`])
    expect([world.running, world.bootDefault, world.deadman.kind]).toEqual([OLD, OLD, 'idle'])
  })

  it('peers: not for another round', () => {
    const world = confirmed()
    world.orders(ordersFor(1, { ...started(), failed: [1] }))
    world.run()
    expect(world.last(1)).toBe('CONFIRMED')
  })

  it.each([true, false])('reboot: the old generation booted (deadman kept: %s)', (kept) => {
    const world = confirmed()
    world.reboot(kept)
    world.restart()
    world.run()
    expect(world.phases(1).slice(-2)).toEqual(['REVERTING(reboot)', 'REVERTED(reboot)'])
    expect([world.running, world.deadman.kind]).toEqual([OLD, 'idle'])
  })

  it('unconfirmed: the deadman fired, found by polling', () => {
    const world = new World()
    world.confirms = () => false
    world.orders(ordersFor(1, started()))
    world.run()
    const began = world.now
    world.until(() => world.last(1) === 'REVERTING(unconfirmed)')
    expect(world.now - began).toBeLessThanOrEqual(LIFE_MS + RULES.timing.probeMs)
    world.finishScript()
    world.tick()
    world.run()
    expect(world.last(1)).toBe('REVERTED(unconfirmed)')
    expect(world.done.map((effect) => effect.kind)).not.toContain('revert')
  })

  it('unconfirmed: the deadman was done before a daemon that stood still began to switch', () => {
    const world = new World([ordersFor(1)])
    world.careless = true
    world.run()
    world.orders(ordersFor(1, started()))
    world.until(() => world.effects[0]?.kind === 'activate')
    world.pass(LIFE_MS)
    world.finishScript()
    world.poll()
    expect(world.running).toBe(OLD)
    world.send({ kind: 'running', generation: OLD })
    world.run()
    expect([world.last(1), world.running]).toEqual(['REVERTED(unconfirmed)', OLD])
  })

  it('unconfirmed: the deadman fired and finished while the daemon was dead', () => {
    const world = confirmed()
    world.crash()
    world.pass(LIFE_MS)
    world.finishScript()
    world.restart()
    world.run()
    expect(world.last(1)).toBe('REVERTED(unconfirmed)')
    expect(world.running).toBe(OLD)
  })

  it('unconfirmed: the deadman is gone after a restart, and with it the way back', () => {
    const world = confirmed()
    world.crash()
    world.deadman = { kind: 'idle' }
    world.restart()
    world.run()
    expect([world.last(1), world.running]).toEqual(['REVERTED(unconfirmed)', OLD])
  })

  it('goes back itself when the fired script never finishes', () => {
    const world = confirmed()
    world.confirms = () => false
    for (const end = world.now + 4 * LIFE_MS; world.now < end; ) {
      world.tick()
      world.run()
    }
    expect(world.last(1)).toBe('REVERTED(unconfirmed)')
    expect(world.running).toBe(OLD)
  })

  it('goes back itself when the fired script failed', () => {
    const world = confirmed()
    world.confirms = () => false
    world.until(() => world.deadman.kind === 'fired')
    world.finishScript(false)
    world.tick()
    world.run()
    expect([world.last(1), world.running]).toEqual(['REVERTED(unconfirmed)', OLD])
  })

  it('leaves the deadman armed until it is back, renewed so that it does not interfere', () => {
    const world = confirmed()
    world.orders(ordersFor(1, { ...started(), failed: [0] }))
    world.until(() => world.effects.some((effect) => effect.kind === 'revert'))
    expect(world.deadman).toMatchObject({ kind: 'armed', target: OLD, at: world.now + LIFE_MS })
  })
})
