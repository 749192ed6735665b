/**
 * Who is proven to have contradicted itself, out of a pull alone (SPEC §6.7): two signatures of one key
 * are all that is believed, never the word of whoever brought them.
 */
import { existsSync, readFileSync } from 'node:fs'
import {
  type Equivocation,
  type Fact,
  judgeAccusation,
  type Lie,
  type LiePair,
  openLiePair,
  ProtocolError,
} from '../../protocol/index.ts'
import { type KnownTrust, personOf } from './documents.ts'
import { bodyAt } from './layout.ts'

/** One proven contradiction. `first` and `second` are the ids of the two messages. */
export interface ProvenLieRow {
  /** The name that the documents give to the key. */
  readonly accused: string
  readonly key: string
  readonly kind: Lie['kind']
  /** The feed's session and sequence, or the view of the gate log. */
  readonly place: string
  readonly first: string
  readonly second: string
  /** The facts that bring the proof, and who signed them: for whoever looks them up. */
  readonly facts: readonly { readonly id: string; readonly author: string }[]
}

/** Takes facts as they verify, and keeps what those among them that accuse somebody prove. */
export class ProvenLies {
  readonly #pull: string
  readonly #trust: KnownTrust
  readonly #rows = new Map<string, ProvenLieRow>()

  constructor(pull: string, trust: KnownTrust) {
    this.#pull = pull
    this.#trust = trust
  }

  /** Checks both signatures of what `fact` brings. A proof that does not hold proves nothing, and is no row. */
  note(fact: Fact): void {
    if (fact.type !== 'equivocation') return
    const { fleet } = this.#trust
    const lie = judgeAccusation(fact.body, { fleet, pair: this.#pairOf(fact.body) })
    const accused = lie && personOf(this.#trust, lie.accused)
    if (lie === undefined || accused === undefined) return
    const author = personOf(this.#trust, fact.author)?.name ?? fact.author
    const { kind, first, second } = lie
    this.#take({
      ...{ accused: accused.name, key: lie.accused, kind, place: placeOf(lie), first, second },
      facts: [{ id: fact.id, author }],
    })
  }

  #take(row: ProvenLieRow): void {
    const key = `${row.first}/${row.second}`
    const facts = [...(this.#rows.get(key)?.facts ?? []), ...row.facts]
    this.#rows.set(key, { ...row, facts })
  }

  /** Takes what was proven by another feed. */
  add(rows: readonly ProvenLieRow[]): void {
    for (const row of rows) this.#take(row)
  }

  /** Each contradiction once, by name and place. */
  get rows(): readonly ProvenLieRow[] {
    const order = ({ accused, place, first }: ProvenLieRow): string =>
      `${accused}/${place}/${first}`
    return [...this.#rows.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1))
  }

  /** The two messages where they were too large for the fact; undefined while the pull lacks them. */
  #pairOf({ proof }: Equivocation): LiePair | undefined {
    if (proof.kind === 'inline') return undefined
    const file = bodyAt(this.#pull, proof.hash)
    if (!existsSync(file)) return undefined
    try {
      return openLiePair(new Uint8Array(readFileSync(file)), proof.hash)
    } catch (error) {
      if (error instanceof ProtocolError) return undefined
      throw error
    }
  }
}

function placeOf({ place }: Lie): string {
  return place.in === 'feed'
    ? `session ${place.session.slice(0, 12)}, sequence ${place.seq}`
    : `group ${place.group}, epoch ${place.epoch}, view ${place.view}`
}
