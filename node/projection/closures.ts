/** What the hosts of a rollout go to and come from, in bytes, and who else holds it. */
import type { HostName, ManifestHost, RolloutId } from '../../protocol/index.ts'
import {
  type Closure,
  closuresOf,
  type HostClosures,
  holdersNeeded,
  holdersOf,
  judgeHolders,
  type Knowledge,
  rolloutRecord,
  type Stage,
  sceneOf,
  standing,
} from '../../rollout/index.ts'
import type { ClosureRow, RolloutClosures } from '../api/schema.ts'

/** The closures of one rollout at one moment; of one whose plan is not held nothing is known. */
export class ClosureView {
  readonly #knowledge: Knowledge
  readonly #stage: Stage | undefined
  readonly #closures: ReadonlyMap<HostName, HostClosures>

  constructor(knowledge: Knowledge, id: RolloutId) {
    this.#knowledge = knowledge
    this.#stage = standing(knowledge, id)
    this.#closures =
      this.#stage === undefined ? new Map() : closuresOf(sceneOf(knowledge), this.#stage)
  }

  /** Every path counted once. */
  get total(): RolloutClosures | null {
    if (this.#closures.size === 0) return null
    const sizes = new Map<string, number>()
    const fresh = new Set<string>()
    for (const { next, previous } of this.#closures.values()) {
      if (next === undefined) return null
      const sizeOf = sizesIn(next)
      const had = new Set(previous?.entry.closure)
      for (const path of next.entry.closure) {
        sizes.set(path, sizeOf.get(path) ?? 0)
        if (!had.has(path)) fresh.add(path)
      }
    }
    const sum = (paths: Iterable<string>): number =>
      [...paths].reduce((total, path) => total + (sizes.get(path) ?? 0), 0)
    return { bytes: sum(sizes.keys()), newBytes: sum(fresh) }
  }

  /** One host's; null while the manifest is not held. */
  row(host: HostName): ClosureRow | null {
    const { next, previous } = this.#closures.get(host) ?? {}
    const stage = this.#stage
    if (next === undefined || stage === undefined) return null
    const { trust, view } = this.#knowledge
    const record = rolloutRecord(view, stage.rollout.rollout)
    return {
      ...bytesOf(next, previous),
      holders: this.#holders(stage, next, host),
      previousHolders: previous === undefined ? null : this.#holders(stage, previous, host),
      needed: holdersNeeded(trust, stage, record, host),
    }
  }

  /** What a wave lacks in holders, in words; undefined where nothing. */
  lacks(wave: number): string | undefined {
    if (this.#stage === undefined) return undefined
    const ruling = judgeHolders(sceneOf(this.#knowledge), this.#stage, wave)
    return ruling.kind === 'yes' ? undefined : ruling.why
  }

  /** Names, for the host's wave where it has had its turn, else for any wave so far. */
  #holders(stage: Stage, closure: Closure, host: HostName): readonly HostName[] {
    const { trust, view } = this.#knowledge
    const { hosts } = stage.standing
    const own = hosts.get(host)?.wave ?? 0
    const isNext = [...hosts.values()].every((one) => one.wave >= own || one.end !== undefined)
    const record = rolloutRecord(view, stage.rollout.rollout)
    return holdersOf({ trust, record, closure, wave: isNext ? own : 0, host })
  }
}

function bytesOf(next: Closure, previous: Closure | undefined): RolloutClosures {
  const known = counted.get(next.entry)
  if (known?.previous === previous?.entry && known !== undefined) return known.bytes
  const sizeOf = sizesIn(next)
  const had = new Set(previous?.entry.closure)
  const sum = (paths: readonly string[]): number =>
    paths.reduce((total, path) => total + (sizeOf.get(path) ?? 0), 0)
  const { closure } = next.entry
  const bytes = { bytes: sum(closure), newBytes: sum(closure.filter((path) => !had.has(path))) }
  counted.set(next.entry, { previous: previous?.entry, bytes })
  return bytes
}

/** Manifests never change, and somebody who watches asks four times a second. */
const counted = new WeakMap<
  ManifestHost,
  { readonly previous: ManifestHost | undefined; readonly bytes: RolloutClosures }
>()
const sizes = new WeakMap<Closure['manifest'], ReadonlyMap<string, number>>()

function sizesIn({ manifest }: Closure): ReadonlyMap<string, number> {
  const known = sizes.get(manifest)
  if (known !== undefined) return known
  const found = new Map(manifest.paths.map(({ path, narSize }) => [path, narSize]))
  sizes.set(manifest, found)
  return found
}
