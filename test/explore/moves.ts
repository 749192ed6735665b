/**
 * What a voter may take out of the pool next, as numbers, and the messages that each stands for.
 *
 * *Whole* moves bring one message each. *Lazy* moves bring what makes a difference, with all that it
 * needs: a block with its parents and their certificates when the voter may vote for it, a certificate
 * when it ends the view or draws a final vote, a final certificate with its branch. What makes no
 * difference yet can be taken later to the same effect, because knowing more forbids an honest voter
 * nothing: every vote that knowledge rules out (R3, R4) is ruled out by a view it has left already.
 * So lazy moves reach the same votes through fewer states; `explore.test.ts` compares both. They need
 * puppet leaders: an honest one proposes on what it knows at that moment.
 */
import type { Block, BlockId, Certificate, Vote, VoteBody, VoteKind } from '../../protocol/index.ts'
import { proposalAt } from '../../rollout/gate-chain.ts'
import type { GateConfig, GateEvent, GateMachine } from '../../rollout/gate-machine.ts'
import { notarizedAt, notarizedViews } from '../../rollout/gate-votes.ts'
import { asMessage, fakeVote } from '../unit/rollout/gate-fakes.ts'
import { type Ballot, voterAt } from './catalogue.ts'
import type { GatePool, GateSetting, Voter } from './gate-setting.ts'

/** Ranges of move numbers below `MESSAGES_MAX`. */
const CERTIFICATE = 20_000
const VOTES = 30_000
const FORGED = 80_000
/** The voter's timer. */
export const TIMER = 90_000
/** A timer of the view before, which ran out while the view ended. */
const LATE_TIMER = 90_001
/** No move of this file has this number or a higher one. */
export const MESSAGES_MAX = 90_002

/** A block's number carries which of the certificates that it needs come with it. */
const BUNDLES = 16
const VOTERS_MAX = 16

/** What there is to take. */
type Shown = Pick<GatePool, 'counts' | 'blocks' | 'watched'>

type Carried = Block | Vote | Certificate

export class Moves {
  readonly #setting: Omit<GateSetting, 'classes'>
  /** By block: what it needs never changes. */
  readonly #needed = new Map<Block, readonly number[]>()

  constructor(setting: Omit<GateSetting, 'classes'>) {
    this.#setting = setting
  }

  /** Everything that the voter may try. */
  of(voter: Voter, pool: Shown): readonly number[] {
    const moves: number[] = [TIMER, LATE_TIMER]
    for (const number of pool.blocks) {
      const block = this.#setting.catalogue.block(number)
      if (this.#setting.options.lazy !== true) moves.push(number * BUNDLES)
      else if (mayVoteFor(voter.life.machine, block)) {
        moves.push(number * BUNDLES + this.#bundle(block, pool))
      }
    }
    this.#addBallots(moves, voter, pool)
    return moves
  }

  /** Every move that a voter may ever try, whatever the others send; of lazy cases without lost disks. */
  all(): readonly number[] {
    const { catalogue, honest } = this.#setting
    const moves: number[] = [TIMER, LATE_TIMER]
    for (const [number, block] of catalogue.blocks.entries()) {
      const masks = 2 ** this.#needs(block).length
      for (let mask = 0; mask < masks; mask++) moves.push(number * BUNDLES + mask)
    }
    for (const { id: block, body } of catalogue.blocks) {
      const { epoch, view } = body
      for (const kind of ['notarize', 'final'] as const) {
        catalogue.numberOfBallot({ kind, epoch, view, block })
      }
      catalogue.numberOfBallot({ kind: 'skip', epoch, view })
    }
    for (let number = 0; number < catalogue.ballots.length; number++) {
      moves.push(CERTIFICATE + number, FORGED + number)
      for (let others = 0; others < honest.length; others++) {
        moves.push(VOTES + number * 2 * VOTERS_MAX + others)
      }
    }
    return moves
  }

  /** What reaches the machine; nothing when the move makes no difference. */
  events(voter: Voter, move: number): readonly GateEvent[] {
    const { machine } = voter.life
    if (move === TIMER) return this.#timer(machine)
    if (move === LATE_TIMER) return [{ kind: 'timer', view: machine.view - 1 }]
    if (move < CERTIFICATE) return this.#block(machine, move)
    const { number, votes, withWatched } = ballotOf(move)
    if (move >= FORGED) return asEvents([this.#forged(number)])
    if (!this.#makesDifference(machine, this.#setting.catalogue.ballot(number))) return []
    const branch = this.#branch(machine, number)
    if (votes === undefined) return asEvents([this.#certificate(number), ...branch])
    const cast = this.#votes(voter, { number, votes, withWatched })
    const all = cast.length + (voter.life.sent.includes(number) ? 1 : 0)
    return asEvents(all < this.#setting.config.quorum ? cast : [...cast, ...branch])
  }

  /** Whether the move has to be kept although no vote followed. */
  counts(machine: GateMachine, move: number): boolean {
    if (move >= CERTIFICATE) return true
    const { id } = this.#setting.catalogue.block(Math.floor(move / BUNDLES))
    return this.#setting.options.lazy !== true && isLacking(machine, id)
  }

  tell(move: number): string {
    if (move === TIMER) return 'its timer fires'
    if (move === LATE_TIMER) return 'the timer of the view before fires late'
    if (move < CERTIFICATE) return `takes block b${Math.floor(move / BUNDLES)}`
    const { number, votes } = ballotOf(move)
    const ballot = this.#setting.catalogue.ballot(number)
    const on = ballot.kind === 'skip' ? '' : ` ${this.#setting.catalogue.nameOf(ballot.block)}`
    const what = `${ballot.kind}${on} in view ${ballot.view}`
    if (move >= FORGED) return `takes one liar's vote for a certificate: ${what}`
    if (votes === undefined) return `takes the certificate: ${what}`
    return `takes votes of ${votes} others and of all liars: ${what}`
  }

  #addBallots(moves: number[], voter: Voter, pool: Shown): void {
    const { config, options } = this.#setting
    const liars = options.liars.length
    for (let number = 0; number < pool.counts.length; number++) {
      const own = voter.life.sent.includes(number) ? 1 : 0
      const others = (pool.counts[number] ?? 0) - own
      if (liars > 0) moves.push(FORGED + number)
      if (others + liars === 0) continue
      if (others + own + liars >= config.quorum) moves.push(CERTIFICATE + number)
      const watched = pool.watched.has(number) && !voter.loses ? 1 : 0
      const votes = VOTES + number * 2 * VOTERS_MAX + (others - watched)
      moves.push(votes)
      // With or without the vote of the voter whose disk may be lost: it matters who remembers it.
      if (watched === 1) moves.push(votes + VOTERS_MAX)
    }
  }

  #timer(machine: GateMachine): readonly GateEvent[] {
    const own = machine.own.get(machine.view)
    const again = own?.skip === true || own?.final !== undefined
    const over = machine.view > this.#setting.options.views
    return again || over || machine.timer === undefined
      ? []
      : [{ kind: 'timer', view: machine.view }]
  }

  #block(machine: GateMachine, move: number): readonly GateEvent[] {
    const block = this.#setting.catalogue.block(Math.floor(move / BUNDLES))
    if (this.#setting.options.lazy !== true) return isOfUse(machine, block) ? asEvents([block]) : []
    if (!mayVoteFor(machine, block)) return []
    const mask = move % BUNDLES
    const certificates = this.#needs(block)
      .filter((_, i) => Math.floor(mask / 2 ** i) % 2 === 1)
      .map((number) => this.#certificate(number))
    return asEvents([...certificates, ...this.#upTo(machine, block.body.parent), block])
  }

  /** Numbers of the ballots that R1 asks for under this block: the parent's, and skips in between. */
  #needs(block: Block): readonly number[] {
    const before = this.#needed.get(block)
    if (before !== undefined) return before
    const { catalogue } = this.#setting
    const { body } = block
    const { epoch } = body
    const known = catalogue.has(body.parent)
    // A block that ended an epoch is the next one's genesis, at view 0 of it.
    const inEpoch = known && catalogue.blockOf(body.parent).body.epoch === epoch
    const parent = known && !inEpoch ? 0 : catalogue.viewOf(body.parent)
    const needs: Ballot[] = []
    if (inEpoch) {
      needs.push({ kind: 'notarize', epoch, view: parent, block: body.parent })
    }
    for (let view = parent + 1; view < body.view; view++) needs.push({ kind: 'skip', epoch, view })
    const numbers = needs.map((ballot) => catalogue.numberOfBallot(ballot))
    this.#needed.set(block, numbers)
    return numbers
  }

  #bundle(block: Block, pool: Shown): number {
    const { config, options } = this.#setting
    return this.#needs(block).reduce((mask, number, i) => {
      const all = (pool.counts[number] ?? 0) + options.liars.length
      return all >= config.quorum ? mask + 2 ** i : mask
    }, 0)
  }

  #makesDifference(machine: GateMachine, { kind, epoch, view }: Ballot): boolean {
    if (this.#setting.options.lazy !== true) return true
    // Of another epoch: the machine has to throw it away by itself.
    if (epoch !== machine.config.epoch) return true
    if (view <= machine.committed.view) return false
    if (view >= machine.view || kind === 'final') return true
    const own = machine.own.get(view)
    return kind === 'notarize' && own?.skip !== true && own?.final === undefined
  }

  /** With a final certificate come the blocks that it commits. */
  #branch(machine: GateMachine, number: number): readonly Block[] {
    const { kind, block } = this.#setting.catalogue.ballot(number)
    const whole = this.#setting.options.lazy !== true
    return whole || kind !== 'final' || block === undefined ? [] : this.#upTo(machine, block)
  }

  /** The blocks from this one down that are not held, newest first, as they are asked for. */
  #upTo(machine: GateMachine, tip: BlockId): readonly Block[] {
    const blocks: Block[] = []
    for (let at = tip; this.#setting.catalogue.has(at) && at !== machine.committed.block; ) {
      const block = this.#setting.catalogue.blockOf(at)
      if (!machine.blocks.has(at)) blocks.push(block)
      at = block.body.parent
    }
    return blocks
  }

  /** All liars' votes, `votes` of other honest voters, and that of the watched voter if asked for. */
  #votes(
    voter: Voter,
    ask: { number: number; votes: number; withWatched: boolean },
  ): readonly Vote[] {
    const { honest, watched, options, config } = this.#setting
    const { self } = voter.around.config
    const others = honest.filter((place) => voterAt(config, place) !== self && place !== watched)
    const places = [
      ...options.liars,
      ...others.slice(0, ask.votes),
      ...(ask.withWatched && watched !== undefined ? [watched] : []),
    ]
    return places.map((place) => this.#vote(ask.number, place))
  }

  #vote(number: number, place: number): Vote {
    const { catalogue, config } = this.#setting
    const { kind, ...where } = catalogue.ballot(number)
    const body = { group: config.group, ...where }
    return fakeVote(kind, body, voterAt(config, place))
  }

  /** Of the first voters that suffice: who they are matters to nobody who checks signatures. */
  #certificate(number: number): Certificate {
    const { catalogue, config } = this.#setting
    const { kind, ...where } = catalogue.ballot(number)
    return certificateOn(config, kind, { group: config.group, ...where })
  }

  /** A liar's vote, as often as a quorum has votes, and a stranger's. */
  #forged(number: number): Certificate {
    const { config, options } = this.#setting
    const vote = this.#vote(number, options.liars[0] ?? 0)
    const stranger = { ...vote, voter: 'ff'.repeat(32) }
    return certificateFrom([...Array.from({ length: config.quorum }, () => vote), stranger])
  }
}

/** A certificate of the first voters that suffice. */
function certificateOn(config: GateConfig, kind: VoteKind, body: VoteBody): Certificate {
  const places = Array.from({ length: config.quorum }, (_, place) => place)
  return certificateFrom(places.map((place) => fakeVote(kind, body, voterAt(config, place))))
}

function asEvents(messages: readonly Carried[]): readonly GateEvent[] {
  return messages.map((value) => ({ kind: 'message', message: asMessage(value) }))
}

function certificateFrom(votes: readonly Vote[]): Certificate {
  const [first] = votes
  if (first === undefined) throw new Error('a certificate has votes')
  const parts = votes.map(({ voter, signature }) => ({ voter, signature }))
  return { kind: first.kind, body: first.body, votes: parts }
}

function mayVoteFor(machine: GateMachine, { body }: Block): boolean {
  const here = body.epoch === machine.config.epoch && body.view === machine.view
  return here && proposalAt(machine, body.view) === undefined
}

/** A block of this view while the voter has none to vote for, or one that the chain lacks. */
function isOfUse(machine: GateMachine, block: Block): boolean {
  if (machine.blocks.has(block.id) || block.body.view <= machine.committed.view) return false
  return isLacking(machine, block.id) || mayVoteFor(machine, block)
}

/** Whether a certified branch ends at this block, because it is not held. */
function isLacking(machine: GateMachine, id: BlockId): boolean {
  return notarizedViews(machine).some((view) => {
    let end = notarizedAt(machine, view) ?? ''
    for (let held = machine.blocks.get(end); held !== undefined; held = machine.blocks.get(end)) {
      end = held.block.body.parent
    }
    return end === id
  })
}

function ballotOf(move: number): {
  readonly number: number
  readonly votes: number | undefined
  readonly withWatched: boolean
} {
  if (move >= FORGED) return { number: move - FORGED, votes: undefined, withWatched: false }
  if (move < VOTES) return { number: move - CERTIFICATE, votes: undefined, withWatched: false }
  const code = move - VOTES
  return {
    number: Math.floor(code / (2 * VOTERS_MAX)),
    votes: code % VOTERS_MAX,
    withWatched: Math.floor(code / VOTERS_MAX) % 2 === 1,
  }
}
