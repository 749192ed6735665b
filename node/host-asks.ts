/**
 * The host's questions to its peers: leases of the voters, confirmations of its observers.
 *
 * An answer reaches the machine only when it is signed by whom it claims, over our own nonce.
 */
import {
  CONFIRM_REQUEST,
  encodeCanonical,
  type HostName,
  LEASE_REQUEST,
  openAnswer,
} from '../protocol/index.ts'
import { type HostEffect, type HostEvent, hostNamed } from '../rollout/index.ts'
import { ASK_MS_MAX } from './limits.ts'
import type { Runtime } from './runtime.ts'

export class HostAsks {
  readonly #node: Runtime
  readonly #answer: (event: HostEvent) => void

  constructor(node: Runtime, answer: (event: HostEvent) => void) {
    this.#node = node
    this.#answer = answer
  }

  /** Asks every voter for its grant. */
  lease({ voters, rollout, round, nonce }: HostEffect & { kind: 'askLease' }): void {
    const { head: have, epoch } = this.#node.gate.state
    const request = encodeCanonical(LEASE_REQUEST.encode({ nonce, rollout, round, have, epoch }))
    for (const voter of voters) {
      this.#ask(voter, 'lease', request)
        .then((bytes) => {
          const { body: answer } = this.#open('lease.rsp', voter, bytes)
          if (answer.nonce === nonce && answer.host === this.#node.parts.name) {
            this.#answer({ kind: 'leaseAnswer', voter, answer })
          }
        })
        .catch((error: unknown) => this.#unanswered('lease', voter, error))
    }
  }

  /** Asks every observer to look at this host now. */
  confirm(effect: HostEffect & { kind: 'askConfirm' }): void {
    const { observers, rollout, round, nonce, generation, boot } = effect
    const request = encodeCanonical(
      CONFIRM_REQUEST.encode({ nonce, rollout, round, generation, boot }),
    )
    for (const observer of observers) {
      this.#ask(observer, 'confirm', request)
        .then((bytes) => {
          const { body: answer } = this.#open('confirm.rsp', observer, bytes)
          if (answer.nonce === nonce && answer.host === this.#node.parts.name) {
            this.#answer({ kind: 'confirmAnswer', observer, answer })
          }
        })
        .catch((error: unknown) => this.#unanswered('confirm', observer, error))
    }
  }

  /** A voter that asks itself needs no network. */
  async #ask(host: HostName, kind: 'lease' | 'confirm', request: Uint8Array): Promise<Uint8Array> {
    const { name, network } = this.#node.parts
    if (host === name) return await this.#node.answerSelf(kind, request)
    return await network.ask(host, kind, request, ASK_MS_MAX)
  }

  #open<T extends 'lease.rsp' | 'confirm.rsp'>(
    type: T,
    from: HostName,
    bytes: Uint8Array,
  ): ReturnType<typeof openAnswer<T>> {
    const { trust } = this.#node.parts
    const opened = openAnswer(type, bytes, {
      fleet: trust.fleet,
      whose: `${type} of ${from}`,
      signer: this.#node.signer,
    })
    if (opened.author !== hostNamed(trust, from)?.fact)
      throw new Error(`expected ${type} signed by ${from}`)
    return opened
  }

  #unanswered(kind: string, peer: HostName, error: unknown): void {
    this.#node.parts.log.debug({ kind, peer, error: String(error) }, 'a question went unanswered')
  }
}
