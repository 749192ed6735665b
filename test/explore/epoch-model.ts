/**
 * A change of voters as a search problem (SPEC §7.7): honest voters run the shipped machine on the
 * shipped rules, from a log in which a reconfig and a plan are rivals, through the stop sign, into the
 * next epoch. Liars have cast every vote of both epochs, and leaders have proposed every block there is.
 *
 * Messages of the old epoch reach voters of the new one, and the other way round, as often as there is
 * anything to try: what keeps them apart is the machine alone. What a voter takes, and when, is that of
 * the other searches (`moves.ts`).
 */
import { type GateEvent, type GateMachine, newGateMachine } from '../../rollout/gate-machine.ts'
import { voterAt } from './catalogue.ts'
import { EMPTY_DISK } from './disk.ts'
import { EPOCH_VIEWS, type EpochPart, type EpochWorld, epochWorld } from './epoch-world.ts'
import { cached, type GatePool, type Voter } from './gate-setting.ts'
import { rivalCertificates } from './laws.ts'
import { isStopSign, type Life, live, type Surroundings } from './life.ts'
import type { VoterModel } from './minimal.ts'
import { Moves } from './moves.ts'
import type { ActorClass, Finding } from './search.ts'

export interface EpochCase {
  readonly n: number
  readonly quorum: number
  readonly liars: number
  readonly part: EpochPart
}

type Shown = Pick<GatePool, 'counts' | 'blocks' | 'watched'>

export class EpochModel implements VoterModel<Shown> {
  readonly classes: readonly ActorClass<Voter>[]
  readonly #case: EpochCase
  readonly #world: EpochWorld
  readonly #moves: Moves

  constructor(options: EpochCase) {
    this.#case = options
    this.#world = epochWorld(options)
    const { config, state, catalogue } = this.#world
    const rules = cached(this.#world.rules)
    const around: Surroundings = {
      origin: state.head,
      config: { ...config, self: voterAt(config, 0) },
      ...{ catalogue, rules, honestViews: { above: 0, upTo: 0 } },
    }
    const life: Life = {
      machine: newGateMachine(around.config, state),
      ...{ disk: EMPTY_DISK, snapshot: EMPTY_DISK, told: state.head },
      ...{ sent: [], proposed: [], crashes: 0, faults: [] },
    }
    const first = {
      role: 'voter',
      loses: false,
      life: live(life, [{ kind: 'restart' }], around),
      around,
    }
    const liars = Array.from({ length: options.liars }, (_, i) => options.n - 1 - i)
    const honest = config.voters.map((_, i) => i).filter((i) => !liars.includes(i))
    const known = { ...options, liars, views: EPOCH_VIEWS, puppets: [], crashes: 0, lazy: true }
    this.#moves = new Moves({
      options: known,
      ...{ config, catalogue, honest, watched: undefined },
    })
    const names = Array.from({ length: options.n - options.liars }, (_, i) => `v${i}`)
    this.classes = [{ names, first }]
  }

  get blocks(): readonly string[] {
    return this.#world.catalogue.describe()
  }

  get origin(): string {
    return this.#world.state.head
  }

  get allMoves(): readonly number[] {
    return this.#moves.all()
  }

  keyOf({ life }: Voter): string {
    const { machine, sent, told, faults } = life
    return [textOf(machine), sent, told, faults.map((one) => one.what)].join('|')
  }

  pool(voters: readonly Voter[]): Shown {
    const { catalogue } = this.#world
    const counts = new Array<number>(catalogue.ballots.length).fill(0)
    for (const { life } of voters) {
      for (const number of life.sent) counts[number] = (counts[number] ?? 0) + 1
    }
    return { counts, blocks: catalogue.puppetBlocks, watched: new Set() }
  }

  moves(voter: Voter, pool: Shown): readonly number[] {
    return this.#moves.of(voter, pool)
  }

  step(voter: Voter, move: number): Voter {
    const events = this.#moves.events(voter, move)
    if (events.length === 0 || this.#isOver(voter, events)) return voter
    const life = live(voter.life, events, voter.around)
    const kept =
      life.sent.length > voter.life.sent.length || this.#moves.counts(voter.life.machine, move)
    return kept ? { ...voter, life: judged(life) } : voter
  }

  /** A view without blocks is where a case ends: nobody grows impatient there. */
  #isOver({ life }: Voter, events: readonly GateEvent[]): boolean {
    const { config, view } = life.machine
    const { blocks } = this.#world.catalogue
    const here = blocks.some(({ body }) => body.epoch === config.epoch && body.view === view)
    return !here && events.some(({ kind }) => kind === 'timer')
  }

  /** S1 of all that can be committed, and of the stop sign; S12 of each voter. */
  judge(voters: readonly Voter[], pool: Shown): readonly Finding[] {
    const { catalogue } = this.#world
    const found = voters.flatMap(({ life }) => life.faults)
    const heads = new Set<string>()
    for (const [number, count] of pool.counts.entries()) {
      const { kind, block } = catalogue.ballot(number)
      if (block === undefined || count + this.#case.liars < this.#world.config.quorum) continue
      const { body } = catalogue.blockOf(block)
      const below = catalogue.has(body.parent) ? catalogue.blockOf(body.parent) : undefined
      const stopped = below?.body.epoch === body.epoch && isStopSign(below)
      if (stopped && body.commands.length > 0) {
        const what = `${catalogue.nameOf(block)} decides something on a change of voters`
        found.push({ invariant: 'S1', what })
      }
      if (kind === 'final') heads.add(stopped ? body.parent : block)
    }
    const all = [...heads]
    const apart = all.some((a, i) => all.slice(i + 1).some((b) => !catalogue.onOneChain(a, b)))
    if (apart) {
      found.push({
        invariant: 'S1',
        what: `two logs: ${all.map((id) => catalogue.nameOf(id)).join(' and ')}`,
      })
    }
    return found
  }

  judgeCertificates(pool: Shown): readonly Finding[] {
    const { catalogue, config } = this.#world
    const liars = Array.from({ length: this.#case.liars }, (_, i) => i)
    return rivalCertificates(pool, { catalogue, config, options: { liars } })
  }

  tell(move: number): string {
    return this.#moves.tell(move)
  }
}

/** The life, with a fault where its machine counts what was said in another epoch. */
function judged(life: Life): Life {
  const { config, votes, certificates } = life.machine
  const held = [...votes.values(), ...certificates.values()].flat()
  if (held.every(({ body }) => body.epoch === config.epoch)) return life
  const what = `a voter in epoch ${config.epoch} counts votes of another`
  return { ...life, faults: [...life.faults, { invariant: 'S1', what }] }
}

/** Everything that moves the machine; the heap of votes and the lengths of timers do not. */
function textOf(machine: GateMachine): string {
  const blocks = [...machine.blocks].map(
    ([id, { state }]) => `${id}${state === undefined ? '' : '+'}`,
  )
  const certificates = [...machine.certificates]
    .sort(([a], [b]) => a - b)
    .map(([view, held]) => `${view}:${held.map((one) => one.kind + (one.body.block ?? '')).sort()}`)
  const own = [...machine.own]
    .sort(([a], [b]) => a - b)
    .map(([view, one]) => `${view}:${one.notarize ?? ''}/${one.skip}/${one.final ?? ''}`)
  const { config, view, committed, trail, timer, frozen, floor } = machine
  const timing = timer === undefined ? '-' : `${timer.view}${timer.stage}`
  const place = [config.epoch, view, committed.block, committed.certificate?.body.view, floor.final]
  return [place, trail.map((one) => one.block), blocks, certificates, own, timing, frozen].join(';')
}
