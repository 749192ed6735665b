/**
 * One run as data: who is there, what goes wrong and when. A seed makes one; a file keeps one; taking
 * acts out of one gives a smaller one. Playing it is `play.ts`.
 */
import { liarsTolerated } from '../../protocol/index.ts'
import { Dice } from './dice.ts'
import {
  FAULTS,
  type Fault,
  LIES,
  type Lie,
  PORT_CALLS,
  type PortCall,
  RELEASES,
  type ReleaseKind,
} from './faults/kinds.ts'
import type { When } from './faults/traps.ts'
import { themesOf } from './themes.ts'

export const PACES = ['brisk', 'demo', 'production'] as const
/** Which timing the group has. `brisk` is for many seeds in little time. */
export type Pace = (typeof PACES)[number]

/** What happens at one moment. Hosts are numbers; a number beyond the living is taken modulo. */
export type Act = { readonly at: number } & (
  | ({ readonly kind: 'plan'; readonly rivalVia?: number | undefined } & PlanAct)
  | {
      readonly kind: 'halt'
      readonly via: number
      readonly nth: number
      readonly revert: boolean
      readonly host?: number | undefined
    }
  | { readonly kind: 'hold'; readonly via: number; readonly forMs: number }
  | {
      readonly kind: 'lost'
      readonly via: number
      readonly host: number
      /** Only in kept scenarios: the second operator says so. */
      readonly rival?: boolean | undefined
    }
  /** Only in kept scenarios: the second operator's key is revoked, or the next root takes its role. */
  | { readonly kind: 'revoke' | 'demote'; readonly via: number }
  /** Only in kept scenarios: the second operator releases every hold that is on. */
  | { readonly kind: 'resume'; readonly via: number }
  /** Only in kept scenarios: an admin invites hosts, or takes the newest invite back; somebody asks by it. */
  | {
      readonly kind: 'invite'
      readonly via: number
      readonly uses: number
      readonly forMs: number
    }
  | { readonly kind: 'uninvite'; readonly via: number }
  | { readonly kind: 'knock'; readonly via: number; readonly name: string }
  | {
      readonly kind: 'weather'
      readonly drop: number
      readonly duplicate: number
      readonly latencyMs: readonly [number, number]
      readonly forMs: number
    }
  | {
      readonly kind: 'cut'
      readonly how: 'symmetric' | 'asymmetric' | 'flapping'
      readonly side: readonly number[]
      readonly forMs: number
    }
  | { readonly kind: 'jump'; readonly host: number; readonly ms: number }
  | { readonly kind: 'drift'; readonly host: number; readonly rate: number }
  | { readonly kind: 'slow'; readonly host: number; readonly ms: number; readonly forMs: number }
  | {
      readonly kind: 'crash'
      readonly host: number
      readonly keep: number
      readonly downMs: number
    }
  | {
      readonly kind: 'trap'
      readonly host: number
      readonly call: PortCall
      readonly when: When
      readonly pass: number
      readonly keep: number
      readonly downMs: number
    }
  | {
      readonly kind: 'power-cut'
      readonly host: number
      readonly keep: number
      readonly downMs: number
    }
  /** The daemon dies when it has written twice since its last sync, and half of that stays. */
  | { readonly kind: 'tear'; readonly host: number; readonly downMs: number }
  /** The admins sign the next configuration; `replace` gives a voter's place to another host. */
  | {
      readonly kind: 'reconfig'
      readonly via: number
      readonly how: 'add' | 'remove' | 'replace'
      readonly host: number
    }
  | { readonly kind: 'full'; readonly host: number; readonly forMs: number }
  | { readonly kind: 'snapshot'; readonly host: number }
  /** Only in kept scenarios: the host's key signs two facts for one place of its feed. */
  | { readonly kind: 'fork'; readonly host: number }
  /** Only in kept scenarios: what the host's deadman does hangs from now on, until it is ended. */
  | { readonly kind: 'hang'; readonly host: number }
  /** Only in kept scenarios: somebody deletes what the host would go back to. */
  | { readonly kind: 'collect'; readonly host: number }
  | {
      readonly kind: 'lose-disk'
      readonly host: number
      readonly restored: boolean
      readonly downMs: number
    }
)
export type ActOf<K extends Act['kind']> = Act & { readonly kind: K }

interface PlanAct {
  readonly via: number
  readonly release: ReleaseKind
  /** An older release again, as a rollback. */
  readonly older: boolean
  readonly waves: 'all' | 'canary' | 'staged'
  readonly budget: number
  readonly onFailure: 'halt' | 'revertAll'
  readonly inFlight?: number | undefined
  /** How many others have to hold the closures of a wave. */
  readonly holders?: number | undefined
  /** It replaces what is open by name. */
  readonly takesOver: boolean
  /** Soak and patience as `nixfleet deploy` plans them by default; short ones where it is absent. */
  readonly patient?: boolean | undefined
}

export interface Liar {
  readonly host: number
  readonly lies: readonly Lie[]
}

export interface Scenario {
  readonly seed: number
  readonly hosts: number
  readonly voters: number
  readonly faultModel: 'crash' | 'byzantine'
  readonly pace: Pace
  readonly realSignatures: boolean
  /** How long the storm lasts, in ms of the brisk pace. */
  readonly stormMs: number
  readonly faults: readonly Fault[]
  readonly liars: readonly Liar[]
  readonly acts: readonly Act[]
}

export interface ScenarioOptions {
  readonly hosts?: number | undefined
  readonly pace?: Pace | undefined
  /** Only these faults may be switched on, and all of them are. */
  readonly only?: readonly Fault[] | undefined
}

const STORM_MS = 18_000
/** Every so many seeds one signs as the product does. */
const REAL_SIGNATURES_EVERY = 50
const HOSTS_MAX = 7
/** Fleets of three to five are where most happens for their price. */
const SIZES = [1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 6] as const
/** Every so many seeds there are as many liars as the largest group bears, and all of them agree. */
const COLLUSION_EVERY = 25

/**
 * One canary rollout over everybody as `nixfleet deploy` plans it by default, and nothing goes wrong: what
 * the speed of the simulator is measured on.
 */
export function rolloutOf(seed: number, hosts: number, pace: Pace): Scenario {
  const voters = Math.min(HOSTS_MAX, hosts)
  const plan = { release: 'good', older: false, waves: 'canary', budget: 0, patient: true } as const
  return {
    ...{ seed, hosts, voters, faultModel: voters < 4 ? 'crash' : 'byzantine', pace },
    ...{ realSignatures: false, stormMs: STORM_MS, faults: [], liars: [] },
    acts: [{ kind: 'plan', at: 500, via: 0, ...plan, onFailure: 'revertAll', takesOver: false }],
  }
}

/** The scenario of a seed: the same seed and options give the same one. */
export function scenarioOf(seed: number, options: ScenarioOptions = {}): Scenario {
  const dice = new Dice(seed)
  const collusion = options.only === undefined && seed % COLLUSION_EVERY === 0
  const size = dice.pick(SIZES)
  const hosts = options.hosts ?? (collusion ? HOSTS_MAX : size)
  const share = dice.chance(0.7) ? hosts : 1 + dice.below(hosts)
  const voters = Math.min(HOSTS_MAX, collusion ? hosts : share)
  const crash = voters < 4 || (dice.chance(0.15) && !collusion)
  const faultModel = crash ? 'crash' : 'byzantine'
  const chosen = FAULTS.filter((fault) => dice.chance(0.35) || (collusion && COLLUSION.has(fault)))
  const faults = options.only ?? chosen
  const liars = liarsOf(dice, { hosts, voters, faultModel, faults })
  const themes = options.only === undefined ? themesOf(seed, dice, { hosts, voters, liars }) : []
  return {
    ...{ seed, hosts, voters, faultModel, faults, liars },
    pace: options.pace ?? (dice.chance(0.8) ? 'brisk' : 'demo'),
    realSignatures: seed % REAL_SIGNATURES_EVERY === 0,
    stormMs: STORM_MS,
    acts: [...actsOf(dice, hosts, faults), ...themes]
      .map(withHolders(seed))
      .sort((a, b) => a.at - b.at),
  }
}

/** Every so many seeds one asks for holders, without a throw of the dice: the others stay as they were. */
const HOLDERS_EVERY = 4

/** How many holders the plans of a seed ask for. */
export function holdersOfSeed(seed: number): number | undefined {
  return seed % HOLDERS_EVERY === 0 ? 2 : undefined
}

function withHolders(seed: number): (act: Act) => Act {
  const holders = holdersOfSeed(seed)
  return (act) => (act.kind === 'plan' && holders !== undefined ? { ...act, holders } : act)
}

/** What those who agree say, besides what chance gives them. */
const COLLUSION: ReadonlySet<Fault> = new Set([
  'colluding',
  'observer-flatters',
  'equivocating-leader',
])

/** As many as the group bears, all of whom tell the same lies about the same hosts. */
function liarsOf(
  dice: Dice,
  group: Pick<Scenario, 'hosts' | 'voters' | 'faultModel' | 'faults'>,
): readonly Liar[] {
  const lies = LIES.filter((lie) => group.faults.includes(lie))
  const borne = liarsTolerated(group.voters, group.faultModel)
  // Two of four observers or fewer would be a majority of what a certificate takes.
  const bound = Math.min(borne, group.hosts >= 6 ? 2 : 1)
  if (lies.length === 0 || bound === 0) return []
  const count = group.faults.includes('colluding') ? bound : 1
  const first = dice.below(group.voters)
  return Array.from({ length: count }, (_, i) => ({
    host: (first + i) % group.voters,
    lies: lies.filter((lie) => lie !== 'colluding' || count > 1),
  }))
}

function actsOf(dice: Dice, hosts: number, faults: readonly Fault[]): readonly Act[] {
  const on = new Set<Fault>(faults)
  return [
    ...peopleActs(dice, hosts, on),
    ...networkActs(dice, hosts, on),
    ...crashActs(dice, hosts, on),
    ...diskActs(dice, hosts, on),
    ...clockActs(dice, hosts, on),
  ]
}

function peopleActs(dice: Dice, hosts: number, on: ReadonlySet<Fault>): Act[] {
  const acts: Act[] = [{ at: 500, kind: 'plan', ...planOf(dice, hosts, on) }]
  for (let i = dice.between(0, 2); i > 0; i--) {
    const rivalVia = dice.chance(0.3) ? dice.below(hosts) : undefined
    acts.push({
      at: dice.between(1_000, STORM_MS),
      kind: 'plan',
      ...planOf(dice, hosts, on),
      rivalVia,
    })
  }
  for (let i = dice.between(0, 2); i > 0; i--) {
    const host = dice.chance(0.35) ? dice.below(hosts) : undefined
    const at = dice.between(2_000, STORM_MS)
    acts.push({
      at,
      kind: 'halt',
      via: dice.below(hosts),
      nth: dice.below(2),
      revert: dice.chance(0.6),
      host,
    })
  }
  if (dice.chance(0.3)) {
    const at = dice.between(500, STORM_MS / 2)
    acts.push({ at, kind: 'hold', via: dice.below(hosts), forMs: dice.between(1_000, 8_000) })
  }
  if (dice.chance(0.25)) {
    acts.push({
      at: dice.between(3_000, STORM_MS),
      kind: 'lost',
      via: dice.below(hosts),
      host: dice.below(hosts),
    })
  }
  return acts
}

function planOf(dice: Dice, hosts: number, on: ReadonlySet<Fault>): PlanAct {
  const bad = RELEASES.filter((kind) => kind !== 'good' && on.has(kind))
  const [first] = bad
  const release =
    first === undefined || dice.chance(0.4) ? 'good' : dice.pick([first, ...bad.slice(1)])
  return {
    via: dice.below(hosts),
    release,
    older: dice.chance(0.15),
    waves: dice.pick(['all', 'canary', 'staged']),
    budget: dice.below(3),
    onFailure: dice.pick(['halt', 'revertAll']),
    inFlight: dice.chance(0.3) ? dice.between(1, 3) : undefined,
    takesOver: dice.chance(0.75),
  }
}

function networkActs(dice: Dice, hosts: number, on: ReadonlySet<Fault>): Act[] {
  const acts: Act[] = []
  const at = (): number => dice.between(0, STORM_MS - 3_000)
  const some = (fault: Fault, most: number): number => (on.has(fault) ? dice.between(1, most) : 0)
  const isWet = on.has('drop') || on.has('duplicate') || on.has('reorder') || on.has('delay')
  for (let i = isWet ? dice.between(1, 3) : 0; i > 0; i--) {
    const most = on.has('delay') ? dice.between(200, 700) : on.has('reorder') ? 100 : 2
    acts.push({
      ...{ at: at(), kind: 'weather', forMs: dice.between(1_000, 8_000) },
      drop: on.has('drop') ? dice.between(5, 40) / 100 : 0,
      duplicate: on.has('duplicate') ? dice.between(5, 40) / 100 : 0,
      latencyMs: [2, most],
    })
  }
  for (const how of ['symmetric', 'asymmetric', 'flapping'] as const) {
    for (let i = hosts > 1 ? some(`partition-${how}`, 2) : 0; i > 0; i--) {
      const side = Array.from({ length: hosts }, (_, host) => host).filter(() => dice.chance(0.5))
      acts.push({ at: at(), kind: 'cut', how, side, forMs: dice.between(1_500, 9_000) })
    }
  }
  return acts
}

function crashActs(dice: Dice, hosts: number, on: ReadonlySet<Fault>): Act[] {
  const acts: Act[] = []
  /** The share of unsynced batches that a crash spares. */
  const keep = (): number =>
    on.has('torn-tail') && dice.chance(0.6)
      ? dice.between(20, 80) / 100
      : on.has('lost-writes')
        ? 0
        : 1
  const down = (): number =>
    dice.chance(0.25) ? dice.between(5_000, 14_000) : dice.between(100, 3_000)
  const at = (): number => dice.between(500, STORM_MS)
  const repeat = (fault: Fault, act: () => Act): void => {
    for (let i = on.has(fault) ? dice.between(1, 3) : 0; i > 0; i--) acts.push(act())
  }
  const host = (): number => dice.below(hosts)
  repeat('crash', () => ({ at: at(), kind: 'crash', host: host(), keep: keep(), downMs: down() }))
  repeat('power-cut', () => ({
    at: at(),
    kind: 'power-cut',
    host: host(),
    keep: keep(),
    downMs: down(),
  }))
  for (const call of PORT_CALLS) {
    for (const when of ['before', 'after'] as const) {
      repeat(`crash-${when}-${call}`, () => {
        const pass = dice.below(call === 'system' ? 4 : 25)
        return {
          at: at(),
          kind: 'trap',
          host: host(),
          call,
          when,
          pass,
          keep: keep(),
          downMs: down(),
        }
      })
    }
  }
  return acts
}

function diskActs(dice: Dice, hosts: number, on: ReadonlySet<Fault>): Act[] {
  const acts: Act[] = []
  const at = (): number => dice.between(1_000, STORM_MS - 2_000)
  for (let i = on.has('disk-full') ? dice.between(1, 3) : 0; i > 0; i--) {
    acts.push({ at: at(), kind: 'full', host: dice.below(hosts), forMs: dice.between(500, 6_000) })
  }
  const restored = on.has('disk-restored') && (!on.has('disk-lost') || dice.chance(0.5))
  if (restored || on.has('disk-lost')) {
    const host = dice.below(hosts)
    const then = dice.between(6_000, STORM_MS)
    acts.push({ at: then, kind: 'lose-disk', host, restored, downMs: dice.between(200, 2_000) })
    if (restored) acts.push({ at: dice.between(500, then - 1_000), kind: 'snapshot', host })
  }
  return acts
}

function clockActs(dice: Dice, hosts: number, on: ReadonlySet<Fault>): Act[] {
  const acts: Act[] = []
  const at = (): number => dice.between(0, STORM_MS - 2_000)
  for (let i = on.has('clock-jump') ? dice.between(1, 3) : 0; i > 0; i--) {
    const ms = dice.between(-400, 400) * 86_400_000
    acts.push({ at: at(), kind: 'jump', host: dice.below(hosts), ms })
  }
  for (let i = on.has('clock-drift') ? dice.between(1, 2) : 0; i > 0; i--) {
    acts.push({
      at: at(),
      kind: 'drift',
      host: dice.below(hosts),
      rate: dice.between(90, 110) / 100,
    })
  }
  for (let i = on.has('slow-node') ? dice.between(1, 2) : 0; i > 0; i--) {
    const forMs = dice.between(1_000, 8_000)
    acts.push({ at: at(), kind: 'slow', host: dice.below(hosts), ms: dice.between(20, 400), forMs })
  }
  return acts
}
