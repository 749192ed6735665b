/**
 * What every answer of the API carries, and the small shapes that many answers share.
 *
 * The published contract is the JSON that these types describe; `schema.ts` checks it. Ids and hashes
 * are lower-case hex, times are milliseconds, ages are measured by the answering node alone.
 */
import { z } from 'zod'

/** The contract's version: every answer says it, and a breaking change makes a new one. */
export const API_VERSION = 'nixfleet/v1' as const

/** Whose view an answer is and how old: no answer is without it. */
export interface ViewStamp {
  /** The fleet's name, from its root. */
  readonly fleet: string
  /** The host that answers. */
  readonly observedBy: string
  /** The newest committed block of the gate log that this host holds. */
  readonly head: string
  /** Since this host last heard from another member; since its start if it never did. */
  readonly viewAgeMs: number
}

/** One answer: the stamp, the name of its shape, and the shape itself. */
export type Stamped<Kind extends string, Body> = {
  readonly apiVersion: typeof API_VERSION
  readonly kind: Kind
} & ViewStamp &
  Body

/** One page of a list. `next` is the cursor of the page after it; null on the last one. */
export interface Page<Row> {
  readonly items: readonly Row[]
  readonly next: string | null
}

/** Who signed a fact, as the trust documents name its key. */
export interface Author {
  /** The name under which the root or the group knows the key; its first 16 digits if neither does. */
  readonly name: string
  readonly role: 'host' | 'operator' | 'release' | 'admin' | 'unknown'
  readonly key: string
}

/** A release in one line. */
export interface ReleaseRef {
  readonly id: string
  readonly name: string
  readonly channel: string
  readonly version: number
}

export const HEX32: z.ZodType<string> = z.string().regex(/^[0-9a-f]{64}$/)
export const COUNT: z.ZodType<number> = z.int().min(0)

export const AUTHOR: z.ZodType<Author> = z.strictObject({
  name: z.string(),
  role: z.enum(['host', 'operator', 'release', 'admin', 'unknown']),
  key: HEX32,
})

export const RELEASE_REF: z.ZodType<ReleaseRef> = z.strictObject({
  id: HEX32,
  name: z.string(),
  channel: z.string(),
  version: COUNT,
})

/** The check of a page of `row`s. */
export function pageOf<Row>(row: z.ZodType<Row>): z.ZodType<Page<Row>> {
  return z.object({ items: z.array(row), next: z.string().nullable() })
}

/** The check of a whole answer: the stamp and `body`. */
export function stamped<Kind extends string, Body>(
  kind: Kind,
  body: z.ZodType<Body>,
): z.ZodType<Stamped<Kind, Body>> {
  const stamp = z.object({
    apiVersion: z.literal(API_VERSION),
    kind: z.literal(kind),
    fleet: z.string(),
    observedBy: z.string(),
    head: HEX32,
    viewAgeMs: COUNT,
  })
  return z.intersection(stamp, body) as unknown as z.ZodType<Stamped<Kind, Body>>
}
