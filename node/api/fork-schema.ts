/** Who was caught contradicting itself, as the API tells it. */
import { z } from 'zod'
import { AUTHOR, type Author, HEX32 } from './contract.ts'

/** One proven contradiction. `first` and `second` are the ids of the two messages. */
export interface ForkRow {
  readonly accused: Author
  readonly kind: 'feed' | 'ballot' | 'skip-final' | 'propose'
  /** The feed's session and sequence, or the view of the gate log. */
  readonly place: string
  readonly first: string
  readonly second: string
  readonly provedBy: Author
  /** The fact that carries the proof. */
  readonly fact: string
  /** What follows from it here, in words. */
  readonly effect: string
}

export const FORK_ROW: z.ZodType<ForkRow> = z.strictObject({
  accused: AUTHOR,
  kind: z.enum(['feed', 'ballot', 'skip-final', 'propose']),
  place: z.string(),
  first: HEX32,
  second: HEX32,
  provedBy: AUTHOR,
  fact: HEX32,
  effect: z.string(),
})
