/**
 * The gate log as a search problem (SPEC §7.1): honest voters run the shipped machine, liars have
 * cast every vote there is, and leaders of puppet views have proposed every block there is.
 *
 * Whatever was sent stays in a pool, and a voter takes out what it likes when it likes: delay, loss,
 * reordering and duplication are all "not yet". Three arguments keep the space small and lose nothing:
 *
 * - A voter takes votes as whole ballots. Part of a quorum changes nothing in the machine but the
 *   heap of votes, which only ever becomes a certificate; so that heap is no part of a state.
 * - A block is taken when it makes a difference: when it gets this voter's vote, or is certified and
 *   lets the chain grow. Taken earlier it would do no more.
 * - A timer that fires again after the vote to skip says again what the pool has. It is not fired.
 */

import type { VoteFloor } from '../../rollout/gate-machine.ts'
import { diskKey } from './disk.ts'
import { type GateCase, GatePool, type GateSetting, settingOf, type Voter } from './gate-setting.ts'
import { judgePool, rivalCertificates } from './laws.ts'
import { live, reborn, strokesOf } from './life.ts'
import { machineKey } from './machine-key.ts'
import { floorsAfterLoss } from './memory.ts'
import type { VoterModel } from './minimal.ts'
import { MESSAGES_MAX, Moves } from './moves.ts'
import type { ActorClass, Finding } from './search.ts'

const CRASH = MESSAGES_MAX
const SNAPSHOT = MESSAGES_MAX + 1
const LOSS = MESSAGES_MAX + 10
/** A crash before stroke s of move m is move CUT * (s + 1) + m. */
const CUT = 100_000

export class GateModel implements VoterModel<GatePool> {
  readonly classes: readonly ActorClass<Voter>[]
  readonly #setting: GateSetting
  readonly #moves: Moves

  constructor(options: GateCase) {
    this.#setting = settingOf(options)
    this.#moves = new Moves(this.#setting)
    this.classes = this.#setting.classes
  }

  /** What the blocks of a trace are. */
  get blocks(): readonly string[] {
    return this.#setting.catalogue.describe()
  }

  /** Every move that a voter may ever try. Only for cases in which `MinimalModel` can be used. */
  get allMoves(): readonly number[] {
    const { options } = this.#setting
    const { crashes, lazy, proven, puppets, views } = options
    if (crashes > 0 || lazy !== true || proven === true || puppets.length < views) {
      throw new Error('expected a lazy case of puppets without crashes')
    }
    return this.#moves.all()
  }

  keyOf({ life, role, loses }: Voter): string {
    const { crashes } = this.#setting.options
    const faults = life.faults.map((fault) => fault.what)
    const rest = [life.sent, life.proposed, life.told, life.crashes, faults].join('|')
    const disk = crashes > 0 ? diskKey(life.disk) : ''
    const copy = loses ? diskKey(life.snapshot) : ''
    return [role, machineKey(life.machine, this.#setting), rest, disk, copy].join('|')
  }

  pool(voters: readonly Voter[]): GatePool {
    return new GatePool(voters, this.#setting)
  }

  judge(voters: readonly Voter[], pool: GatePool): readonly Finding[] {
    return judgePool(voters, pool, this.#setting)
  }

  get origin(): string {
    return this.#setting.config.genesis
  }

  /** No two certificates that contradict each other can be made of what was sent. */
  judgeCertificates(pool: GatePool): readonly Finding[] {
    return rivalCertificates(pool, this.#setting)
  }

  moves(voter: Voter, pool: GatePool, position: number): readonly number[] {
    const whole = this.#moves.of(voter, pool)
    const { crashes, loses } = this.#setting.options
    if (voter.life.crashes >= crashes) return whole
    if (loses !== undefined) {
      if (!voter.loses) return whole
      const floors = floorsAfterLoss(pool.voters, position, this.#setting)
      return [...whole, SNAPSHOT, ...floors.map((floor) => LOSS + codeOf(floor))]
    }
    const cuts = whole.flatMap((move) =>
      Array.from({ length: this.#strokes(voter, move) }, (_, i) => CUT * (i + 1) + move),
    )
    return [...whole, CRASH, ...cuts]
  }

  step(voter: Voter, move: number): Voter {
    const { life, around } = voter
    if (move === CRASH) return { ...voter, life: reborn(life, life.disk, life.disk.floor, around) }
    if (move === SNAPSHOT) {
      if (diskKey(life.disk) === diskKey(life.snapshot)) return voter
      return { ...voter, life: { ...life, snapshot: life.disk } }
    }
    if (move >= LOSS && move < CUT) {
      return { ...voter, life: reborn(life, life.snapshot, floorOf(move - LOSS), around) }
    }
    const events = this.#moves.events(voter, move % CUT)
    if (events.length === 0) return voter
    if (move >= CUT) {
      const cut = live(life, events, around, Math.floor(move / CUT) - 1)
      return { ...voter, life: reborn(cut, cut.disk, cut.disk.floor, around) }
    }
    const next = live(life, events, around)
    const kept = next.sent.length > life.sent.length || this.#moves.counts(life.machine, move)
    return kept ? { ...voter, life: next } : voter
  }

  tell(move: number): string {
    if (move === CRASH) return 'crashes and starts again'
    if (move === SNAPSHOT) return 'its disk is copied'
    if (move >= LOSS && move < CUT) {
      const { notarize, skip, final } = floorOf(move - LOSS)
      return `its disk is as it was when copied, or empty; it notarizes above view ${notarize}, skips above ${skip} and decides above ${final}`
    }
    const what = this.#moves.tell(move % CUT)
    if (move < CUT) return what
    return `${what}; it crashes after ${Math.floor(move / CUT) - 1} steps of that and starts again`
  }

  readonly #strokeCounts = new WeakMap<Voter, Map<number, number>>()

  /** In how many places the move can be cut short. */
  #strokes(voter: Voter, move: number): number {
    const counts = this.#strokeCounts.get(voter) ?? new Map<number, number>()
    this.#strokeCounts.set(voter, counts)
    const known = counts.get(move)
    if (known !== undefined) return known
    const events = this.#moves.events(voter, move)
    const strokes = events.length === 0 ? 0 : strokesOf(voter.life, events, voter.around)
    counts.set(move, strokes)
    return strokes
  }
}

/** Views of a case are fewer: three digits say where a voter is silent. */
const VIEW_DIGIT = 8

function codeOf({ notarize, skip, final }: VoteFloor): number {
  return (notarize * VIEW_DIGIT + skip) * VIEW_DIGIT + final
}

function floorOf(code: number): VoteFloor {
  const rest = Math.floor(code / VIEW_DIGIT)
  return {
    ...{ notarize: Math.floor(rest / VIEW_DIGIT), skip: rest % VIEW_DIGIT },
    final: code % VIEW_DIGIT,
  }
}
