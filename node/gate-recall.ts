/**
 * When a voter may speak: at once while its disk holds everything that it said, else once enough
 * others have said what they hold of it, in every epoch that it may have been in (SPEC §7.6).
 */
import {
  type GateMessage,
  type GatePlace,
  type HostName,
  type KeyId,
  liarsTolerated,
  type RolloutId,
} from '../protocol/index.ts'
import {
  type DiskMemory,
  type GateMachine,
  type GateState,
  hostNamed,
  isVoter,
  NO_FLOOR,
  type Trust,
  type VoteFloor,
} from '../rollout/index.ts'
import { NodeError } from './errors.ts'
import { memoriesOf } from './gate-answers.ts'
import type { ForgottenFloor } from './gate-log.ts'
import { encodeGateMessage, type GateQuestion, KNOWS } from './gate-wire.ts'
import { VoteMemory } from './vote-memory.ts'

/** Said once, when it is found out. */
export const FORGOT =
  'the disk of this voter may be older than what it said: it decides nothing in any view up to here, nor grants a lease for a start up to here'

export class GateRecall {
  readonly #self: KeyId
  #memory: VoteMemory | undefined
  #started = false
  #disk: DiskMemory = 'kept'
  /** Where in this epoch this voter may have said what its disk does not know. */
  #forgotten: ForgottenFloor | undefined
  /** The newest slot that was committed up to there, and the epoch. */
  #upTo = { epoch: 0, slot: 0 }

  constructor(self: KeyId) {
    this.#self = self
  }

  /** A voter that waits to hear what it said before: it votes and grants nothing. */
  get silent(): boolean {
    return this.#memory !== undefined
  }

  get memory(): VoteMemory | undefined {
    return this.#memory
  }

  /** What this voter knows of its disk and has not settled with the others. */
  get disk(): DiskMemory {
    return this.#memory === undefined ? 'kept' : this.#disk
  }

  /** How many more voters have to answer; 0 where none has to. */
  get missing(): number {
    const ruling = this.#memory?.ruling
    return ruling?.kind === 'wait' ? ruling.missing : 0
  }

  /** What the disk says: noted when the log of an epoch is read, and when an epoch begins. */
  remember(disk: DiskMemory, forgotten: ForgottenFloor | undefined): void {
    this.#disk = disk
    this.#forgotten = forgotten
  }

  /**
   * What is in doubt in the epoch that a block of `view` begins. Who has been there committed that
   * block before, in a view above it: below the floor, then.
   */
  carriedOver(view: number): DiskMemory {
    if (this.#disk !== 'kept') return this.#disk
    const { disk, floor } = this.#forgotten ?? { disk: 'kept', floor: NO_FLOOR }
    return view > floor.final ? 'kept' : disk
  }

  /**
   * Begins to ask, after a start or in a new epoch, or says at once where this node may speak: where
   * nobody else is needed, or it has no vote. Before the node has started it asks nobody.
   */
  begin(trust: Trust, machine: GateMachine): { speak: VoteFloor } | undefined {
    const { voters, quorum: q, faultModel } = trust.config
    const n = voters.length
    if (!isVoter(machine) || n === 1 || this.#disk === 'kept') {
      this.#memory = undefined
      return { speak: this.#forgotten?.floor ?? NO_FLOOR }
    }
    const others = voters.flatMap((name) => {
      const key = hostNamed(trust, name)?.fact
      return key === undefined || key === this.#self ? [] : [{ name, key }]
    })
    const sizes = { n, q, f: liarsTolerated(n, faultModel) }
    this.#memory = new VoteMemory({ self: this.#self, others, sizes, disk: this.#disk })
    return undefined
  }

  get started(): boolean {
    return this.#started
  }

  start(): void {
    this.#started = true
  }

  /**
   * Notes a question of a peer whose own disk is blank: one answer more, where this one is blank too.
   * Whether something may follow from it.
   */
  noteAsker({ blank }: VotesQuestion, from: HostName): boolean {
    if (!blank || this.#memory?.disk !== 'blank') return false
    this.#memory.takeBlank(from)
    return true
  }

  /**
   * What this node says to a voter that asks: nothing while its own disk is blank. Throws PEER_REFUSED
   * while it knows that it forgot something, and for an epoch that is over.
   */
  answer(
    { epoch }: VotesQuestion,
    { voter, machine }: { voter: KeyId | undefined; machine: GateMachine },
  ): readonly Uint8Array[] {
    if (this.disk === 'blank') return []
    if (this.disk === 'lost') {
      throw new NodeError(
        'PEER_REFUSED',
        'expected a voter that knows what it said, found one whose disk is older than that',
        'It answers once enough other voters have told it where it was.',
      )
    }
    return [KNOWS, ...memoriesOf(machine, { voter, epoch }).map(encodeGateMessage)]
  }

  /** Takes an answer about the present epoch. A blank one is none: that voter is asked again. */
  take(answer: VotesAnswer, machine: GateMachine): void {
    const { peer, knows, messages } = answer
    if (knows?.length === 1 && knows[0] === KNOWS[0]) this.#memory?.take(peer, messages, machine)
    if (knows === undefined) this.#memory?.takeBlank(peer)
    this.#memory?.lost(peer)
  }

  /** What follows from the answers, if enough have come: where to speak, and what the disk has to know first. */
  finished(epoch: number): { floor: VoteFloor; forgotten: ForgottenFloor | undefined } | undefined {
    const ruling = this.#memory?.ruling
    if (ruling?.kind !== 'speak') return undefined
    const before = this.#forgotten?.floor ?? NO_FLOOR
    const floor = higherOf(before, ruling.floor)
    const disk = this.#disk
    const forgotten = ruling.forgot ? { epoch, floor, disk } : this.#forgotten
    return { floor, forgotten }
  }

  /** Ends the wait: the disk knows of `forgotten`. */
  settle(forgotten: ForgottenFloor | undefined, state: GateState, committedView: number): void {
    this.#memory = undefined
    this.#disk = 'kept'
    this.#forgotten = forgotten
    if (forgotten !== undefined && committedView > 0) {
      this.#upTo = { epoch: state.epoch, slot: state.slot }
    }
  }

  /** A block was committed: what this voter said below the floor of this epoch it does not know. */
  noteCommit({ view, epoch }: GatePlace, { slot }: GateState): void {
    const known = this.#forgotten
    if (known?.epoch === epoch && view <= known.floor.final) this.#upTo = { epoch, slot }
  }

  /**
   * Whether this voter may have granted or refused this round before its disk was lost. Only of rounds
   * that this epoch started: nobody skips any other, so that a forgotten lease does no harm.
   */
  mayHaveForgotten(state: GateState, place: ForgottenPlace): boolean {
    const starts = state.rollouts.get(place.rollout)?.starts.get(place.host) ?? []
    const start = starts.find((one) => one.round === place.round)
    const { epoch, slot } = this.#upTo
    return start !== undefined && start.epoch === epoch && start.slot <= slot
  }
}

function higherOf(a: VoteFloor, b: VoteFloor): VoteFloor {
  return {
    notarize: Math.max(a.notarize, b.notarize),
    skip: Math.max(a.skip, b.skip),
    final: Math.max(a.final, b.final),
  }
}

type VotesQuestion = GateQuestion & { kind: 'votes' }

interface VotesAnswer {
  readonly peer: HostName
  /** The first entry; absent in an answer of nothing. */
  readonly knows: Uint8Array | undefined
  /** The others, verified. */
  readonly messages: readonly GateMessage[]
}

interface ForgottenPlace {
  readonly rollout: RolloutId
  readonly host: HostName
  readonly round: number
}
