/** The facts of a replay: every envelope verified, every feed as one unbroken chain. */
import { ED25519, type Fact, type FeedKey, feedOf, NO_FACT, openFact } from '../protocol/index.ts'
import type { Trust } from '../rollout/index.ts'
import type { ReplayFinding, ReplaySource, StoredBytes } from './replay-source.ts'

/** Facts that verify, by their place. */
export class HeldFacts {
  readonly facts: Fact[] = []
  stored = 0
  readonly #places = new Map<string, Fact>()
  readonly #strays = new Map<string, Fact>()

  add(fact: Fact): void {
    this.facts.push(fact)
    this.#places.set(`${feedOf(fact)}/${fact.seq}`, fact)
  }

  addStray(fact: Fact): void {
    this.#strays.set(`${feedOf(fact)}/${fact.id}`, fact)
  }

  /** As `FactStore.branchFact`: of the feed, or of a branch that was dropped. */
  at(feed: FeedKey, seq: number, id: string): Fact | undefined {
    const held = this.#places.get(`${feed}/${seq}`)
    return held?.id === id ? held : (this.#strays.get(`${feed}/${id}`) ?? held)
  }
}

/** Reads every feed; what follows a gap in one counts for nothing. */
export async function readFacts(
  source: ReplaySource,
  trust: Trust,
  report: (finding: ReplayFinding) => void,
): Promise<HeldFacts> {
  const held = new HeldFacts()
  const open = ({ where, bytes }: StoredBytes): Fact | undefined => {
    try {
      return openFact(bytes, { fleet: trust.fleet, whose: where, signer: trust.signer ?? ED25519 })
    } catch (error) {
      report({ code: 'FACT', where, text: error instanceof Error ? error.message : String(error) })
      return undefined
    }
  }
  const heads = new Map<FeedKey, { next: number; prev: string }>()
  const broken = new Set<FeedKey>()
  for await (const stored of source.facts()) {
    held.stored++
    const fact = open(stored)
    if (fact === undefined) continue
    const feed = feedOf(fact)
    const { next, prev } = heads.get(feed) ?? { next: 0, prev: NO_FACT }
    if (fact.seq === next && fact.prev === prev) {
      heads.set(feed, { next: next + 1, prev: fact.id })
      held.add(fact)
    } else if (!broken.has(feed)) {
      broken.add(feed)
      const text = `expected fact ${next} after ${prev.slice(0, 16)}… in the feed ${feed.slice(0, 16)}…, found fact ${fact.seq} after ${fact.prev.slice(0, 16)}…: nothing from there on counts`
      report({ code: 'CHAIN', where: stored.where, text })
    }
  }
  for await (const stored of source.strays()) {
    const fact = open(stored)
    if (fact !== undefined) held.addStray(fact)
  }
  return held
}
