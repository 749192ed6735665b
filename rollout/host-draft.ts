/**
 * One step of the host machine while it is being made: the next state and the effects so far.
 *
 * States are replaced, never changed; only this draft is.
 */
import {
  type Nonce,
  type Phase,
  phaseRank,
  type RolloutId,
  type StorePath,
  TEXT_CHARS_MAX,
  type Transition,
  type TransitionWhy,
} from '../protocol/index.ts'
import { wayBack } from './host-back.ts'
import type { HostEffect, HostRules } from './host-events.ts'
import type { HostRollout, HostState } from './host-state.ts'
import type { RolloutOrders } from './orders.ts'

export interface HostDraft {
  state: HostState
  /** The event's nonce, until something asks over it. */
  fresh: Nonce | undefined
  readonly effects: HostEffect[]
  readonly now: number
  readonly rules: HostRules
}

/** Why a transition happens; `detail` is for people. */
export interface Cause {
  readonly why?: TransitionWhy | undefined
  readonly detail?: string | undefined
}

/** Replaces fields of the state. A step that changes nothing returns the state that it was given. */
export function put(draft: HostDraft, fields: Partial<HostState>): void {
  const { state } = draft
  const changes = (Object.keys(fields) as (keyof HostState)[]).some(
    (key) => fields[key] !== state[key],
  )
  if (changes) draft.state = { ...state, ...fields }
}

/** Replaces fields of one rollout's record. */
export function putRollout(
  draft: HostDraft,
  rollout: RolloutId,
  fields: Partial<HostRollout>,
): void {
  const record = rolloutOf(draft.state, rollout)
  const changes = { ...record, ...fields }
  if (record === undefined || isSame(record, changes)) return
  const rollouts = draft.state.rollouts.map((one) =>
    one.rollout === rollout ? { ...one, ...fields } : one,
  )
  put(draft, { rollouts })
}

/** The host's record of a rollout. */
export function rolloutOf(state: HostState, rollout: RolloutId): HostRollout | undefined {
  return state.rollouts.find((one) => one.rollout === rollout)
}

/** What the newest orders say of a rollout. */
export function ordersOf(state: HostState, rollout: RolloutId): RolloutOrders | undefined {
  return state.orders?.rollouts.find((one) => one.rollout === rollout)
}

/** Rollouts that are on their way back. */
export function goingBack(state: HostState): readonly HostRollout[] {
  return state.rollouts.filter((one) => one.phase === 'REVERTING')
}

/** Whether it waits for the start of its round. */
export function isQueued(phase: Phase): boolean {
  return phase === 'QUEUED' || phase === 'STAGING' || phase === 'READY'
}

/**
 * Moves a rollout to `to` and signs it, unless that rank or a higher one of the round is signed:
 * a host speaks once per rank, also when it tries again.
 */
export function move(draft: HostDraft, rollout: RolloutId, to: Phase, cause: Cause = {}): void {
  const record = rolloutOf(draft.state, rollout)
  if (record === undefined) return
  const { phase: from, round, signed } = record
  const { why } = cause
  if (signed.some((phase) => phaseRank(phase) >= phaseRank(to))) {
    putRollout(draft, rollout, { phase: to })
    return
  }
  const transition: Transition = {
    rollout,
    round,
    from,
    to,
    generation: generationAfter(draft.state, record, to),
    boot: draft.state.boot,
    why,
    detail: cause.detail === undefined ? undefined : oneLine(cause.detail),
  }
  // What sent it back stays the reason, also of a REVERTED that comes after STUCK.
  const kept = to === 'STUCK' ? record.why : (why ?? record.why)
  putRollout(draft, rollout, { phase: to, signed: [...signed, to], why: kept })
  put(draft, { unsigned: [...draft.state.unsigned, transition] })
  draft.effects.push({ kind: 'sign', transition })
}

function isSame(one: HostRollout, other: Partial<HostRollout>): boolean {
  return (Object.keys(other) as (keyof HostRollout)[]).every((key) => one[key] === other[key])
}

/** What the transition says runs: in flight the new generation, else what is known or wanted to run. */
function generationAfter(state: HostState, record: HostRollout, to: Phase): StorePath {
  const rank = phaseRank(to)
  const flies = rank >= phaseRank('ACTIVATING') && rank <= phaseRank('COMMITTED')
  if (flies && record.generation !== undefined) return record.generation
  return state.running ?? state.flight?.generation ?? wayBack(state).generation
}

/** Makes `generation` what boots, unless it is or that is under way. */
export function setBoot(draft: HostDraft, generation: StorePath): void {
  const { bootDefault, settingBoot } = draft.state
  if (bootDefault === generation || settingBoot === generation) return
  put(draft, { bootDefault: undefined, settingBoot: generation })
  draft.effects.push({ kind: 'setBootDefault', generation })
}

/** Text as a fact may carry it: one line, bounded, no broken surrogate pair. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to go.
  const line = text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim()
  return line.slice(0, TEXT_CHARS_MAX).replace(/\p{Surrogate}/gu, '')
}
