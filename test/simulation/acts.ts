/** Does what a scenario says: one function for each kind of act. None of them waits. */
import type { Runtime } from '../../node/runtime.ts'
import type { HostName, KeyPair, PlanBody, Timing } from '../../protocol/index.ts'
import { nextChange } from './changes.ts'
import { faultOf } from './faults/traps.ts'
import { generationOf } from './fleet.ts'
import { forkFeed } from './forked.ts'
import { Newcomers } from './newcomers.ts'
import { type Act, type ActOf, holdersOfSeed } from './scenario.ts'
import { demoteRival, revokeRival } from './second-operator.ts'
import { Snapshots } from './snapshots.ts'
import type { World } from './world.ts'

/** Hosts that a plan may name as replaced; the wire allows no more. */
const SUPERSEDES_MAX = 16

/** Writes since the last sync of which some stay and some do not. */
const TORN_WRITES = 2

/** In ms of the brisk pace. */
const LIFT_AGAIN_MS = 400

interface Announced {
  readonly id: string
  readonly version: number
}

export class Stage {
  readonly world: World
  /** Plans that were signed, oldest first. */
  readonly rollouts: string[] = []
  readonly #releases: Announced[] = []
  readonly #snapshots: Snapshots
  readonly #newcomers: Newcomers
  /** Rollouts by the hold that is on them: one may have several. */
  readonly #held = new Map<string, string>()
  /** Lifts holds: the other operator than the one that sets them, as long as it may. */
  #lifter: KeyPair
  #version = 0

  constructor(world: World) {
    this.world = world
    this.#lifter = world.fleet.rival
    this.#snapshots = new Snapshots(world)
    this.#newcomers = new Newcomers(world)
  }

  /** Carries out one act. */
  perform(act: Act): void {
    const { world } = this
    world.trace.note('scenario', act.kind, () => JSON.stringify(act))
    switch (act.kind) {
      case 'plan':
        this.#plan(act)
        break
      case 'halt':
        this.#halt(act)
        break
      case 'hold':
        this.#hold(act)
        break
      case 'lost':
        this.#lost(act)
        break
      case 'revoke':
      case 'demote':
        this.#silence(act)
        break
      case 'resume':
        this.#resume(act)
        break
      case 'invite':
      case 'uninvite':
      case 'knock':
        this.#newcomers.perform(act)
        break
      case 'weather':
        this.#weather(act)
        break
      case 'cut':
        this.#cut(act)
        break
      case 'full':
        this.#full(act)
        break
      case 'snapshot':
        this.#snapshots.take(world.name(act.host))
        break
      case 'fork':
        forkFeed(world, world.name(act.host))
        break
      case 'collect':
        this.#collect(world.name(act.host))
        break
      case 'hang':
        world.hangWaysBack(world.name(act.host))
        break
      case 'lose-disk':
        this.#snapshots.lose(act)
        break
      case 'reconfig':
        this.#reconfig(act)
        break
      default:
        this.#strike(act)
        break
    }
  }

  /** A good release for everybody, which replaces whatever there is and bears what liars do to themselves. */
  encore(): Promise<string> {
    const [node] = this.world.honest.flatMap((name) => this.world.fleet.host(name).node ?? [])
    if (node === undefined) throw new TypeError('expected a living host at the end')
    const waves = this.world.liars.size === 0 ? 'canary' : 'all'
    return this.#propose(node, this.world.fleet.operator, {
      ...{ kind: 'plan', at: 0, via: 0, release: 'good', older: false, waves },
      ...{ budget: this.world.liars.size, onFailure: 'halt', takesOver: true },
      holders: holdersOfSeed(this.world.scenario.seed),
    })
  }

  /** The generation of the newest release. */
  get newest(): string {
    return generationOf(this.#version)
  }

  /**
   * Lifts what the disks say is still on, so that nothing waits for people: also a hold whose signing
   * nobody heard the end of, and one whose release went with a disk.
   */
  liftHolds(): void {
    const { fleet, monitor } = this.world
    const facts = fleet.names.flatMap((name) => monitor.chronicle.factsOn(fleet.host(name).disk))
    const lifted = new Set<string>()
    const holds = facts.filter((fact) => fact.type === 'rollout.hold')
    for (const { body } of holds) {
      if (body.kind === 'off') for (const id of body.releases) lifted.add(id)
    }
    for (const { id, body } of holds) {
      if (body.kind === 'on' && !lifted.has(id)) this.#held.set(id, body.rollout)
    }
    for (const [id, rollout] of this.#held) this.#lift(rollout, id)
  }

  #plan(act: ActOf<'plan'>): void {
    const { fleet } = this.world
    const node = this.world.node(act.via)
    if (node === undefined) return
    this.world.spawn(this.#propose(node, fleet.operator, act))
    const rival = act.rivalVia === undefined ? undefined : this.world.node(act.rivalVia)
    if (rival !== undefined) this.world.spawn(this.#propose(rival, fleet.rival, act))
  }

  async #propose(node: Runtime, operator: KeyPair, act: ActOf<'plan'>): Promise<string> {
    const { fleet } = this.world
    const old = act.older ? this.#releases.at(-2) : undefined
    const release = old?.id ?? (await this.#announce(node, act))
    const { waves, budget, onFailure, inFlight, holders } = act
    const supersedes = act.takesOver ? replaceable(node) : []
    const kind: PlanBody['kind'] = old === undefined ? 'forward' : 'rollback'
    const id = await fleet.plan(
      node,
      release,
      wavesOf(
        waves,
        node.parts.trust.config.hosts.map((host) => host.name),
      ),
      { supersedes, kind },
      {
        budget: { kind: 'count', count: budget },
        onFailure,
        ...(act.patient === true ? patience(node.parts.trust.config.timing) : {}),
        maxInFlight: inFlight === undefined ? [] : [{ hosts: [], limit: inFlight }],
        ...(holders === undefined ? {} : { holders }),
      },
      operator,
    )
    this.rollouts.push(id)
    return id
  }

  async #announce(node: Runtime, act: ActOf<'plan'>): Promise<string> {
    const version = ++this.#version
    this.world.setKind(generationOf(version), act.release)
    const id = await this.world.fleet.announce(node, version)
    this.#releases.push({ id, version })
    return id
  }

  #halt(act: ActOf<'halt'>): void {
    const rollout = this.rollouts.at(-1 - act.nth) ?? this.rollouts.at(-1)
    const node = this.world.node(act.via)
    if (rollout === undefined || node === undefined) return
    const hosts = act.host === undefined ? {} : { hosts: [this.world.name(act.host)] }
    const body = { rollout, revert: act.revert, why: 'storm', ...hosts }
    const { fleet, coverage } = this.world
    const signed = fleet.sign(node, fleet.operator, 'rollout.halt', body)
    this.world.spawn(
      signed.then(() => {
        coverage.add('halt')
        if (act.revert) coverage.add('halt-revert')
        if (act.host !== undefined) coverage.add('halt-host')
      }),
    )
  }

  #hold(act: ActOf<'hold'>): void {
    const rollout = this.rollouts.at(-1)
    const node = this.world.node(act.via)
    if (rollout === undefined || node === undefined) return
    const { fleet, coverage } = this.world
    const on = fleet.sign(node, fleet.operator, 'rollout.hold', {
      kind: 'on',
      rollout,
      why: 'wait',
    })
    this.world.spawn(
      on.then((id) => {
        coverage.add('hold')
        this.#held.set(id, rollout)
        this.world.after(act.forMs, () => this.#lift(rollout, id))
      }),
    )
  }

  /** By the other operator, who may; again until it is signed, for whoever takes it may die over it. */
  #lift(rollout: string, id: string): void {
    if (!this.#held.has(id)) return
    const again = (): void => this.world.after(LIFT_AGAIN_MS, () => this.#lift(rollout, id))
    const node = this.world.node(0)
    if (node === undefined) {
      again()
      return
    }
    const { fleet, coverage } = this.world
    const off = { kind: 'off', rollout, releases: [id], why: 'go on' } as const
    fleet.sign(node, this.#lifter, 'rollout.hold', off).then(() => {
      if (this.#held.delete(id)) coverage.add('release-hold')
    }, again)
  }

  #lost(act: ActOf<'lost'>): void {
    const rollout = this.rollouts.at(-1)
    const node = this.world.node(act.via)
    if (rollout === undefined || node === undefined) return
    const { fleet, coverage } = this.world
    const body = { host: this.world.name(act.host), rollout, why: 'storm' }
    const operator = act.rival === true ? fleet.rival : fleet.operator
    const signed = fleet.sign(node, operator, 'host.lost', body)
    this.world.spawn(signed.then(() => coverage.add('host-lost')))
  }

  #silence(act: ActOf<'revoke' | 'demote'>): void {
    const { fleet } = this.world
    const node = this.world.node(act.via)
    if (node === undefined) return
    this.#lifter = fleet.operator
    this.world.spawn((act.kind === 'revoke' ? revokeRival : demoteRival)(fleet, node))
  }

  /** Not noted as lifted: whether the word counts is what the fleet has to say. */
  #resume(act: ActOf<'resume'>): void {
    const { fleet } = this.world
    const node = this.world.node(act.via)
    if (node === undefined) return
    for (const [id, rollout] of this.#held) {
      const off = { kind: 'off', rollout, releases: [id], why: 'go on' } as const
      this.world.spawn(fleet.sign(node, fleet.rival, 'rollout.hold', off))
    }
  }

  /** Whoever is new is started as soon as the document is signed, and follows until it belongs. */
  #reconfig(act: ActOf<'reconfig'>): void {
    const { fleet, liars, scenario } = this.world
    const node = this.world.node(act.via)
    if (node === undefined) return
    const { config } = node.parts.trust
    const change = nextChange(act, { config, liars, faultModel: scenario.faultModel })
    if (change === undefined) return
    const { add = [] } = change
    this.world.spawn(
      fleet.configure(node, change).then(() => {
        for (const name of add) this.world.boot(name)
      }),
    )
  }

  #weather(act: ActOf<'weather'>): void {
    const { hub, scale } = this.world
    const [least, most] = act.latencyMs
    hub.dropRate = act.drop
    Object.assign(hub.weather, {
      duplicateRate: act.duplicate,
      latencyMs: [least, most * Math.min(scale, 3)],
    })
    this.world.after(act.forMs, () => {
      hub.dropRate = 0
      Object.assign(hub.weather, { duplicateRate: 0, latencyMs: [2, 2] })
    })
  }

  #cut(act: ActOf<'cut'>): void {
    const { hub, fleet } = this.world
    const one = fleet.names.filter((_, i) => act.side.includes(i))
    const other = fleet.names.filter((name) => !one.includes(name))
    const kind = `partition-${act.how}` as const
    const sever = (): void => {
      hub.sever(one, other, kind)
      if (act.how !== 'asymmetric') hub.sever(other, one, kind)
    }
    sever()
    const flaps = act.how === 'flapping' ? 4 : 1
    for (let flap = 1; flap < flaps * 2; flap++) {
      const isEnd = flap % 2 === 1
      this.world.after(
        (act.forMs * flap) / (flaps * 2 - 1),
        isEnd ? () => hub.mend(one, other) : sever,
      )
    }
  }

  #full(act: ActOf<'full'>): void {
    const { disk } = this.world.fleet.host(this.world.name(act.host))
    disk.full = true
    this.world.after(act.forMs, () => {
      disk.full = false
    })
  }

  /** Deletes what the host would go back to, past every pin. */
  #collect(host: HostName): void {
    const { machine, node } = this.world.fleet.host(host)
    const top = node?.host.loaded?.stack.at(-1)?.generation
    if (top !== undefined) machine.held.delete(top)
  }

  #strike(
    act: Exclude<
      Act,
      ActOf<
        | 'plan'
        | 'halt'
        | 'hold'
        | 'lost'
        | 'revoke'
        | 'demote'
        | 'resume'
        | 'invite'
        | 'uninvite'
        | 'knock'
        | 'weather'
        | 'cut'
        | 'full'
        | 'snapshot'
        | 'lose-disk'
        | 'reconfig'
        | 'fork'
        | 'collect'
        | 'hang'
      >
    >,
  ): void {
    const { world } = this
    const host = world.name(act.host)
    switch (act.kind) {
      case 'jump':
        if (world.fleet.host(host).node !== undefined) world.coverage.add('clock-jump')
        world.clockOf(host).jump(act.ms)
        break
      case 'drift':
        if (world.fleet.host(host).node !== undefined) world.coverage.add('clock-drift')
        world.clockOf(host).drift(act.rate)
        break
      case 'slow':
        world.slow(host, act.ms)
        world.after(act.forMs, () => world.slow(host, 0))
        break
      case 'crash':
        if (world.fleet.host(host).node !== undefined) world.coverage.add('crash')
        this.#kill(host, act)
        break
      case 'power-cut':
        world.coverage.add('power-cut')
        world.crash(host, act.keep)
        world.fleet.host(host).machine.reboot()
        world.after(act.downMs, () => world.boot(host))
        break
      case 'tear':
        world.traps.set({
          ...{ host, call: 'write', when: 'after', pass: 0 },
          ready: () => world.fleet.host(host).disk.unsynced >= TORN_WRITES,
          spring: () => this.#kill(host, { keep: 0.5, downMs: act.downMs }),
        })
        break
      case 'trap':
        world.traps.set({
          ...{ host, call: act.call, when: act.when, pass: act.pass },
          spring: () => {
            world.coverage.add(faultOf(act))
            this.#kill(host, act)
          },
        })
    }
  }

  #kill(host: HostName, act: { readonly keep: number; readonly downMs: number }): void {
    this.world.crash(host, act.keep)
    this.world.after(act.downMs, () => this.world.boot(host))
  }
}

/** Probe periods that the command line plans for a soak, a confirmation and a start. */
const PATIENT_PROBES = { soak: 60, confirm: 12, start: 60 }

function patience({ probeMs }: Timing): Partial<PlanBody['policy']> {
  const { soak, confirm, start } = PATIENT_PROBES
  return { soakMs: soak * probeMs, confirmMs: confirm * probeMs, startTimeoutMs: start * probeMs }
}

function wavesOf(
  waves: ActOf<'plan'>['waves'],
  hosts: readonly HostName[],
): readonly (readonly HostName[])[] {
  const [first = '', ...rest] = hosts
  if (waves === 'all' || rest.length === 0) return [hosts]
  const half = Math.ceil(rest.length / 2)
  const parts = waves === 'canary' ? [rest] : [rest.slice(0, half), rest.slice(half)]
  return [[first], ...parts.filter((part) => part.length > 0)]
}

/** What is open here, and what was admitted last for any host. */
function replaceable(node: Runtime): readonly string[] {
  const { rollouts, hosts } = node.gate.state
  const open = [...rollouts.values()].filter((one) => one.status === 'open')
  const last = [...hosts.values()].map((host) => host.last)
  return [...new Set([...open.map((one) => one.rollout), ...last])].sort().slice(0, SUPERSEDES_MAX)
}
