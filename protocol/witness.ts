/**
 * What nodes ask each other about checkpoints (SPEC §15.7): a cosignature on one, or those they hold.
 *
 * The asker proves that the checkpoint grew out of the one that the voter signed last; a voter that
 * signed another one last says which, and the asker proves it from there.
 */
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { LINE } from './ids.ts'
import {
  ASK_BYTES_MAX,
  CHECKPOINTS_PER_ANSWER_MAX,
  NOTE_CHARS_MAX,
  PROOF_HASHES_MAX,
} from './limits.ts'
import { bytes, list, oneOf, type Schema, shape, tagged, text, uint } from './schema.ts'

export type WitnessQuestion =
  /** Cosign this: it grew out of the tree of `from` leaves, as `proof` shows. */
  | {
      readonly kind: 'cosign'
      readonly checkpoint: string
      readonly from: number
      readonly proof: readonly Uint8Array[]
    }
  /** Which cosigned checkpoints of more than `above` leaves do you hold? */
  | { readonly kind: 'checkpoints'; readonly above: number }

export type WitnessAnswer =
  /** The checkpoint with this voter's cosignature. */
  | { readonly kind: 'cosigned'; readonly note: string }
  /** This voter signed a tree of `size` leaves last: prove it from there. */
  | { readonly kind: 'conflict'; readonly size: number }
  /** This voter has committed `size` blocks, fewer than the checkpoint says: ask again. */
  | { readonly kind: 'behind'; readonly size: number }
  /** This voter will never sign it. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Signed notes, the smallest tree first. */
  | { readonly kind: 'checkpoints'; readonly notes: readonly string[] }

const NOTE: Schema<string> = text(NOTE_CHARS_MAX)
type QuestionOf<K extends WitnessQuestion['kind']> = WitnessQuestion & { kind: K }
type AnswerOf<K extends WitnessAnswer['kind']> = WitnessAnswer & { kind: K }

const QUESTION: Schema<WitnessQuestion> = tagged<WitnessQuestion>('kind', {
  cosign: shape<QuestionOf<'cosign'>>({
    kind: oneOf('cosign'),
    checkpoint: NOTE,
    from: uint(),
    proof: list(bytes(32, 32), PROOF_HASHES_MAX),
  }) as Schema<WitnessQuestion>,
  checkpoints: shape<QuestionOf<'checkpoints'>>({
    kind: oneOf('checkpoints'),
    above: uint(),
  }) as Schema<WitnessQuestion>,
})
const ANSWER: Schema<WitnessAnswer> = tagged<WitnessAnswer>('kind', {
  cosigned: shape<AnswerOf<'cosigned'>>({
    kind: oneOf('cosigned'),
    note: NOTE,
  }) as Schema<WitnessAnswer>,
  conflict: shape<AnswerOf<'conflict'>>({
    kind: oneOf('conflict'),
    size: uint(),
  }) as Schema<WitnessAnswer>,
  behind: shape<AnswerOf<'behind'>>({
    kind: oneOf('behind'),
    size: uint(),
  }) as Schema<WitnessAnswer>,
  refused: shape<AnswerOf<'refused'>>({
    kind: oneOf('refused'),
    why: LINE,
  }) as Schema<WitnessAnswer>,
  checkpoints: shape<AnswerOf<'checkpoints'>>({
    kind: oneOf('checkpoints'),
    notes: list(NOTE, CHECKPOINTS_PER_ANSWER_MAX),
  }) as Schema<WitnessAnswer>,
})

/** The bytes of a question. */
export function encodeWitnessQuestion(question: WitnessQuestion): Uint8Array {
  return encodeCanonical(QUESTION.encode(question))
}

/** The question in `source`. Throws ProtocolError. */
export function decodeWitnessQuestion(source: Uint8Array, whose: string): WitnessQuestion {
  return QUESTION.decode(decodeCanonical(source, ASK_BYTES_MAX, whose), whose)
}

/** The bytes of an answer. */
export function encodeWitnessAnswer(answer: WitnessAnswer): Uint8Array {
  return encodeCanonical(ANSWER.encode(answer))
}

/** The answer in `source`. Throws ProtocolError. */
export function decodeWitnessAnswer(source: Uint8Array, whose: string): WitnessAnswer {
  return ANSWER.decode(decodeCanonical(source, ASK_BYTES_MAX, whose), whose)
}
