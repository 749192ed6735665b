import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type FeedHead,
  feedKey,
  feedOf,
  NO_FACT,
  type Placement,
  placeFact,
  splitFeedKey,
} from '../../../protocol/index.ts'

interface Link {
  readonly id: string
  readonly seq: number
  readonly prev: string
}

/** An honest chain of `length` facts; ids are words, for nothing here looks inside them. */
function chain(length: number): Link[] {
  const id = (seq: number): string => (seq < 0 ? NO_FACT : `fact ${seq}`)
  return Array.from({ length }, (_, seq) => ({ id: id(seq), seq, prev: id(seq - 1) }))
}

/** The twin: tries to build a gap-free chain out of what is held and the new fact, and looks. */
function placeSlowly(fact: Link, held: readonly Link[]): Placement['kind'] {
  if (held.some((link) => link.id === fact.id)) return 'duplicate'
  if (held.some((link) => link.seq === fact.seq)) return 'fork'
  const all = [...held, fact].sort((a, b) => a.seq - b.seq)
  if (!all.every((link, i) => link.seq === i)) return 'gap'
  const linked = all.every((link, i) => link.prev === (all[i - 1]?.id ?? NO_FACT))
  return linked ? 'append' : 'fork'
}

function place(fact: Link, held: readonly Link[]): Placement {
  const head: FeedHead | undefined = held.at(-1)
  return placeFact(fact, head, (seq) => held[seq]?.id)
}

describe('placing a fact in its feed', () => {
  it('agrees with the twin for every fact that a liar may sign', () => {
    const kinds = new Set<string>()
    const fact = fc.record({
      id: fc.oneof(
        fc.nat({ max: 6 }).map((seq) => `fact ${seq}`),
        fc.constant('another'),
      ),
      seq: fc.nat({ max: 6 }),
      prev: fc.oneof(
        fc.nat({ max: 6 }).map((seq) => `fact ${seq}`),
        fc.constantFrom(NO_FACT, 'another'),
      ),
    })
    // An id names one fact: whoever signs it anew at another place gets another id.
    const honest = fact.filter(({ id, seq }) => id === 'another' || id === `fact ${seq}`)
    fc.assert(
      fc.property(fc.nat({ max: 5 }), honest, (length, candidate) => {
        const held = chain(length)
        const { kind } = place(candidate, held)
        expect(kind).toBe(placeSlowly(candidate, held))
        kinds.add(kind)
      }),
      { numRuns: 2000 },
    )
    expect([...kinds].sort()).toEqual(['append', 'duplicate', 'fork', 'gap'])
  })

  it('an honest feed in any order, with repeats, ends whole: what gaps is simply brought again', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(chain(8), { minLength: 8 }), (arrivals) => {
        const held: Link[] = []
        for (let pass = 0; pass < 8; pass++) {
          for (const fact of arrivals) if (place(fact, held).kind === 'append') held.push(fact)
        }
        expect(held).toEqual(chain(8))
      }),
    )
  })

  it('a gap says what is missing, a fork says what stands there', () => {
    const held = chain(3)
    const beyond = { id: 'x', seq: 5, prev: 'y' }
    expect(place(beyond, held)).toEqual({ kind: 'gap', expected: 3 })
    const rival = { id: 'x', seq: 1, prev: 'fact 0' }
    expect(place(rival, held)).toEqual({ kind: 'fork', held: 'fact 1' })
    const astray = { id: 'x', seq: 3, prev: 'y' }
    expect(place(astray, held)).toEqual({ kind: 'fork', held: undefined })
  })

  it('where the held fact was pruned nothing is accused', () => {
    const old = { id: 'x', seq: 1, prev: 'y' }
    expect(placeFact(old, { seq: 9, id: 'fact 9' }, () => undefined)).toEqual({ kind: 'duplicate' })
  })
})

describe('feed keys', () => {
  it('split into what they were made of', () => {
    const [author, session] = ['ab'.repeat(32), 'cd'.repeat(16)]
    expect(splitFeedKey(feedKey(author, session))).toEqual({ author, session })
    expect(feedOf({ author, session })).toBe(feedKey(author, session))
  })
})
