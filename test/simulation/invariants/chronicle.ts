/**
 * What an omniscient reader of the disks, the wires and the machines knows of a fleet: the evidence
 * that every invariant is judged on. It remembers what was written, said and done, never what a
 * script meant to do, and it calls none of the code that decides.
 */
import { decodeGateMessage, OtherEpoch } from '../../../node/gate-wire.ts'
import { HOST_STATE_BYTES_MAX } from '../../../node/limits.ts'
import type { MemoryDisk } from '../../../node/store/memory.ts'
import {
  type Block,
  type Certificate,
  decodeCanonical,
  type Fact,
  type FactOf,
  type GateMessage,
  type GroupConfig,
  type Hash,
  type HostName,
  type KeyId,
  type Manifest,
  openConfigBlob,
  openFact,
  openManifest,
  openPlan,
  type PlanBody,
  type RolloutId,
  type Vote,
} from '../../../protocol/index.ts'
import { HOST_STATE, type HostState, type Trust } from '../../../rollout/index.ts'
import { READER } from '../violation.ts'

/** One committed block as it stands on a disk. */
export interface LogEntry {
  readonly block: Block
  readonly certificate: Certificate
}

/** What was read of the very bytes that lie on a disk: they are never changed in place. */
const openedFacts = new WeakMap<Uint8Array, Fact>()
const openedEntries = new WeakMap<Uint8Array, LogEntry>()

/** Views begin anew with every epoch: a place in the gate log that no other epoch has. */
export function placeOf({
  epoch,
  view,
}: {
  readonly epoch: number
  readonly view: number
}): number {
  return epoch * VIEWS_MAX + view
}

const VIEWS_MAX = 2 ** 32

export class Chronicle {
  /** Who belonged in each epoch that some log has opened. */
  readonly #trusts = new Map<number, Trust>()
  /** Facts by their place `<feed>/<seq>`, as first seen on any disk. */
  readonly facts = new Map<string, Fact>()
  readonly byId = new Map<string, Fact>()
  /** Hosts that an operator has declared lost, in any rollout. */
  readonly lost = new Set<HostName>()
  /** Places at which two different facts were seen, with the author. */
  readonly forks: { readonly place: string; readonly author: KeyId }[] = []
  readonly blocks = new Map<string, Block>()
  /** What each voter said in each view, by `placeOf`. */
  readonly votes = new Map<KeyId, Map<number, Vote[]>>()
  /** Different votes that were seen. */
  voteCount = 0
  readonly proposals = new Map<KeyId, Map<number, Block[]>>()
  /** Committed blocks on each host's disk, oldest first. */
  readonly logs = new Map<HostName, LogEntry[]>()
  readonly states = new Map<HostName, HostState>()
  /** Halts on each host's disk. */
  readonly halts = new Map<HostName, FactOf<'rollout.halt'>[]>()
  readonly #plans = new Map<Hash, PlanBody>()
  readonly #manifests = new Map<Hash, Manifest>()
  readonly #configs = new Map<Hash, GroupConfig>()
  readonly #disks: () => readonly MemoryDisk[]
  readonly #entries = new Map<string, LogEntry>()

  constructor(trust: Trust, disks: () => readonly MemoryDisk[]) {
    this.#trusts.set(trust.config.epoch, trust)
    this.#disks = disks
  }

  /** Who belongs since the newest epoch that some log has opened. */
  get trust(): Trust {
    return this.trustOf(Number.POSITIVE_INFINITY)
  }

  /** Who belonged in an epoch: the newest known one that is not after it. */
  trustOf(epoch: number): Trust {
    const known = [...this.#trusts.values()]
    const [first] = known
    if (first === undefined) throw new TypeError('expected the trust of the first epoch')
    return known.findLast(({ config }) => config.epoch <= epoch) ?? first
  }

  /** The epoch in which a host acts: that of its newest block, or the one that this block opens. */
  trustAt(host: HostName): Trust {
    const newest = this.logs.get(host)?.at(-1)?.block.body
    const opens = newest?.commands.some((one) => one.kind === 'reconfig') === true
    return this.trustOf((newest?.epoch ?? 1) + (opens ? 1 : 0))
  }

  /** A fact's envelope was written to a host's disk. */
  takeFact(host: HostName, key: string, bytes: Uint8Array): Fact {
    const place = key.slice('fact/'.length)
    const known = this.facts.get(place)
    if (known !== undefined && same(known.bytes, bytes)) return this.#held(host, known)
    const fact =
      openedFacts.get(bytes) ??
      openFact(bytes, { fleet: this.trust.fleet, whose: key, signer: READER })
    openedFacts.set(bytes, fact)
    if (known === undefined) this.facts.set(place, fact)
    else this.forks.push({ place, author: fact.author })
    this.byId.set(fact.id, fact)
    if (fact.type === 'host.lost') this.lost.add(fact.body.host)
    return this.#held(host, fact)
  }

  takeState(host: HostName, bytes: Uint8Array): HostState {
    const value = decodeCanonical(bytes, HOST_STATE_BYTES_MAX, host)
    const state = HOST_STATE.decode(value, host)
    this.states.set(host, state)
    return state
  }

  /** A committed block was written to a host's log. */
  takeEntry(host: HostName, bytes: Uint8Array): LogEntry | undefined {
    const entry = this.#entry(bytes)
    if (entry === undefined) return undefined
    const log = this.logs.get(host) ?? []
    this.logs.set(host, [...log, entry])
    for (const one of entry.block.body.commands) {
      if (one.kind === 'reconfig') this.#open(one.config)
    }
    return entry
  }

  /** A gate message that a voter said or kept. */
  takeMessage(bytes: Uint8Array): GateMessage | undefined {
    const message = this.#decode(bytes)
    if (message?.kind === 'block') {
      const { block } = message
      this.blocks.set(block.id, block)
      note(this.proposals, block.leader, placeOf(block.body), block, (a, b) => a.id === b.id)
    }
    if (message?.kind === 'vote') {
      const { vote } = message
      const isSame = (a: Vote, b: Vote): boolean =>
        a.kind === b.kind && a.body.block === b.body.block
      if (note(this.votes, vote.voter, placeOf(vote.body), vote, isSame)) this.voteCount++
    }
    return message
  }

  /** Everything is read again from a disk that was put in another's place. */
  reread(host: HostName, disk: MemoryDisk): void {
    this.logs.delete(host)
    this.states.delete(host)
    this.halts.delete(host)
    for (const [key, bytes] of disk.slice('fact/', 'fact0')) this.takeFact(host, key, bytes)
    for (const [, bytes] of disk.slice('gate/log/', 'gate/log0')) this.takeEntry(host, bytes)
    const state = disk.read('host/state')
    if (state !== undefined) this.takeState(host, state)
  }

  /** The facts on a disk, in the order of their feeds. */
  factsOn(disk: MemoryDisk): readonly Fact[] {
    return disk
      .slice('fact/', 'fact0')
      .flatMap(([key]) => this.facts.get(key.slice('fact/'.length)) ?? [])
  }

  factAt(feed: string, seq: number): Fact | undefined {
    return this.facts.get(`${feed}/${String(seq).padStart(16, '0')}`)
  }

  /** The body of the plan that made a rollout, from any disk that holds it. */
  planOf(rollout: RolloutId): PlanBody | undefined {
    const fact = this.byId.get(rollout)
    if (fact?.type !== 'rollout.plan') return undefined
    return this.#blob(fact.body.plan, this.#plans, openPlan)
  }

  manifestOf(plan: PlanBody): Manifest | undefined {
    const fact = this.byId.get(plan.release)
    if (fact?.type !== 'release.announce') return undefined
    return this.#blob(fact.body.manifest, this.#manifests, openManifest)
  }

  /** The name behind a fact key. */
  nameOf(key: KeyId): HostName | undefined {
    return this.#members().find((host) => host.fact === key)?.name
  }

  keyOf(name: HostName): KeyId {
    return this.#members().find((host) => host.name === name)?.fact ?? ''
  }

  /** Of all epochs: a name never changes its keys. */
  #members(): GroupConfig['hosts'] {
    return [...this.#trusts.values()].flatMap(({ config }) => config.hosts)
  }

  /** A committed reconfig begins the next epoch. */
  #open(document: Hash): void {
    const { fleet } = this.trust
    const config = this.#blob(
      document,
      this.#configs,
      (bytes, hash) => openConfigBlob(bytes, hash, fleet).value,
    )
    if (config === undefined || this.#trusts.has(config.epoch)) return
    const before = this.trustOf(config.epoch - 1)
    const past = [...(before.past ?? []), before.config]
    this.#trusts.set(config.epoch, { ...before, config, past })
  }

  #held(host: HostName, fact: Fact): Fact {
    if (fact.type !== 'rollout.halt') return fact
    const halts = this.halts.get(host) ?? []
    if (!halts.some((one) => one.id === fact.id)) this.halts.set(host, [...halts, fact])
    return fact
  }

  #entry(bytes: Uint8Array): LogEntry | undefined {
    const read = openedEntries.get(bytes)
    if (read !== undefined) return read
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
    const first = this.#decode(bytes.subarray(4, 4 + length))
    const proof = this.#decode(bytes.subarray(4 + length))
    if (first?.kind !== 'block' || proof?.kind !== 'certificate') return undefined
    const known = this.#entries.get(first.block.id)
    const entry = known ?? { block: first.block, certificate: proof.certificate }
    openedEntries.set(bytes, entry)
    this.blocks.set(first.block.id, first.block)
    this.#entries.set(first.block.id, entry)
    return entry
  }

  #decode(bytes: Uint8Array): GateMessage | undefined {
    return this.#decodeIn(this.trust, bytes) ?? undefined
  }

  /** Under the epoch that it is of, if that is known. */
  #decodeIn(trust: Trust, bytes: Uint8Array): GateMessage | undefined {
    try {
      return decodeGateMessage(bytes, { trust, whose: 'a run', signer: READER })
    } catch (error) {
      if (!(error instanceof OtherEpoch) || !this.#trusts.has(error.epoch)) return undefined
      const other = this.trustOf(error.epoch)
      return other === trust ? undefined : this.#decodeIn(other, bytes)
    }
  }

  #blob<T>(
    hash: Hash,
    known: Map<Hash, T>,
    open: (bytes: Uint8Array, hash: Hash) => T,
  ): T | undefined {
    const before = known.get(hash)
    if (before !== undefined) return before
    for (const disk of this.#disks()) {
      const bytes = disk.read(`blob/${hash}`)
      if (bytes === undefined) continue
      const value = open(bytes, hash)
      known.set(hash, value)
      return value
    }
    return undefined
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function note<T>(
  all: Map<KeyId, Map<number, T[]>>,
  who: KeyId,
  view: number,
  one: T,
  isSame: (a: T, b: T) => boolean,
): boolean {
  const views = all.get(who) ?? new Map<number, T[]>()
  all.set(who, views)
  const said = views.get(view) ?? []
  views.set(view, said)
  if (said.some((other) => isSame(other, one))) return false
  said.push(one)
  return true
}
