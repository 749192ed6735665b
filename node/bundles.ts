/**
 * Bundles at a node: what it holds as a file, and what a file brings, taken the ordinary way in (D4).
 *
 * A file has no authority: envelopes go through ingest, gate messages through repair, blobs and NARs
 * by their hashes. Whatever is taken is on the disk before the answer.
 */
import {
  type BundleNar,
  type BundlePlace,
  decodeSyncQuestion,
  type Hash,
  type HaveVector,
  type Manifest,
  ProtocolError,
  readVectorFile,
  writeVectorFile,
} from '../protocol/index.ts'
import type { BundleGate, BundleTaken } from './api/bundle-schema.ts'
import type { WantedBlob } from './api/schema.ts'
import { exportBundle, haveOf } from './bundle-export.ts'
import { NodeError } from './errors.ts'
import { decodeGateAnswer } from './gate-wire.ts'
import type { Intake } from './ingest.ts'
import { BUNDLE_SYNC_PEERS_MAX } from './limits.ts'
import { NarSource } from './nar-source.ts'
import { laterRoots } from './root-documents.ts'
import type { Runtime } from './runtime.ts'
import type { Depot } from './runtime-parts.ts'
import { serveNar } from './serving.ts'
import { shuffled } from './shuffle.ts'
import type { TrustFiles } from './trust-files.ts'

/** Who a file says that its content is from, in errors and logs. */
const FROM = 'a bundle'

export interface BundlesParts {
  readonly node: Runtime
  readonly files: TrustFiles
  readonly depot: Pick<Depot, 'has'>
  /** The manifests of releases whose bytes somebody may still need. */
  manifests(): readonly Manifest[]
  /** Paths of the manifest that are in this host's store. */
  heldPaths(manifest: Manifest): Promise<ReadonlySet<string>>
}

export class Bundles {
  readonly #parts: BundlesParts

  constructor(parts: BundlesParts) {
    this.#parts = parts
  }

  /** What this node holds, as a vector file. */
  async vector(): Promise<AsyncIterable<Uint8Array>> {
    this.#assertFirstEpoch()
    const { node } = this.#parts
    const nars = new Set<Hash>()
    for (const { hash, held } of await this.#closures()) if (held) nars.add(hash)
    const have = await node.run(() => haveOf(node, this.#place(), nars))
    return pieces(writeVectorFile(have))
  }

  /**
   * A bundle of what this node holds and the holder of `since`, a vector file, does not. Throws
   * ProtocolError for a file that is none; the stream throws when a NAR is not to be had.
   */
  async export(
    since: Uint8Array | undefined,
    { closures }: { closures: boolean },
  ): Promise<AsyncIterable<Uint8Array>> {
    this.#assertFirstEpoch()
    const { node, files } = this.#parts
    const have = since && (await readVectorFile([since], files.rootHash))
    return exportBundle(node, {
      place: this.#place(),
      roots: [files.root, ...laterRoots(node)],
      groups: [files.group],
      since: have,
      nars: closures ? await this.#narsFor(have) : [],
      openNar: (nar) => this.#open(nar),
    })
  }

  /** Takes envelopes (a sync's `give`, SPEC §8.2). Throws ProtocolError for bytes that are none. */
  async takeFacts(source: Uint8Array): Promise<BundleTaken> {
    const { node } = this.#parts
    const question = decodeSyncQuestion(source, FROM)
    if (question.kind !== 'give') {
      throw new ProtocolError('BAD_SHAPE', 'reject', `expected facts, found ${question.kind}`)
    }
    const intakes = await node.run(() => node.take(question.facts, FROM, { sync: true }))
    this.#spread()
    const count = (kind: Intake['kind']): number =>
      intakes.filter((intake) => intake.kind === kind).length
    const gap = intakes.find((intake) => intake.kind === 'gap')
    return {
      taken: count('taken'),
      known: count('duplicate'),
      gaps: count('gap'),
      forks: count('fork'),
      unknown: count('unknown-author'),
      refused: count('refused'),
      firstGap:
        gap === undefined ? null : { author: gap.fact.author, held: gap.from, found: gap.fact.seq },
    }
  }

  /** Takes blocks and certificates as repair brings them (SPEC §7.5); says how far the log is then. */
  async takeGate(source: Uint8Array): Promise<BundleGate> {
    const { node } = this.#parts
    const messages = decodeGateAnswer(source, FROM)
    await node.run(() => node.gate.receiveAll(messages, FROM))
    this.#spread()
    const { view, state } = node.gate.machine.committed
    return { view, block: state.head, slot: state.slot }
  }

  /** NARs of releases that are needed and that neither the depot nor the system's store holds. */
  async wanted(): Promise<readonly WantedBlob[]> {
    const missing = (await this.#closures()).filter(({ held }) => !held)
    return missing.map(({ hash, size }) => ({ hash, kind: 'nar', bytesMax: size }))
  }

  /** Whether the depot takes this NAR, of whatever system: some release that is needed names it. */
  takes(hash: Hash): WantedBlob | undefined {
    if (this.#parts.depot.has(hash)) return undefined
    for (const { paths } of this.#parts.manifests()) {
      const path = paths.find((one) => one.narHash === hash)
      if (path !== undefined) return { hash, kind: 'nar', bytesMax: path.narSize }
    }
    return undefined
  }

  /** A file that left out a change of voters would verify at nobody: rather none is written. */
  #assertFirstEpoch(): void {
    const { epochs } = this.#parts.node.gate.state
    if (epochs.length === 0) return
    throw new NodeError(
      'BUNDLE_EPOCHS',
      `expected a log of one epoch, found ${epochs.length} changes of the group in it`,
      'This version writes no bundles of a group whose hosts or voters were changed; use the network, or audit pull.',
    )
  }

  #place(): BundlePlace {
    const { node, files } = this.#parts
    const { trust, name } = node.parts
    const { group, epoch } = trust.config
    return { fleet: trust.fleet, root: files.rootHash, group, epoch, maker: name }
  }

  async #closures(): Promise<readonly (BundleNar & { readonly held: boolean })[]> {
    const nars = new Map<Hash, BundleNar & { readonly held: boolean }>()
    for (const manifest of this.#parts.manifests()) {
      const paths = await this.#parts.heldPaths(manifest)
      for (const { path, narHash: hash, narSize: size } of manifest.paths) {
        const held = paths.has(path) || this.#parts.depot.has(hash)
        if (held || !nars.has(hash)) nars.set(hash, { hash, size, held })
      }
    }
    return [...nars.values()]
  }

  async #narsFor(have: HaveVector | undefined): Promise<readonly BundleNar[]> {
    const missing = (await this.#closures()).filter(({ hash }) => !have?.nars.has(hash))
    return missing.map(({ hash, size }) => ({ hash, size }))
  }

  #open({ hash, size }: BundleNar): AsyncIterable<Uint8Array> {
    const { node } = this.#parts
    const { network, random, log, trust } = node.parts
    const others = trust.config.hosts.length - 1
    const own = (wanted: Hash) => serveNar(node, wanted)
    const source = new NarSource({ network, random, log, others, own })
    return source.nar({ path: '', narHash: hash, narSize: size, references: [], signatures: [] })
  }

  /** Those who are connected hear of it at once, not at their next sync. */
  #spread(): void {
    const { node } = this.#parts
    const { network, random } = node.parts
    for (const peer of shuffled(network.peers(), random).slice(0, BUNDLE_SYNC_PEERS_MAX)) {
      node.sync.met(peer)
    }
  }
}

async function* pieces(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield* chunks
}
