/**
 * Watches a run and judges it: every write, message, signature and step of a machine comes through
 * here, and what it may have changed is judged at once, on the evidence of disks, wires and machines.
 */
import type { Ask, CheckOutcome, StoreOp, Topic } from '../../node/ports.ts'
import type { Fact, FactOf, HostName, StorePath } from '../../protocol/index.ts'
import type { HostState } from '../../rollout/index.ts'
import type { Coverage } from './coverage.ts'
import { DeadlineWatch } from './deadline-watch.ts'
import type { Exchange, Watcher } from './faults/harness.ts'
import type { SimFleet } from './fleet.ts'
import { GateWatch } from './gate-watch.ts'
import { HostWatch } from './host-watch.ts'
import { Chronicle } from './invariants/chronicle.ts'
import { s5HaltKept } from './invariants/host.ts'
import { s3Invited } from './invariants/newcomers.ts'
import { s12Domain } from './invariants/voice.ts'
import type { Accuse } from './violation.ts'
import { WitnessWatch } from './witness-watch.ts'

export interface MonitorParts {
  readonly fleet: SimFleet
  readonly coverage: Coverage
  readonly liars: ReadonlySet<HostName>
  /** Who belongs to the group since its newest epoch. */
  readonly members: () => readonly HostName[]
  readonly accuse: Accuse
  readonly note: (host: HostName, event: string, detail?: () => string) => void
  /** A host's own clock that counts suspend. */
  readonly bootMs: (host: HostName) => number
}

/** What the parts of the monitor share. */
export interface Bench extends MonitorParts {
  readonly chronicle: Chronicle
}

export class Monitor implements Watcher {
  readonly chronicle: Chronicle
  readonly gate: GateWatch
  readonly hosts: HostWatch
  readonly witnesses: WitnessWatch
  /** Facts that honest hosts have written. */
  ownFacts = 0
  readonly #parts: MonitorParts
  readonly #deadlines: DeadlineWatch

  constructor(parts: MonitorParts) {
    const { fleet } = parts
    const disks = () => fleet.names.map((name) => fleet.host(name).disk)
    this.#parts = parts
    this.chronicle = new Chronicle(fleet.trust, disks)
    const bench = { ...parts, chronicle: this.chronicle }
    this.gate = new GateWatch(bench)
    this.#deadlines = new DeadlineWatch(bench)
    this.witnesses = new WitnessWatch(bench, this.gate)
    this.hosts = new HostWatch(bench, this.gate)
  }

  wrote(host: HostName, ops: readonly StoreOp[], sync: boolean): void {
    for (const { key, value } of ops) {
      if (value === undefined) continue
      this.#parts.note(host, `write ${key.slice(0, 48)}`)
      if (key.startsWith('fact/')) this.#wroteFact(host, key, value)
      else if (key.startsWith('gate/log/')) this.gate.logged(host, value)
      else if (key.startsWith('gate/journal/')) this.gate.kept(host, value)
      else if (key === 'host/state') this.#wroteState(host, value)
    }
    if (sync) this.gate.synced(host)
  }

  refused(host: HostName): void {
    this.witnesses.waits(host)
    if (this.#parts.fleet.host(host).disk.full) this.#parts.coverage.add('disk-full')
  }

  published(host: HostName, topic: Topic, bytes: Uint8Array): void {
    this.#parts.note(host, `publish ${topic} ${bytes.length}`)
    if (topic === 'gate') this.gate.said(host, bytes)
  }

  signed(host: HostName, message: Uint8Array): void {
    const { accuse, liars, fleet } = this.#parts
    if (!liars.has(host)) accuse('S12', s12Domain(host, message, fleet.trust.fleet))
    this.hosts.signed(host, message)
  }

  /** A daemon died: what its disk forgot is gone, and a halt must not be. */
  crashed(host: HostName): void {
    const { accuse, liars, fleet } = this.#parts
    if (liars.has(host)) return
    const { disk } = fleet.host(host)
    accuse('S5', s5HaltKept(host, this.chronicle.halts.get(host) ?? [], disk))
  }

  heard(host: HostName, peer: HostName, kind: Ask, exchange: Exchange): void {
    const { question, answer } = exchange
    this.#parts.note(host, `${answer === undefined ? 'no answer' : 'answer'} ${kind} ${peer}`)
    if (kind === 'lease') this.hosts.heardLease(host, peer, answer)
    if (kind === 'confirm') this.witnesses.heardConfirm(host, peer, answer)
    if (kind === 'probe') this.witnesses.probed(host, peer, question, answer)
  }

  lost(host: HostName, peer: HostName): void {
    this.witnesses.probed(host, peer)
  }

  checked(host: HostName, peer: string, outcome: CheckOutcome): void {
    this.witnesses.checked(host, peer, outcome.ok)
  }

  acted(host: HostName, what: string, generation?: StorePath): void {
    this.#parts.note(host, `${what} ${generation ?? ''}`)
  }

  /** Everything that this event may have changed on a machine. */
  settled(): void {
    this.hosts.look()
    this.#deadlines.look()
  }

  /** A disk was lost or put back: what its host knew is what it says now. */
  diskChanged(host: HostName): void {
    this.chronicle.reread(host, this.#parts.fleet.host(host).disk)
    this.hosts.forgot(host)
  }

  #wroteFact(host: HostName, key: string, bytes: Uint8Array): void {
    const forks = this.chronicle.forks.length
    const isNew = !this.chronicle.facts.has(key.slice('fact/'.length))
    const fact = this.chronicle.takeFact(host, key, bytes)
    if (this.chronicle.forks.length > forks) this.gate.forked()
    if (isNew && this.chronicle.nameOf(fact.author) === host) this.#ownFact(host, fact)
  }

  #ownFact(host: HostName, fact: Fact): void {
    if (fact.type === 'host.transition') {
      const { to, round, why } = fact.body
      this.#parts.note(host, `says ${to} ${round} ${why ?? ''}`)
    }
    if (this.#parts.liars.has(host)) return
    this.ownFacts++
    if (fact.type === 'host.transition') this.witnesses.transition(host, fact)
    if (fact.type === 'obs.attest') this.witnesses.attested(host, fact)
    if (fact.type === 'enroll.request') this.#letWait(host, fact)
  }

  #letWait(host: HostName, fact: FactOf<'enroll.request'>): void {
    const { accuse, fleet } = this.#parts
    const facts = this.chronicle.factsOn(fleet.host(host).disk)
    accuse('S3', s3Invited(host, fact, { fleet: fleet.trust.fleet, facts }))
  }

  #wroteState(host: HostName, bytes: Uint8Array): void {
    const before: HostState | undefined = this.chronicle.states.get(host)
    const after = this.chronicle.takeState(host, bytes)
    if (!this.#parts.liars.has(host)) this.hosts.changed(host, before, after)
  }
}
