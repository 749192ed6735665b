/**
 * What the node knows, in one place: facts, their fold, bodies, the committed log, its own clock.
 *
 * Everything that decides reads from here; only the runtime writes, inside the mailbox.
 */
import type { Block, Fact, FactId, FeedKey, HostName, RolloutId } from '../protocol/index.ts'
import {
  type Draft,
  type Duty,
  dutiesFor,
  EMPTY_VIEW,
  type FleetView,
  foldFacts,
  type GateRules,
  type GateState,
  gateRules,
  type Holding,
  holdingsFor,
  type Judgement,
  judgeAccusations,
  type Knowledge,
  type LocalTimes,
  noteTimes,
  type Orders,
  ordersFor,
  type RolloutStanding,
  type Trust,
  timedStandings,
  trustAt,
  withAuthority,
} from '../rollout/index.ts'
import type { BlobStore } from './blob-store.ts'
import type { FactStore } from './fact-store.ts'
import type { GrantJournal } from './grant-journal.ts'
import type { Clock } from './ports.ts'

/** What a judgement depends on besides its block and its ground. Each part changes its identity when it changes. */
interface Grounds {
  readonly view: FleetView
  readonly times: LocalTimes
  readonly bodies: number
  readonly grants: number
  /** Time in steps of a tick: nothing of the gate's is more exact. */
  readonly tick: number
}

/** What was worked out at one state of knowledge, in which nothing has changed since. */
interface Derived {
  readonly knowledge: Knowledge
  readonly bodies: number
  orders: Orders | undefined
  duties: readonly Duty[] | undefined
  holdings: readonly Holding[] | undefined
  timed: ReadonlyMap<RolloutId, RolloutStanding> | undefined
}

export class NodeKnowledge {
  /** That of the present epoch. */
  trust: Trust
  readonly bodies: BlobStore
  readonly facts: FactStore
  readonly #name: HostName
  readonly #clock: Clock
  readonly #grants: GrantJournal
  readonly #forgot: (rollout: RolloutId, host: HostName, round: number) => boolean
  #view: FleetView = EMPTY_VIEW
  #times: LocalTimes = new Map()
  #derived: Derived | undefined
  /** What `#times` were noted from: noting it again would change nothing. */
  #noted: Derived['timed']
  #grounds: Grounds | undefined
  #drafts = new Map<GateState, Draft | undefined>()
  #judgements = new Map<Block, { ground: GateState; judgement: Judgement }>()

  constructor(parts: {
    name: HostName
    trust: Trust
    bodies: BlobStore
    facts: FactStore
    clock: Clock
    grants: GrantJournal
    /** Whether this voter may have granted the round and forgotten it. */
    forgot(rollout: RolloutId, host: HostName, round: number): boolean
  }) {
    this.#name = parts.name
    this.trust = parts.trust
    this.bodies = parts.bodies
    this.facts = parts.facts
    this.#clock = parts.clock
    this.#grants = parts.grants
    this.#forgot = parts.forgot
  }

  /** The fold of every fact held, whoever said it. */
  get view(): FleetView {
    return this.#view
  }

  /** Folds facts that are on the disk. */
  learn(facts: readonly Fact[]): void {
    this.#view = this.#judged(foldFacts(this.#view, facts, this.trust))
  }

  /** A body came: it may be what an accusation waits for. */
  judgeAgain(): void {
    this.#view = this.#judged(this.#view)
  }

  /** The fold of what the log holds at `state` and of every fact above it, but for some. */
  foldWithout(state: GateState, gone: ReadonlySet<FactId>): FleetView {
    const facts = [...this.facts.inMemory()].filter(({ id }) => !gone.has(id))
    return this.#judged(foldFacts(state.evidence, facts, this.trust))
  }

  /** Folds anew: facts have left a feed. */
  refold(state: GateState): void {
    this.#view = this.foldWithout(state, new Set())
  }

  /** What derivations look at, with the log as committed. */
  at(state: GateState): Knowledge {
    const trust = trustAt(this.trust, state)
    const view = withAuthority(this.#view, trust, state)
    return { trust, state, view, bodies: this.bodies }
  }

  /** What all of it asks of this host: the same object while nothing has changed. */
  orders(state: GateState): Orders {
    const derived = this.#derive(state)
    derived.orders ??= ordersFor(derived.knowledge, this.#name)
    return derived.orders
  }

  /** Whom this host has to watch: the same object while nothing has changed. */
  duties(state: GateState): readonly Duty[] {
    const derived = this.#derive(state)
    derived.duties ??= dutiesFor(derived.knowledge, this.#name)
    return derived.duties
  }

  /** What has to be held for others: the same object while nothing has changed. */
  holdings(state: GateState): readonly Holding[] {
    const derived = this.#derive(state)
    derived.holdings ??= holdingsFor(derived.knowledge)
    return derived.holdings
  }

  /** Notes what this node sees for the first time, for the timeouts that count from it. */
  noteTimes(state: GateState): void {
    const derived = this.#derive(state)
    derived.timed ??= timedStandings(derived.knowledge)
    if (derived.timed === this.#noted) return
    const next = noteTimes(this.#times, state, derived.timed, this.#clock.bootMs())
    if (!isSame(next, this.#times)) this.#times = next
    this.#noted = derived.timed
  }

  /** Each part changes its identity when it changes; no derivation here looks at a clock. */
  #derive(state: GateState): Derived {
    const before = this.#derived
    const knowledge = this.at(state)
    const bodies = this.bodies.count
    const isSame =
      before?.bodies === bodies &&
      before.knowledge.state === state &&
      before.knowledge.view === knowledge.view &&
      before.knowledge.trust === knowledge.trust
    if (isSame) return before
    const fresh = {
      ...{ knowledge, bodies, orders: undefined, duties: undefined },
      ...{ holdings: undefined, timed: undefined },
    }
    this.#derived = fresh
    return fresh
  }

  /**
   * The gate's rules over what is held now. Every message of the gate asks them again, so that answers
   * are remembered while nothing has changed that they depend on.
   */
  rules(): GateRules {
    const local = {
      now: this.#clock.bootMs(),
      wallMs: this.#clock.wallMs(),
      times: this.#times,
      granted: (rollout: RolloutId, host: HostName, round: number) =>
        this.#grants.granted(rollout, host, round) || this.#forgot(rollout, host, round),
    }
    const rules = gateRules({
      trust: this.trust,
      view: this.#view,
      bodies: this.bodies,
      factAt: (feed: FeedKey, seq: number, id: FactId) => this.facts.branchFact(feed, seq, id),
      local,
    })
    this.#forgetIfMoved(local.now)
    return {
      ...rules,
      draft: (parent) => this.#draft(rules, parent),
      judge: (block, ground) => this.#judge(rules, block, ground),
    }
  }

  #judged(view: FleetView): FleetView {
    if (view.accusations.size === 0) return view
    return judgeAccusations(view, this.bodies, this.trust)
  }

  #draft(rules: GateRules, parent: GateState): Draft | undefined {
    if (!this.#drafts.has(parent)) this.#drafts.set(parent, rules.draft(parent))
    return this.#drafts.get(parent)
  }

  #judge(rules: GateRules, block: Block, ground: GateState): Judgement {
    const known = this.#judgements.get(block)
    if (known?.ground === ground) return known.judgement
    const judgement = rules.judge(block, ground)
    this.#judgements.set(block, { ground, judgement })
    return judgement
  }

  #forgetIfMoved(now: number): void {
    const grounds: Grounds = {
      view: this.#view,
      times: this.#times,
      bodies: this.bodies.count,
      grants: this.#grants.count,
      tick: Math.floor((now * TICKS_PER_PROBE) / this.trust.config.timing.probeMs),
    }
    const before = this.#grounds
    const moved =
      before === undefined ||
      (Object.keys(grounds) as (keyof Grounds)[]).some((key) => grounds[key] !== before[key])
    if (!moved) return
    this.#grounds = grounds
    this.#drafts = new Map()
    this.#judgements = new Map()
  }
}

const TICKS_PER_PROBE = 10

function isSame(a: LocalTimes, b: LocalTimes): boolean {
  return a.size === b.size && [...a].every(([key, at]) => b.get(key) === at)
}
