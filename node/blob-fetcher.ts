/**
 * Fetches plans and manifests that held facts name, from any peers that have them.
 *
 * Bounded: a few at a time, each from peers in random order, hashed as it comes. What no peer has is
 * asked for again later and later, so that a fact that names nothing costs next to nothing.
 */
import type { HostName } from '../protocol/index.ts'
import { concatBytes, ProtocolError } from '../protocol/index.ts'
import type { BlobStore, Wanted } from './blob-store.ts'
import { BLOB_FETCHES_MAX } from './limits.ts'
import { fetchBlob } from './network/blob-fetch.ts'
import { backoffMs } from './pause.ts'
import type { Clock, Logger, Network, Random } from './ports.ts'
import { shuffled } from './shuffle.ts'

interface Failures {
  readonly tries: number
  /** Not asked for again before this, in bootMs. */
  readonly until: number
}

export class BlobFetcher {
  readonly #parts: BlobFetcherParts
  readonly #running = new Set<string>()
  readonly #failures = new Map<string, Failures>()
  readonly #stop = new AbortController()

  constructor(parts: BlobFetcherParts) {
    this.#parts = parts
  }

  /** Starts fetching what is wanted, not under way and not tried a moment ago; the least tried first. */
  want(wanted: readonly Wanted[]): void {
    const keys = new Set(wanted.map(keyOf))
    for (const key of this.#failures.keys()) if (!keys.has(key)) this.#failures.delete(key)
    if (wanted.length === 0 || this.#parts.network.peers().length === 0) return
    const now = this.#parts.clock.bootMs()
    const due = wanted
      .filter((blob) => !this.#running.has(keyOf(blob)))
      .filter((blob) => (this.#failures.get(keyOf(blob))?.until ?? now) <= now)
      .sort((a, b) => this.#triesOf(a) - this.#triesOf(b))
    for (const blob of due) {
      if (this.#running.size >= BLOB_FETCHES_MAX) return
      this.#start(blob)
    }
  }

  /** Somebody came who may hold what nobody held. */
  nudge(): void {
    for (const [key, { tries }] of this.#failures) this.#failures.set(key, { tries, until: 0 })
  }

  stop(): void {
    this.#stop.abort()
  }

  #triesOf(blob: Wanted): number {
    return this.#failures.get(keyOf(blob))?.tries ?? 0
  }

  #start(blob: Wanted): void {
    const key = keyOf(blob)
    this.#running.add(key)
    this.#fetch(blob)
      .then(
        () => {
          this.#failures.delete(key)
          this.#parts.arrived()
        },
        (error: unknown) => this.#failed(blob, error),
      )
      .finally(() => this.#running.delete(key))
  }

  async #fetch({ hash, kind, bytesMax }: Wanted): Promise<void> {
    const { network, blobs, log: logger, random } = this.#parts
    const chunks: Uint8Array[] = []
    const sink = {
      write: async (chunk: Uint8Array) => void chunks.push(chunk),
      restart: async () => void chunks.splice(0),
    }
    const peers: readonly HostName[] = shuffled(network.peers(), random)
    const wanted = { hash, bytes: bytesMax, peers, sink, signal: this.#stop.signal }
    await fetchBlob(wanted, { network, logger })
    await blobs.put(hash, kind, concatBytes(...chunks))
  }

  #failed(blob: Wanted, error: unknown): void {
    if (this.#stop.signal.aborted) return
    const { hash, kind } = blob
    const tries = this.#triesOf(blob) + 1
    const until = this.#parts.clock.bootMs() + backoffMs(tries)
    this.#failures.set(keyOf(blob), { tries, until })
    const fields = { hash, kind, tries, error: String(error) }
    if (error instanceof ProtocolError) {
      this.#parts.blobs.giveUp(hash, kind)
      this.#parts.log.warn(fields, 'a blob has the right hash and no meaning')
    } else if (tries === 1) this.#parts.log.info(fields, 'a blob is not to be had yet')
    else this.#parts.log.debug(fields, 'a blob is not to be had yet')
  }
}

export interface BlobFetcherParts {
  readonly network: Network
  readonly blobs: BlobStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** A blob is on the disk and decoded. */
  arrived(): void
}

/** Two facts may name one blob with two sizes, of which one is a lie: each is a wish of its own. */
function keyOf({ kind, hash, bytesMax }: Wanted): string {
  return `${kind}/${hash}/${bytesMax}`
}
