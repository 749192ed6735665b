/** What a case of the gate log fixes: who votes, who lies, who leads which view, who loses a disk. */
import type { Block } from '../../protocol/index.ts'
import { type GateConfig, type GateRules, leaderOf } from '../../rollout/gate-machine.ts'
import { fakeConfig, fakeRules, proven, request } from '../unit/rollout/gate-fakes.ts'
import { Catalogue, voterAt } from './catalogue.ts'
import { firstLife, type Life, type Surroundings } from './life.ts'
import type { ActorClass } from './search.ts'

export interface GateCase {
  readonly n: number
  readonly quorum: number
  /** Places of the voters that lie. With this genesis the leader of view v is voter v mod n. */
  readonly liars: readonly number[]
  /** Views with blocks and timers. */
  readonly views: number
  /** In view i + 1 a leader that says anything makes this many blocks on each parent there is. */
  readonly puppets: readonly number[]
  /** Take only what makes a difference (`moves.ts`); needs puppets in every view. */
  readonly lazy?: boolean
  /** How often each honest voter may crash and keep its disk; with `loses`, that one alone loses it. */
  readonly crashes: number
  /** Place of the voter whose disk may be emptied or put back to a copy. */
  readonly loses?: number
  /**
   * What the others can tell a voter that lost its disk: all votes it ever sent (gossip was faster),
   * what their machines happen to have taken, or nothing because nobody asks.
   */
  readonly memory?: 'all' | 'taken' | 'none'
  /** The liars are proven to everybody, in a group that bears none (SPEC §7.8). */
  readonly proven?: boolean
  /** What the voter knows of the disk that was put back; `lost` where absent. */
  readonly disk?: 'lost' | 'doubtful' | 'new'
}

/** An honest voter, or any of its class. */
export interface Voter {
  readonly role: string
  readonly loses: boolean
  readonly life: Life
  readonly around: Surroundings
}

export interface GateSetting {
  readonly options: GateCase
  readonly config: GateConfig
  readonly catalogue: Catalogue
  readonly honest: readonly number[]
  /** The voter of whose votes it matters who took them. */
  readonly watched: number | undefined
  readonly classes: readonly ActorClass<Voter>[]
}

/** More requests than any case decides: there is always something to decide. */
const REQUESTS = 64

export function settingOf(options: GateCase): GateSetting {
  const { n, quorum, liars, puppets, views } = options
  const config = fakeConfig({ n, quorum })
  const catalogue = new Catalogue(config, puppets)
  const honest = config.voters.map((_, place) => place).filter((place) => !liars.includes(place))
  const held = new Set(Array.from({ length: REQUESTS }, (_, i) => request(1 + i)))
  const accused = options.proven === true ? liars.map((place) => voterAt(config, place)) : []
  const rules = fakeRules(held, new Set(), new Map(), proven(...accused))
  const classes = [...byRole(options, config, honest)].map(([role, places]) => {
    const [place = 0] = places
    const self = { ...config, self: voterAt(config, place) }
    const honestViews = { above: puppets.length, upTo: views }
    const around: Surroundings = {
      origin: config.genesis,
      config: self,
      catalogue,
      rules: cached(rules),
      honestViews,
      proven: options.proven,
    }
    const loses = place === options.loses
    const first: Voter = { role, loses, life: firstLife(around), around }
    return { names: places.map((one) => `v${one}`), first }
  })
  const watched = options.memory === 'taken' ? options.loses : undefined
  return { options, config, catalogue, honest, watched, classes }
}

/** Voters that lead no view of their own and lose no disk have nothing that tells them apart. */
function byRole(
  { views, puppets, loses }: GateCase,
  config: GateConfig,
  honest: readonly number[],
): ReadonlyMap<string, readonly number[]> {
  const roles = new Map<string, number[]>()
  for (const place of honest) {
    const key = voterAt(config, place)
    let role = place === loses ? 'loses' : 'voter'
    for (let view = puppets.length + 1; view <= views; view++) {
      if (leaderOf(config, view) === key) role += ` leads ${view}`
    }
    roles.set(role, [...(roles.get(role) ?? []), place])
  }
  return roles
}

/** The same judgements, worked out once for each block and parent. */
export function cached(rules: GateRules): GateRules {
  const judged = new Map<string, ReturnType<GateRules['judge']>>()
  const drafts = new Map<string, ReturnType<GateRules['draft']>>()
  return {
    ...rules,
    judge: (block: Block, parent) => {
      const key = `${block.id}${parent.head}`
      const known = judged.get(key) ?? rules.judge(block, parent)
      judged.set(key, known)
      return known
    },
    draft: (parent) => {
      const known = drafts.get(parent.head) ?? rules.draft(parent)
      drafts.set(parent.head, known)
      return known
    },
  }
}

/** What was ever sent, by all honest voters together. */
export class GatePool {
  /** Honest voters that cast each ballot, by its number. */
  readonly counts: readonly number[]
  /** Numbers of the blocks that there are. */
  readonly blocks: readonly number[]
  /** Ballots of the voter whose disk may be lost. */
  readonly watched: ReadonlySet<number>
  readonly voters: readonly Voter[]

  constructor(voters: readonly Voter[], { catalogue, options }: GateSetting) {
    this.voters = voters
    const counts = new Array<number>(catalogue.ballots.length).fill(0)
    const watched = new Set<number>()
    for (const { life, loses } of voters) {
      for (const number of life.sent) {
        counts[number] = (counts[number] ?? 0) + 1
        if (loses) watched.add(number)
      }
    }
    const given = catalogue.puppetBlocks
    const own =
      options.puppets.length < options.views ? voters.flatMap((one) => one.life.proposed) : []
    this.counts = counts
    this.blocks = own.length === 0 ? given : [...given, ...new Set(own)]
    this.watched = watched
  }
}
