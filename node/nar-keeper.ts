/**
 * Voters keep a copy of what was released, so that the bytes do not die with the peer that took them;
 * every node drops the copies that nobody can need any more.
 *
 * An operator hands a portable release to one peer. Until hosts stage it, that peer alone has it: were
 * it lost then, the rollout would starve. Each voter therefore pulls what it lacks of the newest
 * releases, one NAR at a time. What nobody has is asked for later and later. What a start waits for is
 * not this copy but whole closures in the stores of other hosts (`holder-service.ts`).
 */
import type { Hash } from '../protocol/index.ts'
import type { WantedBlob } from './api/schema.ts'
import type { FileDepot } from './depot.ts'
import { NodeError } from './errors.ts'
import { DEPOT_SWEEP_MS, NAR_KEEPER_MS, RETRY_MS_MAX } from './limits.ts'
import { backoffMs } from './pause.ts'
import type { Runtime } from './runtime.ts'
import { shuffled } from './shuffle.ts'

export interface NarKeeperParts {
  readonly node: Runtime
  readonly depot: FileDepot
  /** NARs that a voter should hold and does not. */
  wanted(): Promise<readonly WantedBlob[]>
  /** Every NAR that may still be asked for; undefined while that is not known. */
  needed(): ReadonlySet<Hash> | undefined
}

export class NarKeeper {
  readonly #parts: NarKeeperParts
  readonly #failures = new Map<Hash, { readonly tries: number; readonly until: number }>()
  #pausedUntil = 0
  #sweptAt: number

  constructor(parts: NarKeeperParts) {
    this.#parts = parts
    this.#sweptAt = parts.node.parts.clock.bootMs()
  }

  /** Looks every `NAR_KEEPER_MS`, until the node stops. */
  start(): void {
    const { node } = this.#parts
    node.parts.clock.after(NAR_KEEPER_MS, () => {
      if (node.stopped) return
      this.#round()
        .catch((error: unknown) =>
          node.parts.log.debug({ error: String(error) }, 'no copy was kept this time'),
        )
        .finally(() => this.start())
    })
  }

  async #round(): Promise<void> {
    const { node, depot } = this.#parts
    const { clock, name, trust } = node.parts
    const now = clock.bootMs()
    if (now - this.#sweptAt >= DEPOT_SWEEP_MS) {
      this.#sweptAt = now
      const needed = this.#parts.needed()
      if (needed !== undefined) {
        await depot.keepOnly(needed)
        await node.parts.swarm?.swarm.keepOnly(needed)
        await node.parts.swarm?.lists.keepOnly(needed)
      }
    }
    if (trust.config.voters.includes(name) && now >= this.#pausedUntil) await this.#keep(now)
  }

  async #keep(now: number): Promise<void> {
    const wanted = await this.#parts.wanted()
    const hashes = new Set(wanted.map((blob) => blob.hash))
    for (const hash of this.#failures.keys()) if (!hashes.has(hash)) this.#failures.delete(hash)
    for (const blob of wanted) {
      if ((this.#failures.get(blob.hash)?.until ?? now) > now) continue
      if (this.#parts.node.stopped || now < this.#pausedUntil) return
      if (await this.#pull(blob)) this.#failures.delete(blob.hash)
      else {
        const tries = (this.#failures.get(blob.hash)?.tries ?? 0) + 1
        this.#failures.set(blob.hash, { tries, until: now + backoffMs(tries) })
      }
    }
  }

  /** From one peer after the other: the depot takes only bytes that hash right. */
  async #pull({ hash, bytesMax }: WantedBlob): Promise<boolean> {
    const { depot, node } = this.#parts
    const { network, random, clock } = node.parts
    for (const peer of shuffled(network.peers(), random)) {
      try {
        await depot.write(hash, network.pull(peer, hash, 0), bytesMax)
        return true
      } catch (error) {
        if (!(error instanceof NodeError) || error.code !== 'STORE_FULL') continue
        this.#pausedUntil = clock.bootMs() + RETRY_MS_MAX
        return false
      }
    }
    return false
  }
}
