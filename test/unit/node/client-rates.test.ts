/** How often a client may ask: the bucket and its dumb twin, and who a client is. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClientRates } from '../../../node/api/client-rates.ts'
import { CLIENT_BURST, CLIENT_PER_SECOND, CLIENTS_MAX } from '../../../node/api/limits.ts'
import { clientOf } from '../../../node/client-address.ts'

describe('the rates of clients', () => {
  it('let through no more than the burst and the rate, in any stretch of time', () => {
    const waits = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 400 })
    fc.assert(
      fc.property(waits, (steps) => {
        const rates = new ClientRates()
        const passed: number[] = []
        let nowMs = 0
        for (const step of steps) {
          nowMs += step
          if (rates.take('10.0.0.1', nowMs) === undefined) passed.push(nowMs)
        }
        passed.forEach((from, first) => {
          passed.slice(first).forEach((to, count) => {
            const most = CLIENT_BURST + ((to - from) / 1000) * CLIENT_PER_SECOND
            expect(count + 1).toBeLessThanOrEqual(most + 1e-6)
          })
        })
      }),
      { numRuns: 30 },
    )
  })

  it('say how long to wait, and that is enough', () => {
    const cost = fc.integer({ min: 1, max: 50 })
    fc.assert(
      fc.property(fc.array(cost, { minLength: 130, maxLength: 200 }), (costs) => {
        const rates = new ClientRates()
        const waits = costs.map((one) => rates.take('10.0.0.1', 0, one))
        const seconds = waits.at(-1) ?? 0
        expect(seconds).toBeGreaterThan(0)
        expect(rates.take('10.0.0.1', seconds * 1000)).toBeUndefined()
      }),
    )
  })

  it('of one client are not those of another, and no more clients are remembered than the bound', () => {
    const rates = new ClientRates()
    for (let i = 0; i <= CLIENT_BURST; i++) rates.take('10.0.0.1', 0)
    expect(rates.take('10.0.0.1', 0)).toBeDefined()
    for (let i = 0; i < 2 * CLIENTS_MAX; i++) {
      expect(rates.take(`client ${i}`, 0)).toBeUndefined()
      // Whoever goes on asking is not forgotten for the strangers.
      if (i % 100 === 0) expect(rates.take('10.0.0.1', 0)).toBeDefined()
    }
    expect(rates.size).toBe(CLIENTS_MAX)
  })
})

describe('a client', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    [undefined, 'unknown'],
  ])('at %s is %s', (address, client) => {
    expect(clientOf(address)).toBe(client)
  })
})
