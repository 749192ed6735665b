/**
 * Every fact that this node holds: on the disk as received, in memory what decisions still need.
 *
 * A fact is on the disk before anything is derived from it. Facts below the committed basis leave
 * memory; the fold of them stays in the gate's state, the bytes stay on the disk. So does the list of
 * what arrived when: memory grows with feeds, not with facts.
 */
import {
  type Fact,
  type FactBodies,
  type FactId,
  type FactOf,
  type FactType,
  type FeedHead,
  type FeedKey,
  type FleetId,
  feedKey,
  feedOf,
  type KeyPair,
  NO_FACT,
  openFact,
  type Placement,
  placeFact,
  type Session,
  type Signer,
  sealFact,
} from '../protocol/index.ts'
import { NodeError } from './errors.ts'
import { LOG_START, type LogPlace } from './gate-log.ts'
import type { Store, StoreOp } from './ports.ts'
import { StrayStore } from './stray-store.ts'

/** Digits of a sequence in a key: enough for 2^53, so that text order is number order. */
const SEQ_DIGITS = 16
const NOTED_KEY = 'meta/noted-view'

/** One line of this node's own log: what it learned, in the order in which it did. */
export type Arrival =
  | { readonly kind: 'fact'; readonly feed: FeedKey; readonly seq: number }
  | { readonly kind: 'block'; readonly epoch: number; readonly view: number }

interface Feed {
  head: FeedHead
  /** Facts in memory, by sequence: those above the committed basis. */
  readonly facts: Map<number, Fact>
}

export class FactStore {
  /** What forks put in doubt: on the disk, in no feed. */
  readonly strays: StrayStore
  readonly #store: Store
  readonly #fleet: FleetId
  readonly #signer: Signer
  readonly #feeds = new Map<FeedKey, Feed>()
  #count = 0
  #arrivals = 0
  #noted: LogPlace = LOG_START
  #version = 0

  constructor(store: Store, fleet: FleetId, signer: Signer) {
    this.#store = store
    this.#fleet = fleet
    this.#signer = signer
    this.strays = new StrayStore(store, fleet)
  }

  /**
   * Reads everything from the disk; yields each fact once. Throws STORE_CORRUPT.
   *
   * A fact's predecessor is named by its hash, so the signature of a feed's head vouches for all of
   * it: one signature a feed is checked, and every link.
   */
  async *load(): AsyncGenerator<Fact> {
    let before: { key: string; bytes: Uint8Array; feed: FeedKey } | undefined
    for await (const [key, bytes] of this.#store.range('fact/', 'fact0')) {
      const fact = this.#open(key, bytes, TRUSTED)
      const feed = feedOf(fact)
      if (before !== undefined && before.feed !== feed) this.#check(before)
      before = { key, bytes, feed }
      const { kind } = this.place(fact)
      if (kind !== 'append')
        throw corrupt(key, `expected the next fact of its feed, found a ${kind}`)
      this.#remember(fact)
      yield fact
    }
    if (before !== undefined) this.#check(before)
    await this.strays.load()
    this.#arrivals = await this.#countArrivals()
    const noted = await this.#store.get(NOTED_KEY)
    if (noted !== undefined) this.#noted = placeOf(new TextDecoder().decode(noted))
  }

  /** How many lines this node's log has. A line's place is the cursor of the log, and stays. */
  get arrivalCount(): number {
    return this.#arrivals
  }

  /** The line at `index`. */
  async arrival(index: number): Promise<Arrival | undefined> {
    const bytes = await this.#store.get(arrivalKey(index))
    return bytes === undefined ? undefined : decodeArrival(bytes)
  }

  /** The place of the newest committed block that the log mentions. */
  get noted(): LogPlace {
    return this.#noted
  }

  /** Notes that a block with commands was committed here. */
  async noteBlock({ epoch, view }: LogPlace): Promise<void> {
    const value = new TextEncoder().encode(textOf({ epoch, view }))
    const line = arrivalOp(this.#arrivals, { kind: 'block', epoch, view })
    await this.#store.write([line, { key: NOTED_KEY, value }], { sync: false })
    this.#arrivals++
    this.#noted = { epoch, view }
  }

  /** Where a verified fact would go. */
  place(fact: Pick<Fact, 'id' | 'author' | 'session' | 'seq' | 'prev'>): Placement {
    const feed = this.#feeds.get(feedOf(fact))
    return placeFact(fact, feed?.head, (seq) => feed?.facts.get(seq)?.id)
  }

  /** Writes facts that each follow their feed's head; they are on the disk when this resolves, if `sync`. */
  async append(facts: readonly Fact[], options: { sync: boolean }): Promise<void> {
    const ops = facts.flatMap((fact, i) => [
      { key: factKey(feedOf(fact), fact.seq), value: fact.bytes },
      arrivalOp(this.#arrivals + i, { kind: 'fact', feed: feedOf(fact), seq: fact.seq }),
    ])
    await this.#store.write(ops, options)
    for (const fact of facts) this.#remember(fact)
    this.#arrivals += facts.length
  }

  /** Signs the next fact of one's own feed and writes it with fsync: no crash makes two of one sequence. */
  async author<T extends FactType>(input: {
    type: T
    body: FactBodies[T]
    key: KeyPair
    session: Session
    epoch: number
    ts: number
  }): Promise<FactOf<T>> {
    const { key, session, ...draft } = input
    const head = this.head(feedKey(key.publicKey, session))
    const place = { seq: head === undefined ? 0 : head.seq + 1, prev: head?.id ?? NO_FACT }
    const fact = sealFact(
      { ...draft, session, ...place },
      { fleet: this.#fleet, key, signer: this.#signer },
    )
    await this.append([fact as unknown as Fact], { sync: true })
    return fact
  }

  head(feed: FeedKey): FeedHead | undefined {
    return this.#feeds.get(feed)?.head
  }

  /** A fact by its place, while it is in memory. */
  factAt(feed: FeedKey, seq: number): Fact | undefined {
    return this.#feeds.get(feed)?.facts.get(seq)
  }

  /**
   * A fact of a branch by its place and id, while it is in memory: of the feed as it stands, or of a
   * branch that was dropped.
   */
  branchFact(feed: FeedKey, seq: number, id: FactId): Fact | undefined {
    const held = this.factAt(feed, seq)
    return held?.id === id ? held : (this.strays.get(feed, id) ?? held)
  }

  /** Every fact in memory: those above the committed basis. */
  *inMemory(): Generator<Fact> {
    for (const feed of this.#feeds.values()) yield* feed.facts.values()
  }

  /** The facts of a feed above `limit`, from memory or the disk. */
  async above(feed: FeedKey, limit: number): Promise<readonly Fact[]> {
    const facts: Fact[] = []
    const top = this.head(feed)?.seq ?? -1
    for (let seq = limit + 1; seq <= top; seq++) {
      const fact = await this.find(feed, seq)
      if (fact !== undefined) facts.push(fact)
    }
    return facts
  }

  /**
   * Takes everything above `limit` out of a feed that forked, and keeps it beside: a block that a
   * quorum has voted for may still name it. One write, so that no crash leaves half of it.
   */
  async cut(feed: FeedKey, limit: number): Promise<void> {
    const held = this.#feeds.get(feed)
    const gone = await this.above(feed, limit)
    if (held === undefined || gone.length === 0) return
    const below = limit < 0 ? undefined : await this.find(feed, limit)
    const stale = gone.map(({ seq }) => ({ key: factKey(feed, seq) }))
    await this.#store.write([...stale, ...this.strays.ops(gone)], { sync: true })
    this.strays.remember(gone)
    for (const { seq } of gone) held.facts.delete(seq)
    if (below === undefined) this.#feeds.delete(feed)
    else held.head = { seq: below.seq, id: below.id }
    this.#count -= gone.length
    this.#version++
  }

  /** How many facts are held. */
  get count(): number {
    return this.#count
  }

  /** Moves with every fact that is taken. */
  get version(): number {
    return this.#version
  }

  /** The feeds' heads. */
  vector(): ReadonlyMap<FeedKey, FeedHead> {
    return new Map([...this.#feeds].map(([key, feed]) => [key, feed.head]))
  }

  /** The envelopes of a feed from `from` to `to`, both included, as received. */
  async *envelopes(feed: FeedKey, from: number, to: number): AsyncGenerator<Uint8Array> {
    for await (const [, bytes] of this.#store.range(factKey(feed, from), factKey(feed, to + 1)))
      yield bytes
  }

  /** A fact by its place, from memory or the disk. */
  async find(feed: FeedKey, seq: number): Promise<Fact | undefined> {
    const held = this.factAt(feed, seq)
    if (held !== undefined) return held
    const key = factKey(feed, seq)
    const bytes = await this.#store.get(key)
    return bytes === undefined ? undefined : this.#open(key, bytes, TRUSTED)
  }

  /** Drops from memory what the committed basis has folded. */
  prune(basis: ReadonlyMap<FeedKey, FeedHead>): void {
    for (const [key, { seq }] of basis) {
      const facts = this.#feeds.get(key)?.facts
      if (facts === undefined) continue
      for (const held of facts.keys()) {
        if (held > seq) break
        facts.delete(held)
      }
    }
  }

  #open(key: string, bytes: Uint8Array, signer: Signer): Fact {
    try {
      return openFact(bytes, { fleet: this.#fleet, whose: key, signer })
    } catch (error) {
      throw corrupt(key, error instanceof Error ? error.message : String(error), error)
    }
  }

  #check({ key, bytes }: { key: string; bytes: Uint8Array }): void {
    this.#open(key, bytes, this.#signer)
  }

  #remember(fact: Fact): void {
    const key = feedOf(fact)
    const head = { seq: fact.seq, id: fact.id }
    const feed = this.#feeds.get(key)
    if (feed === undefined) this.#feeds.set(key, { head, facts: new Map([[fact.seq, fact]]) })
    else {
      feed.head = head
      feed.facts.set(fact.seq, fact)
    }
    this.#count++
    this.#version++
  }

  /** Lines stand without gaps, so that their end is found by halving. */
  async #countArrivals(): Promise<number> {
    let beyond = 1
    while (await this.#hasArrival(beyond - 1)) beyond *= 2
    let low = Math.floor(beyond / 2)
    while (low < beyond) {
      const middle = Math.floor((low + beyond) / 2)
      if (await this.#hasArrival(middle)) low = middle + 1
      else beyond = middle
    }
    return low
  }

  async #hasArrival(index: number): Promise<boolean> {
    return (await this.#store.get(arrivalKey(index))) !== undefined
  }
}

/** For records of this node's own disk: their signatures were checked before they came there. */
const TRUSTED: Signer = {
  sign: () => {
    throw new TypeError('expected to read only')
  },
  verify: () => true,
}

function factKey(feed: FeedKey, seq: number): string {
  return `fact/${feed}/${digits(seq)}`
}

function arrivalKey(index: number): string {
  return `arrival/${digits(index)}`
}

function arrivalOp(index: number, arrival: Arrival): StoreOp {
  const text = arrival.kind === 'fact' ? `f/${arrival.feed}/${arrival.seq}` : `b/${textOf(arrival)}`
  return { key: arrivalKey(index), value: new TextEncoder().encode(text) }
}

function decodeArrival(bytes: Uint8Array): Arrival {
  const text = new TextDecoder().decode(bytes)
  if (text.startsWith('b/')) return { kind: 'block', ...placeOf(text.slice(2)) }
  const end = text.lastIndexOf('/')
  return { kind: 'fact', feed: text.slice(2, end), seq: Number(text.slice(end + 1)) }
}

/** Places of the first epoch have no epoch before their view: so they were written before there was another. */
function textOf({ epoch, view }: LogPlace): string {
  return epoch <= 1 ? String(view) : `${epoch}/${view}`
}

function placeOf(text: string): LogPlace {
  const [view = '', epoch = '1'] = text.split('/').reverse()
  return { epoch: Number(epoch), view: Number(view) }
}

function digits(seq: number): string {
  return String(seq).padStart(SEQ_DIGITS, '0')
}

function corrupt(key: string, found: string, cause?: unknown): NodeError {
  return new NodeError(
    'STORE_CORRUPT',
    `the record ${key} of the store is damaged: ${found}`,
    'Stop the node, move its data folder away, and start it again: it fetches the facts from its peers. Keep the old folder for the auditor.',
    { cause },
  )
}
