/** The voter's judgement, reason by reason, and the rule that no round is both skipped and leased. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeCanonical, encodeCanonical } from '../../../protocol/index.ts'
import { LEASE_BOOK_MAX } from '../../../rollout/host-limits.ts'
import {
  answerLease,
  EMPTY_BOOK,
  GRANT_BOOK,
  type GrantBook,
  hasGranted,
  judgeLease,
  type LeaseKey,
  type LeaseQuestion,
  noteSkips,
  pruneBook,
} from '../../../rollout/lease.ts'
import { rolloutId } from './host-setting.ts'

const GOOD: LeaseQuestion = {
  voter: true,
  ownPeer: true,
  started: true,
  ended: false,
  halted: false,
  breached: false,
  last: true,
  forbidden: false,
}
const KEY: LeaseKey = { rollout: rolloutId(1), host: 'web-1', round: 0 }

describe('a voter', () => {
  it('grants when the start still stands', () => {
    expect(judgeLease(GOOD)).toEqual({ granted: true })
  })

  it.each([
    ['not-a-voter', { voter: false }],
    ['wrong-peer', { ownPeer: false }],
    ['no-start', { started: false }],
    ['ended', { ended: true }],
    ['halted', { halted: true }],
    ['breached', { breached: true }],
    ['superseded', { last: false }],
    ['forbidden-by-vote', { forbidden: true }],
  ] as const)('refuses, and says why: %s', (refusal, fault) => {
    expect(judgeLease({ ...GOOD, ...fault })).toEqual({ granted: false, refusal })
    const asked = answerLease(EMPTY_BOOK, KEY, { ...GOOD, ...fault })
    expect(asked).toEqual({ book: EMPTY_BOOK, answer: { granted: false, refusal } })
  })

  it('grants again for the same round without a second note', () => {
    const once = answerLease(EMPTY_BOOK, KEY, GOOD)
    const twice = answerLease(once.book, KEY, GOOD)
    expect(twice).toEqual({ book: once.book, answer: { granted: true } })
    expect(once.book.notes).toHaveLength(1)
  })

  it('never votes to skip what it granted, also when other hosts stand in the same block', () => {
    const { book } = answerLease(EMPTY_BOOK, KEY, GOOD)
    expect(hasGranted(book, KEY)).toBe(true)
    expect(noteSkips(book, [{ ...KEY, host: 'web-2' }, KEY])).toBeUndefined()
    expect(noteSkips(book, [{ ...KEY, round: 1 }])).toBeDefined()
  })

  it('never grants what it voted to skip', () => {
    const book = noteSkips(EMPTY_BOOK, [KEY]) ?? EMPTY_BOOK
    const refused = { granted: false, refusal: 'forbidden-by-vote' }
    expect(answerLease(book, KEY, GOOD).answer).toEqual(refused)
    expect(answerLease(book, { ...KEY, round: 1 }, GOOD).answer).toEqual({ granted: true })
  })

  it('with a full book gives nothing new, and still repeats what it gave', () => {
    let book: GrantBook = EMPTY_BOOK
    for (let i = 0; i < LEASE_BOOK_MAX; i++) {
      book = { notes: [...book.notes, { ...KEY, host: `web-${i}`, gave: 'grant' }] }
    }
    expect(answerLease(book, { ...KEY, host: 'one-more' }, GOOD).answer.granted).toBe(false)
    expect(noteSkips(book, [{ ...KEY, host: 'one-more' }])).toBeUndefined()
    expect(answerLease(book, { ...KEY, host: 'web-7' }, GOOD).answer.granted).toBe(true)
    expect(pruneBook(book, (key) => key.host === 'web-7').notes).toHaveLength(1)
  })
})

const key: fc.Arbitrary<LeaseKey> = fc.record({
  rollout: fc.integer({ min: 1, max: 2 }).map(rolloutId),
  host: fc.constantFrom('web-1', 'web-2'),
  round: fc.constantFrom(0, 1),
})

describe('three voters with a quorum of two (S17)', () => {
  it('never gather both a lease and a skip for one round, over any crash', () => {
    let leases = 0
    let skips = 0
    const step = fc.record({ voter: fc.nat(2), key, skip: fc.boolean(), crash: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { minLength: 30, maxLength: 80 }), (steps) => {
        const books = [EMPTY_BOOK, EMPTY_BOOK, EMPTY_BOOK]
        const given = new Map<string, Set<number>>()
        for (const { voter, key, skip, crash } of steps) {
          const book = books[voter] ?? EMPTY_BOOK
          const asked = answerLease(book, key, GOOD)
          const next = skip ? noteSkips(book, [key]) : asked.book
          // A crash after the journal: the note is there, the answer never left.
          if (next !== undefined) books[voter] = reread(next)
          if (crash || next === undefined || (!skip && !asked.answer.granted)) continue
          const what = `${skip ? 'skip' : 'lease'}/${key.rollout}/${key.host}/${key.round}`
          given.set(what, (given.get(what) ?? new Set()).add(voter))
        }
        const full = [...given].filter(([, voters]) => voters.size >= 2).map(([what]) => what)
        for (const what of full) {
          if (what.startsWith('skip')) skips += 1
          else leases += 1
          expect(full).not.toContain(
            what.replace('skip', 'lease') === what
              ? what.replace('lease', 'skip')
              : what.replace('skip', 'lease'),
          )
        }
      }),
    )
    expect(leases).toBeGreaterThan(0)
    expect(skips).toBeGreaterThan(0)
  })
})

function reread(book: GrantBook): GrantBook {
  const bytes = encodeCanonical(GRANT_BOOK.encode(book))
  const again = GRANT_BOOK.decode(decodeCanonical(bytes, 1 << 20, 'book'), 'book')
  expect(again).toEqual(book)
  return again
}
