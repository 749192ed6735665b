import { describe, expect, it } from 'vitest'
import {
  crashesSurvived,
  type FaultModel,
  liarsTolerated,
  quorumHolds,
  quorumOf,
  VOTERS_MAX,
} from '../../../protocol/index.ts'

const SIZES = Array.from({ length: VOTERS_MAX }, (_, i) => i + 1)
const MODELS: readonly FaultModel[] = ['crash', 'byzantine']
const CASES = SIZES.flatMap((n) => MODELS.map((model) => ({ n, model })))

/** Every set of voters, as bits. */
function subsets(n: number): readonly number[] {
  return Array.from({ length: 2 ** n }, (_, bits) => bits)
}
function sizeOf(bits: number): number {
  return bits === 0 ? 0 : (bits & 1) + sizeOf(bits >> 1)
}

/**
 * The twin: with any f voters lying to both sides, can two quorums certify two things? And can the
 * others still reach a quorum without them?
 */
function holdsByBruteForce(n: number, q: number, f: number): boolean {
  const quorums = subsets(n).filter((set) => sizeOf(set) >= q)
  const safe = quorums.every((a) => quorums.every((b) => sizeOf(a & b) > f))
  return safe && quorums.length > 0 && n - f >= q
}

describe('quorums', () => {
  it.each(CASES)(
    'n = $n, $model: a quorum holds iff brute force finds no way around it',
    ({ n, model }) => {
      const f = liarsTolerated(n, model)
      for (let q = 1; q <= n + 1; q++) {
        expect(quorumHolds({ n, q, model })).toBe(holdsByBruteForce(n, q, f))
      }
      expect(quorumHolds({ n, q: 0, model })).toBe(false)
    },
  )

  it.each(CASES)('n = $n, $model: the quorum is the smallest that holds', ({ n, model }) => {
    const q = quorumOf(n, model)
    expect(quorumHolds({ n, q, model })).toBe(true)
    expect(quorumHolds({ n, q: q - 1, model })).toBe(false)
  })

  it.each(SIZES)('n = %i: one liar more could not be tolerated by any quorum', (n) => {
    const f = liarsTolerated(n, 'byzantine') + 1
    expect(SIZES.some((q) => q <= n && holdsByBruteForce(n, q, f))).toBe(false)
  })

  it.each<[number, FaultModel, number, number, number]>([
    [1, 'crash', 0, 1, 0],
    [2, 'crash', 0, 2, 0],
    [3, 'crash', 0, 2, 1],
    [4, 'byzantine', 1, 3, 1],
    [5, 'byzantine', 1, 4, 1],
    [7, 'byzantine', 2, 5, 2],
  ])('the table of the specification: %i voters, %s', (n, model, f, q, crashes) => {
    expect(liarsTolerated(n, model)).toBe(f)
    expect(quorumOf(n, model)).toBe(q)
    expect(crashesSurvived({ n, q })).toBe(crashes)
  })
})
