/** What gossip brings and takes: never more than a hint, since whatever matters travels by sync as well. */
import { type Fact, ProtocolError } from '../protocol/index.ts'
import { gossipLimits } from './gossip-limits.ts'
import type { Acceptance, Topic } from './ports.ts'
import type { Runtime } from './runtime.ts'
import { topicOf } from './topics.ts'

export class GossipDesk {
  readonly #node: Runtime
  readonly #limits: ReturnType<typeof gossipLimits>

  constructor(node: Runtime) {
    this.#node = node
    this.#limits = gossipLimits(node)
  }

  /** Never rejects: what this node cannot take now is left to sync, whoever's fault it is. */
  async receive(topic: Topic, bytes: Uint8Array, from: string): Promise<Acceptance> {
    const node = this.#node
    if (node.stopped || node.overloaded) return 'ignore'
    const take =
      topic === 'gate' ? () => node.gate.receive(bytes, from) : () => this.#heard(bytes, from)
    return await node
      .run(take)
      .catch((error: unknown) => (error instanceof ProtocolError ? error.action : 'ignore'))
  }

  /** Fire and forget: what is on the disk travels by sync if not by gossip. */
  publish(fact: Fact): void {
    const { network, log } = this.#node.parts
    try {
      network.publish(topicOf(fact), fact.bytes)
    } catch (error) {
      log.warn({ fact: fact.id, error: String(error) }, 'a fact was not gossiped')
    }
  }

  async #heard(bytes: Uint8Array, from: string): Promise<Acceptance> {
    const options = { sync: false, admits: this.#limits() }
    const [intake] = await this.#node.take([bytes], from, options)
    switch (intake?.kind) {
      case 'taken':
        return 'accept'
      case 'gap':
        this.#node.sync.fetchFrom(from)
        return 'accept'
      case 'refused':
        return intake.error.action
      default:
        return 'ignore'
    }
  }
}
