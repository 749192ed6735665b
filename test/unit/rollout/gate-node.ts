/**
 * The smallest node around a gate machine that keeps the machine's contract.
 *
 * Its disk is slow: what was not written when the node crashes is lost, and nothing of it was said.
 * At each commit it forgets whatever the contract lets it forget.
 */
import type {
  Block,
  Certificate,
  GateMessage,
  GatePlace,
  KeyId,
  Vote,
} from '../../../protocol/index.ts'
import {
  type Accused,
  type GateConfig,
  type GateEffect,
  type GateEvent,
  type GateMachine,
  type GateRules,
  type GateSummary,
  newGateMachine,
} from '../../../rollout/gate-machine.ts'
import { summary } from '../../../rollout/gate-repair.ts'
import { stepGate } from '../../../rollout/gate-step.ts'
import {
  asMessage,
  type Changes,
  fakeBlock,
  fakeGenesis,
  fakeRules,
  fakeVote,
  GENESIS,
} from './gate-fakes.ts'

const DISK_MS = 4
/** Blocks of one answer from the store: few, so that long gaps take several. */
const SERVE_MAX = 3

/** What nodes send each other. A question is answered with what the asker lacks. */
export type Letter =
  | { readonly kind: 'gate'; readonly message: GateMessage }
  | { readonly kind: 'facts'; readonly held: readonly string[] }
  | { readonly kind: 'summary'; readonly have: GateSummary; readonly answered: boolean }
  | { readonly kind: 'want'; readonly block: string }

/** Where a node lives, and who watches it. */
export interface Surroundings {
  /** Changes of the voters that may be asked for. */
  readonly changes: Changes
  /** Whom everybody has proof against. */
  readonly accused: Accused
  after(ms: number, run: () => void): void
  /** To one peer, or to all of them. */
  send(from: GateNode, letter: Letter, to?: GateNode): void
  /** Called with every effect before it is carried out. */
  watch(node: GateNode, effect: GateEffect): void
  voted(node: GateNode, vote: Vote): void
  proposed(node: GateNode, block: Block): void
  broken(what: string): void
}

export class GateNode {
  readonly name: string
  readonly config: GateConfig
  machine: GateMachine
  up = true
  /** Requests that it knows; they survive a crash. */
  readonly held = new Set<string>()
  /** The log as this life has it, and as any life had it. */
  log: { block: Block; certificate: Certificate; tail: readonly Block[] }[] = []
  readonly told: Block[] = []
  restarts = 0
  #journal: GateMessage[] = []
  #loading = false
  #life = 0
  #timer = 0
  protected readonly around: Surroundings

  constructor(name: string, config: GateConfig, around: Surroundings) {
    this.name = name
    this.config = config
    this.around = around
    this.machine = newGateMachine(config, fakeGenesis())
  }

  get key(): KeyId {
    return this.config.self ?? ''
  }

  step(event: GateEvent): void {
    const { machine, effects } = stepGate(this.machine, event, this.#rules())
    this.machine = machine
    for (const effect of effects) this.carryOut(effect)
  }

  #rules(): GateRules {
    return fakeRules(this.held, new Set(), this.around.changes, this.around.accused)
  }

  learn(held: readonly string[]): void {
    const before = this.held.size
    for (const id of held) this.held.add(id)
    if (this.up && this.held.size > before) this.step({ kind: 'changed' })
  }

  receive(letter: Letter, from: GateNode): void {
    if (!this.up) return
    switch (letter.kind) {
      case 'gate':
        this.hear(letter.message)
        break
      case 'facts':
        this.learn(letter.held)
        break
      case 'summary':
        this.answer(letter, from)
        break
      case 'want':
        this.hand(letter.block, from)
        break
    }
  }

  sync(peer: GateNode): void {
    if (!this.up) return
    this.around.send(this, { kind: 'facts', held: [...this.held] }, peer)
    this.around.send(this, { kind: 'summary', have: summary(this.machine), answered: false }, peer)
  }

  crash(): void {
    this.up = false
    this.#life++
    this.#timer++
  }

  /** Comes back with what the disk holds; `forgetful` means that it holds nothing. */
  boot(forgetful: boolean): void {
    if (this.up) return
    this.up = true
    this.restarts++
    this.log = []
    this.machine = newGateMachine(this.config, fakeGenesis())
    if (forgetful) this.#journal = []
    this.#loading = true
    for (const message of [...this.#journal]) this.step({ kind: 'restore', message })
    this.#loading = false
    this.step({ kind: 'restart' })
  }

  protected hear(message: GateMessage): void {
    this.step({ kind: 'message', message })
  }

  protected propose(block: Block): void {
    this.#write(asMessage(block), () => {
      this.around.proposed(this, block)
      this.publish(asMessage(block))
      this.hear(asMessage(block))
    })
  }

  protected publish(message: GateMessage): void {
    this.around.send(this, { kind: 'gate', message })
  }

  private carryOut(effect: GateEffect): void {
    this.around.watch(this, effect)
    switch (effect.kind) {
      case 'propose':
        this.propose(fakeBlock(effect.body, this.key))
        break
      case 'vote':
        this.vote(fakeVote(effect.vote, effect.body, this.key))
        break
      case 'keep':
        this.#write(effect.message, () => undefined)
        break
      case 'publish':
        this.publish(effect.message)
        break
      case 'timer':
        this.setTimer(effect.view, effect.ms)
        break
      case 'timer-off':
        this.#timer++
        break
      case 'committed':
        this.commit(effect)
        break
      case 'epoch':
        if (!this.#loading) this.step({ kind: 'restart' })
        break
      case 'want':
        this.around.send(this, { kind: 'want', block: effect.block })
        break
      case 'repair':
        this.around.send(this, { kind: 'summary', have: effect.have, answered: false })
        break
      default:
        break
    }
  }

  private vote(vote: Vote): void {
    this.#write(asMessage(vote), () => {
      this.around.voted(this, vote)
      this.publish(asMessage(vote))
      this.hear(asMessage(vote))
    })
  }

  private setTimer(view: number, ms: number): void {
    const timer = ++this.#timer
    this.around.after(ms, () => {
      if (timer === this.#timer) this.step({ kind: 'timer', view })
    })
  }

  #write(message: GateMessage, then: () => void): void {
    const life = this.#life
    this.around.after(DISK_MS, () => {
      if (life !== this.#life) return
      this.#journal.push(message)
      then()
    })
  }

  private answer(letter: Letter & { kind: 'summary' }, from: GateNode): void {
    const event = { kind: 'repair', have: letter.have } as const
    const { machine, effects } = stepGate(this.machine, event, this.#rules())
    this.machine = machine
    for (const effect of effects) {
      if (effect.kind === 'publish') {
        this.around.send(this, { kind: 'gate', message: effect.message }, from)
      } else if (effect.kind === 'serve') this.serve(effect, from)
      else this.carryOut(effect)
    }
    this.around.send(this, { kind: 'facts', held: [...this.held] }, from)
    if (letter.answered) return
    this.around.send(this, { kind: 'summary', have: summary(this.machine), answered: true }, from)
  }

  private serve({ epoch, above }: { epoch: number; above: number }, to: GateNode): void {
    const isAfter = ({ body }: Block): boolean =>
      body.epoch > epoch || (body.epoch === epoch && body.view > above)
    const some = this.log.filter(({ block }) => isAfter(block)).slice(0, SERVE_MAX)
    for (const { block, certificate, tail } of some) {
      for (const part of [block, ...tail, certificate]) {
        this.around.send(this, { kind: 'gate', message: asMessage(part) }, to)
      }
    }
  }

  private hand(id: string, to: GateNode): void {
    const kept = this.log.flatMap(({ block, tail }) => [block, ...tail])
    const block = this.machine.blocks.get(id)?.block ?? kept.find((one) => one.id === id)
    if (block !== undefined) this.around.send(this, { kind: 'gate', message: asMessage(block) }, to)
  }

  private commit({ block, certificate, tail }: GateEffect & { kind: 'committed' }): void {
    const head = this.log.at(-1)?.block.id ?? GENESIS
    if (block.body.parent !== head) this.around.broken(`${this.name} put ${block.id} on ${head}`)
    const before = this.told[this.log.length]
    if (before === undefined) this.told.push(block)
    else if (before.id !== block.id) this.around.broken(`${this.name} said ${before.id} before`)
    this.log.push({ block, certificate, tail })
    const logged = new Set(
      this.log.flatMap((one) => [one.block, ...one.tail].map((proof) => proof.id)),
    )
    const needed = this.#journal.filter((message) => isNeeded(message, block.body, logged))
    this.#journal = [...needed, asMessage(certificate)]
  }
}

/** All above the commit, and below it the log's own blocks and final certificates. */
function isNeeded(message: GateMessage, commit: GatePlace, logged: ReadonlySet<string>): boolean {
  const isAbove = (place: GatePlace): boolean =>
    place.epoch > commit.epoch || (place.epoch === commit.epoch && place.view > commit.view)
  switch (message.kind) {
    case 'block':
      return isAbove(message.block.body) || logged.has(message.block.id)
    case 'vote':
      return isAbove(message.vote.body)
    case 'certificate':
      return isAbove(message.certificate.body) || message.certificate.kind === 'final'
  }
}

/** A voter that says everything to everybody: two blocks a view, and every vote on each block it sees. */
export class LiarNode extends GateNode {
  readonly #chance: () => number
  readonly #peers: readonly GateNode[]

  constructor(
    name: string,
    config: GateConfig,
    world: { around: Surroundings; chance: () => number; peers: readonly GateNode[] },
  ) {
    super(name, config, world.around)
    this.#chance = world.chance
    this.#peers = world.peers
  }

  protected override propose(block: Block): void {
    const rival = fakeBlock({ ...block.body, commands: block.body.commands.slice(1) }, this.key)
    for (const peer of this.#peers) {
      const message = asMessage(this.#chance() < 0.5 ? block : rival)
      this.around.send(this, { kind: 'gate', message }, peer)
    }
  }

  protected override hear(message: GateMessage): void {
    super.hear(message)
    if (message.kind !== 'block') return
    const { group, epoch, view } = message.block.body
    const place = { group, epoch, view }
    for (const kind of ['notarize', 'final', 'skip'] as const) {
      const body = kind === 'skip' ? place : { ...place, block: message.block.id }
      const vote = asMessage(fakeVote(kind, body, this.key))
      for (const peer of this.#peers) {
        if (this.#chance() < 0.7) this.around.send(this, { kind: 'gate', message: vote }, peer)
      }
    }
  }
}
