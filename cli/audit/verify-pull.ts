/** A whole pull, judged by its own bytes and the root hash that the auditor brought along. */
import { feedKey, splitFeedKey } from '../../protocol/index.ts'
import { readDocuments } from './documents.ts'
import { Findings, type Found } from './findings.ts'
import { type FeedPlace, feedAt, feedsIn, gateAt, gatesIn, type LogPlace } from './layout.ts'
import { readHead } from './log-files.ts'
import { joinPins } from './pins.ts'
import { type ProvenLieRow, ProvenLies } from './proven-lies.ts'
import type { Standing } from './verify-checkpoints.ts'
import { verifyPins } from './verify-feed.ts'
import type { GateSummary } from './verify-gate.ts'
import type { FeedPart, FeedSeen, Scene } from './verify-parts.ts'
import { type Judges, judgesHere, judgesInThreads } from './verify-threads.ts'

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

/** How much of the machine a verification may take. */
export interface VerifyMeans {
  /** At most so many threads beside this one; 1 by default. */
  readonly threads?: number
  readonly signal?: AbortSignal
}

/** Entries that are verified before a thread has started: half a second of them. */
const ENTRIES_WITHOUT_THREADS = 4000

/** Verifies the pull in `pull`. Undefined when its root is not the given one: nothing else counts then. */
export async function verifyPull(
  pull: string,
  rootHash: string,
  findings: Findings,
  means: VerifyMeans = {},
): Promise<Verdict | undefined> {
  const trust = readDocuments(pull, rootHash, findings.reporter())
  if (trust === undefined) return undefined
  const named = trust.configs.map(({ config }) => config.group)
  const groups = [...new Set([...named, ...gatesIn(pull)])]
  const feeds = feedsIn(pull)
  const scene = { pull, trust, judges: judgesFor({ pull, trust }, means) }
  const take =
    (part: number): Take =>
    (found) =>
      findings.take(found, part)
  try {
    const gates = Promise.all(groups.map((group, i) => judgeGate(scene, group, take(1 + 2 * i))))
    const over = gates.then((all) =>
      Promise.all(all.map((gate, i) => judgeVotes(scene, gate, take(2 + 2 * i)))),
    )
    const first = 1 + 2 * groups.length
    const judged = judgeFeeds(scene, { feeds, gates, take: (i) => take(first + i) })
    const [seen, summaries, standing] = await Promise.all([judged, gates, over])
    const lies = new ProvenLies(pull, trust)
    for (const one of seen) lies.add(one.lies)
    return {
      ...{ fleet: trust.root.name, feeds: feeds.length, facts: sum(seen, (one) => one.facts) },
      blocks: sum(summaries, (gate) => gate.size),
      checkpoints: sum(standing, (one) => one.checkpoints),
      standing: standing.flatMap((one) =>
        one.standing ? [{ group: one.group, ...one.standing }] : [],
      ),
      lies: lies.rows,
    }
  } finally {
    await scene.judges.close()
  }
}

function judgesFor(scene: Scene, { threads = 1, signal = NEVER }: VerifyMeans): Judges {
  const { pull } = scene
  const logs: readonly LogPlace[] = [
    ...feedsIn(pull),
    ...gatesIn(pull).map((group) => gateAt(pull, group)),
  ]
  const entries = sum(logs, sizeOf)
  if (entries < ENTRIES_WITHOUT_THREADS) return judgesHere(scene, signal)
  return judgesInThreads(scene, Math.min(threads, logs.length), signal)
}

const NEVER = new AbortController().signal

/** Takes what was found in one part. */
type Take = (found: Found) => void
type Stage = Scene & { readonly judges: Judges }

async function judgeGate({ judges }: Stage, group: string, take: Take): Promise<GateSummary> {
  const { gate, found } = await judges.judge('gate', { kind: 'gate', group })
  take(found)
  return gate
}

/** The votes and the checkpoints over blocks that were read. */
async function judgeVotes({ judges }: Stage, { pins: _, ...gate }: GateSummary, take: Take) {
  const { group } = gate
  const [votes, over] = await Promise.all([
    judges.judge('votes', { kind: 'votes', group }),
    judges.judge('checkpoints', { kind: 'checkpoints', gate }),
  ])
  take(votes.found)
  take(over.found)
  return { group, checkpoints: over.checkpoints, standing: over.standing }
}

/** The feeds here, then those that blocks name and that are not here: all of their facts are missing. */
async function judgeFeeds(
  stage: Stage,
  input: {
    readonly feeds: readonly FeedPlace[]
    readonly gates: Promise<readonly GateSummary[]>
    readonly take: (index: number) => Take
  },
): Promise<readonly Pick<FeedSeen, 'facts' | 'lies'>[]> {
  const { feeds, gates, take } = input
  const judgeOne = async (place: FeedPlace, index: number) => {
    const { author, session } = place
    const part: FeedPart = { kind: 'feed', author, session }
    const [all, seen] = await Promise.all([gates, stage.judges.judge('feed', part)])
    take(index)(seen.found)
    const pins = joinPins(all.flatMap((gate) => gate.pins.get(feedKey(author, session)) ?? []))
    const findings = new Findings()
    if (pins !== undefined) verifyPins(place, { ...stage, pins, seen }, findings.reporter())
    take(index)(findings)
    return { index, facts: seen.facts, lies: seen.lies }
  }
  const held = new Set(feeds.map(({ author, session }) => feedKey(author, session)))
  // The longest first, so that no thread is left with one at the end.
  const order = feeds.map((place, index) => ({ place, index, size: sizeOf(place) }))
  order.sort((a, b) => b.size - a.size)
  const here = order.map(({ place, index }) => judgeOne(place, index))
  const named = gates.then((all) => {
    const pinned = new Set(all.flatMap(({ pins }) => [...pins.keys()]))
    return Promise.all(
      [...pinned]
        .filter((feed) => !held.has(feed))
        .map((feed, i) => {
          const { author, session } = splitFeedKey(feed)
          return judgeOne(feedAt(stage.pull, author, session), feeds.length + i)
        }),
    )
  })
  const [seen, missing] = await Promise.all([Promise.all(here), named])
  return [...seen.sort((a, b) => a.index - b.index), ...missing]
}

function sizeOf(place: LogPlace): number {
  return readHead(place)?.size ?? 0
}

function sum<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((total, one) => total + of(one), 0)
}
