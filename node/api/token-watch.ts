/**
 * Looks at a node's tokens once a second: tells the log what became of them, and ends what is open for
 * one that counts no more. Each request looks for itself (`token-gate.ts`); only streams outlive one.
 */
import type { Cancel, Clock, Logger } from '../ports.ts'
import { STREAMS_PER_TOKEN_MAX, TOKEN_LOOK_MS } from './limits.ts'
import { ApiError } from './problem.ts'
import { type TokenRecord, type TokenState, type TokenStore, tokenState } from './tokens.ts'

/** Something that is open for a token. */
export interface Held {
  /** Aborts when it has to end. */
  readonly signal: AbortSignal
  release(): void
}

interface Open {
  readonly id: string
  readonly ended: AbortController
  /** Cuts the connection: the reader may take nothing, and then nothing ends in order. */
  readonly cut: () => void
}

const STORY: Readonly<Record<TokenState, string>> = {
  valid: 'a read token was made',
  revoked: 'a read token was revoked',
  expired: 'a read token has expired',
}

export class TokenWatch {
  readonly #store: TokenStore
  readonly #clock: Clock
  readonly #log: Pick<Logger, 'info' | 'error'>
  readonly #open = new Set<Open>()
  /** By id: what was told of each token. */
  #told: ReadonlyMap<string, TokenState> | undefined
  #blind = false
  #next: Cancel | undefined
  #stopped = false

  constructor(store: TokenStore, world: { clock: Clock; log: Pick<Logger, 'info' | 'error'> }) {
    this.#store = store
    this.#clock = world.clock
    this.#log = world.log
  }

  /** Looks, and then once a second until `stop`. */
  async start(): Promise<void> {
    await this.look()
    if (this.#stopped) return
    this.#next = this.#clock.after(TOKEN_LOOK_MS, () => void this.start())
  }

  /** Looks no more, and ends everything. */
  stop(): void {
    this.#stopped = true
    this.#next?.()
    this.#endAll(() => true)
  }

  /** Something is open for the token from now on. Throws NF-4011 when enough is. */
  hold(id: string, cut: () => void): Held {
    const mine = [...this.#open].filter((one) => one.id === id).length
    if (mine >= STREAMS_PER_TOKEN_MAX)
      throw new ApiError('NF-4011', `${mine} streams of this token are open`, 'close one')
    const open = { id, ended: new AbortController(), cut }
    this.#open.add(open)
    return { signal: open.ended.signal, release: () => void this.#open.delete(open) }
  }

  /** One look. Never throws: who cannot see the tokens lets nothing go on. */
  async look(): Promise<void> {
    try {
      const records = await this.#store.list()
      this.#blind = false
      this.#tell(records)
      const valid = new Set(
        records.filter((one) => this.#stateOf(one) === 'valid').map(({ id }) => id),
      )
      this.#endAll(({ id }) => !valid.has(id))
    } catch (error) {
      if (!this.#blind) this.#log.error({ err: error }, 'the read tokens cannot be read')
      this.#blind = true
      this.#endAll(() => true)
    }
  }

  #tell(records: readonly TokenRecord[]): void {
    const before = this.#told
    this.#told = new Map(records.map((record) => [record.id, this.#stateOf(record)]))
    for (const record of records) {
      const { id, name, scopes } = record
      const state = this.#stateOf(record)
      if (before?.get(id) === state || (before === undefined && state !== 'valid')) continue
      const expires = new Date(record.expires).toISOString()
      this.#log.info(
        { token: id, name, scopes, expires },
        before === undefined ? 'a read token counts' : STORY[state],
      )
    }
  }

  #stateOf(record: TokenRecord): TokenState {
    return tokenState(record, this.#clock.wallMs())
  }

  /** In order first; what is still there at the next look is cut. */
  #endAll(over: (open: Open) => boolean): void {
    for (const open of this.#open) {
      if (!over(open)) continue
      if (open.ended.signal.aborted || this.#stopped) {
        this.#open.delete(open)
        open.cut()
      }
      open.ended.abort()
    }
  }
}
