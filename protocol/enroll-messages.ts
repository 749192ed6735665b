/** What somebody who wants in asks a peer, and what it is told (SPEC §16.3): `/nixfleet/enroll/1`. */
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { LINE } from './ids.ts'
import {
  DOCUMENT_BYTES_MAX,
  ENROLL_ANSWER_BYTES_MAX,
  ENROLL_BYTES_MAX,
  ENROLL_QUESTION_BYTES_MAX,
} from './limits.ts'
import { bytes, oneOf, optional, type Schema, shape, tagged, uint } from './schema.ts'

/** A document of the fleet, by its version or epoch. */
export interface WantedDocument {
  readonly kind: 'root' | 'group'
  readonly number: number
}

/** A question: always with the request, so that asking and asking again are one. */
export interface EnrollQuestion {
  readonly request: Uint8Array
  /** One document, which only who was let in is given. */
  readonly want?: WantedDocument | undefined
}

/** How a request stands. `surplus`: others took the invite's uses; `late`: it came after the invite's end. */
export type EnrollState = 'pending' | 'admitted' | 'denied' | 'surplus' | 'late'

/** Why a peer does not take a request. The request changed nothing. */
export type EnrollRefusal =
  | 'malformed'
  | 'wrong-fleet'
  | 'unknown-invite'
  | 'wrong-ticket'
  | 'revoked'
  | 'expired'
  | 'used-up'
  | 'wrong-role'
  | 'wrong-name'
  | 'name-taken'
  | 'key-used'
  | 'not-admitted'
  | 'busy'

export type EnrollAnswer =
  | {
      readonly kind: 'standing'
      readonly state: EnrollState
      /** Versions of the root that the peer can give, if the request is admitted; else 0. */
      readonly roots: number
      /** The newest epoch that names the host; else 0. */
      readonly epoch: number
      readonly why: string
    }
  | { readonly kind: 'document'; readonly document: Uint8Array }
  | { readonly kind: 'refused'; readonly code: EnrollRefusal; readonly why: string }

const NUMBER_MAX = 2 ** 32

const QUESTION: Schema<EnrollQuestion> = shape<EnrollQuestion>({
  request: bytes(ENROLL_BYTES_MAX, 1),
  want: optional(
    shape<WantedDocument>({ kind: oneOf('root', 'group'), number: uint(NUMBER_MAX, 1) }),
  ),
})

type AnswerOf<K extends EnrollAnswer['kind']> = EnrollAnswer & { kind: K }

const ANSWER: Schema<EnrollAnswer> = tagged<EnrollAnswer>('kind', {
  standing: shape<AnswerOf<'standing'>>({
    kind: oneOf('standing'),
    state: oneOf('pending', 'admitted', 'denied', 'surplus', 'late'),
    roots: uint(NUMBER_MAX),
    epoch: uint(NUMBER_MAX),
    why: LINE,
  }) as Schema<EnrollAnswer>,
  document: shape<AnswerOf<'document'>>({
    kind: oneOf('document'),
    document: bytes(DOCUMENT_BYTES_MAX),
  }) as Schema<EnrollAnswer>,
  refused: shape<AnswerOf<'refused'>>({
    kind: oneOf('refused'),
    code: oneOf(
      'malformed',
      'wrong-fleet',
      'unknown-invite',
      'wrong-ticket',
      'revoked',
      'expired',
      'used-up',
      'wrong-role',
      'wrong-name',
      'name-taken',
      'key-used',
      'not-admitted',
      'busy',
    ),
    why: LINE,
  }) as Schema<EnrollAnswer>,
})

/** The bytes of a question. */
export function encodeEnrollQuestion(question: EnrollQuestion): Uint8Array {
  return encodeCanonical(QUESTION.encode(question))
}

/** The question in `source`. Throws ProtocolError. */
export function decodeEnrollQuestion(source: Uint8Array): EnrollQuestion {
  const wire = decodeCanonical(source, ENROLL_QUESTION_BYTES_MAX, 'a question to be let in')
  return QUESTION.decode(wire, 'question')
}

/** The bytes of an answer. */
export function encodeEnrollAnswer(answer: EnrollAnswer): Uint8Array {
  return encodeCanonical(ANSWER.encode(answer))
}

/** The answer in `source`. Throws ProtocolError. */
export function decodeEnrollAnswer(source: Uint8Array): EnrollAnswer {
  const wire = decodeCanonical(source, ENROLL_ANSWER_BYTES_MAX, 'an answer about an enrolment')
  return ANSWER.decode(wire, 'answer')
}
