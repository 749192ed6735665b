/**
 * Anti-entropy with peers (SPEC §8.2): correctness rests on this, gossip is only the fast path.
 *
 * With each peer that comes up, with a random one every 30 s, and with whoever is known to hold a
 * fact that is missing here. One exchange with a peer at a time.
 */
import {
  answerSync,
  type Batch,
  collectBatch,
  decodeSyncAnswer,
  decodeSyncQuestion,
  encodeSyncAnswer,
  encodeSyncQuestion,
  type FeedRange,
  feedKey,
  type HostName,
  type KeyId,
  type SyncEffect,
  type SyncStep,
  startSync,
  stepSync,
  type VectorTree,
  vectorTree,
} from '../protocol/index.ts'
import { hostOfKey } from '../rollout/index.ts'
import { ASK_MS_MAX, SYNC_EVERY_MS, SYNC_PROBES } from './limits.ts'
import type { Cancel, PeerName } from './ports.ts'
import type { Runtime } from './runtime.ts'
import { shuffled } from './shuffle.ts'

export class SyncService {
  readonly #node: Runtime
  readonly #running = new Set<HostName>()
  readonly #again = new Set<HostName>()
  #tree: VectorTree | undefined
  #treeVersion = -1
  #timer: Cancel | undefined
  #stopped = false

  constructor(node: Runtime) {
    this.#node = node
  }

  start(): void {
    if (this.#stopped) return
    const { clock, trust } = this.#node.parts
    const every = Math.min(SYNC_EVERY_MS, trust.config.timing.probeMs * SYNC_PROBES)
    this.#timer = clock.after(every, () => {
      const peer = this.#randomPeer()
      if (peer !== undefined) this.met(peer)
      this.start()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.()
  }

  /** A peer came up, or its turn has come: facts both ways, and the gate log. */
  met(peer: HostName): void {
    this.#node.gate.repairFrom(peer)
    this.#node.cosign.met(peer)
    this.fetchFrom(peer)
  }

  /** Fetches what a block stands on: from its leader, or from anybody while that one is away. Gives whom it asks. */
  fetchBasis(leader: KeyId): readonly HostName[] {
    const { trust, network } = this.#node.parts
    const name = hostOfKey(trust, leader)?.name
    const connected = name !== undefined && network.peers().includes(name)
    const peer = connected ? name : this.#randomPeer()
    if (peer === undefined) return []
    this.fetchFrom(peer)
    return [peer]
  }

  /** Exchanges facts with a member; once more if one is under way. */
  fetchFrom(name: HostName): void {
    if (name === this.#node.parts.name || this.#stopped) return
    if (this.#running.has(name)) {
      this.#again.add(name)
      return
    }
    this.#running.add(name)
    this.#exchange(name)
      .catch((error: unknown) =>
        this.#node.parts.log.debug({ peer: name, error: String(error) }, 'a sync failed'),
      )
      .finally(() => {
        this.#running.delete(name)
        if (this.#again.delete(name)) this.fetchFrom(name)
      })
  }

  /** Answers one question of a peer's sync. */
  async answer(source: Uint8Array, from: PeerName): Promise<Uint8Array> {
    const question = decodeSyncQuestion(source, `a sync question from ${from}`)
    const reply = answerSync(this.#currentTree(), question)
    switch (reply.kind) {
      case 'answer':
        return encodeSyncAnswer(reply.answer)
      case 'read': {
        const batch = await this.#read(reply.ranges)
        return encodeSyncAnswer({ kind: 'facts', ...batch })
      }
      case 'take':
        await this.#node.run(() => this.#node.take(reply.facts, from))
        return encodeSyncAnswer({ kind: 'took' })
    }
  }

  async #exchange(peer: HostName): Promise<void> {
    let step: SyncStep = startSync(this.#currentTree())
    const queue: SyncEffect[] = [...step.effects]
    for (let effect = queue.shift(); effect !== undefined; effect = queue.shift()) {
      const event = await this.#carry(effect, peer)
      if (event === undefined) continue
      step = stepSync(step.state, event)
      queue.push(...step.effects)
    }
  }

  async #carry(
    effect: SyncEffect,
    peer: HostName,
  ): Promise<Parameters<typeof stepSync>[1] | undefined> {
    switch (effect.kind) {
      case 'ask': {
        const question = encodeSyncQuestion(effect.question)
        const bytes = await this.#node.parts.network.ask(peer, 'sync', question, ASK_MS_MAX)
        return { kind: 'answer', answer: decodeSyncAnswer(bytes, `a sync answer from ${peer}`) }
      }
      case 'read':
        return { kind: 'batch', batch: await this.#read(effect.ranges) }
      case 'take':
        await this.#node.run(() => this.#node.take(effect.facts, peer))
        return undefined
      case 'fork':
        this.#node.forks.seek(peer, effect.feed)
        return undefined
      case 'done':
        this.#node.own.answered(peer)
        return undefined
    }
  }

  async #read(ranges: readonly FeedRange[]): Promise<Batch> {
    return await collectBatch(ranges, ({ author, session, from, to }) =>
      this.#node.facts.envelopes(feedKey(author, session), from, to),
    )
  }

  /** The tree over what is held, made anew when that has changed. */
  #currentTree(): VectorTree {
    const { facts } = this.#node
    if (this.#tree === undefined || this.#treeVersion !== facts.version) {
      this.#tree = vectorTree(facts.vector(), this.#tree)
      this.#treeVersion = facts.version
    }
    return this.#tree
  }

  #randomPeer(): HostName | undefined {
    const { network, random } = this.#node.parts
    return shuffled(network.peers(), random)[0]
  }
}
