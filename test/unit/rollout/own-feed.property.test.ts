/** S12: a host writes in a session only when nobody can hold more of it (SPEC §7.6). */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SESSIONS_PER_HOUR_MAX } from '../../../protocol/index.ts'
import {
  maySpeak,
  type OwnFeedEvent,
  type OwnFeedState,
  startOwnFeed,
  stepOwnFeed,
} from '../../../rollout/own-feed.ts'
import { session } from './world.ts'

const OTHERS = ['oak', 'elm', 'ash']
const UNTIL = 100

function begun(opened: readonly number[] = []): OwnFeedState {
  return startOwnFeed({ session: session(0), fresh: false, others: OTHERS, opened, until: UNTIL })
}

/** A host with a disk that takes every write, and a time that only moves on. */
const days = fc.array(
  fc.record({
    event: fc.oneof(
      fc.constantFrom(...OTHERS, 'stranger').map((peer) => ({ kind: 'answered', peer }) as const),
      fc.constant({ kind: 'forgot' } as const),
      fc.constant({ kind: 'tick' } as const),
      fc.constant({ kind: 'crash' } as const),
    ),
    passed: fc.nat(40),
  }),
  { maxLength: 60 },
)

test('it speaks in its old session only after everybody answered and nobody showed more', () => {
  let spoke = 0
  let left = 0
  fc.assert(
    fc.property(days, (day) => {
      let state = begun()
      let now = 0
      let drawn = 1
      let answered = new Set<string>()
      let shown = false
      for (const { event, passed } of day) {
        now += passed
        if (event.kind === 'crash') {
          state = { ...begun(state.opened), session: state.session, until: now + UNTIL }
          answered = new Set()
          shown = false
          continue
        }
        const given: OwnFeedEvent =
          event.kind === 'forgot' ? { kind: 'forgot', session: state.session } : event
        if (given.kind === 'answered') answered.add(given.peer)
        if (given.kind === 'forgot') shown = true
        const before = state.session
        const step = stepOwnFeed(state, given, { now, wallMs: now })
        state = step.state
        for (const { opened } of step.effects) {
          expect(maySpeak(state)).toBe(false)
          const fresh = session(drawn++)
          state = stepOwnFeed(
            state,
            { kind: 'opened', session: fresh, opened },
            { now, wallMs: now },
          ).state
          expect(state.session).toBe(fresh)
          left++
          shown = false
          answered = new Set(OTHERS)
        }
        if (!maySpeak(state) || state.session !== before) continue
        spoke++
        expect(shown).toBe(false)
        expect(OTHERS.every((one) => answered.has(one))).toBe(true)
      }
      expect(state.opened.length).toBeLessThanOrEqual(SESSIONS_PER_HOUR_MAX)
    }),
    { numRuns: 300 },
  )
  expect(spoke).toBeGreaterThan(50)
  expect(left).toBeGreaterThan(50)
})

test('a fresh session and a group of one ask nobody', () => {
  const given = { session: session(0), opened: [], until: UNTIL }
  expect(maySpeak(startOwnFeed({ ...given, fresh: true, others: OTHERS }))).toBe(true)
  expect(maySpeak(startOwnFeed({ ...given, fresh: false, others: [] }))).toBe(true)
  expect(maySpeak(startOwnFeed({ ...given, fresh: false, others: OTHERS }))).toBe(false)
})

test('old sessions of its own are no reason to leave the one that it speaks in', () => {
  const speaking: OwnFeedState = { ...begun(), phase: 'speaking' }
  const times = { now: 1, wallMs: 1 }
  const old = stepOwnFeed(speaking, { kind: 'forgot', session: session(9) }, times)
  expect([maySpeak(old.state), old.effects.length]).toEqual([true, 0])
  const own = stepOwnFeed(speaking, { kind: 'forgot', session: session(0) }, times)
  expect([maySpeak(own.state), own.effects.length]).toEqual([false, 1])
})

test('a host that opened too many sessions in an hour is silent until the hour has passed', () => {
  const hour = 3600_000
  const opened = Array.from({ length: SESSIONS_PER_HOUR_MAX }, (_, i) => 1_000 + i)
  let { state, effects } = stepOwnFeed(
    begun(opened),
    { kind: 'tick' },
    { now: UNTIL, wallMs: 2_000 },
  )
  expect([maySpeak(state), effects.length]).toEqual([false, 0])
  ;({ state, effects } = stepOwnFeed(state, { kind: 'tick' }, { now: 200, wallMs: hour }))
  expect(effects.length).toBe(0)
  ;({ state, effects } = stepOwnFeed(state, { kind: 'tick' }, { now: 300, wallMs: hour + 1_000 }))
  expect(effects).toEqual([{ kind: 'open', opened: [...opened.slice(1), hour + 1_000] }])
})
