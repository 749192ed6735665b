/**
 * The node: one mailbox, one knowledge, and the services that carry decisions out.
 *
 * A change comes in (a fact, a block, a result), is on the disk, and then everything that depends on
 * it is worked out again: the gate first, then this host's orders, then its duties as an observer.
 */
import {
  type Block,
  ED25519,
  type Fact,
  type FactBodies,
  type FactId,
  type FactOf,
  type FactType,
  type HostName,
  type Signer,
} from '../protocol/index.ts'
import {
  digestOf,
  type FleetView,
  type GateState,
  hostNamed,
  type Knowledge,
  recoverEpoch,
  recoveriesOf,
  revokedKeys,
  type Trust,
  trustAt,
} from '../rollout/index.ts'
import { Answers } from './answers.ts'
import { Belonging } from './belonging.ts'
import { BlobFetcher } from './blob-fetcher.ts'
import { BlobStore } from './blob-store.ts'
import { BlockNotes } from './block-notes.ts'
import { wholeMs } from './clock.ts'
import { CosignService } from './cosign-service.ts'
import { DetectorService } from './detector-service.ts'
import { EnrolDesk } from './enrol-desk.ts'
import { FactStore } from './fact-store.ts'
import { ForkService } from './forks.ts'
import { FreshnessService } from './freshness-service.ts'
import { GateService } from './gate-service.ts'
import { GossipDesk } from './gossip-desk.ts'
import { GrantJournal } from './grant-journal.ts'
import { HealthService } from './health-service.ts'
import { HolderService } from './holder-service.ts'
import { HostService } from './host-service.ts'
import { assertTaken, Ingest, type Intake, type TakeOptions } from './ingest.ts'
import { NodeKnowledge } from './knowledge.ts'
import type { Eyes } from './look.ts'
import { Mailbox } from './mailbox.ts'
import { ObserverService } from './observer-service.ts'
import { OwnFeed } from './own-feed.ts'
import type { Ask } from './ports.ts'
import { Rounds } from './rounds.ts'
import type { RuntimeEvent, RuntimeParts, Submission } from './runtime-parts.ts'
import { serve } from './serving.ts'
import { WatchedStore } from './store-watch.ts'
import { SyncService } from './sync-service.ts'
import { describe, Troubles } from './troubles.ts'

export class Runtime {
  readonly belonging: Belonging
  #parts: RuntimeParts
  readonly facts: FactStore
  readonly blobs: BlobStore
  readonly gate: GateService
  readonly host: HostService
  /** What this host holds for others. */
  readonly holders: HolderService
  readonly observer: ObserverService
  readonly sync: SyncService
  readonly cosign: CosignService
  readonly health: HealthService
  /** This host's own feed: whether it may be written, and in which session. */
  readonly own: OwnFeed
  /** Contradictions of others, and what they do to their feeds. */
  readonly forks: ForkService
  readonly detector: DetectorService
  readonly freshness: FreshnessService
  /** Whether the disk takes what it is given. */
  readonly disk: WatchedStore
  /** When each member was last heard, in bootMs of this run. */
  readonly heard: Map<HostName, number> = new Map()
  readonly #signer: Signer
  readonly #ingest: Ingest
  readonly #knowledge: NodeKnowledge
  readonly #mailbox = new Mailbox()
  readonly #fetcher: BlobFetcher
  readonly #grants: GrantJournal
  readonly #answers: Answers
  readonly #watchers = new Set<(event: RuntimeEvent) => void>()
  readonly #troubles: Troubles
  readonly #notes: BlockNotes
  readonly #rounds: Rounds
  readonly #desk: GossipDesk
  readonly #enrol = new EnrolDesk(this)
  #stopped = false
  #changedAt = 0

  constructor(given: RuntimeParts) {
    const clock = wholeMs(given.clock)
    const { network, random, log } = given
    const store = new WatchedStore(given.store, { clock, log })
    const trust = { ...given.trust, signer: given.signer }
    const parts = { ...given, clock, store, trust }
    this.#parts = parts
    this.#troubles = new Troubles(log)
    this.disk = store
    this.#signer = parts.signer ?? ED25519
    this.facts = new FactStore(store, trust.fleet, this.#signer)
    this.blobs = new BlobStore(store, () => this.parts.trust)
    this.#grants = new GrantJournal(store)
    this.own = new OwnFeed(this)
    this.forks = new ForkService(this)
    this.#ingest = new Ingest(this.facts, {
      ...{ trust: () => this.parts.trust, signer: this.#signer },
      limitOf: (feed) => this.forks.limit(feed),
    })
    this.#knowledge = new NodeKnowledge({
      ...{ name: parts.name, trust, clock },
      bodies: this.blobs,
      facts: this.facts,
      grants: this.#grants,
      forgot: (rollout, host, round) => this.gate.mayHaveForgotten(rollout, host, round),
    })
    this.#fetcher = new BlobFetcher({
      ...{ network, clock, random, log },
      blobs: this.blobs,
      arrived: () => this.blobArrived(),
    })
    this.belonging = new Belonging({
      ...{ name: parts.name, trust, network, clock, log },
      factKey: parts.keys.fact.publicKey,
      newer: parts.newer ?? [],
    })
    this.sync = new SyncService(this)
    this.cosign = new CosignService(this)
    this.gate = new GateService({
      ...{ trust, store, network, clock, random, log },
      key: parts.keys.fact,
      signer: this.#signer,
      bodies: this.blobs,
      rules: () => this.#knowledge.rules(),
      post: (task) => this.post(task),
      beforeVote: (block) => this.#grants.noteSkips(block),
      committed: (block, state) => this.#committed(block, state),
      entered: (state) => this.#entered(state),
      recovery: () => this.#recovery(),
      caught: ([first, second]) => this.forks.caught({ first, second }),
      fetchBasis: (block) => this.forks.want(block, this.sync.fetchBasis(block.leader)),
    })
    this.#notes = new BlockNotes(this.facts, this.gate, (block) =>
      this.#emit({ kind: 'committed', block }),
    )
    this.host = new HostService(this)
    this.holders = new HolderService(this)
    this.observer = new ObserverService(this)
    this.health = new HealthService(this)
    this.detector = new DetectorService(this)
    this.freshness = new FreshnessService(this)
    this.#answers = new Answers(this, this.#grants)
    this.#desk = new GossipDesk(this)
    this.#rounds = new Rounds(this, {
      knowledge: this.#knowledge,
      fetcher: this.#fetcher,
      notes: this.#notes,
    })
  }

  /** What the node is made of; `trust` is that of the present epoch. */
  get parts(): RuntimeParts {
    return this.#parts
  }

  get signer(): Signer {
    return this.#signer
  }

  /** What a look at a peer needs. */
  get eyes(): Eyes {
    return { ...this.parts, signer: this.#signer }
  }

  /** A question to oneself, which needs no network: a voter that wants a lease is its own peer too. */
  answerSelf(kind: Ask, bytes: Uint8Array): Promise<Uint8Array> {
    return this.#answers.answer(kind, bytes, this.parts.name)
  }

  /** Loads the disk, joins the network, and goes on where the last run ended. */
  async start(): Promise<void> {
    await this.#loadEpochs()
    await this.own.load()
    await this.#loadFacts()
    await this.blobs.load(this.#knowledge.view)
    this.#knowledge.judgeAgain()
    await this.#grants.load()
    await this.gate.load()
    this.#knowWhatWasPinned()
    await this.cosign.load()
    await this.host.load()
    await this.observer.load()
    this.#notes.load()
    await this.freshness.load()
    await this.run(() => this.host.restarted())
    this.#rounds.open()
    const swarm = this.parts.swarm?.swarm
    await this.parts.network.start({
      gossip: (topic, bytes, from) => {
        if (!this.#stopped) this.#hear(from)
        return this.#desk.receive(topic, bytes, from)
      },
      answer: (kind, bytes, from) => {
        this.#hear(from)
        return this.#answers.answer(kind, bytes, from)
      },
      serve: (hash, offset) => serve(this, hash, offset),
      ...(swarm && { pieces: (question, from) => swarm.answer(question, from) }),
      enroll: (question, ticket) => this.#enrol.answer(question, ticket),
      peer: (peer, up) => this.#peerChanged(peer, up),
    })
    this.sync.start()
    this.post(() => this.gate.restarted())
    this.#rounds.start()
  }

  /** Stops without losing anything; what was not on the disk was not promised to anybody. */
  async stop(): Promise<void> {
    this.#fallSilent()
    await this.parts.network.stop()
    await this.#mailbox.close()
    await this.parts.store.close()
  }

  /** Falls silent at once, as after kill −9: nothing is written or said any more. */
  kill(): void {
    this.#fallSilent()
  }

  #fallSilent(): void {
    this.#stopped = true
    this.#rounds.stop()
    this.gate.stop()
    this.sync.stop()
    this.host.stop()
    this.holders.stop()
    this.belonging.stop()
    this.#fetcher.stop()
    this.parts.swarm?.swarm.stop()
  }

  /** Everything derived, as of now. */
  knowledge(): Knowledge {
    return this.#knowledge.at(this.gate.state)
  }

  /** One hash over everything derived. */
  digest(): string {
    return digestOf(this.knowledge())
  }

  /** Milliseconds since the newest change of this node's knowledge. */
  quietMs(): number {
    return this.parts.clock.bootMs() - this.#changedAt
  }

  /** Runs a task in the mailbox; its failure is logged, never lost. */
  post(task: () => Promise<void> | void): void {
    if (this.#stopped) return
    this.#mailbox.run(task).catch((error: unknown) => {
      if (!this.#stopped) this.parts.log.error({ error: describe(error) }, 'a task failed')
    })
  }

  /** Runs a task in the mailbox and answers with its result. */
  run<T>(task: () => Promise<T> | T): Promise<T> {
    return this.#mailbox.run(task)
  }

  /** Runs a task whose failure is said once and tried again by the next round; what follows goes on. */
  async guard(what: string, task: () => Promise<void> | void): Promise<void> {
    await this.#troubles.guard(what, task, () => this.#stopped)
  }

  /** Whether it was stopped or killed. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Whether a question that can be asked again should be refused now. */
  get overloaded(): boolean {
    return this.#mailbox.full
  }

  /**
   * Takes an envelope that was handed in and gossips it. Resolves when it is on the disk with fsync.
   * Throws ProtocolError or NodeError; then nothing was changed.
   */
  async submit(bytes: Uint8Array): Promise<Submission> {
    return await this.run(async () => {
      const [intake] = await this.#ingest.take([bytes], 'the API', { sync: true })
      if (intake === undefined) throw new TypeError('an envelope without an answer')
      this.forks.noteIntakes([intake], 'the API')
      const fact = assertTaken(intake)
      const isNew = intake.kind === 'taken'
      if (isNew) this.#learned([fact], 'publish')
      return { fact, isNew }
    })
  }

  /** Takes envelopes from a peer or a bundle. Inside the mailbox. */
  async take(
    envelopes: readonly Uint8Array[],
    from: string,
    options: TakeOptions = { sync: false },
  ): Promise<readonly Intake[]> {
    const intakes = await this.#ingest.take(envelopes, from, options)
    const taken = intakes.flatMap((intake) => (intake.kind === 'taken' ? [intake.fact] : []))
    this.#learned(taken, 'keep')
    this.forks.noteIntakes(intakes, from)
    const parted = intakes.flatMap((intake) => (intake.kind === 'fork' ? [intake.fact] : []))
    await this.own.noteTaken([...taken, ...parted])
    return intakes
  }

  /** Signs, stores with fsync, and gossips a fact of this host. Inside the mailbox. Throws FEED_IN_DOUBT. */
  async author<T extends FactType>(type: T, body: FactBodies[T]): Promise<FactOf<T>> {
    const { keys, clock, trust } = this.parts
    this.own.assertSpeaks()
    const { session } = this.own
    const fact = await this.facts.author({
      type,
      body,
      key: keys.fact,
      session,
      epoch: trust.config.epoch,
      ts: clock.wallMs(),
    })
    this.#learned([fact as unknown as Fact], 'publish')
    return fact
  }

  /** A blob was stored: what waited for it may go on. */
  blobArrived(): void {
    this.#knowledge.judgeAgain()
    this.host.nudge()
    this.holders.nudge()
    this.touch()
  }

  /** Folds anew: facts have left a feed. */
  refold(): void {
    this.#knowledge.refold(this.gate.state)
    this.touch()
  }

  /** What would be known without these facts. */
  foldWithout(gone: ReadonlySet<FactId>): FleetView {
    return this.#knowledge.foldWithout(this.gate.state, gone)
  }

  /** Calls `watcher` for every event from now on. */
  watch(watcher: (event: RuntimeEvent) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  /** Before any fact: what a fact means depends on who belonged, and who had a role. */
  async #loadEpochs(): Promise<void> {
    const trust = trustAt(this.parts.trust, await this.gate.loadEpochs())
    this.#trust(trust)
    await this.belonging.load(trust)
  }

  #trust(trust: Trust): void {
    this.#parts = { ...this.#parts, trust }
    this.#knowledge.trust = trust
  }

  /** Whoever reads the configuration reads that of the new epoch from now on. */
  #entered(state: GateState): void {
    const trust = trustAt(this.parts.trust, state)
    this.#trust(trust)
    this.belonging.entered(trust)
    this.observer.entered()
    this.#changedAt = this.parts.clock.bootMs()
    this.touch()
  }

  /** The disk tells the roots, the log what each of them found pinned. */
  #knowWhatWasPinned(): void {
    const trust = trustAt(this.parts.trust, this.gate.state)
    if (trust.root.version === this.parts.trust.root.version) this.#trust(trust)
    this.#shutOut()
  }

  /** Whose key is revoked is hung up on. */
  #shutOut(): void {
    this.belonging.revoked(revokedKeys(this.knowledge().view))
  }

  /** A root came into force: who may do what is asked of it from now on. */
  #rooted(state: GateState): void {
    const trust = trustAt(this.parts.trust, state)
    if (trust.root.version <= this.parts.trust.root.version) return
    this.#trust(trust)
    this.belonging.rooted(trust)
    this.#shutOut()
  }

  /** A recovery that may be taken here and now, as the state in which it goes on. */
  #recovery(): GateState | undefined {
    const knowledge = this.knowledge()
    const rulings = recoveriesOf(knowledge)
    for (const { kind, why, config } of rulings) {
      if (kind !== 'refuse') continue
      this.#troubles.say('recovery', `a recovery of epoch ${config.epoch} is refused: ${why}`)
    }
    const taken = rulings.find((ruling) => ruling.kind === 'take')
    return taken === undefined ? undefined : recoverEpoch(knowledge.state, taken)
  }

  /** Some at a time: each fold copies the view, which grows with the fleet. */
  async #loadFacts(): Promise<void> {
    let some: Fact[] = []
    for await (const fact of this.facts.load()) {
      some.push(fact)
      if (some.length < FOLD_FACTS) continue
      this.#knowledge.learn(some)
      some = []
    }
    if (some.length > 0) this.#knowledge.learn(some)
  }

  #committed(block: Block, state: GateState): void {
    this.cosign.committed(block)
    this.facts.prune(state.evidence.vector)
    if (block.body.commands[0]?.kind === 'root') this.#rooted(state)
    if (this.#rounds.isOpen) this.freshness.committed()
    this.#changedAt = this.parts.clock.bootMs()
    this.touch()
  }

  #peerChanged(peer: HostName, up: boolean): void {
    this.parts.swarm?.swarm.peer(peer, up)
    if (up) {
      this.#hear(peer)
      this.sync.met(peer)
      this.#fetcher.nudge()
      this.host.nudge()
      this.holders.nudge()
    }
    this.touch()
  }

  #learned(facts: readonly Fact[], spread: 'publish' | 'keep'): void {
    if (facts.length === 0) return
    this.#knowledge.learn(facts)
    if (facts.some(({ type }) => type === 'key.revoke')) this.#shutOut()
    for (const fact of facts) {
      if (spread === 'publish') this.#desk.publish(fact)
      this.#emit({ kind: 'fact', fact })
    }
    this.#changedAt = this.parts.clock.bootMs()
    this.touch()
  }

  #hear(from: string): void {
    if (hostNamed(this.parts.trust, from) !== undefined) {
      this.heard.set(from, this.parts.clock.bootMs())
      this.detector.heard(from)
    }
  }

  #emit(event: RuntimeEvent): void {
    for (const watcher of this.#watchers) watcher(event)
  }

  /** Something changed: work everything out again, once, after what is already waiting. */
  touch(): void {
    this.#rounds.touch()
  }
}

/** Facts that are folded together at the start. */
const FOLD_FACTS = 512
