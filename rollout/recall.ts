/**
 * When a voter that may have forgotten what it said may speak again, and where (SPEC §7.6).
 *
 * A voter in view w > 1 came there by a certificate of w − 1, so that at least q − 1 others voted in
 * w − 1: they still know. How many answers must be in before one of those is surely among them follows
 * from n, q and the liars; the answers then say how far this voter can have been.
 */
import { floorUpTo, NO_FLOOR, type VoteFloor } from './gate-machine.ts'

/**
 * What a voter knows of its own disk: `kept` all that was ever written, `new` never held anything,
 * `doubtful` may be older than it seems, `blank` holds nothing though nobody says that it is new, and
 * `lost` is known to be older than what this voter said.
 */
export type DiskMemory = 'kept' | 'new' | 'doubtful' | 'blank' | 'lost'

/** The voters of an epoch: how many, a quorum, and liars tolerated. */
export interface VoterSizes {
  readonly n: number
  readonly q: number
  readonly f: number
}

/** What one other voter proved. */
export interface RecallAnswer {
  /** Its view: one above its newest certificate. */
  readonly view: number
  /** The highest view in which it voted to notarize; 0 for none. */
  readonly notarized: number
  /** Its own disk is blank too: it knows of nothing. */
  readonly blank: boolean
}

export interface RecallInput {
  readonly disk: DiskMemory
  readonly sizes: VoterSizes
  /** One for each voter that answered and knows what it said, or is blank. */
  readonly answers: readonly RecallAnswer[]
  /** The highest view of a vote or proposal of this voter that was shown and its disk does not hold; 0 for none. */
  readonly shown: number
}

export type RecallRuling =
  /** `missing` more answers are needed. */
  | { readonly kind: 'wait'; readonly missing: number }
  /** Votes only above `floor`. `forgot`: what was said up to `floor.final` is unknown. */
  | { readonly kind: 'speak'; readonly floor: VoteFloor; readonly forgot: boolean }

/** Whether this voter waits or speaks. */
export function ruleRecall(input: RecallInput): RecallRuling {
  const { answers, shown, sizes } = input
  const disk = shown > 0 && input.disk !== 'kept' ? 'lost' : input.disk
  if (disk === 'kept') return { kind: 'speak', floor: NO_FLOOR, forgot: false }
  const others = sizes.n - 1
  const blank = answers.filter((one) => one.blank).length
  // With one lost disk at most, voters that are all blank have all just begun.
  if (disk === 'blank' && blank === others) {
    return { kind: 'speak', floor: NO_FLOOR, forgot: false }
  }
  // To a disk that is new nobody's knowledge is needed; to others a blank voter has none to give.
  const counted = disk === 'new' ? answers : answers.filter((one) => !one.blank)
  const needed = answersNeeded(disk, sizes)
  if (counted.length < needed) return { kind: 'wait', missing: needed - counted.length }
  if (disk === 'new') return newVoter(counted)
  return { kind: 'speak', floor: floorOf(disk, { ...input, answers: counted }), forgot: true }
}

/**
 * How many others must have answered. A disk that is lost is one fault more than the f liars; one that
 * is only not known to be whole counts as one of them.
 */
export function answersNeeded(disk: DiskMemory, sizes: VoterSizes): number {
  const { n, q } = sizes
  switch (disk) {
    case 'kept':
      return 0
    case 'new':
      return q - 1
    default:
      return Math.min(n - 1, n - q + liarsBeside(disk, sizes) + 1)
  }
}

/** A voter on its first start has said nothing; it only keeps out of views that are over. */
function newVoter(answers: readonly RecallAnswer[]): RecallRuling {
  const over = Math.max(0, ...answers.map(({ view }) => view - 1))
  return { kind: 'speak', floor: floorUpTo(over), forgot: over > 0 }
}

function floorOf(disk: DiskMemory, { sizes, answers, shown }: RecallInput): VoteFloor {
  const { n, q } = sizes
  // Of the honest others that made the certificate which led here, so many are surely among the answers.
  const sure = Math.max(1, q - 1 - liarsBeside(disk, sizes) - (n - 1 - answers.length))
  const reached = nth(answers, sure, ({ view }) => view) + 1
  const final = Math.max(reached, shown)
  const notarized = nth(answers, sure, (one) => one.notarized)
  return {
    final,
    // Its own final vote needs a notarize certificate: above what others notarized there was none.
    skip: Math.min(final, notarized),
    // Only a leader that lies has two blocks for one view; beside a lost disk that is in the model.
    notarize: disk === 'doubtful' ? 0 : final,
  }
}

function liarsBeside(disk: DiskMemory, { f }: VoterSizes): number {
  return disk === 'doubtful' ? Math.max(0, f - 1) : f
}

/** The `place`-th highest. */
function nth(
  answers: readonly RecallAnswer[],
  place: number,
  of: (answer: RecallAnswer) => number,
): number {
  return answers.map(of).sort((a, b) => b - a)[place - 1] ?? 0
}
