/**
 * Plans, manifests, configurations, roots and proofs by hash: stored as bytes, decoded once, and wanted
 * while a held fact names them and they are missing.
 */
import {
  DOCUMENT_BYTES_MAX,
  type FleetRoot,
  type GroupConfig,
  type GroupConfigFact,
  type Hash,
  type LiePair,
  MANIFEST_BYTES_MAX,
  type Manifest,
  type ManifestPath,
  openConfigBlob,
  openLiePair,
  openManifest,
  openPlan,
  openRootBlob,
  PLAN_BYTES_MAX,
  type PlanBody,
  type PlanFact,
  ProtocolError,
  type ReleaseAnnounce,
  type SignedDocument,
  type UnsignedRoot,
} from '../protocol/index.ts'
import { type Bodies, type FleetView, mayHalt, type Trust } from '../rollout/index.ts'
import { PROOFS_WANTED_MAX } from './limits.ts'
import type { Store } from './ports.ts'

export type BlobKind = 'plan' | 'manifest' | 'config' | 'root' | 'proof'

/** A blob that a held fact names and that is not held. */
export interface Wanted {
  readonly hash: Hash
  readonly kind: BlobKind
  /** Its size, as the fact says that names it. */
  readonly bytesMax: number
}

const CHUNK_BYTES = 64 * 1024

export class BlobStore implements Bodies {
  readonly #store: Store
  readonly #trust: () => Trust
  readonly #plans = new Map<Hash, PlanBody>()
  readonly #manifests = new Map<Hash, Manifest>()
  readonly #configs = new Map<Hash, SignedDocument<GroupConfig>>()
  readonly #roots = new Map<Hash, UnsignedRoot>()
  readonly #proofs = new Map<Hash, LiePair>()
  /** Paths by the root of their pieces, over all manifests. */
  readonly #rooted = new Map<Hash, ManifestPath>()
  /** Blobs whose bytes hash right and mean nothing, by kind and hash: never asked for again. */
  readonly #broken = new Set<string>()

  /** `trust` is asked each time: who may make the fleet fetch something changes with the root. */
  constructor(store: Store, trust: () => Trust) {
    this.#store = store
    this.#trust = trust
  }

  plan(hash: Hash): PlanBody | undefined {
    return this.#plans.get(hash)
  }

  manifest(hash: Hash): Manifest | undefined {
    return this.#manifests.get(hash)
  }

  /** The path whose pieces have this root, as some manifest says. */
  pathOfPieces(root: Hash): ManifestPath | undefined {
    return this.#rooted.get(root)
  }

  config(hash: Hash): SignedDocument<GroupConfig> | undefined {
    return this.#configs.get(hash)
  }

  root(hash: Hash): UnsignedRoot | undefined {
    return this.#roots.get(hash)
  }

  proof(hash: Hash): LiePair | undefined {
    return this.#proofs.get(hash)
  }

  /** Every body that is held and decoded, with what the facts name it as. */
  held(): ReadonlyMap<Hash, BlobKind> {
    const found = new Map<Hash, BlobKind>()
    for (const hash of this.#plans.keys()) found.set(hash, 'plan')
    for (const hash of this.#manifests.keys()) found.set(hash, 'manifest')
    for (const hash of this.#configs.keys()) found.set(hash, 'config')
    for (const hash of this.#roots.keys()) found.set(hash, 'root')
    for (const hash of this.#proofs.keys()) found.set(hash, 'proof')
    return found
  }

  /** How many are decoded: moves whenever one of them may be answered with that was not before. */
  get count(): number {
    const documents = this.#configs.size + this.#roots.size
    return this.#plans.size + this.#manifests.size + documents + this.#proofs.size
  }

  /** Decodes what the view names and the disk holds. What is damaged there is wanted again. */
  async load(view: FleetView): Promise<void> {
    for (const { hash, kind } of [...this.#missing(view), ...this.#wantedProofs(view)]) {
      const bytes = await this.#store.get(keyOf(hash))
      if (bytes === undefined) continue
      try {
        this.#decoded(hash, kind, bytes)()
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
      }
    }
  }

  /**
   * Blobs that the view names and that are missing here. A plan counts only when its author may
   * deploy, or once could: nobody else makes the fleet fetch anything.
   */
  wanted(view: FleetView): readonly Wanted[] {
    const trust = this.#trust()
    const plans = [...view.plans].filter(([, { author }]) => mayHalt(trust, author, 1))
    return [...this.#missing({ ...view, plans: new Map(plans) }), ...this.#wantedProofs(view)]
  }

  /** Bodies that facts name and that are not at hand, whoever said so. */
  #missing({ plans, releases, configs, roots }: FleetView): readonly Document[] {
    const named: Document[] = [
      ...[...plans.values()].map(({ body }) => wantedPlan(body)),
      ...[...releases.values()].map(({ body }) => wantedManifest(body)),
      ...[...configs.values()].map(({ body }) => wantedConfig(body)),
      ...[...roots.values()].map(({ body }) => wantedRoot(body)),
    ]
    return named.filter(({ hash, kind }) => !this.#has(hash, kind))
  }

  /** Whether nothing is to be fetched: it is held, or its bytes mean nothing. */
  #has(hash: Hash, kind: Exclude<BlobKind, 'proof'>): boolean {
    const held = {
      plan: this.#plans,
      manifest: this.#manifests,
      config: this.#configs,
      root: this.#roots,
    }
    return held[kind].has(hash) || this.#broken.has(`${kind}/${hash}`)
  }

  /** Stores and decodes a blob. Throws ProtocolError when the bytes are not those of `hash`, or mean nothing. */
  async put(hash: Hash, kind: BlobKind, bytes: Uint8Array): Promise<void> {
    const remember = this.#decoded(hash, kind, bytes)
    await this.#store.write([{ key: keyOf(hash), value: bytes }], { sync: true })
    remember()
  }

  /** A blob that hashes right and has no meaning is worth no second request. */
  giveUp(hash: Hash, kind: BlobKind): void {
    this.#broken.add(`${kind}/${hash}`)
  }

  /** The bytes, for a peer that asks. */
  async read(hash: Hash): Promise<Uint8Array | undefined> {
    return await this.#store.get(keyOf(hash))
  }

  /** A few of each accuser: a proof that nobody has must not hold up those of others. */
  #wantedProofs(view: FleetView): readonly Wanted[] {
    const wanted: Wanted[] = []
    const asked = new Map<string, number>()
    for (const { author, body } of view.accusations.values()) {
      if (body.proof.kind !== 'blob' || (asked.get(author) ?? 0) >= PROOFS_WANTED_MAX) continue
      const { hash, bytes: bytesMax } = body.proof
      if (this.#proofs.has(hash) || this.#broken.has(`proof/${hash}`)) continue
      asked.set(author, (asked.get(author) ?? 0) + 1)
      wanted.push({ hash, kind: 'proof', bytesMax })
    }
    return wanted
  }

  #rememberManifest(hash: Hash, manifest: Manifest): void {
    this.#manifests.set(hash, manifest)
    for (const path of manifest.paths) if (path.pieces) this.#rooted.set(path.pieces, path)
  }

  /** What remembers the blob, once it is on the disk. Throws ProtocolError when it has no meaning. */
  #decoded(hash: Hash, kind: BlobKind, bytes: Uint8Array): () => void {
    switch (kind) {
      case 'plan': {
        const plan = openPlan(bytes, hash)
        return () => void this.#plans.set(hash, plan)
      }
      case 'manifest': {
        const manifest = withSharedNames(openManifest(bytes, hash))
        return () => this.#rememberManifest(hash, manifest)
      }
      case 'config': {
        const config = openConfigBlob(bytes, hash, this.#trust().fleet)
        return () => void this.#configs.set(hash, config)
      }
      case 'root': {
        const root = openRootBlob(bytes, hash)
        return () => void this.#roots.set(hash, root)
      }
      case 'proof': {
        const pair = openLiePair(bytes, hash)
        return () => void this.#proofs.set(hash, pair)
      }
    }
  }
}

type Document = Wanted & { readonly kind: Exclude<BlobKind, 'proof'> }

function wantedPlan({ plan: hash, planBytes }: PlanFact): Document {
  return { hash, kind: 'plan', bytesMax: Math.min(planBytes, PLAN_BYTES_MAX) }
}

function wantedManifest({ manifest: hash, manifestBytes }: ReleaseAnnounce): Document {
  return { hash, kind: 'manifest', bytesMax: Math.min(manifestBytes, MANIFEST_BYTES_MAX) }
}

function wantedConfig({ config: hash, configBytes }: GroupConfigFact): Document {
  return { hash, kind: 'config', bytesMax: Math.min(configBytes, DOCUMENT_BYTES_MAX) }
}

function wantedRoot({ root: hash, rootBytes }: FleetRoot): Document {
  return { hash, kind: 'root', bytesMax: Math.min(rootBytes, DOCUMENT_BYTES_MAX) }
}

/** Bytes from `offset` on, as a stream hands them out. */
export async function* chunksOf(bytes: Uint8Array, offset: number): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < bytes.length; at += CHUNK_BYTES)
    yield bytes.subarray(at, at + CHUNK_BYTES)
}

/** A fleet's hosts share most of their closures: each path's name is kept once, not once a host. */
function withSharedNames(manifest: Manifest): Manifest {
  const names = new Map(manifest.paths.map(({ path }) => [path, path]))
  const shared = (path: string): string => names.get(path) ?? path
  return {
    ...manifest,
    hosts: manifest.hosts.map((host) => ({ ...host, closure: host.closure.map(shared) })),
    paths: manifest.paths.map((path) => ({ ...path, references: path.references.map(shared) })),
  }
}

function keyOf(hash: Hash): string {
  return `blob/${hash}`
}
