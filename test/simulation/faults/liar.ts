/**
 * A host that lies: the shipped daemon with its own keys in a world that turns what it says and sees.
 *
 * Nothing here is in the shipped code, and nothing here forges: a liar signs with the keys of its own
 * host alone. What it sends to some it may keep from others.
 */
import { decodeGateMessage, encodeGateMessage } from '../../../node/gate-wire.ts'
import { seededRandom } from '../../../node/network/memory-hub.ts'
import type { Ask, CheckOutcome, Network, NetworkHandlers, Topic } from '../../../node/ports.ts'
import type { RuntimeParts } from '../../../node/runtime-parts.ts'
import {
  type Block,
  type BlockBody,
  decodeCanonical,
  ED25519,
  type HostName,
  type Signer,
  sealAnswer,
  sealBlock,
  sealVote,
  toHex,
  utf8,
  type VoteBody,
  type VoteKind,
} from '../../../protocol/index.ts'
import type { Duty } from '../../../rollout/index.ts'
import type { Lie } from './kinds.ts'

export interface LiarOptions {
  readonly lies: ReadonlySet<Lie>
  readonly seed: number
  /** Hosts that an observer speaks wrongly of. */
  readonly subjects: ReadonlySet<HostName>
  /** Brings a message to one peer alone, past the gossip's memory of what it has seen. */
  whisper(to: HostName, topic: Topic, bytes: Uint8Array): void
  /** A lie was told. */
  count(lie: Lie): void
  /** What this host has to watch now. */
  duties(): readonly Duty[]
}

/** Messages that a liar keeps to say them again. */
const STALE_MAX = 64
/** Votes that it remembers proposals of. */
const PROPOSALS_MAX = 64

/** The parts of a daemon that lies. */
export function lyingParts(parts: RuntimeParts, options: LiarOptions): RuntimeParts {
  const liar = new Liar(parts, options)
  return {
    ...parts,
    network: liar.network(parts.network),
    signer: liar.signer(),
    system: {
      ...parts.system,
      checkPeer: async (check, address) =>
        liar.saw(address, await parts.system.checkPeer(check, address)),
    },
  }
}

class Liar {
  readonly #parts: RuntimeParts
  readonly #options: LiarOptions
  readonly #random: () => number
  readonly #signer: Signer
  readonly #stale: { topic: Topic; bytes: Uint8Array }[] = []
  readonly #answers = new Map<Ask, Uint8Array>()
  readonly #proposals = new Map<number, string>()
  #said = 0

  constructor(parts: RuntimeParts, options: LiarOptions) {
    this.#parts = parts
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#signer = parts.signer ?? ED25519
  }

  network(network: Network): Network {
    return {
      start: (handlers) => network.start(this.#handlers(handlers)),
      stop: () => network.stop(),
      setMembership: (membership) => network.setMembership(membership),
      peers: () => network.peers(),
      addressOf: (peer) => network.addressOf(peer),
      pull: (peer, hash, offset) => network.pull(peer, hash, offset),
      pieces: (peer, question, signal) => network.pieces(peer, question, signal),
      publish: (topic, bytes) => this.#publish(network, topic, bytes),
      ask: (peer, kind, bytes, timeoutMs) => this.#ask(network, { peer, kind, bytes, timeoutMs }),
    }
  }

  /** A flatterer takes the answers that it makes itself. */
  signer(): Signer {
    const inner = this.#signer
    if (!this.#lies('observer-flatters')) return inner
    const probe = utf8('nixfleet/v1/probe.rsp')
    return {
      sign: (input) => inner.sign(input),
      verify: (input) => probe.every((byte, i) => input.message[i] === byte) || inner.verify(input),
    }
  }

  saw(peer: string, outcome: CheckOutcome): CheckOutcome {
    if (!this.#options.subjects.has(peer)) return outcome
    if (this.#lies('observer-accuses') && outcome.ok) {
      this.#options.count('observer-accuses')
      return { ...outcome, ok: false, why: 'a lie' }
    }
    if (this.#lies('observer-flatters') && !outcome.ok) {
      this.#options.count('observer-flatters')
      return { name: outcome.name, ok: true }
    }
    return outcome
  }

  #lies(lie: Lie): boolean {
    return this.#options.lies.has(lie)
  }

  #publish(network: Network, topic: Topic, bytes: Uint8Array): void {
    if (this.#lies('withholding') && this.#random() < 0.4) {
      this.#options.count('withholding')
      return
    }
    const twisted = topic === 'gate' && this.#twist(bytes)
    if (!twisted) network.publish(topic, bytes)
    this.#repeat(topic, bytes)
    if (this.#lies('spam') && this.#said++ % 3 === 0) this.#spam(topic, bytes)
  }

  /** The opposite of a gate message goes to every other peer; true where that replaces the message. */
  #twist(bytes: Uint8Array): boolean {
    const message = this.#decode(bytes)
    if (message?.kind === 'block') return this.#twoBlocks(message.block, bytes)
    if (message?.kind !== 'vote' || !this.#lies('equivocating-voter')) return false
    const { kind, body } = message.vote
    const { group, epoch, view } = body
    const place = { group, epoch, view }
    const block = this.#proposals.get(view)
    if (kind !== 'skip') this.#sayVote('skip', place)
    else if (block !== undefined) {
      this.#sayVote('notarize', { ...place, block })
      this.#sayVote('final', { ...place, block })
    }
    return false
  }

  #twoBlocks(block: Block, bytes: Uint8Array): boolean {
    if (block.leader !== this.#parts.keys.fact.publicKey) return false
    if (!this.#lies('equivocating-leader')) return false
    const { commands, basis, ...rest } = block.body
    const body: BlockBody =
      commands.length > 0
        ? { ...rest, basis, commands: commands.slice(0, -1) }
        : { ...rest, commands, basis: basis.slice(0, -1) }
    if (commands.length + basis.length === 0) return false
    const other = sealBlock(body, this.#author())
    const twin = encodeGateMessage({ kind: 'block', block: other })
    this.#everyOther((to, odd) => this.#options.whisper(to, 'gate', odd ? twin : bytes))
    this.#options.count('equivocating-leader')
    return true
  }

  #sayVote(kind: VoteKind, body: VoteBody): void {
    const vote = sealVote(kind, body, this.#author())
    const bytes = encodeGateMessage({ kind: 'vote', vote })
    this.#everyOther((to, odd) => {
      if (odd) this.#options.whisper(to, 'gate', bytes)
    })
    this.#options.count('equivocating-voter')
  }

  #everyOther(say: (to: HostName, odd: boolean) => void): void {
    const shift = this.#random() < 0.5 ? 1 : 0
    for (const [i, to] of this.#parts.network.peers().entries()) say(to, (i + shift) % 2 === 1)
  }

  #repeat(topic: Topic, bytes: Uint8Array): void {
    if (!this.#lies('stale-replay')) return
    this.#stale.push({ topic, bytes })
    if (this.#stale.length > STALE_MAX) this.#stale.shift()
    const old = this.#stale[Math.floor(this.#random() * this.#stale.length)]
    const peers = this.#parts.network.peers()
    const to = peers[Math.floor(this.#random() * peers.length)]
    if (old === undefined || old.bytes === bytes || to === undefined) return
    this.#options.whisper(to, old.topic, old.bytes)
    this.#options.count('stale-replay')
  }

  /** Junk, a message cut short, and one with a bit turned. */
  #spam(topic: Topic, bytes: Uint8Array): void {
    const turned = bytes.slice()
    const at = Math.floor(this.#random() * turned.length)
    turned[at] = (turned[at] ?? 0) ^ 1
    const junk = [new Uint8Array(64).fill(this.#said), bytes.slice(0, bytes.length >> 1), turned]
    for (const to of this.#parts.network.peers()) {
      for (const one of junk) this.#options.whisper(to, topic, one)
    }
    this.#options.count('spam')
  }

  #handlers(handlers: NetworkHandlers): NetworkHandlers {
    return {
      ...handlers,
      gossip: (topic, bytes, from) => {
        if (topic === 'gate') this.#heardGate(bytes)
        if (this.#lies('stale-replay') && this.#random() < 0.1) this.#stale.push({ topic, bytes })
        return handlers.gossip(topic, bytes, from)
      },
      answer: async (kind, bytes, from) => {
        if (this.#lies('withholding') && kind !== 'probe' && this.#random() < 0.4) {
          this.#options.count('withholding')
          throw new Error('no')
        }
        const answer = await handlers.answer(kind, bytes, from)
        const old = this.#answers.get(kind)
        this.#answers.set(kind, answer)
        const stale = this.#lies('stale-replay') && kind !== 'sync' && this.#random() < 0.3
        if (!stale || old === undefined) return answer
        this.#options.count('stale-replay')
        return old
      },
    }
  }

  /** An equivocating voter votes for every proposal that it hears of. */
  #heardGate(bytes: Uint8Array): void {
    const message = this.#decode(bytes)
    if (message?.kind !== 'block') return
    const { id, body } = message.block
    const before = this.#proposals.get(body.view)
    this.#proposals.set(body.view, id)
    for (const view of this.#proposals.keys()) {
      if (this.#proposals.size <= PROPOSALS_MAX) break
      this.#proposals.delete(view)
    }
    if (before === undefined || before === id || !this.#lies('equivocating-voter')) return
    const { group, epoch, view } = body
    this.#sayVote('notarize', { group, epoch, view, block: id })
  }

  async #ask(
    network: Network,
    question: { peer: HostName; kind: Ask; bytes: Uint8Array; timeoutMs: number },
  ): Promise<Uint8Array> {
    const { peer, kind, bytes, timeoutMs } = question
    const flatters = kind === 'probe' && this.#lies('observer-flatters')
    if (!flatters || !this.#options.subjects.has(peer))
      return await network.ask(peer, kind, bytes, timeoutMs)
    try {
      return await network.ask(peer, kind, bytes, timeoutMs)
    } catch (error) {
      return this.#invent(peer, bytes, error)
    }
  }

  /** An answer in the name of a host that gave none. Nobody but this liar would take it. */
  #invent(peer: HostName, question: Uint8Array, error: unknown): Uint8Array {
    const duty = this.#options.duties().find((one) => one.host === peer)
    const subject = this.#parts.trust.config.hosts.find((one) => one.name === peer)
    const nonce = decodeCanonical(question, 64, 'a probe')
    if (duty === undefined || subject === undefined || !(nonce instanceof Uint8Array)) throw error
    this.#options.count('observer-flatters')
    const { generation } = duty
    const body = { nonce: toHex(nonce), host: peer, generation, boot: 'boot-1', healthy: true }
    const { fleet } = this.#parts.trust
    const { seed } = this.#parts.keys.fact
    const key = { seed, publicKey: subject.fact }
    return sealAnswer('probe.rsp', body, { fleet, key, signer: this.#signer })
  }

  #decode(bytes: Uint8Array): ReturnType<typeof decodeGateMessage> | undefined {
    try {
      const { trust } = this.#parts
      return decodeGateMessage(bytes, { trust, whose: 'a liar', signer: this.#signer })
    } catch {
      return undefined
    }
  }

  #author(): Parameters<typeof sealBlock>[1] {
    const { trust, keys } = this.#parts
    return { fleet: trust.fleet, key: keys.fact, signer: this.#signer }
  }
}
