/** What anybody may bring of others, because it proves itself: equivocations and halts (SPEC §6.7, §6.8). */
import type { Hex } from './bytes.ts'
import { HASH, type Hash, KEY_ID, type KeyId } from './ids.ts'
import { FACT_BYTES_MAX, LIE_BYTES_MAX, LIE_INLINE_BYTES_MAX } from './limits.ts'
import { hexUpTo, oneOf, type Schema, shape, tagged, uint, where } from './schema.ts'

/**
 * How a key contradicted itself: two facts for one place (E1), two blocks of one kind of vote (E2), a
 * skip and a final vote (E3), two proposals (E4), all of the votes and proposals in one view. The last
 * two (E5 checkpoints, E6 roots) are reserved: this version carries them and judges none.
 */
export type LieKind = 'feed' | 'ballot' | 'skip-final' | 'propose' | 'checkpoint' | 'root'

/** The two envelopes: in the fact where they fit, else in a blob that is pulled over a stream. */
export type LieProof =
  | { readonly kind: 'inline'; readonly first: Hex; readonly second: Hex }
  | { readonly kind: 'blob'; readonly hash: Hash; readonly bytes: number }

/** Body of `equivocation`. */
export interface Equivocation {
  readonly kind: LieKind
  readonly accused: KeyId
  readonly proof: LieProof
}

/** Body of `halt.relay`: another author's halt, as it was received. */
export interface HaltRelay {
  readonly halt: Hex
}

type ProofOf<K extends LieProof['kind']> = LieProof & { kind: K }

const INLINE: Schema<ProofOf<'inline'>> = where(
  shape<ProofOf<'inline'>>({
    kind: oneOf('inline'),
    first: hexUpTo(LIE_INLINE_BYTES_MAX, 1),
    second: hexUpTo(LIE_INLINE_BYTES_MAX, 1),
  }),
  ({ first, second }) =>
    (first.length + second.length) / 2 <= LIE_INLINE_BYTES_MAX
      ? undefined
      : `at most ${LIE_INLINE_BYTES_MAX} bytes of two envelopes`,
)

export const EQUIVOCATION: Schema<Equivocation> = shape<Equivocation>({
  kind: oneOf('feed', 'ballot', 'skip-final', 'propose', 'checkpoint', 'root'),
  accused: KEY_ID,
  proof: tagged<LieProof>('kind', {
    inline: INLINE as Schema<LieProof>,
    blob: shape<ProofOf<'blob'>>({
      kind: oneOf('blob'),
      hash: HASH,
      bytes: uint(LIE_BYTES_MAX, 1),
    }) as Schema<LieProof>,
  }),
})

export const HALT_RELAY: Schema<HaltRelay> = shape<HaltRelay>({ halt: hexUpTo(FACT_BYTES_MAX, 1) })
