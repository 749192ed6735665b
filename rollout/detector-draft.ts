/** A step of the detector in the making, and what it may do to it. */
import type { HostName, ReachSeen } from '../protocol/index.ts'
import {
  type DetectorState,
  type Passed,
  type Question,
  type Reach,
  type Reached,
  type Rumour,
  unheard,
} from './detector-state.ts'

/** What rides on a message: news in rumours, and what the sender heard itself. */
export interface News {
  readonly rumours: readonly Rumour[]
  readonly seen: readonly ReachSeen[]
}

/** What the node has to do. `question` comes back when there is no answer. */
export type DetectorEffect =
  | {
      readonly kind: 'ask'
      readonly question: number
      readonly host: HostName
      readonly timeoutMs: number
      readonly news: News
    }
  | {
      readonly kind: 'relay'
      readonly question: number
      readonly via: HostName
      readonly host: HostName
      readonly timeoutMs: number
    }
  /** The answer to `asked`. */
  | { readonly kind: 'answer'; readonly incarnation: number; readonly news: News }
  /** A member's state changed: for the log. */
  | {
      readonly kind: 'changed'
      readonly host: HostName
      readonly from: Reach
      readonly to: Reach
      readonly accusers: readonly HostName[]
    }

/** The state while a step changes it. */
export interface DetectorDraft extends Omit<DetectorState, 'hosts' | 'rumours'> {
  order: readonly HostName[]
  question: Question | undefined
  questions: number
  nextAt: number
  newsAt: number
  delay: number
  incarnation: number
  cursor: number
  heardAt: number
  settings: DetectorState['settings']
  readonly hosts: Map<HostName, Reached>
  readonly rumours: Map<string, Passed>
  readonly now: number
  readonly effects: DetectorEffect[]
}

/** A draft that nobody else writes to. */
export function draftOf(state: DetectorState, now: number): DetectorDraft {
  return {
    ...state,
    hosts: new Map(state.hosts),
    rumours: new Map(state.rumours),
    now,
    effects: [],
  }
}

/** What is known of a member; of a stranger nothing is kept. */
export function reachedOf(draft: DetectorDraft, host: HostName): Reached {
  return draft.hosts.get(host) ?? unheard(draft.now)
}

/** Changes what is known of a member; a change of its state is told. */
export function put(draft: DetectorDraft, host: HostName, change: Partial<Reached>): void {
  const before = draft.hosts.get(host)
  if (before === undefined) return
  const moved = change.state !== undefined && change.state !== before.state
  const after = { ...before, ...change, ...(moved ? { since: draft.now } : {}) }
  draft.hosts.set(host, after)
  if (!moved) return
  const { accusers } = after
  draft.effects.push({ kind: 'changed', host, from: before.state, to: after.state, accusers })
}
