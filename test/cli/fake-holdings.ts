/** What the fake node holds: documents, facts as feeds, blobs; and who is who in them. */

import type { InviteRow, RequestRow } from '../../node/api/enrol-schema.ts'
import type {
  BlockPage,
  BodyPage,
  BodyRow,
  CheckpointPage,
  EnvelopePage,
  FeedRow,
} from '../../node/api/log-schema.ts'
import type { Author, Documents } from '../../node/api/schema.ts'
import { inviteRows, requestRows } from '../../node/projection/enrolment.ts'
import {
  type Fact,
  type FactOf,
  type FleetId,
  fleetIdOf,
  followRoot,
  type GroupConfig,
  type GroupConfigFact,
  type Manifest,
  openFirstRoot,
  openGroupConfig,
  openManifest,
  type Root,
  readRoot,
} from '../../protocol/index.ts'
import {
  EMPTY_VIEW,
  type Enrolments,
  foldFacts,
  genesisState,
  type Trust,
  withAuthority,
} from '../../rollout/index.ts'
import { fakeEnvelopes, fakeFeeds } from './fake-log.ts'
import type { FakeTrust } from './found.ts'

export class FakeHoldings {
  readonly name: string
  readonly root: Root
  readonly config: GroupConfig
  readonly facts: Fact[] = []
  readonly blobs: Map<string, Uint8Array> = new Map()
  protected readonly fleetId: FleetId
  protected readonly trust: FakeTrust
  protected readonly genesis: string

  constructor(name: string, trust: FakeTrust) {
    this.name = name
    this.trust = trust
    this.root = openFirstRoot(trust.root, trust.rootHash).value
    this.fleetId = fleetIdOf(trust.rootHash)
    const config = openGroupConfig(trust.config, { root: this.root, fleet: this.fleetId })
    this.config = config.value
    this.genesis = config.hash
  }

  documents(): Documents {
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
    const { rootHash, root, config } = this.trust
    return {
      rootHash,
      root: text(root),
      roots: this.inForce().map(text),
      groups: [
        { group: this.config.group, epoch: 1, config: text(config) },
        ...this.begun().map(({ group, epoch, config: hash }) => {
          return { group, epoch, config: text(this.blobs.get(hash) ?? new Uint8Array()) }
        }),
      ],
    }
  }

  /** Its voters put every root into force that they hold and that follows. */
  protected inForce(): readonly Uint8Array[] {
    const documents: Uint8Array[] = []
    let before = this.root
    for (const fact of this.facts) {
      const bytes = fact.type === 'fleet.root' ? this.blobs.get(fact.body.root) : undefined
      if (bytes === undefined) continue
      before = followRoot(readRoot(bytes), before, this.fleetId).value
      documents.push(bytes)
    }
    return documents
  }

  /** Its voters agree at once to whatever they hold. */
  protected begun(): readonly GroupConfigFact[] {
    return this.facts.flatMap((fact) =>
      fact.type === 'group.config' && this.blobs.has(fact.body.config) ? [fact.body] : [],
    )
  }

  feeds(): readonly FeedRow[] {
    return fakeFeeds(this.facts)
  }

  envelopes(query: { author: string; session: string; from: number }): EnvelopePage {
    return fakeEnvelopes(this.facts, query)
  }

  /** This fake has no voters that would commit or sign anything. */
  blocks(): BlockPage {
    return { group: this.config.group, items: [], next: null }
  }

  bodies(): readonly BodyRow[] {
    return [...this.blobs.keys()].sort().map((hash) => ({ hash, kind: 'plan' }))
  }

  body(hash: string, from: number): BodyPage | undefined {
    const bytes = this.blobs.get(hash)
    if (bytes === undefined) return undefined
    return { hash, from, bytes: Buffer.from(bytes.subarray(from)).toString('base64'), next: null }
  }

  checkpoints(): CheckpointPage {
    return { group: this.config.group, items: [], standing: 0, next: null }
  }

  async putBlob(hash: string, stream: AsyncIterable<Uint8Array>): Promise<void> {
    const chunks: Uint8Array[] = []
    for await (const chunk of stream) chunks.push(chunk)
    this.blobs.set(hash, new Uint8Array(Buffer.concat(chunks)))
  }

  /** What counts of the invites and requests that it was given, by the shipped rules. */
  #enrolments(): Enrolments {
    const { fleetId: fleet, root, config, genesis } = this
    const trust: Trust = { fleet, root, config, genesis }
    const view = foldFacts(EMPTY_VIEW, this.facts, trust)
    return { trust, view: withAuthority(view, trust, genesisState(genesis, 1)) }
  }

  invites(): readonly InviteRow[] {
    return inviteRows(this.#enrolments(), Date.now())
  }

  requests(): readonly RequestRow[] {
    return requestRows(this.#enrolments())
  }

  protected announces(): FactOf<'release.announce'>[] {
    return this.facts
      .filter((fact): fact is FactOf<'release.announce'> => fact.type === 'release.announce')
      .reverse()
  }

  protected manifestOf(fact: FactOf<'release.announce'>): Manifest | undefined {
    const bytes = this.blobs.get(fact.body.manifest)
    return bytes && openManifest(bytes, fact.body.manifest)
  }

  protected author(fact: Fact): Author {
    const operator = this.root.operators.find((one) => one.key === fact.author)
    const release = this.root.releaseKeys.find((one) => one.key === fact.author)
    if (operator) return { name: operator.name, role: 'operator', key: fact.author }
    if (release) return { name: release.name, role: 'release', key: fact.author }
    return { name: fact.author.slice(0, 16), role: 'unknown', key: fact.author }
  }
}
