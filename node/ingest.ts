/**
 * The one way in for facts (design D4): size, form, signature, known author, chain, store.
 *
 * Gossip, sync, bundles and the API all come through `take`. Nothing about role or scope is
 * judged here: that is the fold's.
 */
import {
  type Fact,
  type FeedKey,
  feedOf,
  openFact,
  PEN_FACTS_MAX,
  PEN_FACTS_PER_AUTHOR_MAX,
  ProtocolError,
  type Signer,
} from '../protocol/index.ts'
import { isKnownAuthor, revokesItself, type Trust } from '../rollout/index.ts'
import { NodeError } from './errors.ts'
import type { FactStore } from './fact-store.ts'

/** What became of an envelope. */
export type Intake =
  | { readonly kind: 'taken'; readonly fact: Fact }
  | { readonly kind: 'duplicate'; readonly fact: Fact }
  /** Facts before it are missing; `from` is the first. */
  | { readonly kind: 'gap'; readonly fact: Fact; readonly from: number }
  /** The author signed two facts for one place: this one is not stored. `held` is the other, where it is at hand. */
  | { readonly kind: 'fork'; readonly fact: Fact; readonly held: Fact | undefined }
  /** Above the fork of a feed that is known to have one, or of a key that is revoked: it counts nowhere. */
  | { readonly kind: 'beyond-end'; readonly fact: Fact; readonly why: FeedLimit['why'] }
  /** No known root names the author; held in the pen, if there is room. */
  | { readonly kind: 'unknown-author'; readonly fact: Fact }
  /** More of its author than this way in takes now: not stored, left to sync. */
  | { readonly kind: 'limited'; readonly fact: Fact }
  | { readonly kind: 'refused'; readonly error: ProtocolError }

/** How a call takes facts. `admits` is asked about each new one whose signature holds. */
export interface TakeOptions {
  readonly sync: boolean
  admits?(fact: Fact, options: { newSession: boolean }): boolean
}

/** What one call has taken so far, before it is stored. */
interface Batch {
  readonly heads: Map<string, Fact>
  readonly ids: Set<string>
  readonly admits?: TakeOptions['admits']
}

/** How far a feed counts, and what it is that ends it there. */
export interface FeedLimit {
  readonly seq: number
  readonly why: 'fork' | 'revoked'
}

export class Ingest {
  readonly #facts: FactStore
  readonly #trust: () => Trust
  readonly #signer: Signer
  readonly #limitOf: (feed: FeedKey) => FeedLimit | undefined
  /** By id, in the order in which they came. */
  readonly #pen = new Map<string, Fact>()

  /** `trust` is asked with every fact: who is known changes with the epoch. */
  constructor(
    facts: FactStore,
    parts: {
      trust: () => Trust
      signer: Signer
      /** Undefined for a feed that ends nowhere. */
      limitOf: (feed: FeedKey) => FeedLimit | undefined
    },
  ) {
    this.#facts = facts
    this.#trust = parts.trust
    this.#signer = parts.signer
    this.#limitOf = parts.limitOf
  }

  /**
   * Judges envelopes one after the other and stores those that extend their feeds, in one batch.
   * `from` names the sender in errors. A halt is always synced: nobody forgets one. Throws NodeError STORE_FULL; then nothing was stored.
   */
  async take(
    envelopes: readonly Uint8Array[],
    from: string,
    options: TakeOptions,
  ): Promise<readonly Intake[]> {
    const batch: Batch = { heads: new Map(), ids: new Set(), admits: options.admits }
    const intakes = envelopes.map((bytes) => this.#judge(bytes, from, batch))
    const taken = intakes.flatMap((intake) => (intake.kind === 'taken' ? [intake.fact] : []))
    const sync = options.sync || taken.some(isForGood)
    if (taken.length > 0) await this.#facts.append(taken, { sync })
    const strays = intakes.flatMap(({ kind, ...one }) => {
      const beyond = kind === 'beyond-end' && 'fact' in one ? [one.fact] : []
      return beyond.filter((fact) => this.#facts.strays.wants(fact))
    })
    if (strays.length > 0) await this.#facts.strays.keep(strays)
    return intakes
  }

  /** Opens without storing: a quick look for validators that must answer at once. */
  look(bytes: Uint8Array, from: string): Intake {
    return this.#judge(bytes, from, { heads: new Map(), ids: new Set() })
  }

  #judge(bytes: Uint8Array, from: string, batch: Batch): Intake {
    let fact: Fact
    try {
      fact = openFact(bytes, {
        fleet: this.#trust().fleet,
        whose: `a fact from ${from}`,
        signer: this.#signer,
      })
    } catch (error) {
      if (error instanceof ProtocolError) return { kind: 'refused', error }
      throw error
    }
    if (!isKnownAuthor(this.#trust(), fact.author)) {
      this.#hold(fact)
      return { kind: 'unknown-author', fact }
    }
    if (batch.ids.has(fact.id)) return { kind: 'duplicate', fact }
    const intake = this.#placed(fact, batch)
    const isNews = intake.kind === 'taken' || intake.kind === 'gap'
    const newSession = this.#facts.head(feedOf(fact)) === undefined
    if (isNews && batch.admits?.(fact, { newSession }) === false) return { kind: 'limited', fact }
    if (intake.kind === 'taken') {
      batch.heads.set(feedOf(fact), fact)
      batch.ids.add(fact.id)
    }
    return intake
  }

  /** After the newest fact of its feed in this batch, else after what is stored. */
  #placed(fact: Fact, batch: Batch): Intake {
    const limit = this.#limitOf(feedOf(fact))
    if (limit !== undefined && fact.seq > limit.seq && !revokesItself(fact)) {
      return { kind: 'beyond-end', fact, why: limit.why }
    }
    const before = batch.heads.get(feedOf(fact))
    if (before !== undefined && fact.seq === before.seq + 1 && fact.prev === before.id) {
      return { kind: 'taken', fact }
    }
    const placement = this.#facts.place(fact)
    switch (placement.kind) {
      case 'append':
        return before === undefined ? { kind: 'taken', fact } : { kind: 'fork', fact, held: before }
      case 'duplicate':
        return { kind: 'duplicate', fact }
      case 'gap':
        return {
          kind: 'gap',
          fact,
          from: before === undefined ? placement.expected : before.seq + 1,
        }
      case 'fork':
        return { kind: 'fork', fact, held: this.#facts.factAt(feedOf(fact), fact.seq) }
    }
  }

  /** Facts in the pen, oldest first. */
  get penned(): readonly Fact[] {
    return [...this.#pen.values()]
  }

  /**
   * Keeps a fact of an author whom a later root may name. Sync brings it again, so that any may be
   * dropped: of one author the newest, of all the oldest, which leaves room for those who come now.
   */
  #hold(fact: Fact): void {
    if (this.#pen.has(fact.id)) return
    const held = [...this.#pen.values()].filter((one) => one.author === fact.author)
    if (held.length >= PEN_FACTS_PER_AUTHOR_MAX) return
    this.#pen.set(fact.id, fact)
    for (const id of this.#pen.keys()) {
      if (this.#pen.size <= PEN_FACTS_MAX) return
      this.#pen.delete(id)
    }
  }
}

const FOR_GOOD: ReadonlySet<string> = new Set([
  'rollout.halt',
  'halt.relay',
  'equivocation',
  'key.revoke',
])

/** What stops or accuses is on the disk before anything follows from it: nobody forgets one. */
function isForGood({ type }: Fact): boolean {
  return FOR_GOOD.has(type)
}

/** Turns an intake into an answer for the one who handed the fact in. Throws for everything not held afterwards. */
export function assertTaken(intake: Intake): Fact {
  switch (intake.kind) {
    case 'taken':
    case 'duplicate':
      return intake.fact
    case 'refused':
      throw intake.error
    case 'unknown-author':
      throw new ProtocolError(
        'UNKNOWN_AUTHOR',
        'ignore',
        `expected a fact of a host, operator or release key that the root names, found one of ${intake.fact.author.slice(0, 16)}…`,
      )
    case 'gap':
      throw new ProtocolError(
        'BAD_CHAIN',
        'ignore',
        `expected sequence ${intake.from} of ${intake.fact.author.slice(0, 16)}…, found ${intake.fact.seq}`,
      )
    case 'limited':
      throw new TypeError('expected no limit where a fact is handed in')
    case 'beyond-end':
      throw intake.why === 'revoked' ? revoked(intake.fact) : forked(intake.fact)
    case 'fork':
      throw forked(intake.fact)
  }
}

function revoked({ author, seq }: Fact): NodeError {
  return new NodeError(
    'KEY_REVOKED',
    `sequence ${seq} of a feed of ${author.slice(0, 16)}… does not count: the key is revoked`,
    'Make a new key (nixfleet keys generate) and have an admin replace the old one.',
  )
}

function forked({ author, seq }: Fact): NodeError {
  return new NodeError(
    'PEER_REFUSED',
    `another fact of ${author.slice(0, 16)}… stands at sequence ${seq} of this feed`,
    'Use a fresh session (every run of the CLI does); if this key is used nowhere else, it was copied: revoke it.',
  )
}
