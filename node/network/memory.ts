/** The `Network` port on a `MemoryHub`: what a simulated host is given in place of libp2p. */
import type { Hash, HostName, KeyId } from '../../protocol/index.ts'
import type { Ask, Network, NetworkHandlers, PeerName, Topic } from '../ports.ts'
import { blobMissing, refusalText, refused, timedOut, unreachable } from './failures.ts'
import { isOperator, type Membership, operatorName } from './membership.ts'
import type { MemoryEndpoint, MemoryHub } from './memory-hub.ts'
import { assertAskSize, assertGossipSize } from './sizes.ts'

export interface MemoryNetworkOptions {
  readonly hub: MemoryHub
  readonly name: HostName
  /** Whom this node lets in; transport keys are not looked at, a name is its own proof here. */
  readonly membership: Membership
}

/** One node of a memory hub. It can be started again after a stop or a crash. */
export class MemoryNetwork implements Network {
  readonly #hub: MemoryHub
  readonly #name: HostName
  #membership: Membership
  #endpoint: MemoryEndpoint | undefined

  constructor(options: MemoryNetworkOptions) {
    this.#hub = options.hub
    this.#name = options.name
    this.#membership = options.membership
  }

  async start(handlers: NetworkHandlers): Promise<void> {
    this.#endpoint = { name: this.#name, handlers, admits: (peer) => this.#admits(peer) }
    this.#hub.attach(this.#endpoint)
  }

  async stop(): Promise<void> {
    if (this.#endpoint !== undefined) this.#hub.detach(this.#endpoint)
    this.#endpoint = undefined
  }

  /** Replaces the membership; connections to those who left go down. */
  async setMembership(membership: Membership): Promise<void> {
    this.#membership = membership
    this.#hub.membershipChanged()
  }

  publish(topic: Topic, bytes: Uint8Array): void {
    assertGossipSize(bytes)
    if (this.#alive()) this.#hub.gossip(this.#name, topic, bytes)
  }

  async ask(peer: HostName, kind: Ask, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (!this.#alive()) throw unreachable(peer, 'that this node is stopped')
    if (!this.#admits(peer)) throw unreachable(peer, 'that it is no member')
    const asker = this.#endpoint
    return await askOverHub(this.#hub, this.#name, { peer, kind, bytes, timeoutMs, asker })
  }

  async *pull(peer: HostName, hash: Hash, offset: number): AsyncGenerator<Uint8Array> {
    const hub = this.#hub
    const endpoint = this.#reachable(peer)
    await pass(hub)
    if (this.#reachable(peer) !== endpoint) throw unreachable(peer, 'that it was restarted')
    const chunks = await endpoint.handlers.serve(hash, offset)
    if (chunks === undefined) throw blobMissing(peer, hash)
    for await (const chunk of chunks) {
      await pass(hub)
      if (this.#reachable(peer) !== endpoint) throw unreachable(peer, 'that it was restarted')
      yield chunk.slice()
    }
  }

  async *pieces(
    peer: HostName,
    question: Uint8Array,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const hub = this.#hub
    const endpoint = this.#reachable(peer)
    await pass(hub)
    if (this.#reachable(peer) !== endpoint) throw unreachable(peer, 'that it was restarted')
    const answer = await endpoint.handlers.pieces?.(question.slice(), this.#name)
    if (answer === undefined) throw refused(peer, 'it gives no pieces')
    for await (const chunk of answer) {
      signal.throwIfAborted()
      await pass(hub)
      if (this.#reachable(peer) !== endpoint) throw unreachable(peer, 'that it was restarted')
      yield chunk.slice()
    }
  }

  peers(): readonly HostName[] {
    return this.#alive() ? this.#hub.peersOf(this.#name) : []
  }

  /** The member's name stands for its address. */
  addressOf(peer: HostName): string | undefined {
    return this.peers().includes(peer) ? peer : undefined
  }

  #admits(peer: PeerName): boolean {
    const { hosts, operators } = this.#membership
    if (isOperator(peer)) return operators.some((key) => operatorName(key) === peer)
    return hosts.some((host) => host.name === peer)
  }

  /** False after a crash too: what is left of a dead node's code says nothing to anybody. */
  #alive(): boolean {
    return this.#endpoint !== undefined && this.#hub.holds(this.#endpoint)
  }

  #reachable(peer: HostName): MemoryEndpoint {
    if (!this.#alive()) throw unreachable(peer, 'that this node is stopped')
    if (!this.#admits(peer)) throw unreachable(peer, 'that it is no member')
    const endpoint = this.#hub.reach(this.#name, peer)
    const open = this.#hub.open(this.#name, peer) && this.#hub.open(peer, this.#name)
    if (!open) throw unreachable(peer, 'a cut')
    return endpoint
  }
}

/** What an operator's client has in a simulation: questions to the API, nothing else. */
export interface OperatorLink {
  ask(bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** An operator's link to one memory node. */
export function memoryOperatorLink(options: {
  hub: MemoryHub
  key: KeyId
  peer: HostName
}): OperatorLink {
  const { hub, key, peer } = options
  return {
    ask: (bytes, timeoutMs) =>
      askOverHub(hub, operatorName(key), { peer, kind: 'api', bytes, timeoutMs }),
    close: async () => undefined,
  }
}

interface Question {
  readonly peer: HostName
  readonly kind: Ask
  readonly bytes: Uint8Array
  readonly timeoutMs: number
  /** Absent for an operator. An answer to an asker who died meanwhile is lost. */
  readonly asker?: MemoryEndpoint | undefined
}

async function askOverHub(hub: MemoryHub, from: PeerName, question: Question): Promise<Uint8Array> {
  const { peer, kind, timeoutMs, asker } = question
  assertAskSize(question.bytes)
  const bytes = question.bytes.slice()
  return await new Promise((resolve, reject) => {
    const cancel = hub.clock.after(timeoutMs, () => reject(timedOut(peer, timeoutMs)))
    const settle = (act: () => void): void => {
      if (asker !== undefined && !hub.holds(asker)) return
      cancel()
      act()
    }
    const answer = async (): Promise<void> => {
      const endpoint = hub.reach(from, peer)
      const act = await answered(endpoint, { kind, bytes: bytes.slice(), from }).then(
        (reply) => () => resolve(reply),
        (error) => () => reject(refused(peer, refusalText(error))),
      )
      if (hub.holds(endpoint)) hub.carry(peer, from, () => settle(act))
    }
    try {
      hub.reach(from, peer)
      hub.carry(from, peer, () => void answer().catch((error) => settle(() => reject(error))))
    } catch (error) {
      hub.clock.after(hub.latency(), () => settle(() => reject(error)))
    }
  })
}

async function answered(
  endpoint: MemoryEndpoint,
  question: { kind: Ask; bytes: Uint8Array; from: PeerName },
): Promise<Uint8Array> {
  const { kind, bytes, from } = question
  if (isOperator(from) && kind !== 'api') throw new Error('an operator asks the API only')
  const reply = await endpoint.handlers.answer(kind, bytes, from)
  assertAskSize(reply)
  return reply.slice()
}

function pass(hub: MemoryHub): Promise<void> {
  return new Promise((resolve) => void hub.clock.after(hub.latency(), resolve))
}
