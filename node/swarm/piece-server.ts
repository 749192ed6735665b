/**
 * What a node gives away: pieces of NARs that it holds whole, or has got so far.
 *
 * A few pieces leave at a time, so that each is soon whole at its taker and can be passed on; the rest
 * wait in the order of their coming. Of what a taker offers the piece leaves that has left least often.
 */
import {
  decodePieceQuestion,
  encodePieceHaves,
  encodePieceHead,
  type Hash,
  holdsPiece,
  PIECE_BYTES,
  type PieceHave,
  type PieceId,
} from '../../protocol/index.ts'
import {
  NARS_COUNTED_MAX,
  PIECE_WAIT_MS_MAX,
  PIECES_SENT_MAX,
  PIECES_WAITING_MAX,
} from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { Rate } from './rate.ts'

/** Where a node's pieces come from. */
export interface PieceSource {
  /** What is held of these NARs, in their order. */
  have(nars: readonly Hash[]): Promise<readonly PieceHave[]>
  /** The bytes of a NAR from `from` on, at least up to `from + PIECE_BYTES` where it has them. */
  read(nar: Hash, from: number): Promise<AsyncIterable<Uint8Array> | undefined>
}

export interface PieceServerParts {
  readonly source: PieceSource
  readonly clock: Clock
  readonly upload: Rate
  /** Bytes of pieces have left. */
  sent(bytes: number): void
}

export class PieceServer {
  readonly #parts: PieceServerParts
  /** How often each piece has left, for the NARs asked for last. */
  readonly #given = new Map<Hash, Map<number, number>>()
  readonly #waiting: (() => void)[] = []
  #sending = 0

  constructor(parts: PieceServerParts) {
    this.#parts = parts
  }

  /** The answer to a question, as it leaves. Throws BAD_SHAPE on a question that is none. */
  async answer(question: Uint8Array): Promise<AsyncIterable<Uint8Array>> {
    const asked = decodePieceQuestion(question)
    if (asked.kind === 'have') {
      return once(encodePieceHaves(await this.#parts.source.have(asked.nars)))
    }
    return this.#piece(asked.offers)
  }

  async *#piece(offers: readonly PieceId[]): AsyncGenerator<Uint8Array> {
    if (!(await this.#place())) return yield encodePieceHead({ kind: 'busy' })
    try {
      const found = await this.#choose(offers)
      if (found === undefined) return yield encodePieceHead({ kind: 'none' })
      const { offer, choice, have } = found
      const { nar, index } = offer
      this.#count(offer)
      const chunks = await this.#parts.source.read(nar, index * PIECE_BYTES)
      if (chunks === undefined) return yield encodePieceHead({ kind: 'none' })
      yield encodePieceHead({ kind: 'piece', choice, have })
      yield* this.#bytes(chunks)
    } finally {
      this.#leave()
    }
  }

  async *#bytes(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let left = PIECE_BYTES
    for await (const chunk of chunks) {
      const bytes = chunk.subarray(0, left)
      await this.#parts.upload.pass(bytes.length)
      this.#parts.sent(bytes.length)
      yield bytes
      left -= bytes.length
      if (left === 0) return
    }
  }

  /** The held offer that left least often, the first of equals. */
  async #choose(
    offers: readonly PieceId[],
  ): Promise<{ offer: PieceId; choice: number; have: PieceHave } | undefined> {
    const nars = [...new Set(offers.map(({ nar }) => nar))]
    const haves = new Map<Hash, PieceHave>()
    for (const [i, have] of (await this.#parts.source.have(nars)).entries()) {
      const nar = nars[i]
      if (nar !== undefined) haves.set(nar, have)
    }
    const given = (offer: PieceId): number => this.#given.get(offer.nar)?.get(offer.index) ?? 0
    const choice = chooseOffer(offers, (nar) => haves.get(nar) ?? { kind: 'none' }, given)
    const offer = choice === undefined ? undefined : offers[choice]
    if (choice === undefined || offer === undefined) return undefined
    return { offer, choice, have: haves.get(offer.nar) ?? { kind: 'none' } }
  }

  #count({ nar, index }: PieceId): void {
    const counts = this.#given.get(nar) ?? new Map<number, number>()
    counts.set(index, (counts.get(index) ?? 0) + 1)
    this.#given.delete(nar)
    this.#given.set(nar, counts)
    const [oldest] = this.#given.keys()
    if (this.#given.size > NARS_COUNTED_MAX && oldest !== undefined) this.#given.delete(oldest)
  }

  /** Waits for a place; false when too many wait, or for too long. */
  async #place(): Promise<boolean> {
    if (this.#sending < PIECES_SENT_MAX) {
      this.#sending++
      return true
    }
    if (this.#waiting.length >= PIECES_WAITING_MAX) return false
    return await new Promise((resolve) => {
      const go = (): void => {
        cancel()
        resolve(true)
      }
      const cancel = this.#parts.clock.after(PIECE_WAIT_MS_MAX, () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1)
        resolve(false)
      })
      this.#waiting.push(go)
    })
  }

  /** Hands the place to whoever waits longest. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#sending--
    else next()
  }
}

/**
 * Which of `offers` leaves: a held one that has left least often, the first of equals; undefined when
 * none is held. So a single seeder sends everything once before it sends anything twice.
 */
export function chooseOffer(
  offers: readonly PieceId[],
  have: (nar: Hash) => PieceHave,
  given: (offer: PieceId) => number,
): number | undefined {
  let best: { readonly choice: number; readonly times: number } | undefined
  for (const [choice, offer] of offers.entries()) {
    const times = given(offer)
    if (!holdsPiece(have(offer.nar), offer.index) || (best && best.times <= times)) continue
    best = { choice, times }
  }
  return best?.choice
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
