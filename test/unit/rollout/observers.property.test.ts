/** The draw of observers: recomputable, never self, spread out, and fair. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drawObservers, type Member, witnessesNeeded } from '../../../rollout/observers.ts'

const block = (n: number): string => n.toString(16).padStart(64, '0')
const anyTags = fc.record({
  rack: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }),
  site: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }),
})
const anyMembers = fc
  .array(anyTags, { minLength: 1, maxLength: 24 })
  .map((all) => all.map((tags, i): Member => ({ name: `h${i}`, tags: tagList(tags) })))
const anyBlock = fc.nat(1_000_000).map(block)

describe('the observers of a host', () => {
  it('are min(5, others) distinct members and never the host itself', () => {
    fc.assert(
      fc.property(anyMembers, anyBlock, fc.nat(), (members, admitBlock, pick) => {
        const host = members[pick % members.length]?.name ?? ''
        const drawn = drawObservers({ admitBlock, host, members })
        expect(drawn).toHaveLength(Math.min(5, members.length - 1))
        expect(new Set(drawn).size).toBe(drawn.length)
        expect(drawn).not.toContain(host)
        const names = members.map((member) => member.name)
        expect(drawn.every((name) => names.includes(name))).toBe(true)
      }),
    )
  })

  it('are the same whatever the order of the members', () => {
    fc.assert(
      fc.property(
        anyMembers,
        anyBlock,
        fc.infiniteStream(fc.nat()),
        (members, admitBlock, keys) => {
          const shuffled = members
            .map((member) => ({ member, key: keys.next().value ?? 0 }))
            .sort((a, b) => a.key - b.key)
            .map(({ member }) => member)
          const host = 'h0'
          expect(drawObservers({ admitBlock, host, members: shuffled })).toEqual(
            drawObservers({ admitBlock, host, members }),
          )
        },
      ),
    )
  })

  it('are the lowest hashes where no tags tell the hosts apart', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 30 }), anyBlock, (count, admitBlock) => {
        const members = Array.from({ length: count }, (_, i) => ({ name: `h${i}`, tags: [] }))
        const twin = members
          .slice(1)
          .map(({ name }) => ({ name, hash: hashOf(admitBlock, 'h0', name) }))
          .sort((a, b) => a.hash.localeCompare(b.hash))
          .slice(0, 5)
          .map(({ name }) => name)
        expect(drawObservers({ admitBlock, host: 'h0', members })).toEqual(twin)
      }),
    )
  })

  it('stand in as many racks as can be, once the group has eight hosts', () => {
    fc.assert(
      fc.property(anyBlock, fc.integer({ min: 8, max: 40 }), (admitBlock, count) => {
        const rackOf = (i: number): string => `rack=r${i % 6}`
        const members = Array.from({ length: count }, (_, i) => ({
          name: `h${i}`,
          tags: ['site=only', rackOf(i)],
        }))
        const drawn = drawObservers({ admitBlock, host: 'h0', members })
        const racks = new Set(drawn.map((name) => rackOf(Number(name.slice(1)))))
        expect(racks.size).toBe(5)
        expect(racks).not.toContain('rack=r0')
      }),
    )
  })

  it('come from another site first, and racks of one name at two sites are two racks', () => {
    const members = [
      ...Array.from({ length: 7 }, (_, i) => ({ name: `near${i}`, tags: ['site=a', 'rack=1'] })),
      { name: 'far', tags: ['site=b', 'rack=1'] },
      { name: 'beside', tags: ['site=a', 'rack=2'] },
    ]
    for (let n = 0; n < 20; n++) {
      const drawn = drawObservers({ admitBlock: block(n), host: 'near0', members })
      expect(drawn.slice(0, 2)).toEqual(['far', 'beside'])
    }
  })

  it('fall on every host about as often as on any other', () => {
    const members = Array.from({ length: 20 }, (_, i) => ({ name: `h${i}`, tags: [] }))
    const times = new Map<string, number>()
    const draws = 2000
    for (let n = 0; n < draws; n++) {
      for (const name of drawObservers({ admitBlock: block(n), host: 'h0', members })) {
        times.set(name, (times.get(name) ?? 0) + 1)
      }
    }
    expect(times.size).toBe(19)
    const fair = (draws * 5) / 19
    for (const count of times.values()) expect(Math.abs(count - fair)).toBeLessThan(fair / 4)
  })
})

describe('the witnesses needed', () => {
  it('are a majority of the observers, but for a kind pair under the crash model', () => {
    for (let k = 1; k <= 7; k++) {
      const majority = Math.floor(k / 2) + 1
      const all = { health: majority, confirm: majority, failure: majority }
      expect(witnessesNeeded({ k, faultModel: 'byzantine' })).toEqual(all)
      const kind = k === 2 ? { health: 1, confirm: 1, failure: 2 } : all
      expect(witnessesNeeded({ k, faultModel: 'crash' })).toEqual(kind)
    }
  })

  it('are none where nobody observes', () => {
    const none = { health: 0, confirm: 0, failure: 0 }
    expect(witnessesNeeded({ k: 0, faultModel: 'crash' })).toEqual(none)
    expect(witnessesNeeded({ k: 0, faultModel: 'byzantine' })).toEqual(none)
  })
})

function hashOf(admitBlock: string, host: string, candidate: string): string {
  return createHash('sha256')
    .update(admitBlock, 'hex')
    .update(`${host}\0${candidate}`)
    .digest('hex')
}

function tagList(tags: { rack: string | undefined; site: string | undefined }): string[] {
  return Object.entries(tags).flatMap(([key, value]) =>
    value === undefined ? [] : `${key}=${value}`,
  )
}
