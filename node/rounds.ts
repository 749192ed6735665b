/**
 * When everything is worked out again: after each change, and by the clock.
 *
 * One round runs the parts in the order of their dependence: contradictions, the gate, this host's
 * orders, what it holds for others, its duties as an observer. Each runs by itself: a gate that cannot
 * write must not keep the host from going back.
 */
import { ticketsOf } from '../rollout/index.ts'
import type { BlobFetcher } from './blob-fetcher.ts'
import type { BlockNotes } from './block-notes.ts'
import type { NodeKnowledge } from './knowledge.ts'
import type { Cancel } from './ports.ts'
import type { Runtime } from './runtime.ts'

export interface RoundsParts {
  readonly knowledge: NodeKnowledge
  readonly fetcher: BlobFetcher
  readonly notes: BlockNotes
}

export class Rounds {
  readonly #node: Runtime
  readonly #parts: RoundsParts
  #ticker: Cancel | undefined
  #waiting = false
  /** Orders come after the host has heard what runs: `restarted` is its first event. */
  #open = false
  #last = 0

  constructor(node: Runtime, parts: RoundsParts) {
    this.#node = node
    this.#parts = parts
  }

  get isOpen(): boolean {
    return this.#open
  }

  /** Rounds may run from now on. */
  open(): void {
    this.#open = true
  }

  /** The clock begins to tick, and the first round is due. */
  start(): void {
    this.#tick()
    this.touch()
  }

  stop(): void {
    this.#ticker?.()
  }

  /** Asks for a round, after what is already waiting; asking again before it runs changes nothing. */
  touch(): void {
    if (this.#waiting || this.#node.stopped || !this.#open) return
    this.#waiting = true
    this.#node.post(() => this.#round())
  }

  async #round(): Promise<void> {
    const node = this.#node
    const { knowledge: known, fetcher, notes } = this.#parts
    this.#waiting = false
    this.#last = node.parts.clock.bootMs()
    fetcher.want(node.blobs.wanted(known.view))
    known.noteTimes(node.gate.state)
    await node.guard('forks', () => node.forks.settle())
    await node.guard('gate', () => node.gate.changed())
    await node.guard('log', () => notes.write())
    await node.guard('cosign', () => node.cosign.changed())
    known.noteTimes(node.gate.state)
    const orders = node.freshness.cleared(known.orders(node.gate.state))
    await node.guard('host', () => node.host.ordered(orders))
    await node.guard('holders', () => node.holders.assigned(known.holdings(node.gate.state)))
    const duties = node.belonging.isMember ? known.duties(node.gate.state) : []
    await node.guard('observer', () => node.observer.assigned(duties))
    const wallMs = node.parts.clock.wallMs()
    await node.guard('tickets', () => node.belonging.invited(ticketsOf(node.knowledge(), wallMs)))
  }

  /**
   * Ten times a probe interval the machines hear of the time; twice, a round runs. The next tick is set
   * when this one is over, so that a slow disk is not made slower.
   */
  #tick(): void {
    const node = this.#node
    if (node.stopped) return
    const { clock, trust } = node.parts
    const period = Math.max(TICK_MS_MIN, Math.floor(trust.config.timing.probeMs / 10))
    const due = clock.bootMs() + period
    this.#ticker = clock.after(period, () => {
      const lateMs = clock.bootMs() - due
      node
        .run(() => this.#ticked(lateMs))
        .catch(() => undefined)
        .finally(() => this.#tick())
    })
  }

  async #ticked(lateMs: number): Promise<void> {
    const node = this.#node
    await node.guard('own feed', () => node.own.tick())
    await node.guard('host', () => node.host.tick())
    await node.guard('observer', () => node.observer.tick(lateMs))
    if (node.belonging.isMember) node.health.tick()
    node.detector.tick(lateMs)
    node.freshness.tick()
    await node.disk.probe()
    const { clock, trust } = node.parts
    if (clock.bootMs() - this.#last >= trust.config.timing.probeMs / 2) this.touch()
  }
}

/** The shortest tick: ten of them in a probe of the shortest preset. */
const TICK_MS_MIN = 20
