/** The questions and answers of a sync, and their bytes (SPEC §8.2). */
import type { Hex } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { FACT_ID, HASH, KEY_ID, SESSION } from './ids.ts'
import {
  ASK_BYTES_MAX,
  BATCH_BYTES_MAX,
  FACT_BYTES_MAX,
  SYNC_FACTS_MAX,
  SYNC_GATE_BYTES_MAX,
  SYNC_LEAF_FEEDS_MAX,
  SYNC_LOOKS_MAX,
  SYNC_RANGES_MAX,
} from './limits.ts'
import {
  bytes,
  list,
  oneOf,
  optional,
  type Schema,
  shape,
  tagged,
  text,
  uint,
  where,
} from './schema.ts'
import type { FeedState, SyncNode, SyncPrefix } from './sync-tree.ts'

/** A stretch of one feed, both ends included. */
export interface FeedRange {
  readonly author: Hex
  readonly session: Hex
  readonly from: number
  readonly to: number
}

/** Where the reading of a list of ranges stopped: in which range, and before which sequence. */
export interface RangePosition {
  /** As many as there are ranges: all was read. */
  readonly range: number
  readonly seq: number
}

export type SyncQuestion =
  /** Do we hold the same? */
  | { readonly kind: 'hello'; readonly root: Hex; readonly gate?: Uint8Array | undefined }
  /** What do you hold in these buckets? */
  | { readonly kind: 'look'; readonly prefixes: readonly SyncPrefix[] }
  /** Send me these. */
  | { readonly kind: 'want'; readonly ranges: readonly FeedRange[] }
  /** Take these. */
  | { readonly kind: 'give'; readonly facts: readonly Uint8Array[] }

export type SyncAnswer =
  | { readonly kind: 'same'; readonly gate?: Uint8Array | undefined }
  | {
      readonly kind: 'nodes'
      readonly nodes: readonly SyncNode[]
      readonly gate?: Uint8Array | undefined
    }
  /** As much as fits, in the order asked for, and where it stopped. */
  | { readonly kind: 'facts'; readonly facts: readonly Uint8Array[]; readonly next: RangePosition }
  | { readonly kind: 'took' }

type QuestionOf<K extends SyncQuestion['kind']> = SyncQuestion & { kind: K }
type AnswerOf<K extends SyncAnswer['kind']> = SyncAnswer & { kind: K }

const SEQ: Schema<number> = uint()
const PREFIX: Schema<SyncPrefix> = text(64, /^[0-9a-f]*$/)
const GATE = optional(bytes(SYNC_GATE_BYTES_MAX))
const FACTS: Schema<readonly Uint8Array[]> = where(
  list(bytes(FACT_BYTES_MAX), SYNC_FACTS_MAX),
  (facts) =>
    facts.reduce((sum, fact) => sum + fact.length, 0) <= BATCH_BYTES_MAX
      ? undefined
      : `at most ${BATCH_BYTES_MAX} bytes of facts`,
)
const FEED_STATE: Schema<FeedState> = shape<FeedState>({
  author: KEY_ID,
  session: SESSION,
  seq: SEQ,
  head: FACT_ID,
})
const FEED_RANGE: Schema<FeedRange> = where(
  shape<FeedRange>({ author: KEY_ID, session: SESSION, from: SEQ, to: SEQ }),
  ({ from, to }) => (from <= to ? undefined : 'a range whose end is not before its start'),
)

type Split = SyncNode & { readonly children: readonly Hex[] }
type Few = SyncNode & { readonly feeds: readonly FeedState[] }
const SPLIT: Schema<Split> = shape<Split>({ prefix: PREFIX, children: list(HASH, 16, 16) })
const FEW: Schema<Few> = shape<Few>({
  prefix: PREFIX,
  feeds: list(FEED_STATE, SYNC_LEAF_FEEDS_MAX),
})
const NODE: Schema<SyncNode> = {
  decode: (value, path) =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, 'children')
      ? SPLIT.decode(value, path)
      : FEW.decode(value, path),
  encode: (node) => ('children' in node ? SPLIT.encode(node) : FEW.encode(node)),
}

const QUESTION: Schema<SyncQuestion> = tagged<SyncQuestion>('kind', {
  hello: shape<QuestionOf<'hello'>>({
    kind: oneOf('hello'),
    root: HASH,
    gate: GATE,
  }) as Schema<SyncQuestion>,
  look: shape<QuestionOf<'look'>>({
    kind: oneOf('look'),
    prefixes: list(PREFIX, SYNC_LOOKS_MAX, 1),
  }) as Schema<SyncQuestion>,
  want: shape<QuestionOf<'want'>>({
    kind: oneOf('want'),
    ranges: list(FEED_RANGE, SYNC_RANGES_MAX, 1),
  }) as Schema<SyncQuestion>,
  give: shape<QuestionOf<'give'>>({ kind: oneOf('give'), facts: FACTS }) as Schema<SyncQuestion>,
})
const ANSWER: Schema<SyncAnswer> = tagged<SyncAnswer>('kind', {
  same: shape<AnswerOf<'same'>>({ kind: oneOf('same'), gate: GATE }) as Schema<SyncAnswer>,
  nodes: shape<AnswerOf<'nodes'>>({
    kind: oneOf('nodes'),
    nodes: list(NODE, SYNC_LOOKS_MAX),
    gate: GATE,
  }) as Schema<SyncAnswer>,
  facts: shape<AnswerOf<'facts'>>({
    kind: oneOf('facts'),
    facts: FACTS,
    next: shape<RangePosition>({ range: uint(SYNC_RANGES_MAX), seq: SEQ }),
  }) as Schema<SyncAnswer>,
  took: shape<AnswerOf<'took'>>({ kind: oneOf('took') }) as Schema<SyncAnswer>,
})

/** The bytes of a question, at most `ASK_BYTES_MAX`. */
export function encodeSyncQuestion(question: SyncQuestion): Uint8Array {
  return encodeCanonical(QUESTION.encode(question))
}

/** The bytes of an answer, at most `ASK_BYTES_MAX`. */
export function encodeSyncAnswer(answer: SyncAnswer): Uint8Array {
  return encodeCanonical(ANSWER.encode(answer))
}

/** The question in `source`. Throws TOO_LARGE, NOT_CANONICAL, BAD_SHAPE. */
export function decodeSyncQuestion(source: Uint8Array, whose: string): SyncQuestion {
  return QUESTION.decode(decodeCanonical(source, ASK_BYTES_MAX, whose), 'sync')
}

/** The answer in `source`. Throws TOO_LARGE, NOT_CANONICAL, BAD_SHAPE. */
export function decodeSyncAnswer(source: Uint8Array, whose: string): SyncAnswer {
  return ANSWER.decode(decodeCanonical(source, ASK_BYTES_MAX, whose), 'sync')
}
