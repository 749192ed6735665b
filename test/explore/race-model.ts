/**
 * The lease races as a search problem (SPEC §9.3): voters learn of a halt, vote for a block that takes
 * the ground from under the lease, and answer the host, in any order.
 *
 * Two actors are no voters. The *leader* proposes the block, the *host* asks over one fresh nonce;
 * each remembers whether it was too late by then: n − q + 1 honest voters held the halt, or the block
 * could be committed. Grants of an earlier nonce are notes in the voters' books alone.
 */
import { newGateMachine } from '../../rollout/gate-machine.ts'
import { EMPTY_BOOK, type GrantBook, hasGranted, noteSkips } from '../../rollout/lease.ts'
import { Catalogue, voterAt } from './catalogue.ts'
import { EMPTY_DISK } from './disk.ts'
import type { GateSetting, Voter } from './gate-setting.ts'
import { type Life, live, type Surroundings } from './life.ts'
import { machineKey } from './machine-key.ts'
import { MESSAGES_MAX, Moves } from './moves.ts'
import { type Knowing, RaceWorld, type Rival } from './race-world.ts'
import type { ActorClass, Finding, Model } from './search.ts'

export interface RaceCase {
  readonly n: number
  readonly f: number
  readonly quorum: number
  readonly rival: Rival
  /** A control: voters answer without looking at what they voted for. */
  readonly blind?: boolean
}

interface RaceVoter extends Knowing {
  readonly kind: 'voter'
  readonly life: Life
  /** It granted the nonce. */
  readonly granted: boolean
}

/** `early` and `late` are about the moment in which it spoke. */
interface Once {
  readonly kind: 'leader' | 'host'
  readonly spoke: 'no' | 'early' | 'late'
}

type Actor = RaceVoter | Once

interface RacePool {
  readonly counts: readonly number[]
  readonly voters: readonly RaceVoter[]
  readonly proposed: boolean
  readonly asked: boolean
  /** n − q + 1 honest voters hold the halt. */
  readonly halted: boolean
  /** All liars' and the honest voters' votes commit the block. */
  readonly committed: boolean
}

const HALT = MESSAGES_MAX
const GRANT_EARLIER = MESSAGES_MAX + 1
const GRANT = MESSAGES_MAX + 2
const SPEAK_EARLY = MESSAGES_MAX + 3
const SPEAK_LATE = MESSAGES_MAX + 4
const TOLD: ReadonlyMap<number, string> = new Map([
  [HALT, 'learns of the halt'],
  [GRANT_EARLIER, 'answers an earlier request of the host'],
  [GRANT, 'answers the host'],
  [SPEAK_EARLY, 'speaks'],
  [SPEAK_LATE, 'speaks, too late'],
])

export class RaceModel implements Model<Actor, RacePool> {
  readonly classes: readonly ActorClass<Actor>[]
  readonly #options: RaceCase
  readonly #world: RaceWorld
  readonly #setting: Omit<GateSetting, 'classes'>
  readonly #moves: Moves
  readonly #catalogue: Catalogue

  constructor(options: RaceCase) {
    const { n, f, quorum, rival, blind = false } = options
    this.#options = options
    this.#world = new RaceWorld({ n, quorum, rival, blind })
    const { config, block, state } = this.#world
    this.#catalogue = new Catalogue(config, [], state.view)
    if (block !== undefined) this.#catalogue.give(block)
    const honest = Array.from({ length: n - f }, (_, place) => place)
    const liars = Array.from({ length: f }, (_, i) => n - f + i)
    const views = state.view + 1
    this.#setting = {
      options: {
        n,
        quorum,
        liars,
        views,
        puppets: new Array(views).fill(1),
        crashes: 0,
        lazy: true,
      },
      ...{ config, catalogue: this.#catalogue, honest, watched: undefined },
    }
    this.#moves = new Moves(this.#setting)
    this.classes = [
      { names: honest.map((place) => `v${place}`), first: this.#firstVoter() },
      { names: ['leader'], first: { kind: 'leader', spoke: block === undefined ? 'early' : 'no' } },
      { names: ['host'], first: { kind: 'host', spoke: 'no' } },
    ]
  }

  get blocks(): readonly string[] {
    return this.#catalogue.describe()
  }

  keyOf(actor: Actor): string {
    if (actor.kind !== 'voter') return `${actor.kind}|${actor.spoke}`
    const { life, halted, granted, book } = actor
    const notes = book.notes.map((note) => note.gave)
    const faults = life.faults.map((fault) => fault.what)
    const rest = [life.sent, halted, granted, notes, faults].join('|')
    return `${machineKey(life.machine, this.#setting)}|${rest}`
  }

  pool(actors: readonly Actor[]): RacePool {
    const voters = actors.filter((one) => one.kind === 'voter')
    const counts = new Array<number>(this.#catalogue.ballots.length).fill(0)
    for (const { life } of voters) {
      for (const number of life.sent) counts[number] = (counts[number] ?? 0) + 1
    }
    const { n, quorum } = this.#options
    const spoke = (kind: Once['kind']) =>
      actors.some((one) => one.kind === kind && one.spoke !== 'no')
    return {
      ...{ counts, voters, proposed: spoke('leader'), asked: spoke('host') },
      halted: voters.filter((one) => one.halted).length >= n - quorum + 1,
      committed: this.#certified(counts, 'final'),
    }
  }

  moves(actor: Actor, pool: RacePool): readonly number[] {
    if (actor.kind !== 'voter') {
      return actor.spoke === 'no' ? [this.#isLate(actor, pool) ? SPEAK_LATE : SPEAK_EARLY] : []
    }
    const blocks = pool.proposed ? this.#catalogue.puppetBlocks : []
    const shown = { counts: pool.counts, blocks, watched: new Set<number>() }
    const messages = this.#moves.of(this.#asVoter(actor), shown)
    return [...messages, HALT, GRANT_EARLIER, ...(pool.asked ? [GRANT] : [])]
  }

  step(actor: Actor, move: number): Actor {
    if (actor.kind !== 'voter') {
      return { ...actor, spoke: move === SPEAK_LATE ? 'late' : 'early' }
    }
    if (move === HALT) {
      if (actor.halted) return actor
      return this.#live({ ...actor, halted: true }, [{ kind: 'changed' }])
    }
    if (move === GRANT || move === GRANT_EARLIER) {
      if (!this.#world.grants(actor.life.machine, actor)) return actor
      const note = { ...this.#world.key, gave: 'grant' } as const
      const notes = hasGranted(actor.book, note) ? actor.book.notes : [...actor.book.notes, note]
      return { ...actor, book: { notes }, granted: actor.granted || move === GRANT }
    }
    const events = this.#moves.events(this.#asVoter(actor), move)
    if (events.length === 0) return actor
    const next = this.#live(actor, events)
    const kept = this.#moves.counts(actor.life.machine, move)
    return kept || next.life.sent.length > actor.life.sent.length ? next : actor
  }

  /** S17, S5, and what a lease is for: no go that began after the log had decided otherwise. */
  judge(actors: readonly Actor[], pool: RacePool): readonly Finding[] {
    const { f, quorum, rival } = this.#options
    const leased = pool.voters.filter((one) => one.granted).length + f >= quorum
    const late = (kind: Once['kind']) =>
      actors.some((one) => one.kind === kind && one.spoke === 'late')
    const found: Finding[] = pool.voters.flatMap((one) => one.life.faults)
    if (leased && late('host')) {
      found.push({
        invariant: rival === 'admit' ? 'S4' : 'S5',
        what: 'a lease that was asked for too late',
      })
    }
    if (rival === 'skip' && leased && pool.committed) {
      found.push({ invariant: 'S17', what: 'one round of the host is skipped and leased' })
    }
    if (rival === 'start' && late('leader') && this.#certified(pool.counts, 'notarize')) {
      found.push({ invariant: 'S5', what: 'a start is notarized that was proposed under a halt' })
    }
    return found
  }

  tell(move: number): string {
    return TOLD.get(move) ?? this.#moves.tell(move)
  }

  #isLate(actor: Once, pool: RacePool): boolean {
    if (actor.kind === 'leader') return pool.halted
    return pool.halted || (this.#options.rival === 'admit' && pool.committed)
  }

  #certified(counts: readonly number[], kind: 'notarize' | 'final'): boolean {
    return this.#catalogue.ballots.some((ballot, number) => {
      const votes = (counts[number] ?? 0) + this.#options.f
      return ballot.kind === kind && votes >= this.#options.quorum
    })
  }

  #firstVoter(): RaceVoter {
    const { state } = this.#world
    const life: Life = {
      machine: newGateMachine(this.#around({ halted: false, book: EMPTY_BOOK }).config, state),
      ...{ disk: EMPTY_DISK, snapshot: EMPTY_DISK, told: state.head },
      ...{ sent: [], proposed: [], crashes: 0, faults: [] },
    }
    const first: RaceVoter = {
      kind: 'voter',
      life,
      halted: false,
      granted: false,
      book: EMPTY_BOOK,
    }
    return this.#live(first, [{ kind: 'restart' }])
  }

  /** Lives on, and notes what a vote for the block promises before the vote is out. */
  #live(actor: RaceVoter, events: Parameters<typeof live>[1]): RaceVoter {
    const life = live(actor.life, events, this.#around(actor))
    const votes = life.sent.filter((number) => !actor.life.sent.includes(number))
    const skips =
      this.#options.rival === 'skip' &&
      votes.some((number) => this.#catalogue.ballot(number).kind === 'notarize')
    if (!skips) return { ...actor, life }
    const book: GrantBook | undefined = noteSkips(actor.book, [this.#world.key])
    if (book !== undefined) return { ...actor, life, book }
    const fault = { invariant: 'S17', what: 'a voter voted to skip what it had leased' }
    return { ...actor, life: { ...life, faults: [...life.faults, fault] } }
  }

  #around(knowing: Knowing): Surroundings {
    return {
      origin: this.#world.state.head,
      config: { ...this.#world.config, self: voterAt(this.#world.config, 0) },
      catalogue: this.#catalogue,
      rules: this.#world.rules(knowing),
      honestViews: { above: 0, upTo: 0 },
    }
  }

  readonly #asVoters = new WeakMap<RaceVoter, Voter>()

  #asVoter(actor: RaceVoter): Voter {
    const known = this.#asVoters.get(actor)
    if (known !== undefined) return known
    const voter = { role: 'voter', loses: false, life: actor.life, around: this.#around(actor) }
    this.#asVoters.set(actor, voter)
    return voter
  }
}
