/**
 * A group in memory under a seeded scheduler: messages are lost, doubled, late and out of order,
 * nodes crash between deciding and the disk, links are cut, liars lie; then the weather turns calm.
 *
 * What the nodes do goes into a `Trial`; the checks read that, never a machine's opinion of itself.
 */
import type { Block, GroupConfig, Vote } from '../../../protocol/index.ts'
import { quorumOf } from '../../../protocol/index.ts'
import type { Accused, GateEffect } from '../../../rollout/gate-machine.ts'
import { NOBODY } from '../../../rollout/lies.ts'
import { seededChance, VirtualClock } from './gate-clock.ts'
import { fakeChange, fakeConfig, hashed, keys, proven, request, requestsOf } from './gate-fakes.ts'
import { GateNode, type Letter, LiarNode, type Surroundings } from './gate-node.ts'

export const SYNC_MS = 250
const CALM_DELAY_MS = 8

export interface Weather {
  readonly seed: number
  readonly n: number
  readonly quorum?: number
  /** Voters that lie, and voters that stay down after the storm. */
  readonly liars: number
  readonly dead: number
  readonly followers: number
  readonly requests: number
  /** How long faults last, and the chance of each kind; chances in percent. */
  readonly stormMs: number
  readonly loss: number
  readonly doubling: number
  readonly delayMs: number
  readonly crashes: number
  readonly cuts: number
  /** Crashed voters come back with an empty journal: a negative control. */
  readonly forgetful?: boolean
  /**
   * How often the voters change: each time a follower takes the place of an honest voter. Two rival
   * changes are asked for each epoch.
   */
  readonly changes?: number
  /** The liars are proven to everybody, in a group that bears none. */
  readonly proven?: boolean
}

/** What happened, for the checks. */
export interface Trial {
  /** The longest log that any life of an honest node told its host. */
  readonly logs: readonly { readonly name: string; readonly log: readonly Block[] }[]
  /** Lengths of the logs of those that are up in the end. */
  readonly lengths: readonly number[]
  readonly votes: readonly Vote[]
  readonly proposals: readonly Block[]
  readonly conflicts: number
  /** Commits out of order, or other than in an earlier life. */
  readonly broken: readonly string[]
  readonly restarts: number
  /** From the end of the storm until every request was in every living log, ms. */
  readonly settledMs: number | undefined
  /** Votes, proposals, publications and timers after the calm. */
  readonly noise: number
  /** Which epochs the living have come to, and how many reconfigs a certificate of a later block committed. */
  readonly epochs: readonly number[]
  readonly tails: number
}

/** Runs one group through a storm, `calmMs` to settle, and `quietMs` in which it should be silent. */
export function runTrial(weather: Weather, calmMs: number, quietMs: number): Trial {
  return new GateNetwork(weather, calmMs).run(quietMs)
}

class GateNetwork implements Surroundings {
  readonly #weather: Weather
  readonly #quietAt: number
  readonly #clock = new VirtualClock()
  readonly #chance: () => number
  readonly #nodes: GateNode[] = []
  readonly #honest: readonly GateNode[]
  readonly #doomed: readonly GateNode[]
  readonly changes: Map<string, GroupConfig> = new Map()
  readonly accused: Accused
  readonly #sides = new Map<GateNode, number>()
  readonly #votes: Vote[] = []
  readonly #proposals: Block[] = []
  readonly #broken: string[] = []
  #conflicts = 0
  #noise = 0
  #settledMs: number | undefined

  constructor(weather: Weather, calmMs: number) {
    this.#weather = weather
    this.#quietAt = weather.stormMs + calmMs
    this.#chance = seededChance(weather.seed)
    const { n, quorum, liars, dead, followers } = weather
    const all = keys(n + followers)
    this.accused = weather.proven === true ? proven(...keys(n).slice(n - liars)) : NOBODY
    const config = fakeConfig({ n, ...(quorum === undefined ? {} : { quorum }) })
    const world = { around: this, chance: this.#chance, peers: this.#nodes }
    for (const [i, self] of keys(n).entries()) {
      const own = { ...config, self }
      const honest = i < n - liars
      this.#nodes.push(
        honest ? new GateNode(`v${i}`, own, this) : new LiarNode(`v${i}`, own, world),
      )
    }
    this.#doomed = this.#nodes.slice(n - liars - dead, n - liars)
    for (let i = 0; i < followers; i++)
      this.#nodes.push(new GateNode(`w${i}`, { ...config, self: all[n + i] }, this))
    this.#honest = this.#nodes.filter((node) => !(node instanceof LiarNode))
  }

  run(quietMs: number): Trial {
    this.#forecast()
    for (const node of this.#nodes) {
      node.step({ kind: 'restart' })
      this.after(this.#below(SYNC_MS), () => this.#syncForever(node))
    }
    this.#clock.runUntil(this.#quietAt + quietMs)
    return {
      logs: this.#honest.map(({ name, told }) => ({ name, log: told })),
      lengths: this.#living().map(({ log }) => log.length),
      votes: this.#votes,
      proposals: this.#proposals,
      conflicts: this.#conflicts,
      broken: this.#broken,
      restarts: this.#nodes.reduce((sum, node) => sum + node.restarts, 0),
      settledMs: this.#settledMs,
      noise: this.#noise,
      epochs: this.#living().map(({ machine }) => machine.config.epoch),
      tails: this.#honest.reduce((sum, { log }) => sum + log.filter(hasTail).length, 0),
    }
  }

  after(ms: number, run: () => void): void {
    this.#clock.after(ms, run)
  }

  send(from: GateNode, letter: Letter, to?: GateNode): void {
    for (const peer of to === undefined ? this.#nodes : [to]) {
      if (peer === from || (this.#storms() && this.#sides.get(from) !== this.#sides.get(peer)))
        continue
      for (let copies = this.#copies(); copies > 0; copies--) {
        const delay = this.#storms() ? this.#weather.delayMs : CALM_DELAY_MS
        this.after(1 + this.#below(delay), () => peer.receive(letter, from))
      }
    }
  }

  watch(_node: GateNode, effect: GateEffect): void {
    if (effect.kind === 'conflict') this.#conflicts++
    const loud = ['vote', 'propose', 'publish', 'timer', 'repair'].includes(effect.kind)
    if (loud && this.#clock.now > this.#quietAt) this.#noise++
    if (effect.kind === 'committed') this.after(1, () => this.#noteSettled())
  }

  voted(node: GateNode, vote: Vote): void {
    if (this.#honest.includes(node)) this.#votes.push(vote)
  }

  proposed(node: GateNode, block: Block): void {
    if (this.#honest.includes(node)) this.#proposals.push(block)
  }

  broken(what: string): void {
    this.#broken.push(what)
  }

  /** Lays out requests, crashes and cuts; the last request comes when the storm is over. */
  #forecast(): void {
    const { stormMs, requests, crashes, cuts, forgetful = false } = this.#weather
    for (let i = 0; i < requests; i++) {
      const at = i === requests - 1 ? stormMs + 1 : this.#below(stormMs)
      this.after(at, () => this.#ask(request(i)))
    }
    this.#planChanges()
    for (let i = 0; i < crashes; i++) {
      const node = this.#honest[this.#below(this.#honest.length)]
      const at = this.#below(stormMs)
      this.after(at, () => node?.crash())
      this.after(at + 1 + this.#below(stormMs - at), () => node?.boot(forgetful))
    }
    for (let i = 0; i < cuts; i++) {
      this.after(this.#below(stormMs), () => {
        for (const node of this.#nodes) this.#sides.set(node, this.#below(2))
      })
    }
    this.after(stormMs, () => {
      for (const node of this.#living()) node.boot(forgetful)
      for (const node of this.#doomed) node.crash()
    })
  }

  /** Voters go one by one, the first first; whoever lies or dies in the end stays a voter. */
  #planChanges(): void {
    const { n, quorum = quorumOf(n, n >= 4 ? 'byzantine' : 'crash'), changes = 0 } = this.#weather
    const { stormMs, followers } = this.#weather
    const all = keys(n + followers)
    for (let i = 0; i < changes; i++) {
      for (const rival of [0, 1]) {
        const fresh = all.slice(n, n + i + 1 + (rival === 1 && i > 0 ? -1 : 0))
        const voters = [...all.slice(fresh.length, n), ...fresh]
        const id = hashed(`change ${i}/${rival}`)
        this.changes.set(id, fakeChange(i + 2, voters, quorum))
        this.after(rival === 1 ? stormMs + 2 : this.#below(stormMs), () => this.#ask(id))
      }
    }
  }

  #ask(id: string): void {
    const living = this.#living()
    const node = living[this.#below(living.length)]
    node?.learn([id])
    if (node !== undefined) this.send(node, { kind: 'facts', held: [id] })
  }

  #syncForever(node: GateNode): void {
    const peer = this.#nodes[this.#below(this.#nodes.length)]
    if (peer !== undefined) node.sync(peer)
    this.after(SYNC_MS, () => this.#syncForever(node))
  }

  #noteSettled(): void {
    if (this.#settledMs !== undefined || this.#storms()) return
    const all = Array.from({ length: this.#weather.requests }, (_, i) => request(i))
    const last = 1 + (this.#weather.changes ?? 0)
    const done = this.#living().every(({ log, machine }) => {
      if (machine.config.epoch !== last) return false
      const logged = new Set(log.flatMap(({ block }) => requestsOf(block)))
      return all.every((id) => logged.has(id))
    })
    if (done) this.#settledMs = this.#clock.now - this.#weather.stormMs
  }

  #living(): readonly GateNode[] {
    return this.#honest.filter((node) => !this.#doomed.includes(node))
  }

  #storms(): boolean {
    return this.#clock.now < this.#weather.stormMs
  }

  #copies(): number {
    if (!this.#storms()) return 1
    const { loss, doubling } = this.#weather
    return (this.#below(100) < loss ? 0 : 1) + (this.#below(100) < doubling ? 1 : 0)
  }

  #below(max: number): number {
    return Math.floor(this.#chance() * max)
  }
}

function hasTail({ tail }: GateNode['log'][number]): boolean {
  return tail.length > 0
}
