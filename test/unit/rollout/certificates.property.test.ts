/** Certificates: monotone, deaf to outsiders and abstentions, and out of reach of a few liars. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttestSubject, Verdict } from '../../../protocol/index.ts'
import { failureWitnesses, isFailedByPeers, soakedByPeers } from '../../../rollout/certificates.ts'
import type { RoundRecord, WindowAttest } from '../../../rollout/fleet-view.ts'
import { witnessesNeeded } from '../../../rollout/observers.ts'

const OBSERVERS = ['k0', 'k1', 'k2', 'k3', 'k4']
const SOAK_MS = 60

/** One thing that one key says. */
interface Said {
  readonly seq: number
  readonly key: string
  readonly window: number
  readonly verdict: Verdict
  readonly elapsedMs: number
  readonly generation: string
  readonly boot: string
}

const anySaid: fc.Arbitrary<Said> = fc.record({
  seq: fc.constant(0),
  key: fc.constantFrom(...OBSERVERS, 'outsider', 'subject'),
  window: fc.nat(6),
  verdict: fc.constantFrom<Verdict[]>('ok', 'ok', 'ok', 'fail', 'abstain'),
  elapsedMs: fc.nat(80),
  generation: fc.constantFrom('new', 'new', 'new', 'old'),
  boot: fc.constantFrom('b1', 'b2'),
})
const anyStory = fc.array(anySaid, { maxLength: 40 }).map(numbered)

describe('certificates', () => {
  it('never retract when more is known, in whatever order it came', () => {
    const held = { failed: 0, soaked: 0, soakedInB1: 0 }
    fc.assert(
      fc.property(anyStory, fc.nat(40), fc.integer({ min: 1, max: 3 }), (story, cut, needed) => {
        const some = answers(recordOf(story.slice(0, cut)), needed)
        const all = answers(recordOf(story), needed)
        expect(answers(recordOf([...story].reverse()), needed)).toEqual(all)
        for (const name of ['failed', 'soaked', 'soakedInB1'] as const) {
          if (some[name]) expect(all[name]).toBe(true)
          if (some[name]) held[name]++
        }
      }),
      { numRuns: 500 },
    )
    expect(Math.min(...Object.values(held))).toBeGreaterThan(0)
  })

  it('agree with a count by hand', () => {
    let yes = 0
    fc.assert(
      fc.property(anyStory, fc.integer({ min: 1, max: 3 }), (story, needed) => {
        const fails = new Set(
          story.filter((s) => s.verdict === 'fail' && OBSERVERS.includes(s.key)).map((s) => s.key),
        )
        const soaks = (boot: string): number =>
          OBSERVERS.filter((key) => {
            let sum = 0
            for (const s of story) {
              if (s.key !== key || s.verdict !== 'ok' || s.generation !== 'new') continue
              if (s.boot === boot && isFirstWord(story, s)) sum += s.elapsedMs
            }
            return sum >= SOAK_MS
          }).length
        const found = answers(recordOf(story), needed)
        expect(found.failed).toBe(fails.size >= needed)
        expect(found.soakedInB1).toBe(soaks('b1') >= needed)
        expect(found.soaked).toBe(soaks('b1') >= needed || soaks('b2') >= needed)
        if (found.soaked) yes++
      }),
      { numRuns: 500 },
    )
    expect(yes).toBeGreaterThan(0)
  })

  it('count no observer twice and nobody who was not drawn', () => {
    const round = recordOf([
      said({ key: 'k0', verdict: 'fail' }),
      said({ key: 'outsider', verdict: 'fail' }),
    ])
    expect(failureWitnesses(round, ['k0', 'k0', 'k1'])).toEqual(['k0'])
    expect(isFailedByPeers({ round, observerKeys: ['k0', 'k0'], needed: 2 })).toBe(false)
  })

  it('are never complete for a host that nobody observes', () => {
    const round = recordOf([])
    expect(isFailedByPeers({ round, observerKeys: [], needed: 0 })).toBe(false)
    const soak = { round, observerKeys: [], soakMs: SOAK_MS, generation: 'new', needed: 0 }
    expect(soakedByPeers(soak)).toBe(false)
  })
})

describe('liars among the observers', () => {
  const anyFleet = fc.record({
    k: fc.integer({ min: 1, max: 5 }),
    lies: fc.array(anySaid, { maxLength: 60 }),
    liars: fc.nat(5),
  })

  it('up to k − qObs make no failure certificate for a host that answered all others', () => {
    expectBounded(
      (k, qObs) => k - qObs,
      'ok',
      (found) => found.failed,
    )
  })

  it('up to qObs − 1 make no health certificate for a host that answered none of the others', () => {
    expectBounded(
      (_k, qObs) => qObs - 1,
      'fail',
      (found) => found.soaked,
    )
  })

  it('one more of them does both: the bounds are exact', () => {
    for (let k = 1; k <= 5; k++) {
      const observerKeys = OBSERVERS.slice(0, k)
      const needed = witnessesNeeded({ k, faultModel: 'byzantine' })
      const liars = observerKeys.slice(0, needed.failure)
      const accused = recordOf(liars.map((key) => said({ key, verdict: 'fail' })))
      expect(isFailedByPeers({ round: accused, observerKeys, needed: needed.failure })).toBe(true)
      const praised = recordOf(liars.map((key) => said({ key, verdict: 'ok', elapsedMs: SOAK_MS })))
      const soak = { observerKeys, soakMs: SOAK_MS, generation: 'new', needed: needed.health }
      expect(soakedByPeers({ ...soak, round: praised })).toBe(true)
    }
  })

  function expectBounded(
    bound: (k: number, qObs: number) => number,
    honest: Verdict,
    reached: (found: ReturnType<typeof answers>) => boolean,
  ): void {
    fc.assert(
      fc.property(anyFleet, ({ k, lies, liars }) => {
        const needed = witnessesNeeded({ k, faultModel: 'byzantine' })
        const observers = OBSERVERS.slice(0, k)
        const lying = observers.slice(0, Math.min(liars, bound(k, needed.failure)))
        const truth = observers
          .filter((key) => !lying.includes(key))
          .map((key) => said({ key, verdict: honest, elapsedMs: SOAK_MS }))
        const told = numbered([...lies.filter((lie) => lying.includes(lie.key)), ...truth])
        expect(reached(answers(recordOf(told), needed.failure, observers))).toBe(false)
      }),
      { numRuns: 300 },
    )
  }
})

function isFirstWord(story: readonly Said[], { key, window, seq }: Said): boolean {
  return !story.some(
    (s) => s.key === key && s.window === window && s.verdict !== 'fail' && s.seq < seq,
  )
}

function answers(
  round: RoundRecord,
  needed: number,
  observerKeys: readonly string[] = OBSERVERS,
): { failed: boolean; soaked: boolean; soakedInB1: boolean } {
  const soak = { round, observerKeys, soakMs: SOAK_MS, generation: 'new', needed }
  return {
    failed: isFailedByPeers({ round, observerKeys, needed }),
    soaked: soakedByPeers(soak),
    soakedInB1: soakedByPeers({ ...soak, boot: 'b1' }),
  }
}

function said(changes: Partial<Said>): Said {
  const plain = { seq: 0, key: 'k0', window: 0, elapsedMs: 0, generation: 'new', boot: 'b1' }
  return { verdict: 'ok', ...plain, ...changes }
}

/** As the fold does: of one place the lowest sequence; FAIL and the rest are different places. */
function recordOf(story: readonly Said[]): RoundRecord {
  const attests = new Map<string, Map<string, WindowAttest>>()
  for (const { key, window, seq, ...rest } of story) {
    const subject: AttestSubject = { host: 'subject', round: 0, window, ok: 1, ko: 0, ...rest }
    const windows = attests.get(key) ?? new Map<string, WindowAttest>()
    const place = `${window}/${rest.verdict === 'fail' ? 'fail' : 'seen'}`
    if ((windows.get(place)?.seq ?? seq) < seq) continue
    attests.set(key, windows.set(place, { seq, fact: `f${seq}`, subject }))
  }
  return { transitions: new Map(), attests }
}

function numbered(story: readonly Said[]): readonly Said[] {
  return story.map((said, seq) => ({ ...said, seq }))
}
