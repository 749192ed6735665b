/**
 * What peers say on `/nixfleet/piece/1` (SPEC §8.4): who holds which pieces, and one piece at a time.
 *
 * The asker of a piece offers several that it lacks; the giver sends the one of them that it has given
 * least often. So a single seeder sends every piece once before it sends one twice, without anybody
 * who coordinates.
 */
import { concatBytes, fromHex, toHex } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import type { Hash } from './ids.ts'
import { NAR_BYTES_MAX, PIECE_BYTES, PIECE_NARS_MAX, PIECE_OFFERS_MAX } from './limits.ts'

/** One piece of one NAR. */
export interface PieceId {
  readonly nar: Hash
  readonly index: number
}

/** What a peer has of a NAR: nothing, all of it, or the pieces whose bit is set. */
export type PieceHave =
  | { readonly kind: 'none' }
  | { readonly kind: 'all' }
  | { readonly kind: 'some'; readonly bits: Uint8Array }

/** A question: which pieces of these NARs do you hold, or: send me one of these. */
export type PieceQuestion =
  | { readonly kind: 'have'; readonly nars: readonly Hash[] }
  | { readonly kind: 'piece'; readonly offers: readonly PieceId[] }

/** What comes before the bytes of a piece. */
export type PieceHead =
  /** It holds none of what was offered. */
  | { readonly kind: 'none' }
  /** It sends too much already: ask again later. */
  | { readonly kind: 'busy' }
  /** The bytes of offer number `choice` follow; `have` is what else it holds of that NAR. */
  | { readonly kind: 'piece'; readonly choice: number; readonly have: PieceHave }

const HASH_BYTES = 32
const OFFER_BYTES = HASH_BYTES + 4
const HAVE = 0
const PIECE = 1
const HAVE_STATES = ['none', 'all', 'some'] as const
const HEADS = ['none', 'busy', 'piece'] as const
/** The most pieces of any NAR, and the bytes of their bits. */
const PIECES_MAX = Math.ceil(NAR_BYTES_MAX / PIECE_BYTES)
const BITS_BYTES_MAX = Math.ceil(PIECES_MAX / 8)

/** The largest question in bytes. */
export const PIECE_QUESTION_BYTES_MAX: number = 1 + PIECE_NARS_MAX * HASH_BYTES
/** The largest answer to 'have' in bytes. */
export const PIECE_HAVE_BYTES_MAX: number = PIECE_NARS_MAX * (3 + BITS_BYTES_MAX)

/** The bytes of a question. Throws BAD_SHAPE where it asks for nothing, or for too much. */
export function encodePieceQuestion(question: PieceQuestion): Uint8Array {
  if (question.kind === 'have') {
    assertCount(question.nars.length, PIECE_NARS_MAX, 'NARs')
    return concatBytes(Uint8Array.of(HAVE), ...question.nars.map(fromHex))
  }
  assertCount(question.offers.length, PIECE_OFFERS_MAX, 'offers')
  const offers = question.offers.map(({ nar, index }) => concatBytes(fromHex(nar), uint32(index)))
  return concatBytes(Uint8Array.of(PIECE), ...offers)
}

/** The question in `bytes`. Throws BAD_SHAPE. */
export function decodePieceQuestion(bytes: Uint8Array): PieceQuestion {
  const body = bytes.subarray(1)
  switch (bytes[0]) {
    case HAVE: {
      const count = countOf(body, HASH_BYTES, PIECE_NARS_MAX)
      return { kind: 'have', nars: times(count, (i) => hashAt(body, i * HASH_BYTES)) }
    }
    case PIECE: {
      const count = countOf(body, OFFER_BYTES, PIECE_OFFERS_MAX)
      return { kind: 'piece', offers: times(count, (i) => offerAt(body, i * OFFER_BYTES)) }
    }
    default:
      throw malformed('a question about pieces', `the kind ${bytes[0]}`)
  }
}

/** The answer to 'have': one statement for each NAR, in the order of the question. */
export function encodePieceHaves(haves: readonly PieceHave[]): Uint8Array {
  return concatBytes(...haves.map(encodeHave))
}

/** The `count` statements in `bytes`. Throws BAD_SHAPE on more or fewer. */
export function decodePieceHaves(bytes: Uint8Array, count: number): readonly PieceHave[] {
  let at = 0
  const haves = times(count, () => {
    const { have, length } = haveAt(bytes, at)
    at += length
    return have
  })
  if (at !== bytes.length) throw malformed(`statements on ${count} NARs`, 'more bytes')
  return haves
}

/** A head with its length before it, as it stands before the bytes of a piece. */
export function encodePieceHead(head: PieceHead): Uint8Array {
  const kind = Uint8Array.of(HEADS.indexOf(head.kind))
  const body =
    head.kind === 'piece'
      ? concatBytes(kind, Uint8Array.of(head.choice), encodeHave(head.have))
      : kind
  return concatBytes(uint16(body.length), body)
}

/**
 * The head at the start of `bytes` and its length there, or undefined while more bytes are needed.
 * Throws BAD_SHAPE.
 */
export function decodePieceHead(
  bytes: Uint8Array,
): { readonly head: PieceHead; readonly length: number } | undefined {
  if (bytes.length < 2) return undefined
  const length = uint16At(bytes, 0)
  if (length < 1 || length > 5 + BITS_BYTES_MAX) throw malformed('the head of a piece', `${length}`)
  if (bytes.length < 2 + length) return undefined
  return { head: headIn(bytes.subarray(2, 2 + length)), length: 2 + length }
}

/** Whether bit `index` of `have` is set. */
export function holdsPiece(have: PieceHave, index: number): boolean {
  if (have.kind !== 'some') return have.kind === 'all'
  return (((have.bits[index >> 3] ?? 0) >> (7 - (index & 7))) & 1) === 1
}

/** The statement of one who holds exactly the pieces that `holds` says, of `count`. */
export function pieceHaveOf(count: number, holds: (index: number) => boolean): PieceHave {
  const bits = new Uint8Array(Math.ceil(count / 8))
  let held = 0
  for (let index = 0; index < count; index++) {
    if (!holds(index)) continue
    held++
    bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (7 - (index & 7)))
  }
  if (held === 0) return { kind: 'none' }
  return held === count ? { kind: 'all' } : { kind: 'some', bits }
}

function headIn(body: Uint8Array): PieceHead {
  const kind = HEADS[body[0] ?? -1]
  if (kind === undefined) throw malformed('the head of a piece', `the kind ${body[0]}`)
  if (kind !== 'piece') {
    if (body.length !== 1) throw malformed(`nothing behind '${kind}'`, 'more bytes')
    return { kind }
  }
  const choice = body[1]
  if (choice === undefined || choice >= PIECE_OFFERS_MAX) throw malformed('a choice', `${choice}`)
  const { have, length } = haveAt(body, 2)
  if (2 + length !== body.length) throw malformed('one statement', 'more bytes')
  return { kind, choice, have }
}

function encodeHave(have: PieceHave): Uint8Array {
  const kind = Uint8Array.of(HAVE_STATES.indexOf(have.kind))
  return have.kind === 'some' ? concatBytes(kind, uint16(have.bits.length), have.bits) : kind
}

function haveAt(bytes: Uint8Array, at: number): { have: PieceHave; length: number } {
  const kind = HAVE_STATES[bytes[at] ?? -1]
  if (kind === undefined) throw malformed('what is held of a NAR', `the kind ${bytes[at]}`)
  if (kind !== 'some') return { have: { kind }, length: 1 }
  if (at + 3 > bytes.length) throw malformed('the length of bits', 'the end')
  const length = uint16At(bytes, at + 1)
  if (length < 1 || length > BITS_BYTES_MAX || at + 3 + length > bytes.length) {
    throw malformed(`1 to ${BITS_BYTES_MAX} bytes of bits`, `${length}`)
  }
  return { have: { kind, bits: bytes.slice(at + 3, at + 3 + length) }, length: 3 + length }
}

function offerAt(bytes: Uint8Array, at: number): PieceId {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const index = view.getUint32(at + HASH_BYTES)
  if (index >= PIECES_MAX) throw malformed(`a piece below ${PIECES_MAX}`, `${index}`)
  return { nar: hashAt(bytes, at), index }
}

function countOf(body: Uint8Array, each: number, max: number): number {
  const count = body.length / each
  if (!Number.isInteger(count)) throw malformed(`entries of ${each} bytes`, `${body.length} bytes`)
  assertCount(count, max, 'entries')
  return count
}

function assertCount(count: number, max: number, what: string): void {
  if (count < 1 || count > max) throw malformed(`1 to ${max} ${what}`, `${count}`)
}

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i))
}

function hashAt(bytes: Uint8Array, at: number): Hash {
  return toHex(bytes.subarray(at, at + HASH_BYTES))
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff)
}

function uint16At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

function malformed(expected: string, found: string): ProtocolError {
  return new ProtocolError('BAD_SHAPE', 'reject', `expected ${expected}, found ${found}`)
}
