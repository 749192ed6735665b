/**
 * Any store, watched: whether the disk takes what it is given, since when not, and why.
 *
 * The node refuses to promise what it cannot write; here it finds out, says so once in its log, and
 * tells everybody who asks. When a write works again, it says that too.
 */
import { NodeError } from './errors.ts'
import { RETRY_MS_MAX } from './limits.ts'
import type { Clock, Logger, Store, StoreOp } from './ports.ts'

/** Why the disk refuses, and for how long it has. */
export interface StoreTrouble {
  readonly code: string
  readonly message: string
  /** In bootMs. */
  readonly since: number
}

export class WatchedStore implements Store {
  readonly #store: Store
  readonly #clock: Clock
  readonly #log: Logger
  #trouble: StoreTrouble | undefined
  #probedAt = Number.NEGATIVE_INFINITY

  constructor(store: Store, parts: { clock: Clock; log: Logger }) {
    this.#store = store
    this.#clock = parts.clock
    this.#log = parts.log
  }

  /** What keeps this node from writing; undefined while it can. */
  get trouble(): StoreTrouble | undefined {
    return this.#trouble
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#store.get(key)
  }

  range(from: string, to: string): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#store.range(from, to)
  }

  async write(ops: readonly StoreOp[], options: { readonly sync: boolean }): Promise<void> {
    try {
      await this.#store.write(ops, options)
    } catch (error) {
      if (error instanceof NodeError) this.#refused(error)
      throw error
    }
    if (this.#trouble !== undefined) this.#recovered(this.#trouble)
  }

  /** While the disk refuses: tries whether it still does, at most once in RETRY_MS_MAX / 8. */
  async probe(): Promise<void> {
    const now = this.#clock.bootMs()
    if (this.#trouble === undefined || now - this.#probedAt < RETRY_MS_MAX / 8) return
    this.#probedAt = now
    const op = { key: 'meta/probe', value: new Uint8Array(1) }
    await this.write([op], { sync: true }).catch(() => undefined)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #refused({ code, message, fix }: NodeError): void {
    if (this.#trouble?.code === code) return
    this.#trouble = { code, message, since: this.#clock.bootMs() }
    this.#log.error({ code, found: message, fix }, 'the disk refuses: nothing is promised any more')
  }

  #recovered({ code, since }: StoreTrouble): void {
    this.#trouble = undefined
    const ms = this.#clock.bootMs() - since
    this.#log.info({ code, ms }, 'the disk takes writes again')
  }
}
