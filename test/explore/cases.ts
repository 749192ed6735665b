/**
 * What is explored: the table of the protocol's quorums and liars, crashes, lost disks, and controls
 * that have to fail.
 */
import { type EpochCase, EpochModel } from './epoch-model.ts'
import { GateModel } from './gate-model.ts'
import type { GateCase } from './gate-setting.ts'
import { MinimalModel } from './minimal.ts'
import { type RaceCase, RaceModel } from './race-model.ts'
import { type Outcome, type Progress, search } from './search.ts'

/** `quick` ends in seconds, `ci` in minutes, `deep` is run once by hand. */
export type Profile = 'quick' | 'ci' | 'deep'

export interface ExploreCase {
  readonly name: string
  /** The first profile that runs it. */
  readonly from: Profile
  /** A control: this law has to be seen broken. */
  readonly expects?: string
  run(statesMax: number, told?: (progress: Progress) => void): CaseOutcome
}

export interface CaseOutcome extends Outcome {
  /** What the names in a trace stand for. */
  readonly legend: readonly string[]
}

const CALM = { crashes: 0, lazy: true } as const
/** The liar leads view 1 and makes two blocks; view 2 has a block on every parent. */
const TWO_VIEWS = { views: 2, puppets: [2, 1], ...CALM } as const
const ONE_VIEW = { views: 1, puppets: [2], ...CALM } as const
const ONE_BLOCK = { views: 2, puppets: [1, 1], ...CALM } as const
/** Who is in doubt repeats its vote for the block of a leader that has but one. */
const TRUE_LEADER = { views: 1, puppets: [1], ...CALM } as const
const FOUR = { n: 4, quorum: 3, liars: [1] } as const
const THREE = { n: 3, quorum: 2, liars: [] } as const
const LOST = { crashes: 1, loses: 0 } as const
const LIED = { n: 3, quorum: 2, liars: [1], proven: true, crashes: 0, lazy: false } as const

const HOLD: readonly ExploreCase[] = [
  gate('n4-f1-q3 1 view, every message', 'quick', { ...FOUR, ...ONE_VIEW, lazy: false }),
  gate('n4-f1-q3 1 view, crash', 'quick', { ...FOUR, ...ONE_VIEW, crashes: 1 }),
  gate('n4-f1-q3 2 views, 1 block', 'quick', { ...FOUR, ...ONE_BLOCK }),
  gate('n4-f1-q3 2 views', 'ci', { ...FOUR, ...TWO_VIEWS }),
  gate('n3-f0-q2 2 views', 'ci', { ...THREE, ...TWO_VIEWS }),
  gate('n4-f1-q3 2 views, every message', 'ci', { ...FOUR, ...TWO_VIEWS, lazy: false }),
  gate('n5-f1-q4 2 views', 'ci', { n: 5, quorum: 4, liars: [1], ...TWO_VIEWS }),
  gate('n4-f1-q3 2 views, honest leader', 'deep', {
    ...FOUR,
    ...{ views: 2, puppets: [2], crashes: 0 },
  }),
  gate('n4-f1-q3 2 views, 1 block, crash', 'deep', { ...FOUR, ...ONE_BLOCK, crashes: 1 }),
  minimal('n4-f1-q3 3 views', 'deep', { ...FOUR, views: 3, puppets: [2, 1, 1], ...CALM }),
]

/**
 * A disk that is emptied, or put back to a copy that was made at any moment, while votes are on the way
 * that nobody has taken. Its voter knows that it is old, or, after the machine was started anew, does not.
 */
const DISKS: readonly ExploreCase[] = [
  gate('lost disk n3-f0-q2, votes still on the way', 'ci', {
    ...{ ...THREE, ...ONE_VIEW, ...LOST, memory: 'taken' },
  }),
  gate('restored disk in doubt n3-f0-q2, votes still on the way', 'ci', {
    ...{ ...THREE, ...TRUE_LEADER, ...LOST, memory: 'taken', disk: 'doubtful' },
  }),
  gate('lost disk n4-f0-q3, nobody asked', 'deep', {
    ...{ ...FOUR, liars: [], ...ONE_VIEW, ...LOST, memory: 'none' },
  }),
]

/** One of three lies and is proven: the two that are left decide alone, or not at all. */
const PROVEN: readonly ExploreCase[] = [
  gate('proven liar n3-f0-q2 1 view', 'quick', { ...LIED, views: 1, puppets: [2] }),
]

/** The voters change, through the stop sign into the next epoch. */
const EPOCHS: readonly ExploreCase[] = [
  epochs('reconfig n3-f0-q2, stop sign', 'quick', { n: 3, quorum: 2, liars: 0, part: 'stop sign' }),
  epochs('reconfig n4-f1-q3, stop sign', 'ci', { n: 4, quorum: 3, liars: 1, part: 'stop sign' }),
  epochs('reconfig n3-f0-q2, next epoch', 'ci', { n: 3, quorum: 2, liars: 0, part: 'next epoch' }),
  epochs('reconfig n4-f1-q3, next epoch', 'ci', { n: 4, quorum: 3, liars: 1, part: 'next epoch' }),
]

const CONTROLS: readonly ExploreCase[] = [
  gate('control n4-f1-q2', 'quick', { ...FOUR, ...TWO_VIEWS, quorum: 2 }, 'S1'),
  gate('control n5-f1-q3', 'quick', { n: 5, quorum: 3, liars: [1], ...TWO_VIEWS }, 'S1'),
  gate('control n3-f1-q2', 'quick', { n: 3, quorum: 2, liars: [1], ...TWO_VIEWS }, 'S1'),
  gate('control n7-f2-q4', 'quick', { n: 7, quorum: 4, liars: [1, 2], ...TWO_VIEWS }, 'S1'),
  gate('control n4-f2-q3', 'quick', { n: 4, quorum: 3, liars: [1, 2], ...TWO_VIEWS }, 'S1'),
  // A first start waits for q − 1 answers; that is too few for a disk which once held votes.
  gate(
    'control lost disk n3-f0-q2, taken for new',
    'quick',
    { ...THREE, ...ONE_VIEW, ...LOST, memory: 'taken', disk: 'new' },
    'S1',
  ),
  gate(
    'control lost disk n3-f0-q2, nobody asked',
    'quick',
    { ...THREE, ...ONE_VIEW, ...LOST, memory: 'none' },
    'S1',
  ),
]

/** The three sizes of the lease races. */
const SIZES = [
  { n: 3, f: 0, quorum: 2 },
  { n: 4, f: 1, quorum: 3 },
  { n: 7, f: 2, quorum: 5 },
] as const

const RIVALS = { none: 'halt', start: 'halt and start', skip: 'halt and skip', admit: 'later plan' }

const RACES: readonly ExploreCase[] = SIZES.flatMap((size) => [
  race({ ...size, rival: 'none' }),
  race({ ...size, rival: 'start' }),
  race({ ...size, rival: 'skip' }),
  race({ ...size, rival: 'admit' }),
  race({ ...size, rival: 'skip', blind: true }, 'S17'),
  race({ ...size, rival: 'admit', blind: true }, 'S4'),
])

/** Every case there is. */
export const CASES: readonly ExploreCase[] = [
  ...HOLD,
  ...DISKS,
  ...PROVEN,
  ...EPOCHS,
  ...CONTROLS,
  ...RACES,
]

const PROFILES: readonly Profile[] = ['quick', 'ci', 'deep']

/** The cases of a profile: its own and those of all faster ones. */
export function casesOf(profile: Profile): readonly ExploreCase[] {
  const last = PROFILES.indexOf(profile)
  return CASES.filter((one) => PROFILES.indexOf(one.from) <= last)
}

function race(options: RaceCase, expects?: string): ExploreCase {
  const { n, f, quorum, rival, blind = false } = options
  const name = `lease n${n}-f${f}-q${quorum}, ${RIVALS[rival]}`
  return {
    name: blind ? `control ${name}, own votes not looked at` : name,
    from: profileOf(options),
    ...(expects === undefined ? {} : { expects }),
    run: (statesMax, told) => {
      const model = new RaceModel(options)
      return { ...search(model, statesMax, told), legend: model.blocks }
    },
  }
}

/** A later plan, and a block among seven voters, make many states. */
function profileOf({ n, rival, blind = false }: RaceCase): Profile {
  if (n < 7) return rival === 'admit' && !blind ? 'ci' : 'quick'
  return rival === 'none' || rival === 'start' ? 'ci' : 'deep'
}

function gate(name: string, from: Profile, options: GateCase, expects?: string): ExploreCase {
  return {
    name,
    from,
    ...(expects === undefined ? {} : { expects }),
    run: (statesMax, told) => {
      const model = new GateModel(options)
      const outcome = search(model, statesMax, told)
      return { ...outcome, legend: model.blocks }
    },
  }
}

function epochs(name: string, from: Profile, options: EpochCase): ExploreCase {
  return {
    name,
    from,
    run: (statesMax, told) => {
      const model = new EpochModel(options)
      return { ...search(model, statesMax, told), legend: model.blocks }
    },
  }
}

/** A case whose voters nothing tells apart, with the fewest local states (`minimal.ts`). */
function minimal(name: string, from: Profile, options: GateCase): ExploreCase {
  return {
    name,
    from,
    run: (statesMax, told) => {
      const model = new GateModel(options)
      const outcome = search(new MinimalModel(model), statesMax, told)
      return { ...outcome, legend: model.blocks }
    },
  }
}
