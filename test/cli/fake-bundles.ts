/** The bundle part of the fake node: real files over whatever facts and blobs it was given. */

import type { Submitted, WantedBlob } from '../../node/api/schema.ts'
import type { BundleGate, BundleTaken } from '../../node/index.ts'
import {
  ASK_BYTES_MAX,
  BUNDLE_FEED,
  BUNDLE_HEADER,
  type BundleHeader,
  BundleWriter,
  concatBytes,
  decodeCanonical,
  decodeSyncQuestion,
  EMPTY_BUCKET,
  encodeBundleBody,
  feedOf,
  fleetIdOf,
  type HaveVector,
  readVectorFile,
  treeRoot,
  type Vector,
  vectorTree,
  writeVectorFile,
} from '../../protocol/index.ts'
import { FakeHoldings } from './fake-holdings.ts'

export abstract class FakeBundles extends FakeHoldings {
  /** Envelopes that `takeBundleFacts` refuses as gaps, to see what a command says of them. */
  gaps = false

  abstract submit(bytes: Uint8Array): Promise<Submitted>
  abstract wanted(): readonly WantedBlob[]

  takesBlob(hash: string): WantedBlob | undefined {
    return this.wanted().find((blob) => blob.hash === hash)
  }

  async vectorFile(): Promise<AsyncIterable<Uint8Array>> {
    return pieces([...writeVectorFile(this.#have())])
  }

  async exportBundle(since: Uint8Array | undefined): Promise<AsyncIterable<Uint8Array>> {
    const have = since && (await readVectorFile([since], this.trust.rootHash))
    return pieces(this.#write(have))
  }

  async takeBundleFacts(bytes: Uint8Array): Promise<BundleTaken> {
    const question = decodeSyncQuestion(bytes, 'a bundle')
    if (question.kind !== 'give') throw new TypeError(question.kind)
    let taken = 0
    for (const envelope of this.gaps ? [] : question.facts)
      if ((await this.submit(envelope)).state === 'accepted') taken++
    const gaps = this.gaps ? question.facts.length : 0
    const known = question.facts.length - taken - gaps
    const firstGap = this.gaps ? { author: 'ab'.repeat(32), held: 3, found: 7 } : null
    return { taken, known, gaps, forks: 0, unknown: 0, refused: 0, firstGap }
  }

  async takeBundleGate(bytes: Uint8Array): Promise<BundleGate> {
    decodeCanonical(bytes, ASK_BYTES_MAX, 'a bundle')
    return { view: 1, block: this.genesis, slot: 1 }
  }

  #have(): HaveVector {
    const blobs = new Set(this.blobs.keys())
    const place = { ...this.#place(), view: 0, block: this.genesis }
    return { ...place, feeds: this.#vector(), blobs, nars: new Set() }
  }

  #vector(): Vector {
    return new Map(this.facts.map((fact) => [feedOf(fact), { seq: fact.seq, id: fact.id }]))
  }

  #place() {
    const { rootHash } = this.trust
    return {
      ...{ fleet: fleetIdOf(rootHash), root: rootHash },
      ...{ group: 'main', epoch: 1, maker: this.name },
    }
  }

  /** Every fact of a fake node begins its feed, so that a feed is one fact. */
  #write(have: HaveVector | undefined): readonly Uint8Array[] {
    const facts = this.facts
      .filter((fact) => !have?.feeds.has(feedOf(fact)))
      .sort((a, b) => (feedOf(a) < feedOf(b) ? -1 : 1))
    const vector = treeRoot(vectorTree(have?.feeds ?? new Map()))
    const reach = { view: 0, block: this.genesis }
    const header: BundleHeader = {
      ...this.#place(),
      since: { ...reach, vector: have === undefined ? EMPTY_BUCKET : vector },
      until: { ...reach, vector: treeRoot(vectorTree(this.#vector())) },
      contents: {
        ...{ documents: 2, feeds: facts.length, facts: facts.length },
        ...{ blobs: 0, blocks: 0, nars: 0, narBytes: 0 },
      },
    }
    const writer = new BundleWriter('bundle')
    return [
      writer.write('header', encodeBundleBody(BUNDLE_HEADER, header)),
      writer.write('document', concatBytes(Uint8Array.of(1), this.trust.root)),
      writer.write('document', concatBytes(Uint8Array.of(2), this.trust.config)),
      ...facts.flatMap(({ author, session, seq, prev, bytes }) => [
        writer.write(
          'feed',
          encodeBundleBody(BUNDLE_FEED, { author, session, from: seq, prev, count: 1 }),
        ),
        writer.write('fact', bytes),
      ]),
      writer.end(),
    ]
  }
}

async function* pieces(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* chunks
}
