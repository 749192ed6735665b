/**
 * What the releases say of store paths: by the hash in their names, and by that of their NARs.
 *
 * Only releases that a release key signed and whose manifests are held here. Made anew when one comes.
 */
import {
  type Hash,
  type Manifest,
  type ManifestPath,
  parseStoreName,
  storeHashOf,
} from '../../protocol/index.ts'
import { baseName } from '../system/release-narinfo.ts'

/** One store path as the releases know it. */
export interface KnownPath {
  readonly path: ManifestPath
  /** Upstream caches that its releases name. */
  readonly caches: readonly string[]
}

/** Manifests, the newest first; `version` moves whenever they are others. */
export interface ManifestShelf {
  version(): number
  manifests(): readonly Manifest[]
}

export class KnownPaths {
  readonly #shelf: ManifestShelf
  #version: number | undefined
  #byStoreHash = new Map<string, readonly KnownPath[]>()
  #byNarHash = new Map<Hash, KnownPath>()
  #caches: readonly string[] = []

  constructor(shelf: ManifestShelf) {
    this.#shelf = shelf
  }

  /**
   * The contents that the releases know under this store hash, those of the newest first. More than one
   * where a build that is not reproducible was released twice.
   */
  named(storeHash: string): readonly KnownPath[] {
    this.#refresh()
    return this.#byStoreHash.get(storeHash) ?? []
  }

  /** The path whose NAR has this hash. */
  ofNar(hash: Hash): KnownPath | undefined {
    this.#refresh()
    return this.#byNarHash.get(hash)
  }

  /** Every cache that some release names. */
  caches(): readonly string[] {
    this.#refresh()
    return this.#caches
  }

  #refresh(): void {
    const version = this.#shelf.version()
    if (version === this.#version) return
    this.#version = version
    this.#byStoreHash = new Map()
    this.#byNarHash = new Map()
    const manifests = this.#shelf.manifests()
    this.#caches = [...new Set(manifests.flatMap(({ caches }) => caches))]
    for (const { paths, caches } of manifests) {
      for (const path of paths) this.#add(path, caches)
    }
  }

  #add(path: ManifestPath, caches: readonly string[]): void {
    const storeHash = hashIn(path.path)
    if (storeHash === undefined) return
    const known = this.#byStoreHash.get(storeHash) ?? []
    const same = known.find((one) => isSame(one.path, path))
    const joined = same === undefined ? { path, caches } : join(same, path, caches)
    // A newer release's own place is kept.
    const list =
      same === undefined ? [...known, joined] : known.map((one) => (one === same ? joined : one))
    this.#byStoreHash.set(storeHash, list)
    this.#byNarHash.set(path.narHash, joined)
  }
}

/** The hash in a path's name; undefined for a name that no store has, whoever signed it. */
function hashIn(path: string): string | undefined {
  try {
    return storeHashOf(parseStoreName(baseName(path)))
  } catch {
    return undefined
  }
}

/** Whether two manifests mean the same thing, which a signature over either covers. */
function isSame(a: ManifestPath, b: ManifestPath): boolean {
  const { references } = a
  return (
    a.path === b.path &&
    a.narHash === b.narHash &&
    a.narSize === b.narSize &&
    references.length === b.references.length &&
    references.every((reference) => b.references.includes(reference))
  )
}

function join(known: KnownPath, path: ManifestPath, caches: readonly string[]): KnownPath {
  const signatures = [...new Set([...known.path.signatures, ...path.signatures])]
  const pieces = known.path.pieces ?? path.pieces
  return {
    path: { ...known.path, signatures, ...(pieces === undefined ? {} : { pieces }) },
    caches: [...new Set([...known.caches, ...caches])],
  }
}
