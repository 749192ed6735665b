/**
 * One blob, whole and hashed, from any of several peers.
 *
 * When a peer dies the next goes on at the same offset. If the whole then has another hash, the
 * bytes of several peers cannot be told apart, so that all is fetched again from one peer alone: who
 * then gives a wrong whole has lied, and is not asked again.
 */
import { createSha256, type Hash, type HostName, type Sha256, toHex } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { BLOB_PULLS_MAX, BLOB_ROUNDS_MAX } from '../limits.ts'
import type { Logger, Network } from '../ports.ts'
import { textOf } from './failures.ts'

/** Where the bytes go. Nothing of it may be used before `fetchBlob` has resolved. */
export interface BlobSink {
  write(chunk: Uint8Array): Promise<void>
  /** Forgets everything written so far: it comes again from the start. */
  restart(): Promise<void>
}

export interface BlobWanted {
  readonly hash: Hash
  /** The exact size, as the signed document says that names the blob. */
  readonly bytes: number
  /** Whom to ask, the best first. */
  readonly peers: readonly HostName[]
  readonly sink: BlobSink
  readonly signal?: AbortSignal | undefined
}

/**
 * Fetches a blob into its sink.
 *
 * Throws NodeError BLOB_MISSING when no peer has all of it, BLOB_CORRUPT when those who have it lie,
 * and whatever the sink or the signal throws.
 */
export async function fetchBlob(
  wanted: BlobWanted,
  from: { readonly network: Pick<Network, 'pull'>; readonly logger: Logger },
): Promise<void> {
  const fetch = new BlobFetch(wanted, from)
  let idleRounds = 0
  while (idleRounds < BLOB_ROUNDS_MAX) {
    const before = fetch.received
    for (const peer of wanted.peers) {
      if (await fetch.pullFrom(peer)) return
    }
    idleRounds = fetch.received > before ? 0 : idleRounds + 1
    if (fetch.pulls >= BLOB_PULLS_MAX) break
  }
  throw fetch.failure()
}

class BlobFetch {
  readonly #wanted: BlobWanted
  readonly #from: { readonly network: Pick<Network, 'pull'>; readonly logger: Logger }
  readonly #liars = new Set<HostName>()
  #sha: Sha256 = createSha256()
  #offset = 0
  /** Whose bytes are in the sink now. */
  #givers = new Set<HostName>()
  /** One peer must give the whole, because a mixture was wrong; until a liar is found by it. */
  #alone = false
  #received = 0
  #pulls = 0

  constructor(
    wanted: BlobWanted,
    from: { readonly network: Pick<Network, 'pull'>; readonly logger: Logger },
  ) {
    this.#wanted = wanted
    this.#from = from
  }

  /** Bytes that came in all, also those that were thrown away. */
  get received(): number {
    return this.#received
  }

  /** Times that a peer was pulled from. */
  get pulls(): number {
    return this.#pulls
  }

  /** Goes on with `peer`; true when the blob is whole and right. */
  async pullFrom(peer: HostName): Promise<boolean> {
    if (this.#liars.has(peer) || this.#pulls >= BLOB_PULLS_MAX) return false
    this.#wanted.signal?.throwIfAborted()
    if (this.#alone && this.#offset > 0) await this.#restart()
    this.#pulls++
    const chunks = this.#from.network
      .pull(peer, this.#wanted.hash, this.#offset)
      [Symbol.asyncIterator]()
    try {
      while (this.#offset < this.#wanted.bytes) {
        const next = await chunks.next().catch((error) => this.#broke(peer, error))
        this.#wanted.signal?.throwIfAborted()
        if (next === undefined || next.done) return false
        if (!(await this.#accept(peer, next.value))) return false
      }
    } finally {
      await chunks.return?.().catch(() => undefined)
    }
    return await this.#judge(peer)
  }

  failure(): NodeError {
    const { hash, peers } = this.#wanted
    const liars = [...this.#liars]
    if (liars.length > 0) {
      return new NodeError(
        'BLOB_CORRUPT',
        `expected bytes with hash ${hash}, found others at ${liars.join(', ')}`,
        'Look at the disks of these hosts, and who controls them; the bytes were not used.',
      )
    }
    return new NodeError(
      'BLOB_MISSING',
      `expected the blob ${hash} at one of ${peers.join(', ') || 'no peers'}, found all of it at none`,
      'Bring a host up that holds it, or import it from a bundle.',
    )
  }

  #broke(peer: HostName, error: unknown): undefined {
    const fields = { peer, blob: this.#wanted.hash, offset: this.#offset, why: textOf(error) }
    this.#from.logger.debug(fields, 'a peer stopped sending a blob')
  }

  /** Takes a chunk; false when it goes beyond the blob's end, which an honest peer's cannot. */
  async #accept(peer: HostName, chunk: Uint8Array): Promise<boolean> {
    this.#givers.add(peer)
    if (this.#offset + chunk.length > this.#wanted.bytes) {
      this.#distrust(peer, 'more bytes than the blob has')
      await this.#restart()
      return false
    }
    this.#sha.update(chunk)
    await this.#wanted.sink.write(chunk)
    this.#offset += chunk.length
    this.#received += chunk.length
    return true
  }

  async #judge(peer: HostName): Promise<boolean> {
    if (toHex(this.#sha.digest()) === this.#wanted.hash) return true
    if (this.#givers.size > 1) this.#alone = true
    else this.#distrust(peer, 'a whole with another hash')
    await this.#restart()
    return false
  }

  #distrust(peer: HostName, found: string): void {
    this.#liars.add(peer)
    this.#alone = false
    this.#from.logger.warn({ peer, blob: this.#wanted.hash, found }, 'a peer sent wrong bytes')
  }

  async #restart(): Promise<void> {
    this.#sha = createSha256()
    this.#offset = 0
    this.#givers = new Set()
    await this.#wanted.sink.restart()
  }
}
