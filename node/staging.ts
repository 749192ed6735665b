/**
 * Brings generations in until they are there or nobody wants them any more.
 *
 * What passes is waited for: a manifest on its way, peers that are away, a disk that is full. Only
 * bytes that several peers agree to have wrong end a staging. How long a host may wait is the
 * rollout's to say: the machine leaves STAGING by itself when its start has run out.
 */
import type { Hash, ManifestPath, RolloutId, StorePath } from '../protocol/index.ts'
import type { HostEvent, releaseEntry } from '../rollout/index.ts'
import { NarSource } from './nar-source.ts'
import { backoffMs, Pauses } from './pause.ts'
import type { Clock, Logger, Network, Random, StageOutcome, System } from './ports.ts'
import type { Swarm } from './swarm/swarm.ts'

export interface StagingParts {
  readonly system: System
  readonly network: Network
  readonly random: Random
  readonly clock: Clock
  readonly log: Logger
  readonly cacheKeys: readonly string[]
  readonly swarm?: Swarm | undefined
  /** How many other members there are. */
  readonly others: number
  /** This host's part of the rollout's release, once all of it is held. */
  entry(rollout: RolloutId): ReturnType<typeof releaseEntry>
  /** Whether the machine still waits for this staging. */
  wanted(rollout: RolloutId, generation: StorePath): boolean
  /** A NAR that this node holds itself. */
  own(hash: Hash): Promise<AsyncIterable<Uint8Array> | undefined>
  answer(event: HostEvent): void
}

export class Staging {
  readonly #parts: StagingParts
  readonly #pauses: Pauses
  readonly #running = new Map<RolloutId, StorePath>()
  readonly #troubles = new Map<RolloutId, string>()

  constructor(parts: StagingParts) {
    this.#parts = parts
    this.#pauses = new Pauses(parts.clock)
  }

  /** What keeps stagings from their end, for people. */
  get troubles(): ReadonlyMap<RolloutId, string> {
    return this.#troubles
  }

  /** Begins, unless this very staging is under way. */
  start(rollout: RolloutId, generation: StorePath): void {
    if (this.#running.get(rollout) === generation) return
    this.#running.set(rollout, generation)
    this.#run(rollout, generation)
      .then((event) => event !== undefined && this.#parts.answer(event))
      .catch((error: unknown) => this.#parts.log.error({ error: String(error) }, 'staging broke'))
      .finally(() => {
        if (this.#running.get(rollout) !== generation) return
        this.#running.delete(rollout)
        this.#troubles.delete(rollout)
      })
  }

  /** Something came that may help: a blob, a peer, space. Nobody waits on. */
  nudge(): void {
    this.#pauses.wake()
  }

  stop(): void {
    this.#pauses.stop()
  }

  /** The answer, or undefined when nobody waits for it any more. */
  async #run(rollout: RolloutId, generation: StorePath): Promise<HostEvent | undefined> {
    const nars = new NarSource(this.#parts)
    try {
      return await this.#tryOn(rollout, generation, nars)
    } finally {
      await nars.end()
    }
  }

  async #tryOn(
    rollout: RolloutId,
    generation: StorePath,
    nars: NarSource,
  ): Promise<HostEvent | undefined> {
    for (let tries = 1; this.#goesOn(rollout, generation); tries++) {
      nars.begin()
      const outcome = await this.#try(rollout, generation, nars)
      if (outcome.ok) return { kind: 'staged', rollout, ok: true }
      const hopeless = this.#isFinal(rollout) || (outcome.why === 'signature' && !nars.distrust())
      if (hopeless) return { kind: 'staged', rollout, ...outcome }
      this.#note(rollout, outcome.detail)
      await this.#pauses.wait(backoffMs(tries))
    }
    return undefined
  }

  /** Nix has asked every cache and every peer itself, and names what it refused: that is its last word. */
  #isFinal(rollout: RolloutId): boolean {
    return this.#parts.system.kind === 'nix' && this.#parts.entry(rollout) !== undefined
  }

  #goesOn(rollout: RolloutId, generation: StorePath): boolean {
    const mine = this.#running.get(rollout) === generation
    return mine && !this.#pauses.stopped && this.#parts.wanted(rollout, generation)
  }

  async #try(rollout: RolloutId, generation: StorePath, nars: NarSource): Promise<StageOutcome> {
    const { system, cacheKeys } = this.#parts
    const known = this.#parts.entry(rollout)
    if (known === undefined) {
      return { ok: false, why: 'fetch', detail: 'expected the manifest of the release, found none' }
    }
    const closure = new Set(known.entry.closure)
    const source = {
      paths: known.manifest.paths.filter((path) => closure.has(path.path)),
      caches: known.manifest.caches,
      cacheKeys,
      expect: (paths: readonly ManifestPath[]) => nars.expect(paths),
      nar: (path: ManifestPath) => nars.nar(path),
    }
    try {
      return await system.stage(generation, source)
    } catch (error) {
      return { ok: false, why: 'fetch', detail: oneLine(error) }
    }
  }

  /** Once for each new trouble: a peer that is away for a day must not fill the log. */
  #note(rollout: RolloutId, detail: string): void {
    if (this.#troubles.get(rollout) === detail) return
    this.#troubles.set(rollout, detail)
    this.#parts.log.warn({ rollout, detail }, 'a generation could not be staged: trying again')
  }
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replace(/\s+/g, ' ').slice(0, 200)
}
