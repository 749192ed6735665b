/**
 * Carries the gate machine: its messages to the wire and the journal, its timer to the clock, its
 * commits to the rest of the node.
 *
 * All methods run inside the node's mailbox. A vote leaves only after the journal has it. While the
 * disk refuses, what was decided waits in order and nothing new is taken in: the voter is silent, and
 * goes on where it stood as soon as there is room.
 */
import {
  type Block,
  type Certificate,
  type GateMessage,
  type HostName,
  type KeyId,
  type KeyPair,
  ProtocolError,
  type RolloutId,
  type Signer,
  sealBlock,
  sealVote,
  type UnsignedRoot,
} from '../protocol/index.ts'
import {
  type GateEffect,
  type GateEpoch,
  type GateEvent,
  type GateMachine,
  type GateState,
  gateConfigAt,
  genesisState,
  hostNamed,
  newGateMachine,
  SILENT,
  stepGate,
  summary,
  type Trust,
  trustAt,
  type VoteFloor,
} from '../rollout/index.ts'
import { readDiskMemory } from './disk-memory.ts'
import { committedMessages } from './gate-answers.ts'
import { GateAsks } from './gate-asks.ts'
import { GateLog } from './gate-log.ts'
import type { GateServiceParts } from './gate-parts.ts'
import { FORGOT, GateRecall } from './gate-recall.ts'
import { replayGate } from './gate-replay.ts'
import {
  decodeGateAnswer,
  decodeGateMessage,
  decodeGateQuestion,
  encodeGateAnswer,
  encodeGateMessage,
  type GateQuestion,
  OtherEpoch,
} from './gate-wire.ts'
import type { Acceptance, Cancel } from './ports.ts'

/** An event that waits for the disk. One of our own or of our clock comes only once, and must stay. */
interface Waiting {
  readonly event: GateEvent
  readonly stays: boolean
}

export class GateService {
  readonly #parts: GateServiceParts
  readonly #log: GateLog
  readonly #asks: GateAsks
  #machine: GateMachine
  #timer: Cancel | undefined
  /** As the disk has them at the start. */
  #epochs: readonly GateEpoch[] = []
  readonly #events: Waiting[] = []
  readonly #effects: GateEffect[] = []
  #conflict: readonly Certificate[] = []
  readonly #liars = new Set<KeyId>()
  readonly #recall: GateRecall
  /** Peers that were heard in a later epoch and are being asked for the way there. */
  readonly #ahead = new Set<HostName>()

  constructor(parts: GateServiceParts) {
    this.#parts = parts
    const { trust, key } = parts
    this.#log = new GateLog(parts.store, trust, parts.signer)
    this.#recall = new GateRecall(key.publicKey)
    this.#asks = new GateAsks(parts, (question, answer, peer) =>
      this.#takeAnswer(question, answer, peer),
    )
    const first = genesisState(trust.genesis, trust.root.version)
    this.#machine = newGateMachine(gateConfigAt(trust, first, key.publicKey), first)
  }

  /** Whoever belongs and votes now. */
  get trust(): Trust {
    return trustAt(this.#parts.trust, this.state)
  }

  /** The state after the newest committed block. */
  get state(): GateState {
    return this.#machine.committed.state
  }

  get machine(): GateMachine {
    return this.#machine
  }

  /** True once contradicting certificates were seen: the log is frozen. */
  get frozen(): boolean {
    return this.#machine.frozen
  }

  /** A voter that waits to hear what it said before it was started: it votes and grants nothing. */
  get silent(): boolean {
    return this.#recall.silent
  }

  /** How many voters have to answer before this one speaks; 0 where it waits for none. */
  get awaited(): number {
    return this.#recall.missing
  }

  /** Whether this voter may have granted or refused this round before its disk was lost. */
  mayHaveForgotten(rollout: RolloutId, host: HostName, round: number): boolean {
    return this.#recall.mayHaveForgotten(this.state, { rollout, host, round })
  }

  /** The disk's log: committed blocks after a place, and the empty ones that end an epoch. */
  get log(): Pick<GateLog, 'committed' | 'tail'> {
    return this.#log
  }

  /** Epochs and roots that the disk knows of: what facts mean may depend on them, so they are read first. */
  async loadEpochs(): Promise<Pick<GateState, 'epochs' | 'roots'>> {
    const roots = await this.#log.roots()
    this.#epochs = await this.#log.epochs(roots)
    return { epochs: this.#epochs, roots }
  }

  /**
   * Replays the log and the journal from the disk. Epochs and facts must be loaded. Nothing is said
   * before `restarted`.
   */
  async load(): Promise<void> {
    for (const { author, messages } of await this.#log.lies()) {
      this.#liars.add(author)
      this.#parts.caught(messages)
    }
    const { trust, log, store } = this.#parts
    this.#recall.remember(await readDiskMemory(store), await this.#log.floor())
    const { state, proof } = await replayGate({
      ...{ trust, log },
      committed: (block, next) => {
        this.#recall.noteCommit(block.body, next)
        this.#parts.committed(block, next)
      },
      gateLog: this.#log,
      epochs: this.#epochs,
      rules: this.#parts.rules(),
    })
    this.#log.begin(state.epochs)
    this.#conflict = await this.#log.conflict()
    const config = gateConfigAt(trust, state, this.#parts.key.publicKey)
    const machine = newGateMachine(config, state, proof)
    this.#machine = { ...machine, floor: SILENT, frozen: this.#conflict.length > 0 }
    for await (const message of this.#log.kept()) await this.#step({ kind: 'restore', message })
  }

  /** Speaks again: at once where nobody else votes, else when the others have answered. */
  async restarted(): Promise<void> {
    this.#recall.start()
    const now = this.#recall.begin(this.trust, this.#machine)
    if (now === undefined) await this.#askMemories()
    else await this.#speak(now.speak)
  }

  stop(): void {
    this.#timer?.()
  }

  /** A message from the topic. */
  async receive(bytes: Uint8Array, from: string): Promise<Acceptance> {
    try {
      const message = this.#decode(bytes, from)
      await this.#step({ kind: 'message', message })
      return 'accept'
    } catch (error) {
      if (error instanceof OtherEpoch) this.#noteEpoch(error.epoch, from)
      if (error instanceof ProtocolError) return error.action
      throw error
    }
  }

  /** Blocks and certificates of a repair or a bundle. Blocks twice: a far one is taken only after its certificate. */
  async receiveAll(sources: readonly Uint8Array[], from: string): Promise<void> {
    for (const bytes of sources) await this.#takeAnswered(bytes, from, () => true)
    for (const bytes of sources)
      await this.#takeAnswered(bytes, from, (message) => message.kind === 'block')
  }

  /** What the rules look at has changed: facts, bodies, or the time. */
  async changed(): Promise<void> {
    await this.#askMemories()
    await this.#recover()
    await this.#step({ kind: 'changed' })
  }

  /** Answers a peer's question about the log. Throws while the disk refuses what waits. */
  async answer(source: Uint8Array, from: string): Promise<Uint8Array> {
    const question = decodeGateQuestion(source, `a gate question from ${from}`)
    switch (question.kind) {
      case 'block': {
        const held = this.#machine.blocks.get(question.block)
        const messages: GateMessage[] =
          held === undefined ? [] : [{ kind: 'block', block: held.block }]
        return encodeGateAnswer(messages.map(encodeGateMessage))
      }
      case 'votes':
        return encodeGateAnswer(this.#memoriesOf(question, from))
      case 'repair':
        return encodeGateAnswer(await this.#repair(question))
    }
  }

  /** Asks a peer for what it knows above our commit. */
  repairFrom(peer: HostName): void {
    this.#asks.one(peer, { kind: 'repair', have: summary(this.#machine) })
  }

  #decode(bytes: Uint8Array, from: string): GateMessage {
    const { trust } = this
    const { signer } = this.#parts
    return decodeGateMessage(bytes, { trust, signer, whose: `a gate message from ${from}` })
  }

  #take(event: GateEvent): readonly GateEffect[] {
    const { machine, effects } = stepGate(this.#machine, event, this.#parts.rules())
    this.#machine = machine
    return effects
  }

  /** One event and everything that follows from it in this node. Throws when the disk refuses. */
  async #step(event: GateEvent, stays: boolean = false): Promise<void> {
    this.#events.push({ event, stays })
    try {
      await this.#carryAll()
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        this.#effects.push(...this.#take(next.event))
        await this.#carryAll()
      }
    } finally {
      const kept = this.#events.filter((waiting) => waiting.stays)
      this.#events.splice(0, this.#events.length, ...kept)
    }
  }

  /** What was decided goes out in its order; what the disk refuses stays first. */
  async #carryAll(): Promise<void> {
    for (let effect = this.#effects[0]; effect !== undefined; effect = this.#effects[0]) {
      await this.#carry(effect)
      this.#effects.shift()
    }
  }

  async #carry(effect: GateEffect): Promise<void> {
    switch (effect.kind) {
      case 'propose': {
        const block = sealBlock(effect.body, this.#author())
        return await this.#say({ kind: 'block', block })
      }
      case 'vote': {
        const named = this.#machine.blocks.get(effect.body.block ?? '')
        if (effect.vote === 'notarize' && named !== undefined)
          await this.#parts.beforeVote(named.block)
        const vote = sealVote(effect.vote, effect.body, this.#author())
        return await this.#say({ kind: 'vote', vote })
      }
      case 'keep':
        return await this.#log.keep(effect.message)
      case 'publish':
        return this.#publish(effect.message)
      case 'timer':
        return this.#setTimer(effect.view, effect.ms)
      case 'timer-off':
        return this.#timer?.()
      case 'committed':
        return await this.#commit(effect)
      case 'epoch':
        return await this.#enter(effect.state)
      case 'equivocation':
        return await this.#accuse(effect)
      case 'conflict':
        return await this.#freeze(effect.certificates)
      default:
        return this.#fetch(effect)
    }
  }

  async #commit(effect: GateEffect & { kind: 'committed' }): Promise<void> {
    const { block, state, tail } = effect
    const next = state.epochs.at(-1)
    const ends = next !== undefined && state.epoch > block.body.epoch
    const disk = this.#recall.carriedOver(block.body.view)
    const committed = { ...effect, root: this.#rootOf(block) }
    await this.#log.commit(committed, ends ? { next, tail, disk } : undefined)
    this.#recall.noteCommit(block.body, state)
    this.#parts.committed(block, state)
  }

  /** The root that the block brings; its body is held, or the block could not have been applied. */
  #rootOf({ body }: Block): UnsignedRoot | undefined {
    const [command] = body.commands
    return command?.kind === 'root' ? this.#parts.bodies.root?.(command.root) : undefined
  }

  /** Everything of the old epoch is on the disk; in the new one this voter first asks what it said there. */
  async #enter(state: GateState): Promise<void> {
    const { log } = this.#parts
    log.info({ epoch: state.epoch, slot: state.slot }, 'a new epoch begins')
    this.#log.begin(state.epochs)
    this.#recall.remember(await readDiskMemory(this.#parts.store), await this.#log.floor())
    this.#conflict = []
    this.#ahead.clear()
    this.#parts.entered(state)
    if (!this.#recall.started) return
    const now = this.#recall.begin(this.trust, this.#machine)
    if (now !== undefined) {
      this.#events.push({ event: { kind: 'restart', floor: now.speak }, stays: true })
    } else this.#parts.post(() => this.#askMemories())
  }

  /** The disk knows of the epoch before anybody hears anything of it. */
  async #recover(): Promise<void> {
    const state = this.#parts.recovery()
    const epoch = state?.epochs.at(-1)
    if (state === undefined || epoch === undefined) return
    await this.#log.recovered(epoch, this.#recall.carriedOver(0))
    this.#parts.log.warn({ epoch: epoch.epoch, slot: epoch.slot }, 'the group was recovered')
    await this.#step({ kind: 'recover', state }, true)
  }

  #fetch(effect: FetchEffect): void {
    const { log, fetchBasis } = this.#parts
    switch (effect.kind) {
      case 'want':
        this.#asks.some({ kind: 'block', block: effect.block })
        break
      case 'await':
        log.debug({ block: effect.block.id, why: effect.why }, 'a block waits')
        fetchBasis(effect.block)
        break
      case 'repair':
        this.#asks.some({ kind: 'repair', have: effect.have })
        break
      case 'serve':
        break
    }
  }

  async #accuse({ author, messages }: GateEffect & { kind: 'equivocation' }): Promise<void> {
    if (this.#liars.has(author)) return
    await this.#log.keepLie(author, messages)
    this.#liars.add(author)
    this.#parts.log.error({ author }, 'a voter signed two messages that exclude each other')
    this.#parts.caught(messages)
  }

  /** On the disk first, so that the freeze survives a restart; then everybody is shown the proof. */
  async #freeze(certificates: readonly Certificate[]): Promise<void> {
    await this.#log.keepConflict(certificates)
    this.#conflict = certificates
    this.#parts.log.error({}, 'certificates contradict each other: the gate log is frozen')
    for (const certificate of certificates) this.#publish({ kind: 'certificate', certificate })
  }

  /** On the disk first, then to the others, then to ourselves. */
  async #say(message: GateMessage): Promise<void> {
    await this.#log.keep(message)
    this.#publish(message)
    this.#events.push({ event: { kind: 'message', message }, stays: true })
  }

  #publish(message: GateMessage): void {
    try {
      this.#parts.network.publish('gate', encodeGateMessage(message))
    } catch (error) {
      this.#parts.log.error({ error: String(error) }, 'a gate message could not be published')
    }
  }

  #author(): { fleet: string; key: KeyPair; signer: Signer } {
    const { trust, key, signer } = this.#parts
    return { fleet: trust.fleet, key, signer }
  }

  #setTimer(view: number, ms: number): void {
    this.#timer?.()
    this.#timer = this.#parts.clock.after(ms, () => {
      this.#parts.post(() => this.#step({ kind: 'timer', view }, true))
    })
  }

  async #repair({ have }: GateQuestion & { kind: 'repair' }): Promise<readonly Uint8Array[]> {
    await this.#carryAll()
    const proof = this.#conflict.map(
      (certificate) => ({ kind: 'certificate', certificate }) as const,
    )
    const messages: Uint8Array[] = proof.map(encodeGateMessage)
    for (const effect of this.#take({ kind: 'repair', have })) {
      if (effect.kind === 'publish') messages.push(encodeGateMessage(effect.message))
      else if (effect.kind === 'serve') {
        const after = { epoch: effect.epoch, view: effect.above }
        messages.push(...(await committedMessages(this.#log, after)).map(encodeGateMessage))
      } else this.#effects.push(effect)
    }
    await this.#carryAll()
    return messages
  }

  /** Asks the voters that have not been asked yet what they hold of this one; speaks when enough have. */
  async #askMemories(): Promise<void> {
    const { memory } = this.#recall
    if (memory === undefined || !this.#recall.started) return
    const { epoch } = this.#machine.config
    const blank = memory.disk === 'blank'
    for (const peer of memory.toAsk(this.#parts.network.peers())) {
      this.#asks.one(peer, { kind: 'votes', epoch, blank }, () => memory.lost(peer))
    }
    await this.#finishRecall()
  }

  /** Speaks, if enough voters have answered; the disk knows of it first. */
  async #finishRecall(): Promise<void> {
    const known = this.#recall.finished(this.#machine.config.epoch)
    if (known === undefined) return
    const { floor, forgotten } = known
    if (forgotten !== undefined) this.#parts.log.warn({ view: floor.final }, FORGOT)
    await this.#log.settle(forgotten)
    this.#recall.settle(forgotten, this.state, this.#machine.committed.view)
    await this.#speak(floor)
  }

  #memoriesOf(question: GateQuestion & { kind: 'votes' }, from: string): readonly Uint8Array[] {
    if (this.#recall.noteAsker(question, from)) this.#parts.post(() => this.#finishRecall())
    const voter = hostNamed(this.trust, from)?.fact
    return this.#recall.answer(question, { voter, machine: this.#machine })
  }

  async #speak(floor: VoteFloor): Promise<void> {
    await this.#step({ kind: 'restart', floor }, true)
  }

  /** A peer speaks in an epoch that has begun without this node: it has the blocks that lead there. */
  #noteEpoch(epoch: number, peer: HostName): void {
    if (epoch <= this.#machine.config.epoch || this.#ahead.has(peer)) return
    this.#ahead.add(peer)
    this.repairFrom(peer)
  }

  /**
   * A peer whose answer moved the log has more, so that a node that lost its disk is not as slow as the
   * rounds of sync. Each
   * message is read under the epoch that those before it have led to; what is of another one is left.
   */
  async #takeAnswer(question: GateQuestion, answer: Uint8Array, peer: HostName): Promise<void> {
    this.#ahead.delete(peer)
    const before = this.#machine.committed.block
    const answered = decodeGateAnswer(answer, `a gate answer from ${peer}`)
    const sources = question.kind === 'votes' ? answered.slice(1) : answered
    if (question.kind === 'votes' && question.epoch === this.#machine.config.epoch) {
      const read = sources.flatMap((bytes) => this.#readable(bytes, peer) ?? [])
      this.#recall.take({ peer, knows: answered[0], messages: read }, this.#machine)
    }
    await this.receiveAll(sources, peer)
    if (this.#machine.committed.block !== before) this.repairFrom(peer)
    if (question.kind === 'votes' && answered.length > 0) await this.#askMemories()
    else if (question.kind === 'votes') await this.#finishRecall()
  }

  async #takeAnswered(
    bytes: Uint8Array,
    peer: HostName,
    wanted: (message: GateMessage) => boolean,
  ): Promise<void> {
    const message = this.#readable(bytes, peer)
    if (message !== undefined && wanted(message)) await this.#step({ kind: 'message', message })
  }

  #readable(bytes: Uint8Array, peer: HostName): GateMessage | undefined {
    try {
      return this.#decode(bytes, peer)
    } catch (error) {
      if (error instanceof OtherEpoch) return undefined
      throw error
    }
  }
}

/** Effects that ask others for something. */
type FetchEffect = Extract<GateEffect, { kind: 'want' | 'await' | 'repair' | 'serve' }>
