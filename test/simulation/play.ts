/**
 * Plays one scenario to its end: the storm, the calm after it, one more good release, and then every
 * question that only the end can answer.
 */
import { seededRandom } from '../../node/network/memory-hub.ts'
import type { HostName } from '../../protocol/index.ts'
import {
  dutiesFor,
  type FleetView,
  invitesOf,
  ordersFor,
  rolloutStatus,
} from '../../rollout/index.ts'
import { Stage } from './acts.ts'
import type { Counts } from './coverage.ts'
import {
  l1Decided,
  l2Closes,
  l3HaltReaches,
  l5Silent,
  l6Converge,
  l8Completes,
} from './invariants/liveness.ts'
import { s11Merge, s16Acts, s16Determinism, s16Refold, s18SameRest } from './invariants/merge.ts'
import { s3Waiting } from './invariants/newcomers.ts'
import type { Scenario } from './scenario.ts'
import { type Found, World, type WorldOptions } from './world.ts'

/** What became of a scenario. */
export interface Played {
  readonly found: readonly Found[]
  readonly events: number
  readonly simulatedMs: number
  readonly hash: string
  readonly counts: Counts
}

/** All in ms of the brisk pace. */
const CALM_MS = 90_000
const ENCORE_MS = 90_000
const STEP_MS = 500
/** Longer than a start that nobody uses, so that whoever may still be started has been. */
const REST_MS = 6_500
const SILENCE_MS = 4_000
/** Every so many seeds the last rollout finds its canary away: in a storm others soon take its place. */
const AWAY_EVERY = 2
/** Longer than a start may stay unused. */
const AWAY_MS = 9_000
/** The slowest that any scenario lets a clock run. */
const SLOWEST_RATE = 0.9
/** Every so many seeds the idle group is listened to. */
const LISTEN_EVERY = 8

/** Plays `scenario`. The same scenario plays the same way, to the hash. */
export async function play(scenario: Scenario, options: WorldOptions = {}): Promise<Played> {
  const world = new World(scenario, options)
  const stage = new Stage(world)
  for (const name of world.fleet.names) world.boot(name)
  for (const act of scenario.acts) world.after(act.at, () => stage.perform(act))
  await world.fleet.clock.advance(scenario.stormMs * world.scale)
  await new Ending(world, stage).play()
  const { clock } = world.fleet
  return {
    found: world.found,
    events: clock.events,
    simulatedMs: world.nowMs,
    hash: world.trace.hash,
    counts: world.coverage.counts,
  }
}

class Ending {
  readonly #world: World
  readonly #stage: Stage

  constructor(world: World, stage: Stage) {
    this.#world = world
    this.#stage = stage
  }

  async play(): Promise<void> {
    this.#mend()
    await this.#comesToRest()
    this.#judgeCalm()
    if (this.#world.found.length > 0) return
    await this.#encore()
    if (this.#world.scenario.seed % LISTEN_EVERY === 0) await this.#listen()
    this.#judgeFacts()
  }

  /** The network is good, disks have room, everybody is there; liars go on to lie. */
  #mend(): void {
    const { fleet, hub, traps } = this.#world
    this.#world.trace.note('scenario', 'calm')
    hub.calm()
    traps.clear()
    for (const name of fleet.names) {
      fleet.host(name).disk.full = false
      this.#world.slow(name, 0)
      this.#world.boot(name)
    }
    this.#stage.liftHolds()
  }

  /** A host that missed its start is started again, also after all others are done. */
  async #comesToRest(): Promise<void> {
    const { clock } = this.#world.fleet
    const end = this.#world.nowMs + CALM_MS * this.#world.scale
    while (this.#world.nowMs < end) {
      if (this.#isAtRest()) {
        await clock.advance(REST_MS * this.#world.scale)
        if (this.#isAtRest()) return
      }
      await clock.advance(STEP_MS * this.#world.scale)
    }
  }

  #isAtRest(): boolean {
    const { fleet, honest } = this.#world
    const settled = honest.every((name) => {
      const { node } = fleet.host(name)
      const state = node?.host.loaded
      if (node === undefined || state === undefined) return false
      const open = [...node.gate.state.rollouts.values()].some((one) => one.status === 'open')
      return !open && state.flight === undefined && state.back === undefined
    })
    return settled && this.#digests().size === 1
  }

  #digests(): ReadonlyMap<string, readonly HostName[]> {
    const digests = new Map<string, HostName[]>()
    for (const name of this.#world.honest) {
      const digest = this.#world.fleet.host(name).node?.digest() ?? 'none'
      digests.set(digest, [...(digests.get(digest) ?? []), name])
    }
    return digests
  }

  #judgeCalm(): void {
    const { fleet, honest, coverage } = this.#world
    const open: Parameters<typeof l2Closes>[0][number][] = []
    const undecided: Parameters<typeof l1Decided>[0][number][] = []
    const late: Parameters<typeof l3HaltReaches>[0][number][] = []
    const halts = new Set(
      [...this.#world.monitor.chronicle.halts.values()].flat().map((one) => one.id),
    )
    for (const at of honest) {
      const { node } = fleet.host(at)
      if (node === undefined) continue
      const knowledge = node.knowledge()
      for (const id of knowledge.view.plans.keys()) {
        const status = rolloutStatus(knowledge, id, node.parts.clock.wallMs())
        const waiting = status.waiting ?? '?'
        if (status.state !== 'proposed' || this.#isGone(knowledge.view, id)) continue
        undecided.push({ id, at, waiting })
      }
      for (const { rollout: id, status } of knowledge.state.rollouts.values()) {
        if (status === 'open') open.push({ id, at, stands: this.#standing(node, id) })
      }
      const held = new Set((this.#world.monitor.chronicle.halts.get(at) ?? []).map((one) => one.id))
      for (const halt of halts) if (!held.has(halt)) late.push({ halt, host: at, ms: CALM_MS })
    }
    const [first] = honest
    const known = first === undefined ? undefined : fleet.host(first).node?.knowledge()
    for (const id of known?.view.plans.keys() ?? []) {
      if (known !== undefined && rolloutStatus(known, id).state === 'rejected')
        coverage.add('reject')
    }
    this.#world.accuse('L1', l1Decided(undecided))
    this.#world.accuse('L2', l2Closes(open))
    this.#world.accuse('L3', l3HaltReaches(late))
    this.#world.accuse('L6', l6Converge(this.#digests()))
  }

  /** What no honest member holds went with a disk, or with a host that left: somebody has to bring it again. */
  #isGone(view: FleetView, plan: string): boolean {
    const { fleet, honest } = this.#world
    const stores = honest.flatMap((name) => {
      const node = fleet.host(name).node
      return node?.belonging.isMember === true ? [node.blobs] : []
    })
    const hash = view.plans.get(plan)?.body.plan ?? ''
    const body = stores.map((blobs) => blobs.plan(hash)).find((one) => one !== undefined)
    const manifest = view.releases.get(body?.release ?? '')?.body.manifest ?? ''
    return body === undefined || stores.every((blobs) => blobs.manifest(manifest) === undefined)
  }

  #standing(node: NonNullable<ReturnType<World['node']>>, id: string): string {
    const record = node.knowledge().view.rollouts.get(id)
    return (
      node.gate.state.rollouts
        .get(id)
        ?.waves.flat()
        .map((host) => {
          const rounds = [...(record?.hosts.get(host)?.values() ?? [])]
          const phases = rounds.flatMap((round) => [...round.transitions.keys()])
          return `${host} ${phases.at(-1) ?? '-'}`
        })
        .join(', ') ?? ''
    )
  }

  async #encore(): Promise<void> {
    const { clock } = this.#world.fleet
    let id = ''
    if (this.#world.scenario.seed % AWAY_EVERY === 1) this.#canaryLeaves()
    const proposed = this.#stage.encore().then((rollout) => {
      id = rollout
    })
    this.#world.spawn(proposed)
    const end = this.#world.nowMs + ENCORE_MS * this.#world.scale
    while (this.#world.nowMs < end && !this.#isOver(id)) {
      await clock.advance(STEP_MS * this.#world.scale)
    }
    await clock.advance(STEP_MS * 4 * this.#world.scale)
    const [first = ''] = this.#world.honest
    const status = this.#world.fleet.host(first).node?.gate.state.rollouts.get(id)?.status
    const behind = this.#world.honest.filter((name) => !this.#runsNewest(name))
    this.#world.accuse('L8', l8Completes(status ?? 'not admitted', behind))
  }

  /** Its start is ended without it; it is started again when it is back, and the others follow. */
  #canaryLeaves(): void {
    const { fleet, honest, liars } = this.#world
    const [first = ''] = honest
    const config = fleet.host(first).node?.parts.trust.config
    const canary = config?.hosts[0]?.name
    if (config === undefined || canary === undefined || liars.size > 0) return
    const others = config.voters.filter((voter) => voter !== canary)
    if (others.length < config.quorum) return
    this.#world.crash(canary, 1)
    this.#world.after(AWAY_MS, () => this.#world.boot(canary))
  }

  #isOver(id: string): boolean {
    return this.#world.honest.every((name) => {
      const status = this.#world.fleet.host(name).node?.gate.state.rollouts.get(id)?.status
      return status !== undefined && status !== 'open' && this.#runsNewest(name)
    })
  }

  #runsNewest(name: HostName): boolean {
    const { machine } = this.#world.fleet.host(name)
    const newest = this.#stage.newest
    return machine.running === newest && machine.bootDefault === newest
  }

  /** L5: after the last anchor, by the slowest clock, nothing is said. */
  async #listen(): Promise<void> {
    const { fleet, monitor, scale } = this.#world
    const { anchorMs } = fleet.trust.config.timing
    await fleet.clock.advance(anchorMs / SLOWEST_RATE + 3_000 * scale)
    const said = (): number => monitor.gate.messages + monitor.ownFacts
    const before = said()
    await fleet.clock.advance(SILENCE_MS * scale)
    this.#world.accuse('L5', l5Silent(said() - before, SILENCE_MS * scale))
  }

  #judgeFacts(): void {
    const { fleet, honest, monitor, scenario } = this.#world
    const random = seededRandom(scenario.seed)
    this.#world.recheck(true)
    monitor.witnesses.certificates()
    const facts = [...monitor.chronicle.byId.values()]
    this.#world.accuse('S11', s11Merge(facts, fleet.trust, random))
    const nodes = honest.flatMap((name) => {
      const { node, disk } = fleet.host(name)
      if (node === undefined) return []
      const live = node.knowledge()
      this.#world.accuse('S16', s16Refold(name, live, monitor.chronicle.factsOn(disk), random))
      this.#world.accuse('S3', s3Waiting(name, invitesOf(live), monitor.chronicle.factsOn(disk)))
      const orders = node.freshness.cleared(ordersFor(live, name))
      const duties = node.belonging.isMember ? dutiesFor(live, name) : []
      const told = { orders: node.host.state.orders, duties: node.observer.duties }
      this.#world.accuse('S16', s16Acts(name, told, { orders, duties }))
      const heads = [...live.view.vector].map(([key, { id }]) => `${key} ${id}`).sort()
      return [{ name, facts: `${live.state.head} ${heads.join()}`, digest: node.digest() }]
    })
    this.#world.accuse('S16', s16Determinism(nodes))
    this.#world.accuse('S18', s18SameRest(monitor.hosts.rests()))
  }
}
