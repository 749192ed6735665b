/**
 * A fleet on paper: real keys and signatures, facts in feeds, a gate log that commits what one voter
 * drafts and judges. No network, no machines: what the pure rules say is all that happens.
 *
 * `say` writes a fact that everybody holds; `mutter` writes one that its author holds alone, to be
 * told later with `tell`. `settle` lets the log decide until nothing is left to decide.
 */
import {
  type AttestSubject,
  type Block,
  type BlockBody,
  basisFeed,
  type Command,
  deriveHostKeys,
  type Fact,
  type FactBodies,
  type FactOf,
  type FactType,
  feedKey,
  feedOf,
  type GroupConfig,
  type Hash,
  type HostName,
  hostIdentity,
  type KeyPair,
  keyPair,
  type Manifest,
  manifestBlob,
  NO_FACT,
  type Phase,
  type PlanBody,
  planBlob,
  quorumOf,
  type RolloutId,
  type Root,
  type SignedDocument,
  sealBlock,
  sealFact,
  sha256,
  signGroupConfig,
  signRoot,
  type Transition,
  type UnsignedRoot,
  utf8,
} from '../../../protocol/index.ts'
import { baseFor } from '../../../rollout/admit-rules.ts'
import { withAuthority } from '../../../rollout/authority.ts'
import { type Knowledge, standing, timedStandings } from '../../../rollout/derive-orders.ts'
import { openEpoch, trustAt } from '../../../rollout/epochs.ts'
import { type Bodies, EMPTY_VIEW, type FleetView } from '../../../rollout/fleet-view.ts'
import { foldFacts } from '../../../rollout/fold.ts'
import { gateRules, type Held } from '../../../rollout/gate-judge.ts'
import type { Draft, Judgement } from '../../../rollout/gate-machine.ts'
import { type GateState, genesisState } from '../../../rollout/gate-state.ts'
import { type LocalTimes, noteTimes } from '../../../rollout/local-times.ts'
import type { LocalScene, Scene } from '../../../rollout/scene.ts'
import type { Standing } from '../../../rollout/standing.ts'
import type { Trust } from '../../../rollout/trust.ts'
import {
  announcementOf,
  CHANNEL,
  type ConfigChange,
  configAfter,
  GROUP,
  generationOf,
  hostNames,
  manifestFor,
  OPERATORS,
  type PlanOptions,
  POLICY,
  type ReleaseOptions,
  session,
  TIMING,
  versionAfter,
  type WorldOptions,
} from './world-terms.ts'

export * from './world-terms.ts'

export class World {
  readonly #first: Trust
  readonly names: readonly HostName[]
  readonly #keys = new Map<string, KeyPair>()
  readonly #heads = new Map<string, { seq: number; id: string }>()
  readonly #plans = new Map<Hash, PlanBody>()
  readonly #manifests = new Map<Hash, Manifest>()
  readonly #configs = new Map<Hash, SignedDocument<GroupConfig>>()
  /** Roots that were signed, by the hash of their document. */
  readonly roots = new Map<Hash, UnsignedRoot>()
  readonly #versions = new Map<string, number>()
  /** Every fact ever written, told or not. */
  readonly facts: Fact[] = []
  readonly #places = new Map<string, Fact>()
  readonly #granted = new Set<string>()
  /** Every committed block, oldest first. */
  readonly blocks: Block[] = []
  #view: FleetView = EMPTY_VIEW
  state: GateState
  times: LocalTimes = new Map()
  now = 10_000
  wallMs = 500

  constructor(options: WorldOptions) {
    const { hosts, faultModel = 'crash', floors = {} } = options
    this.names = hostNames(hosts)
    const voters = this.names.slice(0, options.voters ?? Math.min(7, hosts))
    const root: Root = {
      version: 1,
      name: 'paper',
      admins: [this.#key('admin').publicKey],
      threshold: 1,
      operators: OPERATORS.map((one) => ({ ...one, key: this.#key(one.name).publicKey })),
      releaseKeys: [
        { name: 'ci', key: this.#key('ci').publicKey, channels: [] },
        { name: 'ci-edge', key: this.#key('ci-edge').publicKey, channels: ['edge'] },
      ],
      groups: ['elsewhere', GROUP],
    }
    const signed = signRoot(root, [this.#key('admin')])
    const fleet = signed.hash.slice(0, 32)
    const config: GroupConfig = {
      fleet,
      group: GROUP,
      epoch: 1,
      hosts: this.names.map((name) => ({ ...this.#hostKeys(name), addresses: [], tags: [] })),
      voters,
      faultModel,
      quorum: quorumOf(voters.length, faultModel),
      floors: { canaryMin: 0, soakMsMin: 0, wavePercentMax: 100, budgetMax: 250, ...floors },
      timing: TIMING,
    }
    const document = signGroupConfig(config, [this.#key('admin')])
    this.#first = { fleet, root: signed.value, config: document.value, genesis: document.hash }
    this.state = genesisState(document.hash, 1)
  }

  /** Whoever belongs and votes as the log stands. */
  get trust(): Trust {
    return trustAt(this.#first, this.state)
  }

  /** What counts of everything told. */
  get view(): FleetView {
    return withAuthority(this.#view, this.trust, this.state)
  }

  set view(view: FleetView) {
    this.#view = view
  }

  // Facts

  /** Writes a fact that everybody holds. */
  say<T extends FactType>(
    author: string,
    type: T,
    body: FactBodies[T],
    options: { session?: string; ts?: number } = {},
  ): FactOf<T> {
    const fact = this.mutter(author, type, body, options)
    this.tell(fact as Fact)
    return fact
  }

  /** Writes a fact that only its author holds. */
  mutter<T extends FactType>(
    author: string,
    type: T,
    body: FactBodies[T],
    options: { session?: string; ts?: number } = {},
  ): FactOf<T> {
    const key = this.#key(author)
    const feed = options.session ?? session(0)
    const head = this.#heads.get(feedKey(key.publicKey, feed))
    const fact = sealFact(
      {
        type,
        body,
        session: feed,
        seq: head === undefined ? 0 : head.seq + 1,
        prev: head?.id ?? NO_FACT,
        epoch: this.state.epoch,
        ts: options.ts ?? this.now,
      },
      { fleet: this.trust.fleet, key },
    )
    this.#heads.set(feedOf(fact), { seq: fact.seq, id: fact.id })
    this.facts.push(fact as Fact)
    this.#places.set(`${feedOf(fact)}/${fact.seq}`, fact as Fact)
    return fact
  }

  /** Everybody learns of facts; those of one feed must be told in order. */
  tell(...facts: readonly Fact[]): void {
    this.#view = foldFacts(this.#view, facts, this.trust)
  }

  // Who

  /** The next configuration: the present one with some hosts, voters or settings exchanged. */
  nextConfig(change: ConfigChange): GroupConfig {
    return configAfter(this.trust.config, change, (name) => this.#hostKeys(name))
  }

  /** An admin signs a configuration and announces it; everybody holds it. Gives the document's hash. */
  configure(
    config: GroupConfig,
    options: { by?: string; bodyless?: boolean } = {},
  ): { document: Hash; fact: FactOf<'group.config'> } {
    const { signed, body } = announcementOf(config, this.#key('admin'))
    if (options.bodyless !== true) this.#configs.set(body.config, signed)
    return { document: body.config, fact: this.say(options.by ?? 'admin', 'group.config', body) }
  }

  /** The configuration becomes the next epoch: signed, announced, decided and committed. */
  reconfigure(change: ConfigChange): void {
    const { document } = this.configure(this.nextConfig(change))
    this.commit(this.block([{ kind: 'reconfig', config: document }]))
  }

  // What and where

  announce(options: ReleaseOptions, by = 'ci'): FactOf<'release.announce'> {
    const { version, minVersion = 0, channel = CHANNEL, hosts = this.names } = options
    const manifest = manifestFor(hosts, version)
    const blob = manifestBlob(manifest)
    this.#manifests.set(blob.hash, manifest)
    return this.say(by, 'release.announce', {
      name: `r${version}`,
      channel,
      version,
      minVersion,
      manifest: blob.hash,
      manifestBytes: blob.bytes.length,
      notRevertable: [],
    })
  }

  /** The plan's fact; its id is the rollout. Without a release, one of the next version is announced. */
  plan(options: PlanOptions): FactOf<'rollout.plan'> {
    const { waves, kind = 'forward', supersedes = [], by = 'alice' } = options
    const release =
      options.release ?? this.announce({ version: versionAfter(this.state, this.view) })
    const body: PlanBody = {
      release: release.id,
      kind,
      groups: [{ group: GROUP, base: options.base ?? baseFor(this.scene(), waves.flat()), waves }],
      policy: { ...POLICY, ...options.policy },
      supersedes: supersedes.toSorted(),
      strategy: 'by hand',
      reason: 'a test',
    }
    const blob = planBlob(body)
    if (options.bodyless !== true) this.#plans.set(blob.hash, body)
    const fact = this.say(by, 'rollout.plan', {
      plan: blob.hash,
      planBytes: blob.bytes.length,
      release: release.id,
      groups: [GROUP],
    })
    this.#versions.set(fact.id, release.body.version)
    return fact
  }

  /** The body of a bodyless plan arrives, or that of any plan goes. */
  holdPlan(hash: Hash, body: PlanBody | undefined): PlanBody | undefined {
    const before = this.#plans.get(hash)
    if (body === undefined) this.#plans.delete(hash)
    else this.#plans.set(hash, body)
    return before
  }

  halt(r: RolloutId, options: { by?: string; revert?: boolean; hosts?: HostName[] } = {}): Fact {
    const { by = 'alice', revert = false, hosts } = options
    const body = { rollout: r, revert, why: 'a test', ...(hosts && { hosts }) }
    return this.say(by, 'rollout.halt', body) as Fact
  }

  lose(host: HostName, r: RolloutId, by = 'alice'): void {
    this.say(by, 'host.lost', { host, rollout: r, why: 'a test' })
  }

  // Hosts

  /** A host's word. */
  move(
    host: HostName,
    r: RolloutId,
    to: Phase,
    more: Partial<Transition> & { session?: string } = {},
  ): FactOf<'host.transition'> {
    const { session: feed, ...body } = more
    return this.say(
      host,
      'host.transition',
      {
        rollout: r,
        round: 0,
        from: 'READY',
        to,
        generation: generationOf(host, this.#versions.get(r) ?? 0),
        boot: 'b0',
        ...body,
      },
      feed === undefined ? {} : { session: feed },
    )
  }

  /** One observer's word about one host. */
  attest(
    observer: string,
    r: RolloutId,
    host: HostName,
    more: Partial<AttestSubject> = {},
  ): FactOf<'obs.attest'> {
    const subject: AttestSubject = {
      host,
      round: 0,
      window: 0,
      verdict: 'ok',
      ok: 4,
      ko: 0,
      elapsedMs: POLICY.soakMs,
      generation: generationOf(host, this.#versions.get(r) ?? 0),
      boot: 'b0',
      ...more,
    }
    return this.say(observer, 'obs.attest', { rollout: r, subjects: [subject] })
  }

  /** All observers of a started host say the same. */
  observed(
    host: HostName,
    r: RolloutId,
    verdict: AttestSubject['verdict'],
    more: Partial<AttestSubject> = {},
  ): void {
    for (const observer of this.standing(r, host).observers) {
      this.attest(observer, r, host, { verdict, ...more })
    }
  }

  /** A started host goes through the round, watched, and commits. */
  commitHost(host: HostName, r: RolloutId, round = 0): void {
    for (const to of ['ACTIVATING', 'PROBATION', 'CONFIRMED'] as const) {
      this.move(host, r, to, { round })
    }
    this.observed(host, r, 'ok', { round })
    for (const to of ['SOAKED', 'COMMITTED'] as const) this.move(host, r, to, { round })
  }

  /** A started host activates, fails a check of its own and is back. */
  failHost(host: HostName, r: RolloutId, round = 0): void {
    this.move(host, r, 'ACTIVATING', { round })
    this.move(host, r, 'REVERTING', { round, why: 'check' })
    this.move(host, r, 'REVERTED', { round, why: 'check' })
  }

  // The gate log

  local(): LocalScene {
    return {
      now: this.now,
      wallMs: this.wallMs,
      times: this.times,
      granted: (r, host, round) => this.#granted.has(`${r}/${host}/${round}`),
    }
  }

  grant(r: RolloutId, host: HostName, round = 0): void {
    this.#granted.add(`${r}/${host}/${round}`)
  }

  held(view: FleetView = this.view): Held {
    return {
      trust: this.trust,
      view,
      bodies: this.#bodies(),
      local: this.local(),
      factAt: (feed, seq) => this.#places.get(`${feed}/${seq}`),
    }
  }

  scene(view: FleetView = this.view): Scene {
    return { ...this.knowledge(), view, local: this.local() }
  }

  knowledge(): Knowledge {
    return { trust: this.trust, state: this.state, view: this.view, bodies: this.#bodies() }
  }

  standing(r: RolloutId, host: HostName): Standing {
    const one = standing(this.knowledge(), r)?.standing.hosts.get(host)
    if (one === undefined) throw new Error(`no standing of ${host}`)
    return one
  }

  draft(): Draft | undefined {
    return gateRules(this.held()).draft(this.state)
  }

  /** A block on the committed one. Its basis is everything held, or what `basis` holds. */
  block(commands: readonly Command[], basis: FleetView = this.view): Block {
    const moved = [...basis.vector]
      .filter(([key, head]) => (this.state.evidence.vector.get(key)?.seq ?? -1) < head.seq)
      .map(([key, head]) => basisFeed(key, head))
      .toSorted((a, b) => (feedKey(a.author, a.session) < feedKey(b.author, b.session) ? -1 : 1))
    const rootVersion = this.state.rootVersion + (commands[0]?.kind === 'root' ? 1 : 0)
    return this.sealed({ commands, rootVersion, basis: moved })
  }

  sealed(draft: Draft): Block {
    const body: BlockBody = {
      group: GROUP,
      epoch: this.state.epoch,
      view: this.state.view + 1,
      parent: this.state.head,
      ...draft,
    }
    const leader = this.trust.config.voters[0] ?? ''
    return sealBlock(body, { fleet: this.trust.fleet, key: this.#key(leader) })
  }

  judge(block: Block): Judgement {
    return gateRules(this.held()).judge(block, this.state)
  }

  /** What the voter says of these commands over everything held. */
  ruling(...commands: readonly Command[]): Judgement {
    return this.judge(this.block(commands))
  }

  /** Commits a block that a voter judges valid; throws what stands against it. */
  commit(block: Block): void {
    const judgement = this.judge(block)
    if (judgement.kind !== 'valid') throw new Error(`${judgement.kind}: ${judgement.why}`)
    this.state = openEpoch(judgement.state)
    this.blocks.push(block)
    this.note()
  }

  /** Commits one drafted block; false when there is nothing to decide. */
  step(): boolean {
    this.note()
    const draft = this.draft()
    if (draft === undefined) return false
    this.commit(this.sealed(draft))
    return true
  }

  /** The log decides until it is silent; gives the commands that it committed. */
  settle(): readonly Command[] {
    const before = this.blocks.length
    for (let i = 0; i < 1_000; i++) {
      if (!this.step()) return this.blocks.slice(before).flatMap((block) => block.body.commands)
    }
    throw new Error('the log does not fall silent')
  }

  note(): void {
    this.times = noteTimes(this.times, this.state, timedStandings(this.knowledge()), this.now)
  }

  /** Lets time pass, for this voter's clock alone. */
  pass(ms: number): void {
    this.note()
    this.now += ms
    this.note()
  }

  /** Hosts with a committed start that has not ended. */
  started(r: RolloutId): readonly HostName[] {
    return [...(this.state.rollouts.get(r)?.starts.keys() ?? [])]
  }

  #bodies(): Bodies {
    return {
      config: (hash) => this.#configs.get(hash),
      root: (hash) => this.roots.get(hash),
      plan: (hash) => this.#plans.get(hash),
      manifest: (hash) => this.#manifests.get(hash),
    }
  }

  #key(name: string): KeyPair {
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    const pair = keyPair(sha256(utf8(`paper/${name}`)))
    this.#keys.set(name, pair)
    return pair
  }

  #hostKeys(name: HostName): ReturnType<typeof hostIdentity> {
    const keys = deriveHostKeys(sha256(utf8(`paper/${name}`)))
    this.#keys.set(name, keys.fact)
    return hostIdentity(name, keys)
  }
}
