/** Judges what voters say and what logs hold, as it comes to be: S1, S2, S5, S6, S10, S12–S15, S17. */
import type {
  Block,
  Certificate,
  Fact,
  GateMessage,
  HostName,
  KeyId,
  RolloutId,
  Vote,
} from '../../protocol/index.ts'
import { type LogEntry, placeOf as placeInLog } from './invariants/chronicle.ts'
import {
  inputOf,
  liarsBorne,
  s1Agreement,
  s1Certified,
  s2ExclusiveClaim,
  s5NoBlindRedeploy,
  s6NoCloseOverNothing,
  s6NoStartOverEvidence,
  s10Permits,
  s13Accountability,
  s13FrozenByLiar,
  s14NoDowngrade,
  s15AppendOnly,
  s17SkippedOrGone,
} from './invariants/gate.ts'
import { type StopEvidence, s5HaltSticks } from './invariants/host.ts'
import { Ledger } from './invariants/ledger.ts'
import { twinBudget } from './invariants/twin.ts'
import { s12Feed, s12Journaled, s12View } from './invariants/voice.ts'
import type { Bench } from './monitor.ts'

type Own = Exclude<GateMessage, { kind: 'certificate' }>

export class GateWatch {
  readonly ledger: Ledger
  /** Blocks and votes that honest hosts have said. */
  messages = 0
  /** When each start was first committed anywhere, in true time, by `placeOf`. */
  readonly startedAt = new Map<string, number>()
  readonly #bench: Bench
  readonly #skipped = new Set<number>()
  /** Own messages of each host that are safe on its disk, and those that a crash may still take. */
  readonly #safe = new Map<HostName, Set<string>>()
  readonly #unsafe = new Map<HostName, Set<string>>()
  readonly #ids = new Map<HostName, string[]>()

  constructor(bench: Bench) {
    this.#bench = bench
    this.ledger = new Ledger(bench.chronicle)
  }

  /** A committed block was written to a host's log. */
  logged(host: HostName, bytes: Uint8Array): void {
    const { chronicle, accuse, liars, note } = this.#bench
    const before = chronicle.logs.get(host) ?? []
    const entry = chronicle.takeEntry(host, bytes)
    if (entry === undefined || liars.has(host)) return
    note(host, `commits ${entry.block.id.slice(0, 12)}`, () => told(entry))
    const ids = before.map((one) => one.block.id)
    accuse('S1', s1Certified(chronicle.trustOf(entry.block.body.epoch), host, entry.certificate))
    accuse('S15', s15AppendOnly(host, this.#ids.get(host) ?? [], ids))
    this.#ids.set(host, [...ids, entry.block.id])
    const known = this.ledger.blocks[ids.length]
    if (known === undefined) this.#append(host, entry)
    else if (known.id !== entry.block.id) this.#disagree()
  }

  /** A disk was lost or put back: the log begins again with what is there. */
  restarted(host: HostName): void {
    this.#ids.delete(host)
  }

  /** A voter keeps what it says before it says it: what it says twice it decided once. */
  kept(host: HostName, bytes: Uint8Array): void {
    const { chronicle, liars } = this.#bench
    const before = chronicle.voteCount
    const message = this.#own(host, bytes)
    const isNew = chronicle.voteCount > before
    if (message !== undefined) entryOf(this.#unsafe, host).add(nameOf(message))
    if (message?.kind === 'vote' && isNew && !liars.has(host)) this.#voted(host, message.vote)
  }

  /** Everything that a host wrote up to now is safe. */
  synced(host: HostName): void {
    const written = this.#unsafe.get(host)
    if (written === undefined || written.size === 0) return
    const safe = entryOf(this.#safe, host)
    for (const name of written) safe.add(name)
    written.clear()
  }

  /** A gate message leaves a host. */
  said(host: HostName, bytes: Uint8Array): void {
    const { liars, note } = this.#bench
    const message = this.#own(host, bytes)
    if (message === undefined) return
    const { view } = message.kind === 'vote' ? message.vote.body : message.block.body
    note(host, `${message.kind === 'vote' ? message.vote.kind : 'block'} in view ${view}`)
    if (liars.has(host)) return
    this.messages++
    const isSafe = this.#safe.get(host)?.has(nameOf(message)) === true
    this.#bench.accuse('S12', s12Journaled(host, nameOf(message), isSafe))
  }

  /** A block or vote of this host's own, judged beside everything else that it said in the view. */
  #own(host: HostName, bytes: Uint8Array): Own | undefined {
    const { chronicle, accuse, liars } = this.#bench
    const message = chronicle.takeMessage(bytes)
    if (message?.kind === 'certificate') this.#certified(message.certificate)
    if (message === undefined || message.kind === 'certificate') return undefined
    const mine = chronicle.keyOf(host)
    const author = message.kind === 'block' ? message.block.leader : message.vote.voter
    if (author !== mine) return undefined
    const { view, epoch } = message.kind === 'block' ? message.block.body : message.vote.body
    const place = placeInLog({ epoch, view })
    const votes = chronicle.votes.get(mine)?.get(place) ?? []
    const blocks = chronicle.proposals.get(mine)?.get(place) ?? []
    if (!liars.has(host)) accuse('S12', s12View(host, view, { votes, blocks }))
    return message
  }

  /** Two facts stand for one place of a feed. */
  forked(): void {
    const { chronicle, accuse, liars } = this.#bench
    const honest = (author: string): HostName | undefined => {
      const name = chronicle.nameOf(author) ?? 'an operator'
      return liars.has(name) ? undefined : name
    }
    accuse('S12', s12Feed(chronicle.forks, honest))
  }

  /** What a host's disk says against a rollout going on. */
  stopEvidence(host: HostName, id: string): StopEvidence {
    const { chronicle, fleet } = this.#bench
    const halts = (chronicle.halts.get(host) ?? []).filter((halt) => halt.body.rollout === id)
    const rollout = this.ledger.rollouts.get(id)
    const none = { halts, failures: 0, budget: 0 }
    if (rollout === undefined) return none
    if (rollout.closed !== undefined) return none
    const facts = chronicle.factsOn(fleet.host(host).disk)
    return { ...none, ...twinBudget({ ...inputOf(this.ledger, chronicle, rollout), facts }) }
  }

  /** S17 looks at all skips: one that comes after the transition breaks it too. */
  skippedOrGone(): void {
    this.#bench.accuse('S17', s17SkippedOrGone(this.ledger, this.#bench.chronicle))
  }

  /** How many voters said things that exclude each other, by their own signatures. */
  provenLiars(): number {
    const { votes, proposals } = this.#bench.chronicle
    const proven = new Set<string>()
    for (const [voter, views] of votes) {
      for (const [view, said] of views) {
        if (s12View('', view, { votes: said, blocks: [] }).length > 0) proven.add(voter)
      }
    }
    for (const [leader, views] of proposals) {
      for (const blocks of views.values()) if (blocks.length > 1) proven.add(leader)
    }
    return proven.size
  }

  #certified({ kind, body }: Certificate): void {
    if (kind !== 'skip' || this.#skipped.has(placeInLog(body))) return
    this.#skipped.add(placeInLog(body))
    this.#bench.coverage.add('view-skipped')
  }

  #superseded(): number {
    return [...this.ledger.rollouts.values()].filter((one) => one.closed?.outcome === 'superseded')
      .length
  }

  #append(host: HostName, entry: LogEntry): void {
    const { accuse, chronicle, coverage } = this.#bench
    const last = this.ledger.blocks.at(-1)
    const parent = last?.id ?? chronicle.trust.genesis
    if (entry.block.body.parent !== parent) {
      accuse('S1', [
        `${host} committed ${entry.block.id.slice(0, 12)} over another block than its last`,
      ])
    }
    const superseded = this.#superseded()
    this.ledger.add(entry.block)
    coverage.add('close-superseded', this.#superseded() - superseded)
    accuse('S2', s2ExclusiveClaim(this.ledger))
    accuse('S5', s5NoBlindRedeploy(this.ledger, chronicle))
    accuse('S6', s6NoStartOverEvidence(this.ledger, chronicle))
    accuse('S6', s6NoCloseOverNothing(this.ledger, chronicle))
    accuse('S10', s10Permits(this.ledger, chronicle))
    accuse('S14', s14NoDowngrade(this.ledger, chronicle))
    this.skippedOrGone()
    this.#noteStarts(entry.block)
    countCommands(entry.block, coverage)
    for (const command of entry.block.body.commands) {
      if (command.kind !== 'admit') continue
      if (chronicle.planOf(command.rollout)?.kind === 'rollback') coverage.add('rollback')
    }
  }

  #noteStarts(block: Block): void {
    const now = this.#bench.fleet.clock.bootMs()
    for (const command of block.body.commands) {
      if (command.kind !== 'start') continue
      const { rollout, round } = command
      for (const host of command.hosts) this.startedAt.set(placeOf({ rollout, host, round }), now)
    }
  }

  #disagree(): void {
    const { chronicle, accuse, liars } = this.#bench
    const logs = new Map(
      [...chronicle.logs]
        .filter(([name]) => !liars.has(name))
        .map(([name, log]) => [name, log.map(({ block }) => block.id)]),
    )
    const forked = s1Agreement(logs)
    if (liars.size <= liarsBorne(chronicle.trust)) accuse('S1', forked)
    const proven = this.provenLiars()
    accuse('S13', s13Accountability(chronicle.trust, { forked: forked.length > 0, proven }))
  }

  /** S5: nobody who holds a halt or a breach votes for a start. */
  #voted(host: HostName, vote: Vote): void {
    const { chronicle, accuse, liars } = this.#bench
    if (vote.kind !== 'notarize') return
    const block = chronicle.blocks.get(vote.body.block ?? '')
    if (block !== undefined && liars.size > 0 && liarsBorne(chronicle.trust) === 0) {
      const facts = chronicle.factsOn(this.#bench.fleet.host(host).disk)
      const known = [...liars].filter((name) => isProven(facts, chronicle.keyOf(name)))
      accuse('S13', s13FrozenByLiar(host, block, known))
    }
    for (const command of block?.body.commands ?? []) {
      if (command.kind !== 'start') continue
      const evidence = this.stopEvidence(host, command.rollout)
      const what = `${host} votes for a start of ${command.rollout.slice(0, 12)} in view ${vote.body.view}`
      for (const one of command.hosts) {
        accuse('S5', s5HaltSticks(what, { rollout: command.rollout, host: one }, evidence))
      }
    }
  }
}

/** Somebody signed that the key contradicted itself in the gate log: of a liar it is true. */
function isProven(facts: readonly Fact[], key: KeyId): boolean {
  return facts.some(
    (fact) =>
      fact.type === 'equivocation' && fact.body.accused === key && fact.body.kind !== 'feed',
  )
}

/** One round of one host, as text. */
export function placeOf(one: { rollout: RolloutId; host: HostName; round: number }): string {
  return `${one.rollout} ${one.host} ${one.round}`
}

function entryOf(sets: Map<HostName, Set<string>>, host: HostName): Set<string> {
  const known = sets.get(host) ?? new Set<string>()
  sets.set(host, known)
  return known
}

function nameOf(message: Own): string {
  if (message.kind === 'block') return `block ${message.block.id.slice(0, 12)}`
  const { kind, body } = message.vote
  return `${kind} in view ${body.view} of epoch ${body.epoch} ${body.block?.slice(0, 12) ?? ''}`
}

function countCommands(block: Block, coverage: Bench['coverage']): void {
  const { commands, basis } = block.body
  if (commands.length === 0 && basis.length > 0) coverage.add('anchor')
  for (const command of commands) {
    if (command.kind === 'root') continue
    if (command.kind === 'close') coverage.add(`close-${command.outcome}`)
    else coverage.add(command.kind)
    if (command.kind === 'start' && command.round > 0) coverage.add('catch-up')
  }
}

function told({ block }: LogEntry): string {
  const commands = block.body.commands.map((command) => {
    if (command.kind === 'reconfig') return `reconfig ${command.config.slice(0, 8)}`
    if (command.kind === 'root') return `root ${command.root.slice(0, 8)}`
    const hosts = 'hosts' in command ? ` ${command.hosts.join(',')} #${command.round}` : ''
    const outcome = command.kind === 'close' ? ` ${command.outcome}` : ''
    return `${command.kind} ${command.rollout.slice(0, 8)}${hosts}${outcome}`
  })
  return `view ${block.body.view}: ${commands.join('; ') || `basis +${block.body.basis.length}`}`
}
