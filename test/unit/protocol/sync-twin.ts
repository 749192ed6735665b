/** Nodes that hold feeds of made-up facts, a sync between two of them, and the dumb way to do it. */
import {
  ASK_BYTES_MAX,
  answerSync,
  BATCH_BYTES_MAX,
  collectBatch,
  decodeSyncAnswer,
  decodeSyncQuestion,
  encodeSyncAnswer,
  encodeSyncQuestion,
  type FeedKey,
  type FeedRange,
  feedKey,
  type SyncAnswer,
  type SyncEffect,
  type SyncReply,
  sha256,
  startSync,
  stepSync,
  toHex,
  type Vector,
  vectorTree,
} from '../../../protocol/index.ts'

/** Facts by feed, in sequence. A fact says its feed, its sequence and its branch, and has some weight. */
export type Holding = Map<FeedKey, Uint8Array[]>

export interface FeedSpec {
  readonly feed: FeedKey
  readonly length: number
  /** Two branches of one feed differ from their first fact on. */
  readonly branch?: number
  readonly weight?: number
}

export function holdingOf(specs: readonly FeedSpec[]): Holding {
  return new Map(
    specs
      .filter(({ length }) => length > 0)
      .map((spec) => [
        spec.feed,
        Array.from({ length: spec.length }, (_, seq) => factAt(spec, seq)),
      ]),
  )
}

/** The key of the `index`-th made-up feed. */
export function feedNumber(index: number): FeedKey {
  const digest = toHex(sha256(Uint8Array.of(index & 255, index >> 8)))
  return feedKey(digest, digest.slice(0, 32))
}

export function vectorOf(holding: Holding): Vector {
  return new Map(
    [...holding].map(([feed, facts]) => [
      feed,
      { seq: facts.length - 1, id: toHex(sha256(facts.at(-1) ?? new Uint8Array())) },
    ]),
  )
}

/** What a sync cost and what it found. */
export interface SyncRun {
  readonly roundTrips: number
  readonly bytes: number
  readonly largestMessage: number
  readonly largestBatch: number
  readonly forks: readonly string[]
  /** Envelopes that met another one in their place. */
  readonly proofs: { readonly asker: string[]; readonly answerer: string[] }
}

/** Runs one sync to its end, over bytes, with what a node does about each effect. */
export async function runSync(asker: Holding, answerer: Holding): Promise<SyncRun> {
  const run = {
    roundTrips: 0,
    bytes: 0,
    largestMessage: 0,
    largestBatch: 0,
    forks: [] as string[],
    proofs: { asker: [] as string[], answerer: [] as string[] },
  }
  const sent = (bytes: Uint8Array): Uint8Array => {
    run.bytes += bytes.length
    run.largestMessage = Math.max(run.largestMessage, bytes.length)
    if (bytes.length > ASK_BYTES_MAX) throw new Error(`a message of ${bytes.length} bytes`)
    return bytes
  }
  const read = async (holding: Holding, ranges: readonly FeedRange[]) => {
    const batch = await collectBatch(ranges, ({ author, session, from, to }) =>
      (holding.get(feedKey(author, session)) ?? []).slice(from, to + 1),
    )
    const size = batch.facts.reduce((sum, fact) => sum + fact.length, 0)
    run.largestBatch = Math.max(run.largestBatch, size)
    if (size > BATCH_BYTES_MAX) throw new Error(`a batch of ${size} bytes`)
    return batch
  }
  const answerTo = async (reply: SyncReply): Promise<SyncAnswer> => {
    if (reply.kind === 'answer') return reply.answer
    if (reply.kind === 'read') return { kind: 'facts', ...(await read(answerer, reply.ranges)) }
    take(answerer, reply.facts, run.proofs.answerer)
    return { kind: 'took' }
  }

  let { state, effects } = startSync(vectorTree(vectorOf(asker)))
  for (let steps = 0; ; steps++) {
    if (steps > 20_000) throw new Error('the sync does not end')
    let last: SyncEffect | undefined
    for (const effect of effects) {
      last = effect
      if (effect.kind === 'take') take(asker, effect.facts, run.proofs.asker)
      if (effect.kind === 'fork') run.forks.push(effect.feed)
    }
    if (last?.kind === 'done') return run
    if (last?.kind === 'ask') {
      run.roundTrips++
      const question = decodeSyncQuestion(sent(encodeSyncQuestion(last.question)), 'the asker')
      const reply = answerSync(vectorTree(vectorOf(answerer)), question)
      const answer = decodeSyncAnswer(sent(encodeSyncAnswer(await answerTo(reply))), 'the answerer')
      ;({ state, effects } = stepSync(state, { kind: 'answer', answer }))
    } else if (last?.kind === 'read') {
      const batch = await read(asker, last.ranges)
      ;({ state, effects } = stepSync(state, { kind: 'batch', batch }))
    } else throw new Error(`the sync stopped at ${last?.kind}`)
  }
}

/** The dumb twin: both say everything, each takes the longer feed; at a fork each keeps its own. */
export function unionOf(own: Holding, other: Holding): Holding {
  const union: Holding = new Map(own)
  for (const [feed, facts] of other) {
    const held = own.get(feed)
    if (held === undefined) union.set(feed, facts)
    else if (facts.length > held.length && fits(held, facts)) union.set(feed, facts)
  }
  return union
}

function fits(held: readonly Uint8Array[], facts: readonly Uint8Array[]): boolean {
  return held.every((fact, i) => toHex(fact) === toHex(facts[i] ?? new Uint8Array()))
}

/** Ingest in small: appends what follows, notes what stands in the place of something else. */
function take(holding: Holding, envelopes: readonly Uint8Array[], proofs: string[]): void {
  for (const envelope of envelopes) {
    const { feed, seq, branch } = read(envelope)
    const held = holding.get(feed) ?? []
    const before = held.at(-1)
    if (seq < held.length) {
      if (toHex(held[seq] ?? new Uint8Array()) !== toHex(envelope)) proofs.push(feed)
    } else if (seq > held.length) throw new Error(`a gap in ${feed} at ${seq}`)
    else if (before !== undefined && read(before).branch !== branch) proofs.push(feed)
    else holding.set(feed, [...held, envelope])
  }
}

function factAt({ feed, branch = 0, weight = 0 }: FeedSpec, seq: number): Uint8Array {
  return new TextEncoder().encode(`${feed} ${seq} ${branch} ${'.'.repeat(weight)}`)
}

function read(envelope: Uint8Array): { feed: FeedKey; seq: number; branch: number } {
  const [feed = '', seq, branch] = new TextDecoder().decode(envelope).split(' ')
  return { feed, seq: Number(seq), branch: Number(branch) }
}
