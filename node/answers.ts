/**
 * What this node answers when another asks: one answer for each kind of `Ask`.
 *
 * Answers are signed over the asker's nonce. Only a grant changes anything, and it is on the disk
 * before it leaves.
 */
import {
  ASK_BYTES_MAX,
  CONFIRM_REQUEST,
  type ConfirmRequest,
  decodeCanonical,
  type HostName,
  LEASE_REQUEST,
  type LeaseRequest,
  ProtocolError,
  sealAnswer,
  toHex,
} from '../protocol/index.ts'
import { answerConfirm, type Duty } from '../rollout/index.ts'
import { NodeError } from './errors.ts'
import type { GrantJournal } from './grant-journal.ts'
import { answerLeaseRequest } from './lease-desk.ts'
import { ASKS_MAX, ASKS_PER_PEER_MAX, CONFIRMS_PER_PEER_MAX } from './limits.ts'
import { lookAt } from './look.ts'
import { isOperator } from './network/membership.ts'
import { Quota } from './network/quota.ts'
import type { Ask, PeerName } from './ports.ts'
import type { Runtime } from './runtime.ts'

export class Answers {
  readonly #node: Runtime
  readonly #grants: GrantJournal
  readonly #asks = new Quota({ perPeer: ASKS_PER_PEER_MAX, total: ASKS_MAX })
  readonly #confirms = new Quota({ perPeer: CONFIRMS_PER_PEER_MAX, total: ASKS_MAX })

  constructor(node: Runtime, grants: GrantJournal) {
    this.#node = node
    this.#grants = grants
  }

  /**
   * Answers one question of `from`, whose key the transport has proven. Rejects with a typed error.
   *
   * An operator asks the API and nothing else, over every network; a peer asks so much at once and no
   * more; and a node that cannot keep up says so instead of letting the questions pile up.
   */
  async answer(kind: Ask, bytes: Uint8Array, from: PeerName): Promise<Uint8Array> {
    if (isOperator(from) && kind !== 'api') throw refusal('an operator asks the API only')
    if (this.#node.overloaded && !ALWAYS_ANSWERED.has(kind)) throw refusal('overloaded')
    const quota = kind === 'confirm' ? this.#confirms : this.#asks
    if (!quota.take(from)) throw refusal(`too many questions (${kind}) of yours are under way`)
    try {
      return await this.#answer(kind, bytes, from)
    } finally {
      quota.give(from)
    }
  }

  async #answer(kind: Ask, bytes: Uint8Array, from: PeerName): Promise<Uint8Array> {
    switch (kind) {
      case 'probe':
        return await this.#probe(bytes, from)
      case 'confirm':
        return await this.#confirm(bytes, from)
      case 'lease':
        return await this.#lease(bytes, from)
      case 'sync':
        return await this.#node.sync.answer(bytes, from)
      case 'gate':
        return await this.#node.run(() => this.#node.gate.answer(bytes, from))
      case 'api':
        return await this.#api(bytes)
      case 'cosign':
        return await this.#node.run(() => this.#node.cosign.answer(bytes, from))
      case 'reach':
        return this.#node.detector.answerReach(bytes, from)
      case 'relay':
        return await this.#node.detector.answerRelay(bytes, from)
      case 'current':
        return await this.#node.run(() => this.#node.freshness.answer(bytes, from))
    }
  }

  /** What runs is read now, not remembered. */
  async #probe(bytes: Uint8Array, from: PeerName): Promise<Uint8Array> {
    const nonce = decodeCanonical(bytes, 64, `a probe of ${from}`)
    if (!(nonce instanceof Uint8Array) || nonce.length !== 16) {
      throw new ProtocolError('BAD_SHAPE', 'reject', `expected a nonce of 16 bytes from ${from}`)
    }
    const { name, system } = this.#node.parts
    const [generation, boot] = await Promise.all([system.running(), system.bootId()])
    const healthy = await this.#node.health.isWell(generation)
    return sealAnswer(
      'probe.rsp',
      { nonce: toHex(nonce), host: name, generation, boot, healthy },
      this.#author(),
    )
  }

  /** An observer looks before it answers: from outside, at once, with every outside check. */
  async #confirm(bytes: Uint8Array, from: PeerName): Promise<Uint8Array> {
    const value = decodeCanonical(bytes, ASK_BYTES_MAX, `a confirm request of ${from}`)
    const asked = CONFIRM_REQUEST.decode(value, 'confirm')
    const duty = await this.#dutyFor(asked, from)
    const { probeMs } = this.#node.parts.trust.config.timing
    const result =
      duty === undefined
        ? ({ reachable: false } as const)
        : await lookAt(this.#node.eyes, { host: from, checks: duty.checks, timeoutMs: probeMs })
    const decision = answerConfirm({ duty, asked, result })
    return sealAnswer('confirm.rsp', { ...asked, host: from, ...decision }, this.#author())
  }

  async #dutyFor(asked: ConfirmRequest, from: HostName): Promise<Duty | undefined> {
    return await this.#node.run(() =>
      this.#node.observer.duties.find(
        (duty) =>
          duty.host === from && duty.rollout === asked.rollout && duty.round === asked.round,
      ),
    )
  }

  async #lease(bytes: Uint8Array, from: PeerName): Promise<Uint8Array> {
    const value = decodeCanonical(bytes, ASK_BYTES_MAX, `a lease request of ${from}`)
    const asked: LeaseRequest = LEASE_REQUEST.decode(value, 'lease')
    return await this.#node.run(async () => {
      const body = answerLeaseRequest(this.#node, this.#grants, asked, from)
      if (body.granted) await this.#grants.noteGrant(asked.rollout, from, asked.round)
      return sealAnswer('lease.rsp', body, this.#author())
    })
  }

  async #api(bytes: Uint8Array): Promise<Uint8Array> {
    const { api } = this.#node.parts
    if (api === undefined) throw new ProtocolError('BAD_SHAPE', 'ignore', 'this node offers no API')
    return await api(bytes)
  }

  #author(): Parameters<typeof sealAnswer>[2] {
    const { trust, keys } = this.#node.parts
    return { fleet: trust.fleet, key: keys.fact, signer: this.#node.signer }
  }
}

/** Questions that do not wait in the node's queue. */
const ALWAYS_ANSWERED: ReadonlySet<Ask> = new Set(['probe', 'api', 'reach', 'relay'])

function refusal(why: string): NodeError {
  return new NodeError(
    'PEER_REFUSED',
    why,
    'Ask again a little later; the log of this node says more.',
  )
}
