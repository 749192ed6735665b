/** How often each client may ask: a bucket that fills while it is silent. Pure but for what it remembers. */
import { CLIENT_BURST, CLIENT_PER_SECOND, CLIENTS_MAX } from './limits.ts'

interface Bucket {
  left: number
  atMs: number
}

/** Counts requests by client. Time is given, in ms of a clock that never jumps. */
export class ClientRates {
  /** In the order of their last request. */
  readonly #buckets = new Map<string, Bucket>()

  /** Takes `cost` requests; the seconds to wait when there are none left, and then nothing is taken. */
  take(client: string, nowMs: number, cost: number = 1): number | undefined {
    const bucket = this.#bucketOf(client, nowMs)
    if (bucket.left >= 1) {
      // What was refused may cost more than is left: the debt is waited for.
      bucket.left -= cost
      return undefined
    }
    return Math.max(1, Math.ceil((1 - bucket.left) / CLIENT_PER_SECOND))
  }

  /** Clients that are remembered. */
  get size(): number {
    return this.#buckets.size
  }

  #bucketOf(client: string, nowMs: number): Bucket {
    const known = this.#buckets.get(client)
    const bucket = known ?? { left: CLIENT_BURST, atMs: nowMs }
    bucket.left = Math.min(
      CLIENT_BURST,
      bucket.left + ((nowMs - bucket.atMs) / 1000) * CLIENT_PER_SECOND,
    )
    bucket.atMs = nowMs
    this.#buckets.delete(client)
    this.#buckets.set(client, bucket)
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > CLIENTS_MAX && oldest !== undefined) this.#buckets.delete(oldest)
    return bucket
  }
}
