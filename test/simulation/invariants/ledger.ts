/**
 * The committed log read by a clerk: who was admitted, started, skipped, closed, and under which
 * facts. It applies commands without judging any of them; whether they were right is what the
 * invariants ask.
 */
import type {
  Block,
  Fact,
  HostName,
  Outcome,
  PlanBody,
  RolloutId,
} from '../../../protocol/index.ts'
import type { Trust } from '../../../rollout/index.ts'
import type { Chronicle } from './chronicle.ts'

/** A committed start or skip of one host. `at` is the number of its command, counted over the whole log. */
export interface LedgerMark {
  readonly host: HostName
  readonly round: number
  readonly at: number
  /** Of the block: observers are drawn among the members of the epoch that started. */
  readonly epoch: number
}

export interface LedgerRollout {
  readonly id: RolloutId
  readonly plan: PlanBody
  readonly waves: readonly (readonly HostName[])[]
  /** The block that admitted it: observers are drawn by it. */
  readonly admittedBy: string
  readonly at: number
  readonly starts: LedgerMark[]
  readonly skips: LedgerMark[]
  /** Hosts that have left the group since. */
  readonly gone: Set<HostName>
  closed: { readonly outcome: Outcome; readonly at: number } | undefined
}

export class Ledger {
  readonly blocks: Block[] = []
  /** Commands in all blocks together. */
  commands = 0
  readonly rollouts = new Map<RolloutId, LedgerRollout>()
  readonly #chronicle: Chronicle
  readonly #basis = new Map<string, number>()
  /** Facts under the basis of the newest block. */
  readonly facts: Fact[] = []

  constructor(chronicle: Chronicle) {
    this.#chronicle = chronicle
  }

  /** Who belongs in the epoch of the newest block. */
  get trust(): Trust {
    return this.#chronicle.trustOf(this.blocks.at(-1)?.body.epoch ?? 1)
  }

  /** Takes the next committed block; afterwards `facts` are those under its basis. */
  add(block: Block): void {
    this.blocks.push(block)
    for (const { author, session, seq } of block.body.basis) {
      const feed = `${author}/${session}`
      for (let next = (this.#basis.get(feed) ?? -1) + 1; next <= seq; next++) {
        const fact = this.#chronicle.factAt(feed, next)
        if (fact !== undefined) this.facts.push(fact)
      }
      this.#basis.set(feed, Math.max(seq, this.#basis.get(feed) ?? -1))
    }
    for (const command of block.body.commands) {
      this.#apply(block, command)
      this.commands++
    }
  }

  #apply(block: Block, command: Block['body']['commands'][number]): void {
    if (command.kind === 'root') return
    if (command.kind === 'reconfig') {
      this.#leave(this.#chronicle.trustOf(block.body.epoch + 1))
      return
    }
    const at = this.commands
    const rollout = this.rollouts.get(command.rollout)
    switch (command.kind) {
      case 'admit':
        this.#admit(block, command.rollout, at)
        return
      case 'start':
      case 'skip': {
        const marks = command.kind === 'start' ? rollout?.starts : rollout?.skips
        for (const host of command.hosts)
          marks?.push({ host, round: command.round, at, epoch: block.body.epoch })
        return
      }
      case 'close':
        if (rollout !== undefined) rollout.closed = { outcome: command.outcome, at }
    }
  }

  /** Whoever is no member any more is lost to every rollout that there is. */
  #leave({ config }: Trust): void {
    const members = new Set(config.hosts.map(({ name }) => name))
    for (const { waves, gone } of this.rollouts.values()) {
      for (const host of waves.flat()) if (!members.has(host)) gone.add(host)
    }
  }

  #admit(block: Block, id: RolloutId, at: number): void {
    const plan = this.#chronicle.planOf(id)
    const { group } = this.#chronicle.trust.config
    const waves = plan?.groups.find((part) => part.group === group)?.waves
    if (plan === undefined || waves === undefined) return
    for (const old of plan.supersedes) {
      const replaced = this.rollouts.get(old)
      if (replaced !== undefined) replaced.closed ??= { outcome: 'superseded', at }
    }
    this.rollouts.set(id, {
      ...{ id, plan, waves, admittedBy: block.id, at },
      ...{ starts: [], skips: [], gone: new Set<HostName>(), closed: undefined },
    })
  }
}
