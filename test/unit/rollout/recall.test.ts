/**
 * A voter that may have forgotten speaks nowhere where it can have spoken (SPEC §7.6), whoever of the
 * others answers, and whatever liars say.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { liarsTolerated, quorumOf } from '../../../protocol/index.ts'
import {
  answersNeeded,
  type DiskMemory,
  type RecallAnswer,
  ruleRecall,
} from '../../../rollout/recall.ts'

function sizesOf(n: number): { n: number; q: number; f: number } {
  const model = n >= 4 ? 'byzantine' : 'crash'
  return { n, q: quorumOf(n, model), f: liarsTolerated(n, model) }
}

const KNOWS_NOTHING: RecallAnswer = { view: 1, notarized: 0, blank: false }
const BLANK: RecallAnswer = { ...KNOWS_NOTHING, blank: true }
const EVERYWHERE = { notarize: 0, skip: 0, final: 0 }

function ruled(
  disk: DiskMemory,
  n: number,
  answers: readonly RecallAnswer[],
  shown: number = 0,
): ReturnType<typeof ruleRecall> {
  return ruleRecall({ disk, sizes: sizesOf(n), answers, shown })
}

describe('how many others a voter waits for', () => {
  it.each([
    [1, 0, 0, 0],
    [2, 1, 1, 1],
    [3, 1, 2, 2],
    [4, 2, 2, 3],
    [5, 3, 2, 3],
    [7, 4, 4, 5],
  ])('of %i voters: new %i, in doubt %i, lost %i', (n, fresh, doubtful, lost) => {
    const sizes = sizesOf(n)
    const needed = (['kept', 'new', 'doubtful', 'lost', 'blank'] as const).map((disk) =>
      answersNeeded(disk, sizes),
    )
    expect(needed).toEqual([0, fresh, doubtful, lost, lost])
  })

  it('a daemon that starts again on its own disk waits for nobody', () => {
    expect(ruled('kept', 3, [])).toEqual({ kind: 'speak', floor: EVERYWHERE, forgot: false })
  })

  it('a new fleet of four starts without one of its voters', () => {
    const found = ruled('new', 4, [KNOWS_NOTHING, KNOWS_NOTHING])
    expect(found).toEqual({ kind: 'speak', floor: EVERYWHERE, forgot: false })
  })

  it('voters that are all blank have just begun; one that is not makes the others lost', () => {
    expect(ruled('blank', 3, [BLANK, BLANK])).toEqual({
      ...{ kind: 'speak', floor: EVERYWHERE, forgot: false },
    })
    expect(ruled('blank', 3, [BLANK, KNOWS_NOTHING])).toEqual({ kind: 'wait', missing: 1 })
    expect(ruled('lost', 3, [BLANK, BLANK])).toEqual({ kind: 'wait', missing: 2 })
    expect(ruled('blank', 3, [KNOWS_NOTHING, KNOWS_NOTHING])).toMatchObject({
      floor: { final: 2, notarize: 2 },
    })
  })

  it('one that is shown a vote of its own waits like one that has lost it', () => {
    const two = [KNOWS_NOTHING, KNOWS_NOTHING]
    expect(ruled('doubtful', 4, two)).toMatchObject({ kind: 'speak' })
    expect(ruled('doubtful', 4, two, 1)).toEqual({ kind: 'wait', missing: 1 })
    expect(ruled('new', 4, two, 1)).toEqual({ kind: 'wait', missing: 1 })
  })
})

/**
 * A history of the log up to the loss, made of what R1–R4 force: in every view below the highest, a
 * quorum voted, and each of them stayed there or went on.
 */
const history = fc.constantFrom(2, 3, 4, 5, 7).chain((n) => {
  const { f } = sizesOf(n)
  return fc.record({
    n: fc.constant(n),
    /** Who made the certificate that brought the voter to its view, and how far they were. */
    order: fc.shuffledSubarray([...Array(n - 1).keys()], { minLength: n - 1 }),
    view: fc.integer({ min: 1, max: 9 }),
    notarized: fc.boolean(),
    ahead: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: n - 1, maxLength: n - 1 }),
    answering: fc.shuffledSubarray([...Array(n - 1).keys()]),
    liars: fc.integer({ min: 0, max: f }),
    disk: fc.constantFrom<DiskMemory>('doubtful', 'lost'),
  })
})

describe('where a voter speaks', () => {
  it('is above every view in which it can have cast a final vote, and skips above those', () => {
    let spoke = 0
    fc.assert(
      fc.property(history, ({ n, order, view, notarized, ahead, answering, ...rest }) => {
        const { q, f } = sizesOf(n)
        const liars = rest.disk === 'lost' ? rest.liars : Math.min(rest.liars, Math.max(0, f - 1))
        // The voter was in `view`, by votes of q − 1 others at `view` − 1: of them the liars, if any.
        const made = order.slice(0, q - 1)
        const lying = new Set(made.slice(0, liars))
        const answers = answering.map((other): RecallAnswer => {
          if (lying.has(other) || !made.includes(other)) return KNOWS_NOTHING
          const at = Math.max(1, view - 1 + (ahead[other] ?? 0))
          return { view: at, notarized: notarized ? view - 1 : 0, blank: false }
        })
        const found = ruled(rest.disk, n, answers)
        if (found.kind === 'wait') return
        spoke++
        expect(found.floor.final).toBeGreaterThanOrEqual(view)
        // Its final vote of `view` − 1 rests on a notarize certificate of these voters.
        if (notarized) expect(found.floor.skip).toBeGreaterThanOrEqual(view - 1)
        if (rest.disk === 'lost') expect(found.floor.notarize).toBe(found.floor.final)
      }),
      { numRuns: 2000 },
    )
    expect(spoke).toBeGreaterThan(100)
  })

  it('is not moved for good by a liar that says it is far ahead, once all others have answered', () => {
    const far = { ...KNOWS_NOTHING, view: 1_000_000 }
    const found = ruled('doubtful', 4, [far, KNOWS_NOTHING, KNOWS_NOTHING])
    expect(found).toMatchObject({ floor: { final: 2 } })
  })
})
