/** The steps of a fake rollout, and the pages of a fake log. */
import type { LogQuery } from '../../node/api/backend.ts'
import type { AuditRow, Author, Page, WaveHost } from '../../node/api/schema.ts'
import type { Fact, FactOf } from '../../protocol/index.ts'
import { WHEN } from './fake-release.ts'

/** The phases of a host that nothing happens to, one for each look. */
export const PATH: readonly string[] = [
  'QUEUED',
  'STAGING',
  'READY',
  'ACTIVATING',
  'PROBATION',
  'CONFIRMED',
  'SOAKED',
  'COMMITTED',
]
/** What a test may turn. */
export interface FakeKnobs {
  /** How a plan is judged. */
  verdict: 'admit' | 'conflict' | 'silent'
  /** A host that fails its check in probation and goes back. */
  failing: string | undefined
  /** Voters that can be reached. */
  reachable: number
  ready: boolean
}

/** A plan, and what was said about it. */
export interface FakeRollout {
  readonly plan: FactOf<'rollout.plan'>
  /** How the voters judge it: what the knob said when it came. */
  readonly verdict: FakeKnobs['verdict']
  looks: number
  halts: FactOf<'rollout.halt'>[]
  holds: FactOf<'rollout.hold'>[]
}

/** What host `name` shows after `step` steps of its wave; below 0 its wave has not begun. */
export function hostAt(
  rollout: FakeRollout,
  name: string,
  at: { step: number; members: readonly string[]; failing: string | undefined },
): WaveHost {
  const { members, failing, step: steps } = at
  const step = Math.min(steps, PATH.length - 1)
  const base = {
    name,
    round: 0,
    started: step >= 0,
    detail: null,
    observers: members.filter((other) => other !== name),
    phaseAgeMs: null,
    closure: null,
  }
  const ok = step >= 4 ? base.observers.length : 0
  const halt = rollout.halts.find(
    (fact) => fact.body.revert && (fact.body.hosts?.includes(name) ?? true),
  )
  if (halt && step >= 3)
    return { ...base, phase: 'REVERTED', why: 'halt', witnesses: { ok, fail: 0, abstain: 0 } }
  if (halt)
    return {
      ...base,
      started: false,
      phase: 'SKIPPED',
      why: 'halt',
      witnesses: { ok: 0, fail: 0, abstain: 0 },
    }
  if (name === failing && step >= 4) {
    return {
      ...base,
      phase: 'REVERTED',
      why: 'check',
      detail: 'web answers 500',
      witnesses: { ok: 0, fail: 2, abstain: 0 },
    }
  }
  return { ...base, phase: PATH[step] ?? null, why: null, witnesses: { ok, fail: 0, abstain: 0 } }
}

/** The cursor of the row at `index`. */
export function cursorOf(index: number): string {
  return String(index + 1)
}

/** One page of a log. */
export function pageOf<Row extends { readonly id: string }>(
  rows: readonly Row[],
  query: LogQuery,
): Page<Row> {
  const since = Number(query.since ?? 0)
  const after = rows.filter((row) => Number(row.id) > since)
  const ordered = query.newestFirst ? [...rows].reverse() : after
  return { items: ordered.slice(0, query.limit), next: null }
}

/** A fact as the audit log shows it. */
export function auditRow(fact: Fact, index: number, author: Author): AuditRow {
  return {
    id: cursorOf(index),
    ts: WHEN,
    author,
    action: fact.type,
    target: fact.type === 'release.announce' ? fact.body.name : 'main',
    outcome: 'recorded',
    factId: fact.id,
    session: fact.session,
    seq: fact.seq,
    prev: fact.prev,
  }
}
