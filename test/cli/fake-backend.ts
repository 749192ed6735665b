/**
 * A node that is none: it verifies facts and blobs as a node does, and plays a rollout one step further
 * each time somebody looks. For tests of the API and of the CLI only.
 */

import type { ApiBackend, LogQuery } from '../../node/api/backend.ts'
import type { CacheList } from '../../node/api/cache-schema.ts'
import type { ForkRow } from '../../node/api/fork-schema.ts'
import type {
  AuditRow,
  Doctor,
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
} from '../../node/api/schema.ts'
import {
  crashesSurvived,
  type Fact,
  type FactOf,
  openFact,
  openPlan,
  type PlanBody,
} from '../../protocol/index.ts'
import { FakeBundles } from './fake-bundles.ts'
import { releaseDetail, releaseDiff, releaseRow, WHEN } from './fake-release.ts'
import {
  auditRow,
  cursorOf,
  type FakeKnobs,
  type FakeRollout,
  hostAt,
  PATH,
  pageOf,
} from './fake-rollout.ts'

const BLOCK = 'b'.repeat(64)

export class FakeBackend extends FakeBundles implements ApiBackend {
  readonly knobs: FakeKnobs = { verdict: 'admit', failing: undefined, reachable: 99, ready: true }
  readonly rolloutsById: Map<string, FakeRollout> = new Map()
  #watchers: (() => void)[] = []

  stamp(): ViewStamp {
    return { fleet: this.root.name, observedBy: this.name, head: BLOCK, viewAgeMs: 1200 }
  }

  fleet(): FleetStatus {
    const { config } = this
    const voters = config.voters.map((name, index) => ({
      name,
      reachable: index < this.knobs.reachable,
    }))
    return {
      name: this.root.name,
      fleetId: this.fleetId,
      rootHash: this.trust.rootHash,
      group: config.group,
      epoch: config.epoch,
      preset: config.timing.preset,
      timing: { probeMs: config.timing.probeMs, leaseMs: config.timing.leaseMs },
      voters,
      quorum: config.quorum,
      faultModel: config.faultModel,
      crashesSurvived: crashesSurvived({ n: voters.length, q: config.quorum }),
      leader: voters[0]?.name ?? null,
      digest: 'd'.repeat(64),
      facts: this.facts.length,
      gateSlot: this.rolloutsById.size,
      hosts: this.hosts(),
      openRollouts: this.rollouts().filter((row) => !row.closed && row.state !== 'rejected'),
      warnings: [],
      freshness: { state: 'current', confirmedAgeMs: 12_000, blockAgeMs: null },
    }
  }

  hosts(): readonly HostRow[] {
    return this.config.hosts.map((host): HostRow => {
      const generation = this.#generationOf(host.name)
      return {
        name: host.name,
        state: generation === null ? 'unknown' : 'healthy',
        voter: this.config.voters.includes(host.name),
        tags: host.tags,
        generation,
        target: generation,
        health: generation === null ? null : { ok: 2, total: 2 },
        path: host.name === this.name ? 'local' : 'direct',
        seenAgeMs: host.name === this.name ? 0 : 2000,
        reach: this.#reach(host.name),
      }
    })
  }

  #reach(name: string): HostRow['reach'] {
    const own = name === this.name
    return {
      state: own ? 'self' : 'alive',
      sinceMs: own ? 0 : 60_000,
      seenBy: own ? null : this.name,
      seenAgeMs: own ? null : 2000,
      accusers: [],
    }
  }

  host(name: string): HostDetail | undefined {
    const row = this.hosts().find((host) => host.name === name)
    const host = this.config.hosts.find((known) => known.name === name)
    if (row === undefined || host === undefined) return undefined
    const { transport, fact, cosign, addresses } = host
    const checks = [{ name: 'web', ok: true }]
    return {
      ...row,
      addresses,
      keys: { transport, fact, cosign },
      checks,
      committed: [],
      transitions: [],
    }
  }

  rollouts(): readonly RolloutRow[] {
    return [...this.rolloutsById.keys()].reverse().map((id) => {
      const status = this.#statusOf(id)
      const hosts = status.waves.flatMap((wave) => wave.hosts)
      const { waves, failed } = status
      const { release, state, closed, wave, held, operator, strategy, reason, ts, rejected } =
        status
      return {
        ...{ id, release, state, closed, wave, held, operator, strategy, reason, ts, rejected },
        waves: waves.length,
        hosts: hosts.length,
        committed: hosts.filter((host) => host.phase === 'COMMITTED').length,
        failed: failed.length,
      }
    })
  }

  rollout(id: string): RolloutStatus | undefined {
    const rollout = this.rolloutsById.get(id)
    if (rollout === undefined) return undefined
    if (rollout.holds.length === 0) rollout.looks += 1
    return this.#statusOf(id)
  }

  why(rollout: string, host: string): WhyHost | undefined {
    const found = this.#statusOf(rollout)
      .waves.flatMap((wave) => wave.hosts)
      .find((one) => one.name === host)
    if (found === undefined) return undefined
    return {
      rollout,
      host,
      sentences: [
        { text: `${host} is ${found.phase ?? 'not begun'}.`, fact: rollout },
        { text: 'Nothing else holds it.' },
      ],
    }
  }

  releases(): readonly ReleaseRow[] {
    return this.announces().map((fact) =>
      releaseRow(fact, this.manifestOf(fact), this.author(fact)),
    )
  }

  release(id: string): ReleaseDetail | undefined {
    const fact = this.announces().find((announce) => announce.id === id)
    if (fact === undefined) return undefined
    return releaseDetail(
      releaseRow(fact, this.manifestOf(fact), this.author(fact)),
      this.manifestOf(fact),
    )
  }

  diff(from: string, to: string): ReleaseDiff | undefined {
    const [a, b] = [this.release(from), this.release(to)]
    if (a === undefined || b === undefined) return undefined
    return releaseDiff(
      a,
      b,
      this.config.hosts.map((host) => host.name),
    )
  }

  eventPage(query: LogQuery): Page<EventRow> {
    return pageOf(
      this.facts.map((fact, index) => this.#event(fact, index)),
      query,
    )
  }

  auditPage(query: LogQuery): Page<AuditRow> {
    return pageOf(
      this.facts.map((fact, index) => auditRow(fact, index, this.author(fact))),
      query,
    )
  }

  forks(): readonly ForkRow[] {
    const [liar, witness] = this.config.hosts
    if (liar === undefined || witness === undefined) return []
    const author = ({ name, fact }: typeof liar): ForkRow['accused'] => ({
      ...{ name, role: 'host', key: fact },
    })
    return [
      {
        ...{ accused: author(liar), kind: 'feed', provedBy: author(witness) },
        place: 'session 5e5e5e5e5e5e, sequence 7',
        ...{ first: 'aa'.repeat(32), second: 'bb'.repeat(32), fact: 'cc'.repeat(32) },
        effect: 'this feed counts up to sequence 6 and no further',
      },
    ]
  }

  peers(): readonly PeerRow[] {
    return this.config.hosts.map(({ name, addresses }): PeerRow => {
      const own = { state: 'self', path: 'local', rttMs: null, seenAgeMs: 0 } as const
      const other = { state: 'connected', path: 'direct', rttMs: 0.4, seenAgeMs: 2000 } as const
      const voter = this.config.voters.includes(name)
      const address = addresses[0] ?? null
      const reach = this.#reach(name)
      return {
        name,
        voter,
        address,
        api: [],
        liar: false,
        reach,
        ...(name === this.name ? own : other),
      }
    })
  }

  doctor(): Doctor {
    const enough = this.knobs.reachable >= this.config.quorum
    const voters = { name: 'voters', found: 'as many as can be reached', fix: 'start them' }
    const store = { name: 'store', state: 'ok', found: 'writable' } as const
    return { checks: [store, { ...voters, state: enough ? 'ok' : 'fail' }] }
  }

  caches(): CacheList {
    const items = this.announces().flatMap((fact) =>
      (this.manifestOf(fact)?.caches ?? []).map((url) => {
        const { name, channel, version } = fact.body
        return { url, from: 'release' as const, release: { id: fact.id, name, channel, version } }
      }),
    )
    return { listen: 'http://127.0.0.1:7462', keys: [], items }
  }

  planBase(group: string | undefined): PlanBase | undefined {
    if (group !== undefined && group !== this.config.group) return undefined
    const hosts = this.config.hosts.map(({ name: host }) => {
      const last = this.rollouts().find(
        (row) => row.state !== 'rejected' && row.state !== 'proposed' && this.#claims(row.id, host),
      )
      return {
        host,
        base: last ? { block: BLOCK, slot: 1 } : null,
        last: last?.id ?? null,
        lastHalted: last?.state === 'halted',
        claimedBy: last && !last.closed ? last.id : null,
      }
    })
    return {
      group: this.config.group,
      epoch: this.config.epoch,
      genesis: this.genesis,
      hosts,
      channels: [],
    }
  }

  ready(): { ready: boolean; why: string } {
    return { ready: this.knobs.ready, why: this.knobs.ready ? 'serving' : 'starting' }
  }

  submit(bytes: Uint8Array): Promise<Submitted> {
    const fact = openFact(bytes, { fleet: this.fleetId, whose: 'a client' })
    if (this.facts.some((held) => held.id === fact.id))
      return Promise.resolve({ id: fact.id, state: 'known' })
    this.facts.push(fact)
    this.#take(fact)
    for (const wake of this.#watchers.splice(0)) wake()
    return Promise.resolve({ id: fact.id, state: 'accepted' })
  }

  wanted(): readonly WantedBlob[] {
    const wanted = this.facts.flatMap((fact): WantedBlob[] => {
      if (fact.type === 'rollout.plan')
        return [{ hash: fact.body.plan, kind: 'plan', bytesMax: fact.body.planBytes }]
      if (fact.type === 'group.config')
        return [{ hash: fact.body.config, kind: 'config', bytesMax: fact.body.configBytes }]
      if (fact.type === 'fleet.root')
        return [{ hash: fact.body.root, kind: 'root', bytesMax: fact.body.rootBytes }]
      if (fact.type !== 'release.announce') return []
      const nars = (this.manifestOf(fact)?.paths ?? []).map(
        (path): WantedBlob => ({ hash: path.narHash, kind: 'nar', bytesMax: path.narSize }),
      )
      return [
        { hash: fact.body.manifest, kind: 'manifest', bytesMax: fact.body.manifestBytes },
        ...nars,
      ]
    })
    return wanted.filter((blob) => !this.blobs.has(blob.hash))
  }

  async *events(since: string | undefined, signal: AbortSignal): AsyncIterable<EventRow> {
    let at = since === undefined ? this.facts.length : Number(since)
    while (!signal.aborted) {
      for (; at < this.facts.length; at++) {
        const fact = this.facts[at]
        if (fact !== undefined) yield this.#event(fact, at)
      }
      await new Promise<void>((resolve) => {
        this.#watchers.push(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }

  #take(fact: Fact): void {
    if (fact.type === 'rollout.plan') {
      const { verdict } = this.knobs
      this.rolloutsById.set(fact.id, { plan: fact, verdict, looks: 0, halts: [], holds: [] })
    } else if (fact.type === 'rollout.halt')
      this.rolloutsById.get(fact.body.rollout)?.halts.push(fact)
    else if (fact.type === 'rollout.hold') {
      const rollout = this.rolloutsById.get(fact.body.rollout)
      if (rollout === undefined) return
      const { body } = fact
      if (body.kind === 'on') rollout.holds.push(fact)
      else rollout.holds = rollout.holds.filter((hold) => !body.releases.includes(hold.id))
    }
  }

  #statusOf(id: string): RolloutStatus {
    const rollout = this.rolloutsById.get(id)
    if (rollout === undefined) throw new Error(`no rollout ${id}`)
    const body = this.#bodyOf(rollout)
    const step = body === undefined || rollout.verdict !== 'admit' ? -1 : rollout.looks
    const members = this.config.hosts.map((host) => host.name)
    const { failing } = this.knobs
    const waves = (body?.groups[0]?.waves ?? []).map((names, index) => {
      const hosts = names.map((name) =>
        hostAt(rollout, name, { step: step - index * PATH.length, members, failing }),
      )
      const done = hosts.every((host) => host.phase === 'COMMITTED')
      const state =
        rollout.halts.length > 0
          ? 'halted'
          : done
            ? 'done'
            : hosts.some((host) => host.phase !== null)
              ? 'open'
              : 'waiting'
      return {
        index,
        state,
        waitsFor: state === 'waiting' && index > 0 ? `waits for wave ${index}` : null,
        hosts,
      } as const
    })
    return this.#summary(rollout, body, waves)
  }

  #summary(
    rollout: FakeRollout,
    body: PlanBody | undefined,
    waves: RolloutStatus['waves'],
  ): RolloutStatus {
    const { plan, halts, holds } = rollout
    const hosts = waves.flatMap((wave) => wave.hosts)
    const failed = hosts.filter((host) => host.why === 'check').map((host) => host.name)
    const complete = hosts.length > 0 && hosts.every((host) => host.phase === 'COMMITTED')
    const rejected = rollout.verdict === 'conflict'
    const halted = halts.length > 0 || failed.length > 0
    const hold = (fact: FactOf<'rollout.hold'> | FactOf<'rollout.halt'>) => ({
      id: fact.id,
      operator: this.author(fact),
      why: fact.body.why,
      ts: WHEN,
    })
    const started = hosts.some((host) => host.phase !== null)
    const state = rejected
      ? 'rejected'
      : halted
        ? 'halted'
        : complete
          ? 'complete'
          : started
            ? 'wave'
            : 'proposed'
    const release = this.releases().find((row) => row.id === plan.body.release)
    return {
      id: plan.id,
      release: {
        id: plan.body.release,
        name: release?.name ?? '?',
        channel: release?.channel ?? '?',
        version: release?.version ?? 0,
      },
      state,
      closed: complete || rejected || halted,
      wave: started ? waves.filter((wave) => wave.state !== 'waiting').length - 1 : null,
      held: holds.length > 0,
      operator: this.author(plan),
      strategy: body?.strategy ?? '',
      reason: body?.reason ?? '',
      ts: WHEN,
      rejected: rejected
        ? {
            code: 'conflict',
            why: 'web-01 belongs to rollout 0badcafe (bob, slot 42)',
            winner: '0badcafe'.repeat(8),
          }
        : undefined,
      kindOfPlan: body?.kind ?? 'forward',
      waves,
      policy: {
        soakMs: body?.policy.soakMs ?? 0,
        confirmMs: body?.policy.confirmMs ?? 0,
        startTimeoutMs: body?.policy.startTimeoutMs ?? 0,
        budget: 0,
        onFailure: body?.policy.onFailure ?? 'halt',
        maxInFlight: body?.policy.maxInFlight ?? [],
        holders: body?.policy.holders ?? 0,
      },
      holds: holds.map(hold),
      halts: halts.map((fact) => ({
        ...hold(fact),
        revert: fact.body.revert,
        hosts: fact.body.hosts ?? null,
      })),
      failed,
      budget: { limit: 0, used: failed.length, breached: failed.length > 0 },
      supersedes: body?.supersedes ?? [],
      closures: null,
      missing: body === undefined ? ['plan'] : [],
    }
  }

  #bodyOf(rollout: FakeRollout): PlanBody | undefined {
    const bytes = this.blobs.get(rollout.plan.body.plan)
    return bytes && openPlan(bytes, rollout.plan.body.plan)
  }

  #claims(id: string, host: string): boolean {
    return this.#statusOf(id).waves.some((wave) => wave.hosts.some((one) => one.name === host))
  }

  #generationOf(host: string): string | null {
    for (const id of [...this.rolloutsById.keys()].reverse()) {
      const status = this.#statusOf(id)
      const row = status.waves.flatMap((wave) => wave.hosts).find((one) => one.name === host)
      if (row?.phase !== 'COMMITTED') continue
      return (
        this.release(status.release.id)?.generations.find((one) => one.host === host)?.generation ??
        null
      )
    }
    return null
  }

  #event(fact: Fact, index: number): EventRow {
    const author = this.author(fact)
    return {
      id: cursorOf(index),
      ts: WHEN,
      author,
      type: fact.type,
      subject: 'main',
      text: `${author.name} signed ${fact.type}`,
      fact: fact.id,
    }
  }
}
