/** What a proven liar's votes are worth in a group that bears none (SPEC §7.8), rule by rule. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Block, Certificate, VoteKind } from '../../../protocol/index.ts'
import type { GateConfig } from '../../../rollout/gate-machine.ts'
import { type Bench, bench, only, R, S, votesIn } from './gate-bench.ts'
import { disagreement, doubleVoices } from './gate-checks.ts'
import { blockAt, fakeConfig, keys, proven, voteOf } from './gate-fakes.ts'
import { runTrial, type Weather } from './gate-network.ts'

/** Voter 0 of three, which need two; voter 1 leads view 1 and lies. */
const three: GateConfig = fakeConfig({ n: 3, self: keys(3)[0] ?? '' })
const LIAR = 1
const CALM_MS = 6_000
const b1: Block = blockAt(three, { view: 1, requests: [R] })
const onB1: Block = blockAt(three, { view: 2, parent: b1.id, requests: [S] })
const beside: Block = blockAt(three, { view: 2, requests: [S] })

function certificate(
  config: GateConfig,
  kind: VoteKind,
  on: Block | number,
  places: readonly number[],
): Certificate {
  const votes = places.map((i) => voteOf(config, i, kind, on))
  const [first] = votes
  if (first === undefined) throw new Error('a certificate has votes')
  return {
    kind,
    body: first.body,
    votes: votes.map(({ voter, signature }) => ({ voter, signature })),
  }
}

/** A voter that holds a proof against the liar. */
function wary(config: GateConfig = three): Bench {
  const one = bench({ held: [R, S], config })
  one.accused = proven(keys(config.voters.length)[LIAR] ?? '')
  return one
}

const committed = (one: Bench): readonly string[] =>
  only(one.effects, 'committed').map(({ block }) => block.id)

describe('a final certificate with a liar’s vote', () => {
  it('commits nothing on a basis that shows the proof, until q others have voted', () => {
    const one = wary()
    one.take(b1, certificate(three, 'notarize', b1, [0, 2]), voteOf(three, 0, 'final', b1))
    one.take(certificate(three, 'final', b1, [0, LIAR]))
    expect(committed(one)).toEqual([])
    const told = one.take(voteOf(three, 2, 'final', b1))
    expect(committed(one)).toEqual([b1.id])
    const shown = only(told, 'publish').map(({ message }) => message)
    expect(shown).toMatchObject([{ kind: 'certificate', certificate: { kind: 'final' } }])
    const [message] = shown
    const votes = message?.kind === 'certificate' ? message.certificate.votes : []
    expect(votes.map(({ voter }) => voter)).toEqual(keys(3))
  })

  it('commits where the basis shows no proof: whoever holds the block judges alike', () => {
    const one = wary()
    one.accused = { ...one.accused, pinned: new Set() }
    one.take(b1, certificate(three, 'final', b1, [0, LIAR]))
    expect(committed(one)).toEqual([b1.id])
  })

  it('is made whole by another certificate of it', () => {
    const one = wary()
    one.take(b1, certificate(three, 'final', b1, [0, LIAR]))
    expect(committed(one)).toEqual([])
    one.take(certificate(three, 'final', b1, [0, 2]))
    expect(committed(one)).toEqual([b1.id])
  })
})

describe('a voter that holds the proof', () => {
  it('votes to commit only what q others stand behind', () => {
    const one = wary()
    one.take(b1)
    expect(votesIn(one.take(certificate(three, 'notarize', b1, [0, LIAR])))).toEqual([])
    expect(votesIn(one.take(voteOf(three, 2, 'notarize', b1)))).toContain('final 1')
  })

  it('votes to commit nothing whose basis lacks a proof that it could show', () => {
    const one = wary()
    one.accused = { ...one.accused, pinned: new Set(), owed: true }
    one.take(b1)
    expect(votesIn(one.take(certificate(three, 'notarize', b1, [0, 2])))).toEqual([])
    one.accused = { ...one.accused, owed: false }
    expect(votesIn(one.step({ kind: 'changed' }))).toEqual(['final 1'])
  })

  it('stands behind nothing beside what it voted to commit, though a liar helped to skip that', () => {
    const one = wary()
    one.take(b1, certificate(three, 'notarize', b1, [0, 2]), voteOf(three, 0, 'final', b1))
    expect(votesIn(one.effects)).toEqual(['notarize 1', 'final 1'])
    one.take(certificate(three, 'skip', 1, [LIAR, 2]))
    expect(votesIn(one.take(beside))).toEqual([])
    const other = wary()
    other.take(b1, certificate(three, 'notarize', b1, [0, 2]), voteOf(three, 0, 'final', b1))
    other.take(certificate(three, 'skip', 1, [LIAR, 2]))
    expect(votesIn(other.take(onB1))).toEqual(['notarize 2'])
  })

  it('is free of what it voted to commit once q others have skipped it', () => {
    const five = fakeConfig({ n: 5, quorum: 3, self: keys(5)[0] ?? '' })
    const first = blockAt(five, { view: 1, requests: [R] })
    const second = blockAt(five, { view: 2, requests: [S] })
    for (const [places, votes] of [
      [[LIAR, 3, 4], []],
      [[2, 3, 4], ['notarize 2']],
    ] as const) {
      const one = wary(five)
      one.take(first, certificate(five, 'notarize', first, [0, 2, 3]))
      one.take(voteOf(five, 0, 'final', first), certificate(five, 'skip', 1, places))
      expect(votesIn(one.take(second)), places.join()).toEqual(votes)
    }
  })

  it('votes late to commit only what everything that it said since then stands on', () => {
    for (const [accused, votes] of [
      [true, []],
      [false, ['final 1']],
    ] as const) {
      const one = wary()
      if (!accused) one.accused = bench().accused
      one.take(b1, certificate(three, 'skip', 1, [LIAR, 2]), beside)
      expect(votesIn(one.effects)).toEqual(['notarize 1', 'notarize 2'])
      one.take(voteOf(three, 0, 'notarize', b1), voteOf(three, 0, 'notarize', beside))
      expect(votesIn(one.take(certificate(three, 'notarize', b1, [0, 2])))).toEqual(votes)
    }
  })
})

describe('three voters of which one is proven to lie', () => {
  const storms: fc.Arbitrary<Weather> = fc.record({
    ...{ seed: fc.nat(), n: fc.constant(3), liars: fc.constant(1), dead: fc.constant(0) },
    ...{ followers: fc.constantFrom(0, 1), requests: fc.integer({ min: 2, max: 6 }) },
    ...{ stormMs: fc.integer({ min: 10, max: 2_500 }), loss: fc.constantFrom(0, 10, 40) },
    ...{ doubling: fc.constantFrom(0, 30), delayMs: fc.constantFrom(2, 30, 150) },
    ...{ crashes: fc.nat(3), cuts: fc.nat(3) },
  })

  it('never come to two logs, whatever it says', () => {
    let settled = 0
    fc.assert(
      fc.property(storms, (weather) => {
        const seen = runTrial({ ...weather, proven: true }, CALM_MS, 0)
        expect(disagreement(seen)).toBeUndefined()
        expect(seen.broken).toEqual([])
        expect(doubleVoices(seen)).toEqual([])
        if (seen.settledMs !== undefined) settled++
        else
          expect(
            seen.conflicts,
            'nothing else than certificates that part stops it',
          ).toBeGreaterThan(0)
      }),
      { numRuns: 150 },
    )
    expect(settled, 'most of the time two are enough').toBeGreaterThan(20)
  }, 60_000)

  it.each([
    { seed: 22, loss: 10, delayMs: 30, crashes: 0 },
    { seed: 49, loss: 10, delayMs: 150, crashes: 1 },
    { seed: 63, loss: 0, delayMs: 150, crashes: 1 },
    { seed: 155, loss: 40, delayMs: 150, crashes: 1 },
  ])('keep to one log in storm $seed, which parts them without the proof', (storm) => {
    const place = { n: 3, liars: 1, dead: 0, followers: 1, requests: 5 }
    const weather: Weather = { ...place, stormMs: 2_000, doubling: 0, cuts: 3, ...storm }
    expect(disagreement(runTrial(weather, CALM_MS, 0))).toBeDefined()
    const seen = runTrial({ ...weather, proven: true }, CALM_MS, 0)
    expect(disagreement(seen)).toBeUndefined()
    expect(seen.broken).toEqual([])
  })
})
