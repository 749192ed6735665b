/** The API's answers, out of a running node. Reading only, but for signed facts and wanted blobs. */
import type { HostName } from '../protocol/index.ts'
import {
  concatBytes,
  crashesSurvived,
  type FactId,
  type Hash,
  type Manifest,
} from '../protocol/index.ts'
import {
  haltCovers,
  hostOfKey,
  type Knowledge,
  leaderOf,
  rolloutRecord,
  waitingLease,
  whyHost,
} from '../rollout/index.ts'
import type { ApiBackend, LogQuery } from './api/backend.ts'
import type { CacheList } from './api/cache-schema.ts'
import type { InviteRow, RequestRow } from './api/enrol-schema.ts'
import type { ForkRow } from './api/fork-schema.ts'
import type {
  BlockPage,
  BodyPage,
  BodyRow,
  CheckpointPage,
  EnvelopePage,
  FeedRow,
} from './api/log-schema.ts'
import type {
  AuditRow,
  BundleGate,
  BundleTaken,
  Doctor,
  Documents,
  EventRow,
  FleetStatus,
  HostDetail,
  HostRow,
  Page,
  PeerRow,
  PlanBase,
  ReleaseDetail,
  ReleaseDiff,
  ReleaseRow,
  RolloutRow,
  RolloutStatus,
  Submitted,
  ViewStamp,
  WantedBlob,
  WhyHost,
} from './api/schema.ts'
import { Bundles } from './bundles.ts'
import type { FileDepot } from './depot.ts'
import { doctorChecks } from './doctor.ts'
import { PLANS_KEPT, RELEASES_KEPT } from './limits.ts'
import { blockPage, bodyPage, checkpointPage, envelopePage, feedRows } from './log-pull.ts'
import { NarKeeper } from './nar-keeper.ts'
import { NodeLog } from './node-log.ts'
import { cacheRows } from './projection/caches.ts'
import { inviteRows, requestRows } from './projection/enrolment.ts'
import { forkRows } from './projection/forks.ts'
import { hostDetail, hostRow, type Sighting } from './projection/hosts.ts'
import { manifestOf } from './projection/people.ts'
import { reachRow } from './projection/reach.ts'
import { releaseDetail, releaseDiff, releaseRows } from './projection/releases.ts'
import { rolloutDetail, rolloutRows } from './projection/rollouts.ts'
import { warningsOf } from './projection/warnings.ts'
import { laterRoots } from './root-documents.ts'
import type { Runtime } from './runtime.ts'
import type { TrustFiles } from './trust-files.ts'

/** What a backend answers out of. */
export interface NodeBackendParts {
  readonly node: Runtime
  readonly files: TrustFiles
  readonly depot: FileDepot
  /** The upstream caches of the configuration, and where this node is a cache itself. */
  readonly substituter?: { listen: string | null; readonly caches: readonly string[] } | undefined
}

export class NodeBackend implements ApiBackend {
  readonly #node: Runtime
  readonly #files: TrustFiles
  readonly #depot: FileDepot
  readonly #log: NodeLog
  readonly #bundles: Bundles
  readonly #startedMs: number
  readonly #keeper: NarKeeper
  readonly #substituter: { listen: string | null; readonly caches: readonly string[] }

  constructor(parts: NodeBackendParts) {
    this.#node = parts.node
    this.#substituter = parts.substituter ?? { listen: null, caches: [] }
    this.#files = parts.files
    this.#depot = parts.depot
    this.#log = new NodeLog(parts.node)
    this.#startedMs = parts.node.parts.clock.bootMs()
    this.#bundles = new Bundles({
      ...parts,
      manifests: () => this.#neededManifests(),
      heldPaths: (manifest) => this.#heldPaths(manifest),
    })
    this.#keeper = new NarKeeper({
      ...parts,
      wanted: () => this.#wantedNars(),
      needed: () => this.#neededNars(),
    })
  }

  /** Begins to keep copies. Called once the node runs: one that could not start must not linger. */
  start(): void {
    this.#keeper.start()
  }

  stamp(): ViewStamp {
    const { trust, name, network, clock } = this.#node.parts
    const ages = [...this.#node.heard.values()]
    const newest = Math.max(this.#startedMs, ...ages)
    const connected = network.peers().length > 0
    return {
      fleet: trust.root.name,
      observedBy: name,
      head: this.#node.gate.state.head,
      viewAgeMs:
        connected && ages.length > 0
          ? Math.max(0, clock.bootMs() - newest)
          : clock.bootMs() - newest,
    }
  }

  fleet(): FleetStatus {
    const knowledge = this.#node.knowledge()
    const { trust } = knowledge
    const { voters, quorum, faultModel, timing, group, epoch } = trust.config
    const { probeMs, leaseMs, preset } = timing
    return {
      name: trust.root.name,
      fleetId: trust.fleet,
      rootHash: this.#files.rootHash,
      group,
      epoch,
      preset,
      timing: { probeMs, leaseMs },
      voters: voters.map((name) => ({ name, reachable: this.#sighting(name).path !== 'none' })),
      quorum,
      faultModel,
      crashesSurvived: crashesSurvived({ n: voters.length, q: quorum }),
      leader: this.#leader(),
      digest: this.#node.digest(),
      facts: this.#node.facts.count,
      gateSlot: knowledge.state.slot,
      hosts: this.hosts(),
      openRollouts: rolloutRows(knowledge).filter((row) => !row.closed && row.state !== 'rejected'),
      warnings: warningsOf(this.#node, (voter) => this.#sighting(voter).path !== 'none'),
      freshness: this.#node.freshness.now,
    }
  }

  hosts(): readonly HostRow[] {
    const knowledge = this.#node.knowledge()
    return knowledge.trust.config.hosts.map((host) =>
      hostRow(knowledge, host, this.#sighting(host.name)),
    )
  }

  host(name: string): HostDetail | undefined {
    const knowledge = this.#node.knowledge()
    const host = knowledge.trust.config.hosts.find((one) => one.name === name)
    return host === undefined ? undefined : hostDetail(knowledge, host, this.#sighting(name))
  }

  rollouts(): readonly RolloutRow[] {
    return rolloutRows(this.#node.knowledge())
  }

  rollout(id: string): RolloutStatus | undefined {
    return rolloutDetail(this.#node.knowledge(), id, (fact) => this.#log.ageMs(fact))
  }

  why(rollout: string, host: string): WhyHost | undefined {
    const knowledge = this.#node.knowledge()
    if (!knowledge.view.plans.has(rollout)) return undefined
    const sentences = whyHost(knowledge, rollout, host)
    const { freshness, parts } = this.#node
    const isOwn = host === parts.name
    const held =
      isOwn && freshness.held !== undefined
        ? [`${host} takes up no rollout: ${freshness.held}.`]
        : []
    const lease = isOwn ? this.#whyNoLease(rollout) : []
    const own = [...held, ...lease].map((text) => ({ text }))
    return { ...{ host, rollout }, sentences: [...own, ...sentences] }
  }

  /** What the voters answered this host, which alone was told. */
  #whyNoLease(rollout: string): readonly string[] {
    const waiting = waitingLease(this.#node.host.state)
    if (waiting?.rollout !== rollout || waiting.lease === undefined) return []
    const { trust } = this.#node.parts
    const { refusals, grants } = waiting.lease
    const refused = refusals.map(({ voter, refusal }) => `${voter} refuses a lease: ${refusal}.`)
    return [...refused, `${grants.length} of ${trust.config.quorum} leases are granted.`]
  }

  releases(): readonly ReleaseRow[] {
    return releaseRows(this.#node.knowledge())
  }

  release(id: string): ReleaseDetail | undefined {
    return releaseDetail(this.#node.knowledge(), id)
  }

  diff(from: string, to: string): ReleaseDiff | undefined {
    return releaseDiff(this.#node.knowledge(), from, to)
  }

  async eventPage(query: LogQuery): Promise<Page<EventRow>> {
    return await this.#log.events(query)
  }

  async auditPage(query: LogQuery): Promise<Page<AuditRow>> {
    return await this.#log.audit(query)
  }

  forks(): readonly ForkRow[] {
    return forkRows(this.#node.knowledge())
  }

  invites(): readonly InviteRow[] {
    return inviteRows(this.#node.knowledge(), this.#node.parts.clock.wallMs())
  }

  requests(): readonly RequestRow[] {
    return requestRows(this.#node.knowledge())
  }

  peers(): readonly PeerRow[] {
    const { trust, name, swarm } = this.#node.parts
    return trust.config.hosts.map((host) => {
      const sighting = this.#sighting(host.name)
      const state =
        host.name === name ? 'self' : sighting.path === 'none' ? 'disconnected' : 'connected'
      return {
        name: host.name,
        state,
        path: sighting.path,
        voter: trust.config.voters.includes(host.name),
        address: sighting.address,
        api: this.#apiAddresses(host.name),
        rttMs: sighting.rttMs,
        seenAgeMs: sighting.seenAgeMs,
        liar: swarm?.swarm.liars.has(host.name) ?? false,
        reach: sighting.reach,
      }
    })
  }

  async doctor(): Promise<Doctor> {
    return { checks: await doctorChecks(this.#node) }
  }

  caches(): CacheList {
    const { listen, caches } = this.#substituter
    const keys = this.#node.parts.cacheKeys
    return { listen, keys, items: cacheRows(this.#node.knowledge(), caches) }
  }

  planBase(group: string | undefined): PlanBase | undefined {
    const knowledge = this.#node.knowledge()
    const { config } = knowledge.trust
    if (group !== undefined && group !== config.group) return undefined
    return {
      group: config.group,
      epoch: config.epoch,
      genesis: knowledge.trust.genesis,
      hosts: config.hosts.map(({ name }) => baseOf(knowledge, name)),
      channels: [...knowledge.state.channels].map(([channel, { version }]) => ({
        channel,
        version,
      })),
    }
  }

  /** Every root that came into force and the configuration of every epoch that has begun, the first first. */
  documents(): Documents {
    const { rootHash, root, group } = this.#files
    const { state, bodies, trust } = this.#node.knowledge()
    const later = state.epochs.map(({ epoch, document }) => {
      return { epoch, bytes: bodies.config(document)?.bytes ?? new Uint8Array() }
    })
    return {
      rootHash,
      root: Buffer.from(root).toString('base64'),
      roots: laterRoots(this.#node).map((bytes) => Buffer.from(bytes).toString('base64')),
      groups: [{ epoch: 1, bytes: group }, ...later].map(({ epoch, bytes }) => {
        return { group: trust.config.group, epoch, config: Buffer.from(bytes).toString('base64') }
      }),
    }
  }

  feeds(): readonly FeedRow[] {
    return feedRows(this.#node)
  }

  async envelopes(query: { author: string; session: string; from: number }): Promise<EnvelopePage> {
    return await envelopePage(this.#node, query)
  }

  async blocks(after: { readonly epoch: number; readonly view: number }): Promise<BlockPage> {
    return await blockPage(this.#node, after)
  }

  bodies(): readonly BodyRow[] {
    return [...this.#node.blobs.held()]
      .map(([hash, kind]) => ({ hash, kind }))
      .sort((a, b) => (a.hash < b.hash ? -1 : 1))
  }

  async body(hash: string, from: number): Promise<BodyPage | undefined> {
    return await bodyPage(this.#node, hash, from)
  }

  async checkpoints(above: number): Promise<CheckpointPage> {
    return await checkpointPage(this.#node, above)
  }

  ready(): { ready: boolean; why: string } {
    if (this.#node.gate.frozen)
      return { ready: false, why: 'the gate log is frozen: its voters contradict themselves' }
    if (this.#node.belonging.hasLeft) return { ready: false, why: 'this host left the group' }
    const { trouble } = this.#node.disk
    if (trouble !== undefined)
      return { ready: false, why: `the disk refuses to be written: ${trouble.message}` }
    return { ready: true, why: '' }
  }

  async submit(bytes: Uint8Array): Promise<Submitted> {
    const { fact, isNew } = await this.#node.submit(bytes)
    return { id: fact.id, state: isNew ? 'accepted' : 'known' }
  }

  async wanted(closures: boolean = false): Promise<readonly WantedBlob[]> {
    const nars = closures ? this.#bundles.wanted() : this.#wantedNars()
    return [...this.#wantedBlobs(), ...(await nars)]
  }

  takesBlob(hash: string): WantedBlob | undefined {
    return this.#wantedBlobs().find((blob) => blob.hash === hash) ?? this.#bundles.takes(hash)
  }

  vectorFile(): Promise<AsyncIterable<Uint8Array>> {
    return this.#bundles.vector()
  }

  exportBundle(
    since: Uint8Array | undefined,
    options: { closures: boolean },
  ): Promise<AsyncIterable<Uint8Array>> {
    return this.#bundles.export(since, options)
  }

  takeBundleFacts(bytes: Uint8Array): Promise<BundleTaken> {
    return this.#bundles.takeFacts(bytes)
  }

  takeBundleGate(bytes: Uint8Array): Promise<BundleGate> {
    return this.#bundles.takeGate(bytes)
  }

  async putBlob(hash: string, stream: AsyncIterable<Uint8Array>): Promise<void> {
    const wanted = this.takesBlob(hash)
    if (wanted === undefined) {
      for await (const _ of stream) void _
      return
    }
    if (wanted.kind === 'nar') return await this.#depot.write(hash, stream, wanted.bytesMax)
    const chunks: Uint8Array[] = []
    for await (const chunk of stream) chunks.push(chunk)
    await this.#node.blobs.put(hash, wanted.kind, concatBytes(...chunks))
    this.#node.blobArrived()
  }

  events(since: string | undefined, signal: AbortSignal): AsyncIterable<EventRow> {
    return this.#log.follow(since, signal)
  }

  /** NARs of portable releases that neither this node's depot nor its system holds. */
  async #wantedNars(): Promise<readonly WantedBlob[]> {
    const knowledge = this.#node.knowledge()
    const wanted = new Map<Hash, WantedBlob>()
    for (const id of neededReleases(knowledge)) {
      const manifest = manifestOf(knowledge, id)
      if (manifest?.kind !== 'portable') continue
      const held = await this.#heldPaths(manifest)
      for (const { path, narHash, narSize } of manifest.paths) {
        if (held.has(path) || this.#depot.has(narHash)) continue
        wanted.set(narHash, { hash: narHash, kind: 'nar', bytesMax: narSize })
      }
    }
    return [...wanted.values()]
  }

  /** Proofs are asked of peers alone: no client has one to send. */
  #wantedBlobs(): readonly WantedBlob[] {
    const { view } = this.#node.knowledge()
    return this.#node.blobs.wanted(view).flatMap(({ kind, ...one }): WantedBlob[] => {
      return kind === 'proof' ? [] : [{ ...one, kind }]
    })
  }

  #neededManifests(): readonly Manifest[] {
    const knowledge = this.#node.knowledge()
    return [...neededReleases(knowledge)].flatMap((id) => manifestOf(knowledge, id) ?? [])
  }

  #neededNars(): ReadonlySet<Hash> | undefined {
    const knowledge = this.#node.knowledge()
    const needed = new Set<Hash>()
    for (const id of neededReleases(knowledge)) {
      const manifest = manifestOf(knowledge, id)
      if (manifest === undefined) return undefined
      for (const { narHash } of manifest.paths) needed.add(narHash)
    }
    return needed
  }

  /** The closures of the manifest's generations that are in this host's store. */
  async #heldPaths(manifest: Manifest): Promise<ReadonlySet<string>> {
    const held = new Set<string>()
    for (const { generation, closure } of manifest.hosts) {
      if (held.has(generation) || !(await this.#node.parts.system.holds(generation))) continue
      for (const path of closure) held.add(path)
    }
    return held
  }

  /** Who leads the view that this node is in. */
  #leader(): string | null {
    const { config, view } = this.#node.gate.machine
    const key = leaderOf(config, view)
    return key === undefined ? null : (hostOfKey(this.#node.parts.trust, key)?.name ?? null)
  }

  #sighting(host: HostName): Sighting {
    const { name, network, clock } = this.#node.parts
    if (host === name) {
      const waiting = waitingLease(this.#node.host.state) !== undefined
      const { held } = this.#node.freshness
      const local = { path: 'local', seenAgeMs: 0, address: null, rttMs: null } as const
      return { ...local, reach: reachRow(this.#node, host), waitingLease: waiting, held }
    }
    const heard = this.#node.heard.get(host)
    const seenAgeMs = heard === undefined ? null : Math.max(0, clock.bootMs() - heard)
    const connected = network.peers().includes(host)
    return {
      path: connected ? 'direct' : 'none',
      seenAgeMs: connected ? (seenAgeMs ?? 0) : seenAgeMs,
      address: network.addressOf(host) ?? null,
      rttMs: null,
      reach: reachRow(this.#node, host),
    }
  }

  #apiAddresses(host: HostName): readonly string[] {
    const known = this.#node.parts.trust.config.hosts.find((one) => one.name === host)
    if (known === undefined) return []
    const peerId = this.#node.parts.peerIdOf?.(known.transport)
    return peerId === undefined ? [] : known.addresses.map((address) => `${address}/p2p/${peerId}`)
  }
}

/** Releases whose bytes somebody may still need: the newest, and all that a host is or may be sent to. */
function neededReleases(knowledge: Knowledge): ReadonlySet<FactId> {
  const { state, view } = knowledge
  const newest = releaseRows(knowledge).slice(0, RELEASES_KEPT)
  const plans = [...view.plans.values()].sort((a, b) => b.ts - a.ts).slice(0, PLANS_KEPT)
  const open = [...state.rollouts.values()].filter((rollout) => rollout.status === 'open')
  const last = [...state.hosts.values()].map((host) => host.last)
  const rollouts = [...plans.map((plan) => plan.id), ...open.map((one) => one.rollout), ...last]
  const planned = rollouts.map((id) => view.plans.get(id)?.body.release)
  const ids = [...newest.map((row) => row.id), ...planned].filter((id) => id !== undefined)
  return new Set(ids.filter((id) => view.releases.has(id)))
}

function baseOf(knowledge: Knowledge, host: HostName): PlanBase['hosts'][number] {
  const known = knowledge.state.hosts.get(host)
  if (known === undefined)
    return { host, base: null, last: null, lastHalted: false, claimedBy: null }
  return {
    host,
    base: known.touched,
    last: known.last,
    lastHalted: haltCovers(rolloutRecord(knowledge.view, known.last), host),
    claimedBy: known.claimedBy ?? null,
  }
}
