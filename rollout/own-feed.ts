/**
 * Whether a host may write to its own feed, after every start (SPEC §7.6).
 *
 * A disk that was put back from an older snapshot does not know that it is old, and would sign a second
 * fact for a place that peers already hold: an innocent host would stand there as a liar. So a started
 * host first hears from its peers what it wrote. It goes on in its session only when all of them have
 * told; in any doubt it takes a new session, in which nothing it says can contradict anything.
 */
import { type HostName, SESSIONS_PER_HOUR_MAX, type Session } from '../protocol/index.ts'

/** What a host knows of its own feed. Plain data. */
export interface OwnFeedState {
  readonly session: Session
  /** `asking`: nothing is signed. `leaving`: as well, until a new session is on the disk. */
  readonly phase: 'asking' | 'leaving' | 'speaking'
  /** Every other member, who may hold what this disk forgot. */
  readonly others: readonly HostName[]
  readonly answered: ReadonlySet<HostName>
  /** Asks no longer than until then, in bootMs. */
  readonly until: number
  /** When sessions were opened, by this disk's wall clock. */
  readonly opened: readonly number[]
}

export type OwnFeedEvent =
  /** This member has handed over everything that it holds of ours. */
  | { readonly kind: 'answered'; readonly peer: HostName }
  /** A peer holds a fact of ours that this disk does not, or another one in its place. */
  | { readonly kind: 'forgot'; readonly session: Session }
  | { readonly kind: 'tick' }
  /** The new session is on the disk. */
  | {
      readonly kind: 'opened'
      readonly session: Session
      readonly opened: readonly number[]
    }

/** `open`: put a fresh session and the times on the disk, with fsync, then say `opened`. */
export interface OwnFeedEffect {
  readonly kind: 'open'
  readonly opened: readonly number[]
}

export interface OwnFeedStep {
  readonly state: OwnFeedState
  readonly effects: readonly OwnFeedEffect[]
}

const HOUR_MS = 3600_000

/**
 * A feed at the start of a run. `fresh`: the session was drawn for this run and stands nowhere else.
 * Without other members there is nobody who could know better.
 */
export function startOwnFeed(input: {
  session: Session
  fresh: boolean
  others: readonly HostName[]
  opened: readonly number[]
  /** In bootMs. */
  until: number
}): OwnFeedState {
  const { session, others, opened, until } = input
  const phase = input.fresh || others.length === 0 ? 'speaking' : 'asking'
  return { session, phase, others, answered: new Set(), until, opened }
}

/** Whether facts may be signed now. */
export function maySpeak({ phase }: OwnFeedState): boolean {
  return phase === 'speaking'
}

/** The state after `event`. `now` is in bootMs; `wallMs` only bounds how many sessions are opened. */
export function stepOwnFeed(
  state: OwnFeedState,
  event: OwnFeedEvent,
  { now, wallMs }: { now: number; wallMs: number },
): OwnFeedStep {
  switch (event.kind) {
    case 'opened':
      return still({ ...state, session: event.session, opened: event.opened, phase: 'speaking' })
    case 'forgot':
      return state.phase === 'speaking' && event.session !== state.session
        ? still(state)
        : leave(state, wallMs)
    case 'answered':
      return hear(state, event.peer)
    case 'tick': {
      const late = state.phase === 'asking' && now >= state.until
      return late || state.phase === 'leaving' ? leave(state, wallMs) : still(state)
    }
  }
}

function hear(state: OwnFeedState, peer: HostName): OwnFeedStep {
  if (state.phase !== 'asking' || !state.others.includes(peer)) return still(state)
  const answered = new Set(state.answered).add(peer)
  const all = state.others.every((one) => answered.has(one))
  return still({ ...state, answered, phase: all ? 'speaking' : 'asking' })
}

/** A new session, unless too many were opened within the hour: then nothing is signed for a while. */
function leave(state: OwnFeedState, wallMs: number): OwnFeedStep {
  const recent = state.opened.filter((at) => Math.abs(wallMs - at) < HOUR_MS)
  const left: OwnFeedState = { ...state, phase: 'leaving', opened: recent }
  if (recent.length >= SESSIONS_PER_HOUR_MAX) return still(left)
  return { state: left, effects: [{ kind: 'open', opened: [...recent, wallMs] }] }
}

function still(state: OwnFeedState): OwnFeedStep {
  return { state, effects: [] }
}
