/** A whole pull, judged by its own bytes and the root hash that the auditor brought along. */
import { feedKey, splitFeedKey } from '../../protocol/index.ts'
import { readDocuments } from './documents.ts'
import type { Report } from './findings.ts'
import { feedAt, feedsIn, gatesIn } from './layout.ts'
import { type ProvenLieRow, ProvenLies } from './proven-lies.ts'
import { checkpointSizes, type Standing, verifyCheckpoints } from './verify-checkpoints.ts'
import { verifyFeed } from './verify-feed.ts'
import { type GateSummary, verifyGate } from './verify-gate.ts'

/** What was seen; whether it is good is in the findings alone. */
export interface Verdict {
  readonly fleet: string
  readonly feeds: number
  readonly facts: number
  readonly blocks: number
  readonly checkpoints: number
  readonly standing: readonly (Standing & { readonly group: string })[]
  /** Who is proven to have contradicted itself: no fault of the log, which holds the proof. */
  readonly lies: readonly ProvenLieRow[]
}

/** Verifies the pull in `pull`. Undefined when its root is not the given one: nothing else counts then. */
export function verifyPull(pull: string, rootHash: string, report: Report): Verdict | undefined {
  const trust = readDocuments(pull, rootHash, report)
  if (trust === undefined) return undefined
  const groups = new Set(trust.configs.map(({ config }) => config.group))
  const gates: GateSummary[] = []
  const standing: (Standing & { group: string })[] = []
  let checkpoints = 0
  for (const group of new Set([...groups, ...gatesIn(pull)])) {
    const sizes = checkpointSizes(pull, group)
    const gate = verifyGate(pull, { trust, group, sizes }, report)
    const newest = verifyCheckpoints(pull, { trust, gate, sizes }, report)
    if (newest !== undefined) standing.push({ group, ...newest })
    checkpoints += sizes.size
    gates.push(gate)
  }
  const feeds = feedsIn(pull)
  const lies = new ProvenLies(pull, trust)
  let facts = 0
  for (const place of feeds) {
    const heads = headsOf(gates, feedKey(place.author, place.session))
    facts += verifyFeed(place, { trust, heads, noted: (fact) => lies.note(fact) }, report)
  }
  const held = new Set(feeds.map(({ author, session }) => feedKey(author, session)))
  for (const feed of new Set(gates.flatMap((gate) => [...gate.basis.keys()]))) {
    if (held.has(feed)) continue
    const { author, session } = splitFeedKey(feed)
    verifyFeed(feedAt(pull, author, session), { trust, heads: headsOf(gates, feed) }, report)
  }
  const blocks = gates.reduce((sum, gate) => sum + gate.size, 0)
  const counts = { feeds: feeds.length, facts, blocks, checkpoints }
  return { fleet: trust.root.name, ...counts, standing, lies: lies.rows }
}

function headsOf(gates: readonly GateSummary[], feed: string): ReadonlyMap<number, string> {
  return new Map(gates.flatMap((gate) => [...(gate.basis.get(feed) ?? [])]))
}
