/**
 * Gathers what other voters prove about a voter that may have forgotten what it said (SPEC §7.6).
 *
 * Each answer proves itself, because votes are signed by who cast them and certificates by a quorum.
 * What follows from the answers is ruled in `rollout/recall.ts`.
 */
import type { GateMessage, HostName, KeyId } from '../protocol/index.ts'
import {
  type DiskMemory,
  type GateMachine,
  type RecallAnswer,
  type RecallRuling,
  ruleRecall,
  type VoterSizes,
} from '../rollout/index.ts'

const FIRST_VIEW = 1

/** A voter to be asked. */
export interface OtherVoter {
  readonly name: HostName
  readonly key: KeyId
}

export class VoteMemory {
  readonly #self: KeyId
  readonly #others: readonly OtherVoter[]
  readonly #sizes: VoterSizes
  readonly #disk: DiskMemory
  readonly #answers = new Map<HostName, RecallAnswer>()
  readonly #asked = new Set<HostName>()
  #shown = 0

  /** `disk`: what the node knows of its disk; `others`: every other voter of the epoch. */
  constructor(parts: {
    self: KeyId
    others: readonly OtherVoter[]
    sizes: VoterSizes
    disk: DiskMemory
  }) {
    this.#self = parts.self
    this.#others = parts.others
    this.#sizes = parts.sizes
    this.#disk = parts.disk
  }

  /** What the node knew of its disk when it began to ask. */
  get disk(): DiskMemory {
    return this.#disk
  }

  /** What follows from the answers so far. */
  get ruling(): RecallRuling {
    const answers = [...this.#answers.values()]
    return ruleRecall({ disk: this.#disk, sizes: this.#sizes, answers, shown: this.#shown })
  }

  /** Those of `peers` who still have to be asked; they count as asked from now on. */
  toAsk(peers: readonly HostName[]): readonly HostName[] {
    const next = peers.filter(
      (peer) =>
        this.#others.some(({ name }) => name === peer) &&
        (this.#answers.get(peer)?.blank ?? true) &&
        !this.#asked.has(peer),
    )
    for (const peer of next) this.#asked.add(peer)
    return next
  }

  /** The question was lost, or refused: it may be asked again. */
  lost(peer: HostName): void {
    this.#asked.delete(peer)
  }

  /** A voter that says of itself that its disk is blank. It stays asked until the next round. */
  takeBlank(peer: HostName): void {
    if (this.#answers.has(peer) || !this.#others.some(({ name }) => name === peer)) return
    this.#answers.set(peer, { view: FIRST_VIEW, notarized: 0, blank: true })
  }

  /** Takes the verified messages of one answer; `machine` is what the disk remembers. */
  take(peer: HostName, messages: readonly GateMessage[], machine: GateMachine): void {
    const key = this.#others.find(({ name }) => name === peer)?.key
    if (key === undefined || !this.#asked.delete(peer)) return
    const forgotten = messages.filter((message) => this.#forgotten(message, machine))
    this.#shown = Math.max(this.#shown, ...forgotten.map(viewOf))
    this.#answers.set(peer, { ...reachedBy(key, messages), blank: false })
  }

  /** Something that this voter signed and its disk does not hold. */
  #forgotten(message: GateMessage, machine: GateMachine): boolean {
    switch (message.kind) {
      case 'certificate':
        return false
      case 'vote':
        return message.vote.voter === this.#self && !remembers(machine, message)
      case 'block': {
        const { leader, body, id } = message.block
        const open = body.view > machine.committed.view
        return leader === this.#self && open && !machine.blocks.has(id)
      }
    }
  }
}

/** How far these messages prove that this voter is. */
function reachedBy(
  voter: KeyId,
  messages: readonly GateMessage[],
): { view: number; notarized: number } {
  const proofs = messages.filter((message) => message.kind === 'certificate')
  const notarized = messages.filter((message) => {
    if (message.kind === 'certificate') return message.certificate.kind !== 'skip'
    return message.kind === 'vote' && message.vote.voter === voter && isNotarize(message)
  })
  return {
    view: Math.max(FIRST_VIEW, ...proofs.map((proof) => viewOf(proof) + 1)),
    notarized: Math.max(0, ...notarized.map(viewOf)),
  }
}

function isNotarize({ vote }: GateMessage & { kind: 'vote' }): boolean {
  return vote.kind === 'notarize'
}

function viewOf(message: GateMessage): number {
  switch (message.kind) {
    case 'certificate':
      return message.certificate.body.view
    case 'vote':
      return message.vote.body.view
    case 'block':
      return message.block.body.view
  }
}

/** Votes at or below the commit are dropped from the journal: the commit itself is the memory. */
function remembers(machine: GateMachine, { vote }: GateMessage & { kind: 'vote' }): boolean {
  const { view, block } = vote.body
  if (view <= machine.committed.view) return true
  const own = machine.own.get(view)
  switch (vote.kind) {
    case 'notarize':
      return own?.notarize === block
    case 'skip':
      return own?.skip === true
    case 'final':
      return own?.final === block
  }
}
