/**
 * The voter's side of the lease: whether a start still stands, and what was answered (SPEC §9.3).
 *
 * Between a lease and a vote to skip there is one rule: in one round a voter gives a host the one or
 * the other, never both (S17). Both are noted in the voter's book, which the node writes with fsync
 * before the answer or the vote leaves; any two quorums share an honest voter, so a host is skipped
 * or leased, never both.
 */
import {
  FACT_ID,
  type HostName,
  type LeaseAnswer,
  list,
  NAME,
  oneOf,
  ROUNDS_MAX,
  type RolloutId,
  type Schema,
  shape,
  uint,
} from '../protocol/index.ts'
import { LEASE_BOOK_MAX } from './host-limits.ts'

/** One host in one round of one rollout. */
export interface LeaseKey {
  readonly rollout: RolloutId
  readonly host: HostName
  readonly round: number
}

/** What the voter knows about a request; everything about that rollout, host and round. */
export interface LeaseQuestion {
  /** This node votes in the group. */
  readonly voter: boolean
  /** The request came over the host's own authenticated connection. */
  readonly ownPeer: boolean
  /** The committed log has a start for this host and round. */
  readonly started: boolean
  /** That start has ended: confirmed, back, stuck, skipped, failed by certificate, lost, closed. */
  readonly ended: boolean
  /** A halt that covers the host is known. */
  readonly halted: boolean
  /** The rollout's budget is breached over everything held. */
  readonly breached: boolean
  /** No later rollout was admitted for the host. */
  readonly last: boolean
  /**
   * An uncommitted block that this voter voted for skips the host, closes the rollout, changes the
   * voters, or admits a later rollout for the host.
   */
  readonly forbidden: boolean
}

/** The part of an answer that is judged; the node adds nonce, head and its signature. */
export type LeaseJudgement = Pick<LeaseAnswer, 'granted' | 'refusal'>

/** What this voter gave for a host's round, for good. */
export interface LeaseNote extends LeaseKey {
  readonly gave: 'grant' | 'skip'
}

/** Everything this voter granted or voted to skip. Journaled; entries are plain data. */
export interface GrantBook {
  readonly notes: readonly LeaseNote[]
}

/** A book in which nothing is noted. */
export const EMPTY_BOOK: GrantBook = { notes: [] }

/** The book on the disk. */
export const GRANT_BOOK: Schema<GrantBook> = shape<GrantBook>({
  notes: list(
    shape<LeaseNote>({
      rollout: FACT_ID,
      host: NAME,
      round: uint(ROUNDS_MAX - 1),
      gave: oneOf('grant', 'skip'),
    }),
    LEASE_BOOK_MAX,
  ),
})

/** Whether the start still stands, as far as this voter knows. The first reason that applies is told. */
export function judgeLease(question: LeaseQuestion): LeaseJudgement {
  if (!question.voter) return { granted: false, refusal: 'not-a-voter' }
  if (!question.ownPeer) return { granted: false, refusal: 'wrong-peer' }
  if (!question.started) return { granted: false, refusal: 'no-start' }
  if (question.ended) return { granted: false, refusal: 'ended' }
  if (question.halted) return { granted: false, refusal: 'halted' }
  if (question.breached) return { granted: false, refusal: 'breached' }
  if (!question.last) return { granted: false, refusal: 'superseded' }
  if (question.forbidden) return { granted: false, refusal: 'forbidden-by-vote' }
  return { granted: true }
}

/**
 * The answer to a request and the book after it. The answer may leave only once the book is on the
 * disk. A full book grants nothing new: a grant that is not remembered could be skipped over.
 */
export function answerLease(
  book: GrantBook,
  key: LeaseKey,
  question: LeaseQuestion,
): { readonly book: GrantBook; readonly answer: LeaseJudgement } {
  const before = noteOf(book, key)
  const forbidden = question.forbidden || before === 'skip' || isFullFor(book, key)
  const answer = judgeLease({ ...question, forbidden })
  if (!answer.granted) return { book, answer }
  return { book: withNote(book, { ...key, gave: 'grant' }), answer }
}

/** Whether this voter granted a lease for the round: it then never votes to skip it. */
export function hasGranted(book: GrantBook, key: LeaseKey): boolean {
  return noteOf(book, key) === 'grant'
}

/**
 * The book after a vote for a block that skips these hosts, or undefined if the vote must not be
 * cast: a lease was granted, or the book is full. The vote may leave only once the book is on the disk.
 */
export function noteSkips(book: GrantBook, keys: readonly LeaseKey[]): GrantBook | undefined {
  let next = book
  for (const key of keys) {
    if (hasGranted(next, key) || isFullFor(next, key)) return undefined
    next = withNote(next, { ...key, gave: 'skip' })
  }
  return next
}

/**
 * The book without notes that can decide nothing any more. A note has to stay while its rollout is
 * the last that was admitted for its host, or is open: `needed` says so.
 */
export function pruneBook(book: GrantBook, needed: (key: LeaseKey) => boolean): GrantBook {
  return { notes: book.notes.filter(needed) }
}

function noteOf(book: GrantBook, key: LeaseKey): LeaseNote['gave'] | undefined {
  return book.notes.find((note) => isAbout(note, key))?.gave
}

function withNote(book: GrantBook, note: LeaseNote): GrantBook {
  return noteOf(book, note) === undefined ? { notes: [...book.notes, note] } : book
}

function isFullFor(book: GrantBook, key: LeaseKey): boolean {
  return book.notes.length >= LEASE_BOOK_MAX && noteOf(book, key) === undefined
}

function isAbout(note: LeaseKey, key: LeaseKey): boolean {
  return note.rollout === key.rollout && note.host === key.host && note.round === key.round
}
