/**
 * Liars, as far as this node can prove them: accuses whom it catches, and keeps forked feeds to what
 * counts (SPEC §6.7).
 *
 * A contradiction becomes a fact of this host, so that everybody holds the proof. Then what stands
 * above the fork leaves the feed, but for halts and proofs, which this host says again first. Every
 * step may be cut off by a crash: what is missing is found and done again.
 */
import {
  accusationOf,
  type Block,
  decodeSyncAnswer,
  encodeSyncQuestion,
  type Fact,
  type FeedHead,
  type FeedKey,
  feedKey,
  feedOf,
  fromHex,
  type HostName,
  type LiePair,
  openFact,
  splitFeedKey,
  toHex,
} from '../protocol/index.ts'
import {
  type FleetView,
  forkLimit,
  hostNamed,
  revokedKeys,
  revokedLimit,
} from '../rollout/index.ts'
import type { FeedLimit, Intake } from './ingest.ts'
import { ACCUSATIONS_WAITING_MAX, ASK_MS_MAX } from './limits.ts'
import type { Runtime } from './runtime.ts'

type Accusation = NonNullable<ReturnType<typeof accusationOf>>

export class ForkService {
  readonly #node: Runtime
  readonly #waiting = new Map<string, Accusation>()
  readonly #seeking = new Set<FeedKey>()

  constructor(node: Runtime) {
    this.#node = node
  }

  /** How far a feed counts whose fork is known, or whose author's key is revoked; undefined for every other. */
  limit(feed: FeedKey): FeedLimit | undefined {
    const { view, state } = this.#node.knowledge()
    const pinned = state.evidence.vector.get(feed)
    const fork = forkLimit(view.forks, feed, pinned)
    const revoked = revokedLimit(view, feed, pinned)
    if (revoked === undefined) return fork === undefined ? undefined : { seq: fork, why: 'fork' }
    // Whoever holds a key that is revoked has to know that, also where it was used twice before.
    return { seq: Math.min(revoked, fork ?? revoked), why: 'revoked' }
  }

  /** Two messages that may contradict each other: signed as a fact by the next `settle`. */
  caught(pair: LiePair): void {
    const { trust, keys } = this.#node.parts
    const accusation = accusationOf(pair, { fleet: trust.fleet, signer: this.#node.signer })
    if (accusation === undefined || accusation.lie.accused === keys.fact.publicKey) return
    if (this.#waiting.size >= ACCUSATIONS_WAITING_MAX) return
    this.#waiting.set(`${accusation.lie.first}/${accusation.lie.second}`, accusation)
    this.#node.touch()
  }

  /** What became of facts of a peer, or of an operator. */
  noteIntakes(intakes: readonly Intake[], from: string): void {
    for (const intake of intakes) {
      if (intake.kind === 'beyond-end') this.#node.touch()
      if (intake.kind === 'fork') this.#noteFork(intake, from)
    }
  }

  /** Looks for the place where a feed of ours and the peer's part. Runs outside the mailbox. */
  seek(peer: HostName, feed: FeedKey): void {
    if (this.#seeking.has(feed) || this.#node.stopped) return
    this.#seeking.add(feed)
    this.#seek(peer, feed)
      .catch((error: unknown) =>
        this.#node.parts.log.debug({ peer, feed, error: String(error) }, 'a fork was not found'),
      )
      .finally(() => this.#seeking.delete(feed))
  }

  /** A block waits for these feeds, whatever they do later; `peers` may hold them as it names them. */
  want({ body }: Block, peers: readonly HostName[]): void {
    const { facts } = this.#node
    for (const { author, session, seq, head } of body.basis) {
      const feed = feedKey(author, session)
      const ours = facts.factAt(feed, seq)
      if (this.limit(feed) !== undefined) facts.strays.want(feed, seq)
      else if (ours !== undefined && ours.id !== head && peers[0] !== undefined) {
        this.seek(peers[0], feed)
      }
    }
  }

  /** Signs what was caught, and takes out of forked feeds what does not count. Inside the mailbox. */
  async settle(): Promise<void> {
    if (this.#node.own.speaks) await this.#accuseAll()
    const { view, state } = this.#node.knowledge()
    let changed = false
    for (const feed of this.#limited(view)) {
      changed = (await this.#settleFeed(feed, state.evidence.vector.get(feed))) || changed
    }
    if (changed) this.#node.refold()
  }

  /** Feeds that may have to be cut. */
  #limited(view: FleetView): Iterable<FeedKey> {
    const revoked = revokedKeys(view)
    if (revoked.size === 0) return view.forks.keys()
    const feeds = [...this.#node.facts.vector().keys()]
    const silenced = feeds.filter((feed) => revoked.has(splitFeedKey(feed).author))
    return new Set([...view.forks.keys(), ...silenced])
  }

  #noteFork({ fact, held }: Intake & { kind: 'fork' }, from: string): void {
    const peer = hostNamed(this.#node.parts.trust, from)?.name
    const lowest = held !== undefined && held.prev === fact.prev
    if (held !== undefined && (lowest || peer === undefined)) {
      this.caught({ first: held.bytes, second: fact.bytes })
    } else if (peer !== undefined) this.seek(peer, feedOf(fact))
  }

  async #accuseAll(): Promise<void> {
    for (const [key, accusation] of this.#waiting) {
      if (!this.#isProven(accusation)) await this.#accuse(accusation)
      this.#waiting.delete(key)
    }
  }

  async #accuse({ lie, body, blob }: Accusation): Promise<void> {
    if (blob !== undefined) await this.#node.blobs.put(blob.hash, 'proof', blob.bytes)
    await this.#node.author('equivocation', body)
    this.#node.parts.log.error(
      { accused: lie.accused, kind: lie.kind, place: lie.place },
      'a key signed two messages that exclude each other: the proof is out',
    )
  }

  /** One proof about each voter and the lowest about each feed are enough. */
  #isProven({ lie }: Accusation): boolean {
    const { view } = this.#node.knowledge()
    const { place, accused } = lie
    if (place.in === 'view') {
      return [...view.lies.values()].some((one) => one.lie.accused === accused)
    }
    const known = view.forks.get(feedKey(accused, place.session))?.lie.place
    return known?.in === 'feed' && known.seq <= place.seq
  }

  /** Brings one feed to what counts of it. True if it had to be changed. */
  async #settleFeed(feed: FeedKey, pinned: FeedHead | undefined): Promise<boolean> {
    const { facts } = this.#node
    const adopted = pinned !== undefined && (await this.#adopt(feed, pinned))
    const limit = this.limit(feed)
    const head = facts.head(feed)
    if (limit === undefined || head === undefined || head.seq <= limit.seq) return adopted
    return (await this.#cut(feed, limit.seq)) || adopted
  }

  /** The branch that the committed basis pins takes the place of another that is held. */
  async #adopt(feed: FeedKey, pinned: FeedHead): Promise<boolean> {
    const { facts } = this.#node
    const chain: Fact[] = []
    let { seq, id } = pinned
    while (seq >= 0 && (await facts.find(feed, seq))?.id !== id) {
      const stray = facts.strays.get(feed, id)
      if (stray === undefined) return false
      chain.unshift(stray)
      id = stray.prev
      seq--
    }
    if (chain.length === 0 || !(await this.#cut(feed, seq))) return false
    await facts.append(chain, { sync: true })
    await facts.strays.settle(feed, chain)
    return true
  }

  async #cut(feed: FeedKey, limit: number): Promise<boolean> {
    const { facts, own } = this.#node
    const gone = await facts.above(feed, limit)
    const lost = this.#lostWith(gone)
    if (lost.length > 0 && !own.speaks) return false
    for (const fact of lost) await this.#sayAgain(fact)
    await facts.cut(feed, limit)
    this.#node.parts.log.warn(
      { feed, limit, dropped: gone.length },
      'a feed forked or its key is revoked: what stands above does not count',
    )
    return true
  }

  /** Halts and proofs among `gone` that nobody else brings. */
  #lostWith(gone: readonly Fact[]): readonly Fact[] {
    const ids = new Set(gone.map(({ id }) => id))
    const without = this.#node.foldWithout(ids)
    const { view } = this.#node.knowledge()
    return gone.filter((fact) => {
      if (fact.type === 'rollout.halt') return hasHalt(view, fact) && !hasHalt(without, fact)
      if (fact.type === 'halt.relay') {
        const halt = this.#relayed(fact.body.halt)
        return halt !== undefined && hasHalt(view, halt) && !hasHalt(without, halt)
      }
      return fact.type === 'equivocation' && bringsProof(view, without, fact.id)
    })
  }

  #relayed(halt: string): Fact | undefined {
    const { fleet } = this.#node.parts.trust
    try {
      return openFact(fromHex(halt), { fleet, whose: 'a relayed halt', signer: this.#node.signer })
    } catch {
      return undefined
    }
  }

  async #sayAgain(fact: Fact): Promise<void> {
    if (fact.type === 'equivocation') await this.#node.author('equivocation', fact.body)
    else if (fact.type === 'halt.relay') await this.#node.author('halt.relay', fact.body)
    else await this.#node.author('halt.relay', { halt: toHex(fact.bytes) })
  }

  /** Chains agree up to one place and nowhere above it, so that the place is found by halving. */
  async #seek(peer: HostName, feed: FeedKey): Promise<void> {
    const { facts } = this.#node
    let low = 0
    let high = facts.head(feed)?.seq ?? -1
    let parted: LiePair | undefined
    while (low <= high) {
      const middle = Math.floor((low + high) / 2)
      const ours = await facts.find(feed, middle)
      const theirs = ours === undefined ? undefined : await this.#ask(peer, feed, middle)
      if (ours === undefined || theirs === undefined) high = middle - 1
      else if (this.#idOf(theirs, peer) === ours.id) low = middle + 1
      else {
        parted = { first: ours.bytes, second: theirs }
        high = middle - 1
      }
    }
    const found = parted
    if (found !== undefined) this.#node.post(() => this.caught(found))
  }

  /** The peer's fact at that place, if it holds one. */
  async #ask(peer: HostName, feed: FeedKey, seq: number): Promise<Uint8Array | undefined> {
    const range = { ...splitFeedKey(feed), from: seq, to: seq }
    const question = encodeSyncQuestion({ kind: 'want', ranges: [range] })
    const bytes = await this.#node.parts.network.ask(peer, 'sync', question, ASK_MS_MAX)
    const answer = decodeSyncAnswer(bytes, `facts of ${peer}`)
    return answer.kind === 'facts' ? answer.facts[0] : undefined
  }

  #idOf(bytes: Uint8Array, peer: HostName): string {
    const { fleet } = this.#node.parts.trust
    return openFact(bytes, { fleet, whose: `a fact from ${peer}`, signer: this.#node.signer }).id
  }
}

function hasHalt(view: FleetView, { id, ...fact }: Fact): boolean {
  if (fact.type !== 'rollout.halt') return false
  return view.rollouts.get(fact.body.rollout)?.halts.has(id) ?? false
}

/** Whether `fact` brings something that without it nothing would prove, or might once its blob is held. */
function bringsProof(view: FleetView, without: FleetView, fact: string): boolean {
  for (const [mine, theirs] of [
    [view.forks, without.forks],
    [view.lies, without.lies],
  ] as const) {
    for (const [key, proven] of mine) if (proven.fact.id === fact && !theirs.has(key)) return true
  }
  const waiting = view.accusations.get(fact)
  if (waiting === undefined) return false
  const same = [...without.accusations.values()].some(
    ({ body }) => JSON.stringify(body) === JSON.stringify(waiting.body),
  )
  return !same
}
