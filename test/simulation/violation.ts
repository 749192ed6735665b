/** What a run broke, with everything that is needed to see it again. */
import type { Signer } from '../../protocol/index.ts'
import { ED25519 } from '../../protocol/index.ts'

/** S1–S18 and L1–L8 of the protocol; BUG for an error that no code expects. */
export type InvariantCode = `S${number}` | `L${number}` | 'BUG'

export interface Violation {
  readonly invariant: InvariantCode
  readonly seed: number
  /** Virtual ms since the run began. */
  readonly atMs: number
  readonly evidence: string
  /** The command that plays it again. */
  readonly replay: string
}

/** Evidence against one invariant, before it is known where it belongs. */
export type Accuse = (invariant: InvariantCode, evidence: readonly string[]) => void

/** Reads what others signed without asking whether they did: that is what the daemons check. */
export const READER: Signer = { ...ED25519, verify: () => true }
