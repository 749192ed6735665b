/** Who is invited and who asks to be let in, as the API tells it. */
import { z } from 'zod'
import { AUTHOR, type Author, HEX32 } from './contract.ts'

/** One invite that counts. */
export interface InviteRow {
  readonly id: string
  readonly by: Author
  readonly group: string
  readonly role: 'host' | 'readonly' | 'deploy' | 'admin'
  readonly name: string | null
  readonly tags: readonly string[]
  readonly uses: number
  /** Keys that were let in or wait. */
  readonly spent: number
  /** Wall-clock ms. */
  readonly notAfter: number
  /** `ended` by the clock of the peer that answers. */
  readonly state: 'open' | 'used-up' | 'ended' | 'revoked'
  readonly why: string
  /** The fact as signed, base64: whoever admits checks it again. */
  readonly fact: string
}

export const INVITE_ROW: z.ZodType<InviteRow> = z.strictObject({
  id: HEX32,
  by: AUTHOR,
  group: z.string(),
  role: z.enum(['host', 'readonly', 'deploy', 'admin']),
  name: z.string().nullable(),
  tags: z.array(z.string()),
  uses: z.int(),
  spent: z.int(),
  notAfter: z.number(),
  state: z.enum(['open', 'used-up', 'ended', 'revoked']),
  why: z.string(),
  fact: z.base64(),
})

/** One request under an invite that counts. */
export interface RequestRow {
  readonly id: string
  readonly invite: string
  readonly name: string
  readonly role: InviteRow['role']
  /** The key that wants in. */
  readonly key: string
  readonly addresses: readonly string[]
  readonly state: 'pending' | 'admitted' | 'denied' | 'surplus' | 'late'
  readonly why: string
  /** When it was brought, by the word of whoever did, wall-clock ms. */
  readonly at: number
  readonly by: readonly Author[]
  /** The request as signed, base64. */
  readonly request: string
}

export const REQUEST_ROW: z.ZodType<RequestRow> = z.strictObject({
  id: HEX32,
  invite: HEX32,
  name: z.string(),
  role: z.enum(['host', 'readonly', 'deploy', 'admin']),
  key: HEX32,
  addresses: z.array(z.string()),
  state: z.enum(['pending', 'admitted', 'denied', 'surplus', 'late']),
  why: z.string(),
  at: z.number(),
  by: z.array(AUTHOR),
  request: z.base64(),
})
