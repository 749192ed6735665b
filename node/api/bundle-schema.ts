/** The answers about bundles, with their checks. */
import { z } from 'zod'
import { COUNT, HEX32 } from './contract.ts'

/** What became of the facts of one batch. */
export interface BundleTaken {
  /** On the disk now. */
  readonly taken: number
  /** Held before. */
  readonly known: number
  /** Not taken: facts before them are missing here. */
  readonly gaps: number
  /** Not taken: their authors signed other facts for the same places. */
  readonly forks: number
  /** Not taken: no document that this node knows names their authors. */
  readonly unknown: number
  readonly refused: number
  /** The first gap: the sequence that is missing, and the one that came. */
  readonly firstGap: {
    readonly author: string
    readonly held: number
    readonly found: number
  } | null
}

/** How far the gate log is after blocks were taken. */
export interface BundleGate {
  readonly view: number
  readonly block: string
  readonly slot: number
}

export const BUNDLE_TAKEN: z.ZodType<BundleTaken> = z.object({
  taken: COUNT,
  known: COUNT,
  gaps: COUNT,
  forks: COUNT,
  unknown: COUNT,
  refused: COUNT,
  firstGap: z.strictObject({ author: HEX32, held: COUNT, found: COUNT }).nullable(),
})

export const BUNDLE_GATE: z.ZodType<BundleGate> = z.object({
  view: COUNT,
  block: HEX32,
  slot: COUNT,
})
