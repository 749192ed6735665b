/**
 * What chance alone makes too seldom: short scripts of acts that lead to one rare thing each. Every
 * seed plays some of them in the middle of its storm; whatever else goes wrong may spoil them.
 */
import type { Dice } from './dice.ts'
import { RELEASES } from './faults/kinds.ts'
import type { Act, ActOf, Scenario } from './scenario.ts'

/** Who is there. */
export type Cast = Pick<Scenario, 'hosts' | 'voters' | 'liars'>
type Theme = (dice: Dice, cast: Cast) => readonly Act[]

/** Themes that one seed plays. */
const THEMES_PER_SEED = 3

/** Each theme in its turn, so that any row of seeds plays all of them equally often. */
export function themesOf(seed: number, dice: Dice, cast: Cast): readonly Act[] {
  return Array.from({ length: THEMES_PER_SEED }, (_, i) => {
    const theme = THEMES[(seed * THEMES_PER_SEED + i) % THEMES.length]
    return theme === undefined ? [] : theme(dice, cast)
  }).flat()
}

const GOOD_PLAN = { kind: 'plan', release: 'good', older: false, takesOver: true } as const

/**
 * The canary is away when its wave starts, longer than a start may stay unused: the start is ended, and
 * the host catches up. Towards the end of the storm few plans are left that would take its place.
 */
const canaryAway =
  (from: number): Theme =>
  (dice, cast) => {
    const at = from + dice.below(700)
    if (isLiar(cast, 0) || cast.hosts < 3) return []
    const plan = { ...GOOD_PLAN, waves: 'canary', budget: 2, onFailure: 'halt' } as const
    return [
      { kind: 'crash', at: at - 200, host: 0, keep: 1, downMs: dice.between(7_500, 9_000) },
      { ...plan, at, via: 1 + dice.below(cast.hosts - 1) },
    ]
  }

const diskLost: Theme = (dice, cast) => [loss(dice, cast, false)]

const diskRestored: Theme = (dice, cast) => {
  const lost = loss(dice, cast, true)
  return [{ kind: 'snapshot', at: dice.between(1_500, 4_000), host: lost.host }, lost]
}

function loss(dice: Dice, cast: Cast, restored: boolean): ActOf<'lose-disk'> {
  const host = honestHost(dice, cast)
  const downMs = dice.between(200, 1_500)
  return { kind: 'lose-disk', at: dice.between(4_500, 10_000), host, restored, downMs }
}

const tornTail: Theme = (dice, cast) =>
  [1_000, 6_000, 11_000].map((from) => ({
    kind: 'tear',
    at: from + dice.below(3_000),
    host: dice.below(cast.hosts),
    downMs: dice.between(100, 1_500),
  }))

const backAgain: Theme = (dice, cast) =>
  [500, 5_000, 10_000].map((from, i) => ({
    ...{ ...GOOD_PLAN, older: i === 2, waves: 'all', budget: 1, onFailure: 'halt' },
    ...{ at: from + dice.below(1_500), via: dice.below(cast.hosts) },
  }))

const BAD_RELEASES = RELEASES.slice(1)

/** Bad releases in a row, each for everybody. */
const badReleases: Theme = (dice, cast) =>
  [800, 6_000, 11_000].map((from) => ({
    ...{ ...GOOD_PLAN, release: BAD_RELEASES[dice.below(BAD_RELEASES.length)] ?? 'release-lies' },
    ...{ at: from + dice.below(2_000), via: dice.below(cast.hosts), waves: 'all' },
    ...{ budget: dice.below(2), onFailure: dice.chance(0.5) ? 'halt' : 'revertAll' },
  }))

/** Crashes at calls that are few: each waits for its own. */
const rareCalls: Theme = (dice, cast) =>
  (['system', 'publish'] as const).flatMap((call) =>
    (['before', 'after'] as const).map((when) => ({
      ...{ kind: 'trap', at: dice.between(500, 6_000), host: dice.below(cast.hosts), call, when },
      ...{ pass: dice.below(3), keep: 1, downMs: dice.between(100, 2_000) },
    })),
  )

/** People step in: one host lost, one host halted, and the rollout held for a while. */
const people: Theme = (dice, cast) => {
  const via = dice.below(cast.hosts)
  const host = dice.below(cast.hosts)
  return [
    { kind: 'hold', at: dice.between(1_000, 3_000), via, forMs: dice.between(500, 3_000) },
    { kind: 'lost', at: dice.between(4_000, 12_000), via, host },
    { kind: 'halt', at: dice.between(4_000, 12_000), via, nth: 0, revert: true, host },
  ]
}

/** The admins change the group while it works, once or twice. */
const reconfig: Theme = (dice, cast) =>
  Array.from({ length: dice.between(1, 2) }, () => ({
    ...{ kind: 'reconfig', at: dice.between(1_500, 13_000), via: dice.below(cast.hosts) },
    ...{ how: dice.pick(['add', 'remove', 'replace'] as const), host: dice.below(cast.hosts) },
  }))

const THEMES: readonly Theme[] = [
  canaryAway(11_200),
  tornTail,
  diskLost,
  badReleases,
  reconfig,
  rareCalls,
  diskRestored,
  people,
  canaryAway(2_000),
  backAgain,
  badReleases,
]

function isLiar({ liars }: Cast, host: number): boolean {
  return liars.some((one) => one.host === host)
}

function honestHost(dice: Dice, cast: Cast): number {
  const honest = Array.from({ length: cast.hosts }, (_, i) => i).filter((i) => !isLiar(cast, i))
  return honest[dice.below(honest.length)] ?? 0
}
