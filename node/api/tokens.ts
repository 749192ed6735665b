/**
 * Read tokens of one node: random, shown once, kept as a hash, one small file each.
 *
 * Nothing is cached: each request reads the one file that its token names, so that a token counts no
 * more from the moment its file says so. Whoever may write to the node's data folder makes tokens; the
 * socket and the API cannot, because nothing but a signature changes anything through them (D9).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { chmod, chown, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { toHex } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { errorCode, writeDurably } from '../system/durable.ts'
import { ENDED_TOKENS_KEPT, TOKEN_TTL_MS_MAX, TOKEN_TTL_MS_MIN, TOKENS_MAX } from './limits.ts'
import { TOKEN_SCOPES, type TokenScope } from './scopes.ts'

/** What is kept of a token. The token itself is not among it. */
export interface TokenRecord {
  /** Names the token in lists and logs; no secret. */
  readonly id: string
  /** What it is for, for people. */
  readonly name: string
  readonly role: 'readonly'
  readonly scopes: readonly TokenScope[]
  /** Wall clock in ms, as are the others. */
  readonly created: number
  readonly expires: number
  readonly revoked: number | null
  /** Of the whole token text. */
  readonly sha256: string
}

export type TokenState = 'valid' | 'expired' | 'revoked'

const RECORD: z.ZodType<TokenRecord> = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{12}$/),
  name: z.string().max(63),
  role: z.literal('readonly'),
  scopes: z.array(z.enum(TOKEN_SCOPES)).min(1).max(TOKEN_SCOPES.length),
  created: z.int().min(0),
  expires: z.int().min(0),
  revoked: z.int().min(0).nullable(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

/** Recognised by its beginning, also by scanners that look for secrets where none should be. */
const TOKEN = /^nfread-([0-9a-f]{12})-[0-9a-f]{64}$/
const FILE = /^([0-9a-f]{12})\.json$/
/** A record is some 300 bytes. */
const RECORD_BYTES_MAX = 4096

/** The state of a token at `nowMs`. A revocation stays one, whatever the clock says. */
export function tokenState(
  { revoked, expires }: Pick<TokenRecord, 'revoked' | 'expires'>,
  nowMs: number,
): TokenState {
  if (revoked !== null) return 'revoked'
  return nowMs < expires ? 'valid' : 'expired'
}

/** The tokens in `<data>/tokens`. */
export class TokenStore {
  readonly #data: string
  readonly #folder: string

  constructor(data: string) {
    this.#data = data
    this.#folder = join(data, 'tokens')
  }

  /**
   * Makes a token; its text is in the answer and nowhere else. Throws NodeError TOKENS_FULL, and
   * CONFIG_INVALID for a life that is too short or too long.
   */
  async create(
    wish: { readonly name: string; readonly scopes: readonly TokenScope[]; readonly ttlMs: number },
    world: { readonly nowMs: number; readonly random: (count: number) => Uint8Array },
  ): Promise<{ readonly token: string; readonly record: TokenRecord }> {
    const { nowMs, random } = world
    assertLife(wish.ttlMs)
    await this.#makeRoom(nowMs)
    const id = toHex(random(6))
    const token = `nfread-${id}-${toHex(random(32))}`
    const record: TokenRecord = {
      id,
      name: wish.name,
      role: 'readonly',
      scopes: TOKEN_SCOPES.filter((scope) => wish.scopes.includes(scope)),
      created: nowMs,
      expires: nowMs + wish.ttlMs,
      revoked: null,
      sha256: hashOf(token).toString('hex'),
    }
    await this.#write(record)
    return { token, record }
  }

  /** Every record, the newest first. What is in the folder and is none is left out. */
  async list(): Promise<readonly TokenRecord[]> {
    const ids = (await this.#names()).flatMap((name) => FILE.exec(name)?.[1] ?? [])
    const found = await Promise.all(ids.map((id) => this.#read(id)))
    return found
      .filter((record) => record !== undefined)
      .sort((a, b) => b.created - a.created || (a.id < b.id ? -1 : 1))
  }

  /** Ends a token for good. Undefined when there is none of that id; ending one twice changes nothing. */
  async revoke(id: string, nowMs: number): Promise<TokenRecord | undefined> {
    const record = await this.#read(id)
    if (record === undefined || record.revoked !== null) return record
    const revoked = { ...record, revoked: nowMs }
    await this.#write(revoked)
    return revoked
  }

  /** The record of the token of this text, whatever its state; undefined for any other text. */
  async find(text: string): Promise<TokenRecord | undefined> {
    const id = TOKEN.exec(text)?.[1]
    const record = id === undefined ? undefined : await this.#read(id)
    if (record === undefined) return undefined
    return timingSafeEqual(hashOf(text), Buffer.from(record.sha256, 'hex')) ? record : undefined
  }

  async #read(id: string): Promise<TokenRecord | undefined> {
    if (!FILE.test(`${id}.json`)) return undefined
    try {
      const text = await readFile(join(this.#folder, `${id}.json`), 'utf8')
      if (text.length > RECORD_BYTES_MAX) return undefined
      const record = RECORD.parse(JSON.parse(text))
      return record.id === id ? record : undefined
    } catch (error) {
      // A record that is torn or not ours opens nothing; a folder that cannot be read is told.
      if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async #names(): Promise<readonly string[]> {
    try {
      return await readdir(this.#folder)
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return []
      throw error
    }
  }

  async #write(record: TokenRecord): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    await chmod(this.#folder, 0o700)
    const path = join(this.#folder, `${record.id}.json`)
    await writeDurably(path, `${JSON.stringify(record, null, 2)}\n`, 0o600)
    // Who makes a token is often root; who reads it is the user that the node runs as.
    if (process.getuid?.() !== 0) return
    const { uid, gid } = await stat(dirname(this.#folder))
    for (const one of [this.#folder, path]) await chown(one, uid, gid)
  }

  /** Forgets the tokens that ended longest ago. Throws NodeError TOKENS_FULL when too many still count. */
  async #makeRoom(nowMs: number): Promise<void> {
    const records = await this.list()
    const valid = records.filter((record) => tokenState(record, nowMs) === 'valid')
    if (valid.length >= TOKENS_MAX) {
      throw new NodeError(
        'TOKENS_FULL',
        `expected fewer than ${TOKENS_MAX} tokens that count, found ${valid.length} in ${this.#data}`,
        'End those that nobody uses: nixfleet tokens list, nixfleet tokens revoke ID.',
      )
    }
    const endOf = ({ revoked, expires }: TokenRecord): number => revoked ?? expires
    const ended = records
      .filter((record) => !valid.includes(record))
      .sort((a, b) => endOf(b) - endOf(a))
    for (const { id } of ended.slice(ENDED_TOKENS_KEPT))
      await rm(join(this.#folder, `${id}.json`), { force: true })
  }
}

function assertLife(ttlMs: number): void {
  if (ttlMs >= TOKEN_TTL_MS_MIN && ttlMs <= TOKEN_TTL_MS_MAX) return
  throw new NodeError(
    'CONFIG_INVALID',
    `expected a life of a token between 1 minute and 400 days, found ${ttlMs} ms`,
    'Give --ttl, as 24h or 90d.',
  )
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
