/**
 * The log as an auditor pulls it: feeds, envelopes, blocks with their certificates, checkpoints.
 *
 * Bytes travel as base64 of exactly what was signed. Whoever pulls checks everything again: nothing
 * here is believed because a node says so.
 */
import { z } from 'zod'
import { COUNT, HEX32 } from './contract.ts'

/** A feed and how many facts of it the node holds. */
export interface FeedRow {
  readonly author: string
  readonly session: string
  readonly size: number
}

/** Envelopes of one feed from `from` on. `next` is the sequence to go on with; null at the end. */
export interface EnvelopePage {
  readonly author: string
  readonly session: string
  readonly from: number
  readonly items: readonly string[]
  readonly next: number | null
}

/** Committed blocks of the group's gate log of views above the one that was asked for. */
export interface BlockPage {
  readonly group: string
  readonly items: readonly {
    readonly view: number
    readonly epoch: number
    readonly block: string
    readonly certificate: string
    /** Empty blocks above one that ended its epoch, up to the one that the certificate is of. */
    readonly tail?: readonly string[] | undefined
  }[]
  /** Where the next page goes on; views begin anew in each epoch. */
  readonly next: { readonly epoch: number; readonly view: number } | null
}

/** Cosigned checkpoints of more leaves than were asked for, the smallest tree first. */
export interface CheckpointPage {
  readonly group: string
  readonly items: readonly { readonly size: number; readonly note: string }[]
  /** The newest size that a quorum cosigned, as this node has seen it. */
  readonly standing: number
  readonly next: number | null
}

/** A body that facts name by its hash and that the node holds: a plan, a manifest, a configuration, a proof. */
export interface BodyRow {
  readonly hash: string
  readonly kind: string
}

/** Bytes of one body from `from` on. `next` is where to go on; null at the end. */
export interface BodyPage {
  readonly hash: string
  readonly from: number
  readonly bytes: string
  readonly next: number | null
}

const NEXT: z.ZodType<number | null> = COUNT.nullable()

export const FEED_ROW: z.ZodType<FeedRow> = z.strictObject({
  author: HEX32,
  session: z.string().regex(/^[0-9a-f]{32}$/),
  size: COUNT,
})

export const ENVELOPE_PAGE: z.ZodType<EnvelopePage> = z.object({
  author: HEX32,
  session: z.string(),
  from: COUNT,
  items: z.array(z.base64()),
  next: NEXT,
})

export const BLOCK_PAGE: z.ZodType<BlockPage> = z.object({
  group: z.string(),
  items: z.array(
    z.strictObject({
      ...{ view: COUNT, epoch: COUNT, block: z.base64(), certificate: z.base64() },
      tail: z.array(z.base64()).optional(),
    }),
  ),
  next: z.strictObject({ epoch: COUNT, view: COUNT }).nullable(),
})

export const CHECKPOINT_PAGE: z.ZodType<CheckpointPage> = z.object({
  group: z.string(),
  items: z.array(z.strictObject({ size: COUNT, note: z.string() })),
  standing: COUNT,
  next: NEXT,
})

export const BODY_ROW: z.ZodType<BodyRow> = z.strictObject({ hash: HEX32, kind: z.string() })

export const BODY_PAGE: z.ZodType<BodyPage> = z.object({
  hash: HEX32,
  from: COUNT,
  bytes: z.base64(),
  next: NEXT,
})
