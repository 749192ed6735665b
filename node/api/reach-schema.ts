/** What is heard of a host, and how current a log is, with the checks of the API over both. */
import { z } from 'zod'
import { COUNT } from './contract.ts'

/** Whether a host answers, whose word that is, and how old. For display: nothing decides by it. */
export interface ReachRow {
  readonly state: 'self' | 'unknown' | 'alive' | 'suspect' | 'unreachable'
  /** How long it has been in this state. */
  readonly sinceMs: number
  /** Who heard it last, and how long ago; null when nobody has. */
  readonly seenBy: string | null
  readonly seenAgeMs: number | null
  /** Who cannot reach it. */
  readonly accusers: readonly string[]
}

export const REACH_ROW: z.ZodType<ReachRow> = z.strictObject({
  state: z.enum(['self', 'unknown', 'alive', 'suspect', 'unreachable']),
  sinceMs: COUNT,
  seenBy: z.string().nullable(),
  seenAgeMs: COUNT.nullable(),
  accusers: z.array(z.string()),
})

/** Whether this node's log is the group's newest, by the word of a quorum of voters. */
export interface FreshnessRow {
  readonly state: 'unknown' | 'current' | 'stale'
  /** How long ago a quorum said so, on this host's own clock; null when none has since it started. */
  readonly confirmedAgeMs: number | null
  /** How long ago this node took the newest block of its log; null when it only read it from the disk. */
  readonly blockAgeMs: number | null
}

export const FRESHNESS_ROW: z.ZodType<FreshnessRow> = z.strictObject({
  state: z.enum(['unknown', 'current', 'stale']),
  confirmedAgeMs: COUNT.nullable(),
  blockAgeMs: COUNT.nullable(),
})
