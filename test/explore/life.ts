/**
 * One honest voter's life: the shipped machine, its disk, what it has said to the world, and what it
 * has told its host.
 *
 * Effects are carried out as `node/gate-service.ts` does it: in order, own messages first to the
 * disk, then to the world, then back into the machine. A life can end after any such step, and the
 * next one begins with what the disk holds.
 */
import type { Block, BlockId, GateMessage } from '../../protocol/index.ts'
import {
  type GateConfig,
  type GateEffect,
  type GateEvent,
  type GateMachine,
  type GateRules,
  leaderOf,
  NO_FLOOR,
  newGateMachine,
  SILENT,
  type VoteFloor,
} from '../../rollout/gate-machine.ts'
import { genesisState } from '../../rollout/gate-state.ts'
import { stepGate } from '../../rollout/gate-step.ts'
import { asMessage, fakeBlock, fakeVote, GENESIS } from '../unit/rollout/gate-fakes.ts'
import type { Ballot, Catalogue } from './catalogue.ts'
import { type Disk, EMPTY_DISK, kept, withCommitted, withKept } from './disk.ts'
import type { Finding } from './search.ts'

/** What a life is lived in. */
export interface Surroundings {
  /** The block that the log stands on at first. */
  readonly origin: BlockId
  readonly config: GateConfig
  readonly catalogue: Catalogue
  readonly rules: GateRules
  /** Liars are proven where none is borne. */
  readonly proven?: boolean | undefined
  /** Honest leaders propose in these views; in earlier ones the catalogue holds all, later there are none. */
  readonly honestViews: { readonly above: number; readonly upTo: number }
}

export interface Life {
  readonly machine: GateMachine
  readonly disk: Disk
  /** Numbers of the ballots, and of the blocks, that it let out; ascending. */
  readonly sent: readonly number[]
  readonly proposed: readonly number[]
  /** Head of the longest log that any of its lives told its host. */
  readonly told: BlockId
  /** Restarts so far. */
  readonly crashes: number
  /** An older disk that it may be put back to. */
  readonly snapshot: Disk
  readonly faults: readonly Finding[]
}

/** A voter on its first start. */
export function firstLife(around: Surroundings): Life {
  const life: Life = {
    machine: newGateMachine(around.config, genesisState(around.config.genesis, 1)),
    disk: EMPTY_DISK,
    sent: [],
    proposed: [],
    told: GENESIS,
    crashes: 0,
    snapshot: EMPTY_DISK,
    faults: [],
  }
  return live(life, [{ kind: 'restart' }], around)
}

/** The life after these events, or up to a crash after `strokes` steps of carrying effects out. */
export function live(
  life: Life,
  events: readonly GateEvent[],
  around: Surroundings,
  strokes: number = Number.POSITIVE_INFINITY,
): Life {
  return new Day(life, around, strokes).live(events)
}

/** How many steps of carrying out follow from these events: a crash can come before each. */
export function strokesOf(life: Life, events: readonly GateEvent[], around: Surroundings): number {
  const day = new Day(life, around, Number.POSITIVE_INFINITY)
  day.live(events)
  return day.strokes
}

/** The machine as the disk remembers it, before it speaks. */
export function restored(disk: Disk, around: Surroundings): GateMachine {
  return kept(disk).reduce(
    (machine, message) => stepGate(machine, { kind: 'restore', message }, around.rules).machine,
    replayed(disk, around),
  )
}

/** A new life from `disk`; it does not vote up to `floor`. */
export function reborn(life: Life, disk: Disk, floor: VoteFloor, around: Surroundings): Life {
  const machine = replayed(disk, around)
  const next = { ...life, disk: { ...disk, floor }, machine, crashes: life.crashes + 1 }
  const journal = kept(disk).map((message) => ({ kind: 'restore', message }) as const)
  return live(next, [...journal, { kind: 'restart', floor }], around)
}

/** A machine that stands where the log on the disk ends, and is silent. */
function replayed(disk: Disk, { config, rules }: Surroundings): GateMachine {
  let state = genesisState(config.genesis, 1)
  for (const { block } of disk.log) {
    const next = rules.apply(block, state)
    if (next === undefined) throw new Error('the log on the disk cannot be applied')
    state = next
  }
  const machine = newGateMachine(config, state, disk.log.at(-1)?.certificate)
  return { ...machine, floor: SILENT }
}

/** A correct machine takes its journal and a few votes of its own; more is a circle. */
const EVENTS_MAX = 200

/** One event and everything that follows from it, stroke by stroke. */
class Day {
  readonly #around: Surroundings
  readonly #limit: number
  readonly #events: GateEvent[] = []
  #life: Life
  strokes = 0

  constructor(life: Life, around: Surroundings, limit: number) {
    this.#life = life
    this.#around = around
    this.#limit = limit
  }

  live(events: readonly GateEvent[]): Life {
    this.#events.push(...events)
    let taken = 0
    for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) {
      if (++taken > EVENTS_MAX) {
        this.#fault('S12', 'a voter never comes to rest: each vote of its own makes it vote again')
        return this.#life
      }
      const { machine, effects } = stepGate(this.#life.machine, event, this.#around.rules)
      if (machine.timer?.stage === 'grace' && this.#around.honestViews.upTo > 0) {
        throw new Error('a case with leaders of its own always has open requests')
      }
      this.#life = { ...this.#life, machine }
      for (const effect of effects) if (!this.#carry(effect)) return this.#life
    }
    return this.#life
  }

  /** False when the crash has come. */
  #carry(effect: GateEffect): boolean {
    switch (effect.kind) {
      case 'propose':
        return this.#propose(effect)
      case 'vote': {
        const vote = fakeVote(effect.vote, effect.body, this.#around.config.self ?? '')
        return this.#say(asMessage(vote), () => this.#cast({ kind: vote.kind, ...vote.body }))
      }
      case 'keep':
        return this.#stroke(() => this.#write(withKept(this.#life.disk, effect.message)))
      case 'committed':
        return this.#stroke(() => {
          this.#commit(effect)
          this.#write(withCommitted(this.#life.disk, effect.block, effect.certificate))
        })
      case 'publish':
        return this.#stroke(() => this.#publish(effect.message))
      // On the disk that it has, a voter knows that it was in no later epoch before.
      case 'epoch':
        this.#events.push({ kind: 'restart', floor: NO_FLOOR })
        return true
      case 'conflict':
        // With a liar more than the model bears, a voter that sees this stops for good.
        if (this.#around.proven !== true)
          this.#fault('S1', 'an honest voter holds certificates that contradict each other')
        return true
      default:
        return true
    }
  }

  #propose({ body }: GateEffect & { kind: 'propose' }): boolean {
    const { catalogue, config, honestViews } = this.#around
    if (body.view <= honestViews.above || body.view > honestViews.upTo) return true
    const block = fakeBlock(body, leaderOf(config, body.view) ?? '')
    return this.#say(asMessage(block), () => {
      const before = this.#life.proposed.map((number) => catalogue.block(number))
      const number = catalogue.numberOfBlock(block)
      if (before.some((one) => one.body.view === body.view && one.id !== block.id)) {
        this.#fault('S12', `two proposals in view ${body.view}`)
      }
      this.#life = { ...this.#life, proposed: inserted(this.#life.proposed, number) }
    })
  }

  #say(message: GateMessage, out: () => void): boolean {
    const done = this.#stroke(() => this.#write(withKept(this.#life.disk, message)))
    if (!done || !this.#stroke(out)) return false
    this.#events.push({ kind: 'message', message })
    return true
  }

  #stroke(change: () => void): boolean {
    if (this.strokes >= this.#limit) return false
    this.strokes++
    change()
    return true
  }

  /** A vote from the journal goes out again, or for the first time if the crash came in between. */
  #publish(message: GateMessage): void {
    const { self } = this.#around.config
    if (message.kind !== 'vote' || message.vote.voter !== self) return
    this.#sent(
      this.#around.catalogue.numberOfBallot({ kind: message.vote.kind, ...message.vote.body }),
    )
  }

  #sent(number: number): void {
    this.#life = { ...this.#life, sent: inserted(this.#life.sent, number) }
  }

  #write(disk: Disk): void {
    this.#life = { ...this.#life, disk }
  }

  /** S12: what R2–R4 forbid, judged by all that ever left this voter, in this life or before. */
  #cast(ballot: Ballot): void {
    const { catalogue } = this.#around
    const before = this.#life.sent.map((number) => catalogue.ballot(number))
    const { final } = this.#life.disk.floor
    const apart = ballot.view > final ? excludes : contradicts
    const against = before.find((one) => apart(one, ballot))
    if (against !== undefined) {
      this.#fault('S12', `${tell(ballot)} after ${tell(against)}`)
    }
    this.#sent(catalogue.numberOfBallot(ballot))
  }

  #commit(effect: GateEffect & { kind: 'committed' }): void {
    const { block } = effect
    const { catalogue } = this.#around
    const wrong = unproven(effect, catalogue)
    if (wrong !== undefined) this.#fault('S1', wrong)
    const { told } = this.#life
    const head = this.#life.disk.log.at(-1)?.block.id ?? this.#around.origin
    catalogue.numberOfBlock(block)
    if (block.body.parent !== head || !catalogue.onOneChain(told, block.id)) {
      this.#fault('S1', `a voter committed ${catalogue.nameOf(block.id)} beside its own log`)
    }
    const longer = catalogue.isAncestor(told, block.id)
    this.#life = { ...this.#life, told: longer ? block.id : told }
  }

  #fault(invariant: string, what: string): void {
    this.#life = { ...this.#life, faults: [...this.#life.faults, { invariant, what }] }
  }
}

/**
 * Whether a correct voter that cast `earlier` may not cast `later` any more (R2–R4): one vote of each
 * kind in a view, never both skip and final, and no notarize or skip in a view that it has left.
 */
function excludes(earlier: Ballot, later: Ballot): boolean {
  if (earlier.epoch !== later.epoch) return false
  const together = earlier.view === later.view
  if (together && earlier.kind === later.kind) return earlier.block !== later.block
  if (later.kind === 'final') return together && earlier.kind === 'skip'
  return earlier.view > later.view || (together && earlier.kind === 'final')
}

/**
 * What proves a lie, whenever the two were said. A voter that forgot may repeat itself in views that it
 * had left.
 */
function contradicts(earlier: Ballot, later: Ballot): boolean {
  if (earlier.epoch !== later.epoch || earlier.view !== later.view) return false
  if (earlier.kind === later.kind) return earlier.block !== later.block
  return [earlier.kind, later.kind].sort().join() === 'final,skip'
}

/**
 * Why a voter may not have committed this: nothing but a final certificate of the block, or of one that
 * stands on it, proves it; and a change of voters ends its epoch.
 */
function unproven(
  { block, certificate, tail }: GateEffect & { kind: 'committed' },
  catalogue: Catalogue,
): string | undefined {
  const { kind, body } = certificate
  if (kind !== 'final' || !catalogue.isAncestor(block.id, body.block ?? '')) {
    return 'a voter committed a block without a final certificate'
  }
  const { parent, epoch } = block.body
  const below = catalogue.has(parent) ? catalogue.blockOf(parent) : undefined
  if (below?.body.epoch === epoch && isStopSign(below)) {
    return 'a block of the old epoch entered the log after the change of its voters'
  }
  const lost = tail.some((one) => one.body.commands.length > 0)
  return lost ? 'commands were decided on a change of voters, and are lost' : undefined
}

/** A block that changes the voters: nothing of its epoch is decided on it. */
export function isStopSign({ body }: Block): boolean {
  return body.commands.some(({ kind }) => kind === 'reconfig')
}

function tell({ kind, view }: Ballot): string {
  return `${kind} in view ${view}`
}

function inserted(numbers: readonly number[], number: number): readonly number[] {
  return numbers.includes(number) ? numbers : [...numbers, number].sort((a, b) => a - b)
}
