/** The boot clock through a suspend, and the virtual clock's order. */
import { describe, expect, it } from 'vitest'
import { systemClock, systemRandom } from '../../../node/clock.ts'
import { VirtualClock } from '../../simulation/virtual-clock.ts'

describe('the system clock', () => {
  it('counts a suspend, never goes back, and is finer than the uptime that it is made from', () => {
    let monotonic = 500
    let suspended = 0
    const uptimeMs = (): number => Math.floor((monotonic + 70_000 + suspended) / 10) * 10
    const clock = systemClock({ monotonicMs: () => monotonic, uptimeMs })
    let before = clock.bootMs()
    for (let i = 0; i < 500; i++) {
      monotonic += 0.7
      if (i === 250) suspended = 3_600_000
      const now = clock.bootMs()
      expect(now).toBeGreaterThan(before)
      expect(Math.abs(now - (monotonic + 70_000 + suspended))).toBeLessThanOrEqual(10)
      before = now
    }
  })

  it('agrees with the machine and runs a timer once, unless it is cancelled', async () => {
    const clock = systemClock()
    const start = clock.bootMs()
    let cancelled = 0
    clock.after(5, () => cancelled++)()
    await new Promise<void>((resolve) => void clock.after(20, resolve))
    expect(clock.bootMs() - start).toBeGreaterThanOrEqual(20)
    expect(cancelled).toBe(0)
    expect(Math.abs(clock.wallMs() - Date.now())).toBeLessThan(1_000)
    expect(systemRandom().bytes(32)).toHaveLength(32)
  })
})

describe('the virtual clock', () => {
  it('runs timers by time, then by age, and settles between two of them', async () => {
    const clock = new VirtualClock({ bootMs: 0 })
    const log: string[] = []
    const say = (name: string) => async () => {
      log.push(`${name}@${clock.bootMs()}`)
      for (let i = 0; i < 20; i++) await Promise.resolve()
      log.push(`${name} settled@${clock.bootMs()}`)
    }
    clock.after(20, () => void say('late')())
    clock.after(10, () => void say('first')())
    clock.after(10, () => void say('second')())
    const cancel = clock.after(10, () => log.push('never'))
    clock.after(5, () => {
      cancel()
      clock.after(0, () => log.push(`nested@${clock.bootMs()}`))
    })
    await clock.advance(20)
    expect(log).toEqual([
      'nested@5',
      'first@10',
      'first settled@10',
      'second@10',
      'second settled@10',
      'late@20',
      'late settled@20',
    ])
    expect(clock.bootMs()).toBe(20)
  })

  it('gives hosts clocks of their own on one time line', async () => {
    const clock = new VirtualClock({ bootMs: 100, wallMs: 5_000 })
    const host = clock.view({ bootMs: 7, wallMs: -1_000 })
    await clock.advance(50)
    expect([host.bootMs(), host.wallMs()]).toEqual([157, 4_050])
    await expect(clock.until(() => false, 30)).rejects.toThrow(/30 virtual ms/)
  })
})
