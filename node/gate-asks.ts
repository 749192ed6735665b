/** The gate's questions to its peers: fire, and bring the answer into the mailbox. */
import type { HostName } from '../protocol/index.ts'
import { encodeGateQuestion, type GateQuestion } from './gate-wire.ts'
import { ASK_MS_MAX, REPAIR_PEERS_MAX } from './limits.ts'
import type { Logger, Network, Random } from './ports.ts'
import { shuffled } from './shuffle.ts'

export class GateAsks {
  readonly #parts: GateAsksParts
  readonly #take: (question: GateQuestion, answer: Uint8Array, peer: HostName) => Promise<void>

  /** `take` runs in the mailbox with each answer. */
  constructor(
    parts: GateAsksParts,
    take: (question: GateQuestion, answer: Uint8Array, peer: HostName) => Promise<void>,
  ) {
    this.#parts = parts
    this.#take = take
  }

  /** Asks one peer. `lost` is called when no answer came. */
  one(peer: HostName, question: GateQuestion, lost: () => void = () => undefined): void {
    const { network, post, log } = this.#parts
    network.ask(peer, 'gate', encodeGateQuestion(question), ASK_MS_MAX).then(
      (answer) => post(() => this.#take(question, answer, peer)),
      (error: unknown) => {
        log.debug({ peer, error: String(error) }, 'a gate question went unanswered')
        lost()
      },
    )
  }

  /** Asks some peers, chosen at random: more answers than a quorum add nothing. */
  some(question: GateQuestion): void {
    const { network, random } = this.#parts
    for (const peer of shuffled(network.peers(), random).slice(0, REPAIR_PEERS_MAX)) {
      this.one(peer, question)
    }
  }
}

export interface GateAsksParts {
  readonly network: Network
  readonly random: Random
  readonly log: Logger
  /** Runs a task in the node's mailbox. */
  post(task: () => Promise<void>): void
}
