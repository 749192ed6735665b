/** Whom a round dials, and how many may be served at once. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Quota } from '../../../node/network/quota.ts'
import { chooseDials } from '../../../node/network/redial.ts'

const candidate = fc.record({
  name: fc.string({ minLength: 1, maxLength: 4 }),
  voter: fc.boolean(),
  connected: fc.boolean(),
  dialing: fc.boolean(),
  lastTried: fc.option(fc.nat(20), { nil: undefined }),
})
const candidates = fc.uniqueArray(candidate, { selector: ({ name }) => name, maxLength: 30 })

describe('a redial round', () => {
  it('dials only who is neither connected nor being dialed, within its places', () => {
    fc.assert(
      fc.property(candidates, fc.nat(12), fc.nat(6), (all, wanted, parallel) => {
        const chosen = chooseDials(all, { wanted, parallel })
        const dialing = all.filter((one) => one.dialing).length
        expect(chosen.length).toBeLessThanOrEqual(Math.max(0, parallel - dialing))
        for (const name of chosen) {
          expect(all.find((one) => one.name === name)).toMatchObject({
            connected: false,
            dialing: false,
          })
        }
        const full = all.filter(({ connected }) => connected).length >= wanted
        if (full)
          expect(chosen.every((name) => all.find((one) => one.name === name)?.voter)).toBe(true)
      }),
    )
  })

  it('comes to everybody, however many of them never answer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(7), (count, voters) => {
        const tried = new Map<string, number>()
        const rounds = Math.ceil(count / 4)
        for (let round = 1; round <= rounds; round++) {
          const all = Array.from({ length: count }, (_, i) => ({
            name: `host-${i}`,
            voter: i < voters,
            connected: false,
            dialing: false,
            lastTried: tried.get(`host-${i}`),
          }))
          for (const name of chooseDials(all, { wanted: 12, parallel: 4 })) tried.set(name, round)
        }
        expect(tried.size).toBe(count)
      }),
    )
  })
})

describe('a quota', () => {
  it('never lets more through than its limits, and has every place again at the end', () => {
    const move = fc.record({ peer: fc.constantFrom('a', 'b', 'c'), take: fc.boolean() })
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const quota = new Quota({ perPeer: 2, total: 4 })
        const held = new Map<string, number>()
        const total = (): number => [...held.values()].reduce((sum, count) => sum + count, 0)
        for (const { peer, take } of moves) {
          const own = held.get(peer) ?? 0
          if (take) {
            const expected = own < 2 && total() < 4
            expect(quota.take(peer)).toBe(expected)
            if (expected) held.set(peer, own + 1)
          } else if (own > 0) {
            quota.give(peer)
            held.set(peer, own - 1)
          } else quota.give(peer)
        }
      }),
    )
  })
})
