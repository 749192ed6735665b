/**
 * Facts of branches that a fork put in doubt (SPEC §6.7): in no feed, no view and no digest.
 *
 * They stay on the disk, because a block that a quorum voted for before it knew of the fork may name
 * one of the branches: then that branch is its author's feed, and must be there.
 */
import {
  type Fact,
  type FactId,
  type FeedKey,
  type FleetId,
  feedOf,
  openFact,
  ProtocolError,
} from '../protocol/index.ts'
import { STRAYS_PER_FEED_MAX } from './limits.ts'
import type { Store, StoreOp } from './ports.ts'

export class StrayStore {
  readonly #store: Store
  readonly #fleet: FleetId
  readonly #facts = new Map<FeedKey, Map<FactId, Fact>>()
  /** The highest sequence that a block which waits for it names, by feed. */
  readonly #wanted = new Map<FeedKey, number>()

  constructor(store: Store, fleet: FleetId) {
    this.#store = store
    this.#fleet = fleet
  }

  /** Reads the disk. A damaged stray is left out: it counts nowhere, and peers have it. */
  async load(): Promise<void> {
    for await (const [key, bytes] of this.#store.range('stray/', 'stray0')) {
      try {
        const signer = { sign: () => bytes, verify: () => true }
        this.remember([openFact(bytes, { fleet: this.#fleet, whose: key, signer })])
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
      }
    }
  }

  /** A stray by its id. */
  get(feed: FeedKey, id: FactId): Fact | undefined {
    return this.#facts.get(feed)?.get(id)
  }

  /** A block stands on this feed up to `seq`: strays of it are taken in from peers. */
  want(feed: FeedKey, seq: number): void {
    this.#wanted.set(feed, Math.max(seq, this.#wanted.get(feed) ?? 0))
  }

  /** Whether a fact that its feed does not take is one that a block may wait for; there is room for so many. */
  wants(fact: Fact): boolean {
    const feed = feedOf(fact)
    const held = this.#facts.get(feed)
    if (fact.seq > (this.#wanted.get(feed) ?? -1) || held?.has(fact.id)) return false
    return (held?.size ?? 0) < STRAYS_PER_FEED_MAX
  }

  /** Writes facts beside their feed. */
  async keep(facts: readonly Fact[]): Promise<void> {
    await this.#store.write(this.ops(facts), { sync: true })
    this.remember(facts)
  }

  /** What writes these facts beside their feed, as part of a larger batch; then `remember` them. */
  ops(facts: readonly Fact[]): readonly StoreOp[] {
    return facts.map((fact) => ({ key: keyOf(fact), value: fact.bytes }))
  }

  remember(facts: readonly Fact[]): void {
    for (const fact of facts) {
      const feed = feedOf(fact)
      this.#facts.set(feed, (this.#facts.get(feed) ?? new Map()).set(fact.id, fact))
    }
  }

  /** The log settled on a branch: it is in the feed again, and nothing is waited for any more. */
  async settle(feed: FeedKey, adopted: readonly Fact[]): Promise<void> {
    this.#wanted.delete(feed)
    await this.#store.write(
      adopted.map((fact) => ({ key: keyOf(fact) })),
      { sync: false },
    )
    for (const { id } of adopted) this.#facts.get(feed)?.delete(id)
  }
}

function keyOf(fact: Fact): string {
  return `stray/${feedOf(fact)}/${fact.id}`
}
