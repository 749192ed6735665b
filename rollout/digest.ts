/**
 * One hash over everything that a node derived: equal facts, equal digest (SPEC §10).
 */
import { encodeCanonical, type Hex, sha256Hex, type WireValue } from '../protocol/index.ts'
import { type Knowledge, standing } from './derive-orders.ts'
import type { GateRollout } from './gate-state.ts'

/** SHA-256 over the feeds' heads, the committed log, and where every host of every rollout stands. */
export function digestOf(knowledge: Knowledge): Hex {
  const { view, state } = knowledge
  const value: WireValue = {
    feeds: sorted(view.vector).map(([key, head]) => [key, head.seq, head.id]),
    head: state.head,
    slot: state.slot,
    rollouts: sorted(state.rollouts).map(([, rollout]) => rolloutValue(knowledge, rollout)),
  }
  return sha256Hex(encodeCanonical(value))
}

function rolloutValue(knowledge: Knowledge, rollout: GateRollout): WireValue {
  const hosts = [...(standing(knowledge, rollout.rollout)?.standing.hosts.values() ?? [])]
  return [
    rollout.rollout,
    rollout.status,
    hosts.map((one) => [one.host, one.round, one.phase ?? '-', one.end ?? '-', one.failure]),
  ]
}

function sorted<T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}
