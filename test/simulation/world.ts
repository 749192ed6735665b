/**
 * The world of one run: a fleet of shipped daemons, each in a harness, with everything that can be
 * done to it. It does what it is told; what is told when stands in the scenario.
 */
import type { Runtime } from '../../node/runtime.ts'
import type { RuntimeParts } from '../../node/runtime-parts.ts'
import type { MemoryBehaviour } from '../../node/system/memory.ts'
import { DEMO, ED25519, type HostName, PRODUCTION, type Timing } from '../../protocol/index.ts'
import { Coverage } from './coverage.ts'
import { harness, type Life } from './faults/harness.ts'
import { HostClock } from './faults/host-clock.ts'
import { FaultyHub } from './faults/hub.ts'
import type { Lie, ReleaseKind } from './faults/kinds.ts'
import { lyingParts } from './faults/liar.ts'
import { Traps } from './faults/traps.ts'
import { CHEAP_SIGNER, SimFleet } from './fleet.ts'
import { breaksLaw } from './laws.ts'
import { Monitor } from './monitor.ts'
import { recheck } from './recheck.ts'
import type { Pace, Scenario } from './scenario.ts'
import { Trace } from './trace.ts'
import type { InvariantCode } from './violation.ts'

/** The demo's timing with shorter deadlines: a rollout takes seconds, a storm half a minute. */
const BRISK: Timing = {
  ...{ preset: 'brisk', probeMs: 500, failRounds: 3, windowMs: 1_000, leaseMs: 4_000 },
  ...{ activateMs: 4_000, viewMs: 500, viewMsMax: 4_000, anchorMs: 15_000 },
}
const TIMINGS: Readonly<Record<Pace, Timing>> = {
  ...{ brisk: BRISK, demo: DEMO, production: PRODUCTION },
}
/** A daemon that could not start is started again after so long, in ms of the brisk pace. */
const RETRY_MS = 1_500
/** Violations that one run reports; the first tells most. */
const FOUND_MAX = 20
/** Events between two full checks that begin with the disks. */
const RECHECK_EVENTS = 1_000

export interface Found {
  readonly invariant: InvariantCode
  readonly atMs: number
  readonly evidence: string
}

export interface WorldOptions {
  readonly print?: ((line: string) => void) | undefined
}

export class World {
  readonly scenario: Scenario
  readonly fleet: SimFleet
  readonly hub: FaultyHub
  readonly coverage = new Coverage()
  readonly traps = new Traps()
  readonly trace: Trace
  readonly monitor: Monitor
  readonly liars: ReadonlyMap<HostName, ReadonlySet<Lie>>
  readonly found: Found[] = []
  /** Every virtual duration of a scenario times this: 1 in the brisk pace. */
  readonly scale: number
  readonly #clocks = new Map<HostName, HostClock>()
  readonly #lives = new Map<HostName, object>()
  readonly #slow = new Map<HostName, number>()
  readonly #kinds = new Map<string, ReleaseKind>()
  readonly #killed = new Set<string>()
  readonly #hanging = new Set<HostName>()
  readonly #told = new Set<string>()

  constructor(scenario: Scenario, options: WorldOptions = {}) {
    this.scenario = scenario
    const { seed, hosts, voters, faultModel, pace, realSignatures } = scenario
    const timing = TIMINGS[pace]
    this.scale = timing.probeMs / BRISK.probeMs
    let hub: FaultyHub | undefined
    this.fleet = new SimFleet({
      ...{ hosts, voters, seed, timing, faultModel },
      signer: realSignatures ? ED25519 : CHEAP_SIGNER,
      behaviour: (host, generation) => ({
        ...this.#behaviour(generation),
        wayBackHangs: this.#hanging.has(host),
      }),
      log: (host, level, fields, message) => this.#logged(host, level, fields, message),
      hub: (clock) => {
        hub = new FaultyHub({ clock, seed, count: (fault) => this.coverage.add(fault) })
        return hub
      },
      clockOf: (host, clock) => this.#clockOf(host, clock),
      wrap: (host, parts) => this.#wrap(host, parts),
    })
    if (hub === undefined) throw new TypeError('the fleet made no hub')
    this.hub = hub
    this.liars = new Map(
      scenario.liars.map(({ host, lies }) => [this.fleet.names[host] ?? '', new Set(lies)]),
    )
    const { clock } = this.fleet
    this.trace = new Trace({ print: options.print, nowMs: () => clock.bootMs() })
    this.monitor = new Monitor({
      fleet: this.fleet,
      coverage: this.coverage,
      liars: new Set(this.liars.keys()),
      members: () => this.members,
      accuse: (invariant, evidence) => this.accuse(invariant, evidence),
      note: (host, event, detail) => this.trace.note(host, event, detail),
      bootMs: (host) => this.clockOf(host).bootMs(),
    })
    clock.settled = () => {
      this.monitor.settled()
      if (clock.events % RECHECK_EVENTS === 0) this.recheck(false)
    }
  }

  /** Virtual ms since the world began. */
  get nowMs(): number {
    return this.fleet.clock.bootMs() - 1_000_000
  }

  /** Who belongs to the group since the newest epoch that some log has opened. */
  get members(): readonly HostName[] {
    return this.monitor.chronicle.trust.config.hosts.map((host) => host.name)
  }

  /** Members who do not lie. */
  get honest(): readonly HostName[] {
    return this.members.filter((name) => !this.liars.has(name))
  }

  /** Members whose daemon runs. */
  get living(): readonly HostName[] {
    return this.members.filter((name) => this.fleet.host(name).node !== undefined)
  }

  accuse(invariant: InvariantCode, evidence: readonly string[]): void {
    for (const text of evidence) {
      const key = `${invariant} ${text}`
      if (this.#told.has(key) || this.found.length >= FOUND_MAX) continue
      this.#told.add(key)
      this.found.push({ invariant, atMs: Math.round(this.nowMs), evidence: text })
      this.trace.note('simulator', `VIOLATION ${invariant}`, () => text)
    }
  }

  /** Everything from the disks again; it must agree with what was watched. */
  recheck(deep: boolean): void {
    const liars = new Set(this.liars.keys())
    const { broken, missed } = recheck(this.fleet, this.monitor, liars, deep)
    const unseen = broken.filter(
      ({ invariant }) => !this.found.some((one) => one.invariant === invariant),
    )
    for (const { invariant, evidence } of unseen)
      this.accuse(invariant, [`missed so far: ${evidence}`])
    this.accuse('BUG', missed)
  }

  clockOf(host: HostName): HostClock {
    return this.#clockOf(host, this.fleet.clock)
  }

  /** Lets every write of a daemon take `ms`; 0 makes it fast again. */
  slow(host: HostName, ms: number): void {
    this.#slow.set(host, ms)
  }

  /** From now on what the host's deadman does takes until it is ended. */
  hangWaysBack(host: HostName): void {
    this.#hanging.add(host)
  }

  /** What a generation does wherever it runs. */
  setKind(generation: string, kind: ReleaseKind): void {
    this.#kinds.set(generation, kind)
  }

  kindOf(generation: string): ReleaseKind {
    return this.#kinds.get(generation) ?? 'good'
  }

  /** After `ms` of the brisk pace. */
  after(ms: number, run: () => void): void {
    this.fleet.clock.after(ms * this.scale, run)
  }

  /** Work of people and machines that nobody waits for; what it throws is expected to be told elsewhere. */
  spawn(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.trace.note('simulator', 'refused', () => String(error)))
  }

  /** The daemon dies; of what it had not synced, `keep` of the batches stay (from 0 to 1). */
  crash(host: HostName, keep: number): void {
    const { disk, node } = this.fleet.host(host)
    if (node === undefined) return
    const kept = Math.floor(disk.unsynced * keep)
    if (kept < disk.unsynced) this.coverage.add(kept === 0 ? 'lost-writes' : 'torn-tail')
    this.#lives.delete(host)
    this.fleet.crash(host, kept)
    this.monitor.crashed(host)
    this.trace.note(host, 'dies')
  }

  /** Starts the daemon, and again until it runs. */
  boot(host: HostName): void {
    if (this.#lives.has(host)) return
    const life = {}
    this.#lives.set(host, life)
    this.trace.note(host, 'boots')
    this.fleet.boot(host).catch((error: unknown) => {
      if (this.#lives.get(host) !== life) return
      const isFull = this.fleet.host(host).disk.full || String(error).includes('STORE_FULL')
      if (!isFull) this.accuse('BUG', [`${host} does not start: ${String(error)}`])
      this.crash(host, 1)
      this.#lives.delete(host)
      this.after(RETRY_MS, () => this.boot(host))
    })
  }

  node(via: number): Runtime | undefined {
    const { living } = this
    const name = living[via % Math.max(1, living.length)]
    return name === undefined ? undefined : this.fleet.host(name).node
  }

  name(host: number): HostName {
    return this.fleet.names[host % this.fleet.names.length] ?? ''
  }

  #clockOf(host: HostName, base: SimFleet['clock']): HostClock {
    const known = this.#clocks.get(host) ?? new HostClock(base)
    this.#clocks.set(host, known)
    return known
  }

  #wrap(host: HostName, parts: RuntimeParts): RuntimeParts {
    const self = this.#lives.get(host) ?? {}
    this.#lives.set(host, self)
    const life: Life = {
      host,
      clock: this.clockOf(host),
      watcher: this.monitor,
      alive: () => this.#lives.get(host) === self,
      reach: (call, when) => this.traps.reach(host, call, when),
      slowMs: () => this.#slowed(host),
      killedBy: (generation) => this.#killedBy(host, generation),
    }
    const watched = harness(parts, life)
    const lies = this.liars.get(host)
    return lies === undefined ? watched : this.#lying(host, watched, lies)
  }

  #lying(host: HostName, parts: RuntimeParts, lies: ReadonlySet<Lie>): RuntimeParts {
    const told = (lie: Lie): void => {
      this.coverage.add(lie)
      if (lies.has('colluding') && this.liars.size > 1) this.coverage.add('colluding')
    }
    return lyingParts(parts, {
      lies,
      seed: this.scenario.seed,
      subjects: new Set(this.honest.filter((_, i) => i % 2 === this.scenario.seed % 2)),
      whisper: (to, topic, bytes) =>
        this.hub.carry(host, to, () => {
          const endpoint = this.#endpoint(host, to)
          void endpoint?.handlers.gossip(topic, bytes.slice(), host)
        }),
      count: told,
      duties: () => this.fleet.host(host).node?.observer.duties ?? [],
    })
  }

  #endpoint(from: HostName, to: HostName): ReturnType<FaultyHub['reach']> | undefined {
    try {
      return this.hub.reach(from, to)
    } catch {
      return undefined
    }
  }

  #slowed(host: HostName): number {
    const ms = this.#slow.get(host) ?? 0
    if (ms > 0) {
      this.coverage.add('slow-node')
      this.monitor.witnesses.waits(host)
    }
    return ms * this.scale
  }

  /** Once for each host: the daemon that comes back goes on with the way back. */
  #killedBy(host: HostName, generation: string): boolean {
    const kind = this.kindOf(generation)
    if (kind !== 'good') this.coverage.add(kind)
    const key = `${host} ${generation}`
    if (kind !== 'activation-kills-daemon' || this.#killed.has(key)) return false
    this.#killed.add(key)
    this.crash(host, 1)
    this.after(RETRY_MS, () => this.boot(host))
    return true
  }

  #behaviour(generation: string): MemoryBehaviour {
    const { probeMs } = this.fleet.trust.config.timing
    const activateMs = probeMs / 2
    const late = { fromMs: probeMs * 4 }
    const now = { fromMs: 0 }
    switch (this.kindOf(generation)) {
      case 'good':
      case 'activation-kills-daemon':
        return { activateMs }
      case 'activation-fails':
        return { activateMs, activation: 'fails' }
      case 'activation-hangs':
        return { activateMs, activation: 'hangs' }
      case 'release-fails-at-once':
        return { activateMs, insideBad: now, outsideBad: now }
      case 'release-fails-late':
        return { activateMs, insideBad: late, outsideBad: late }
      case 'release-fails-outside':
        return { activateMs, outsideBad: now }
      case 'release-lies':
        return { activateMs, insideBad: now, outsideBad: now, lies: true }
    }
  }

  #logged(host: HostName, level: string, fields: object, message: string): void {
    this.trace.note(host, `logs ${message.slice(0, 40)}`, () =>
      JSON.stringify(fields).slice(0, 200),
    )
    // Until its peers have said what it wrote before, what the observer has to say waits.
    if (JSON.stringify(fields).includes('does not sign facts')) this.monitor.witnesses.waits(host)
    if (this.liars.has(host) || level !== 'error') return
    const text = JSON.stringify(fields)
    const isBug = ['TypeError', 'RangeError', 'This is a bug'].some((one) => text.includes(one))
    if (isBug) this.accuse('BUG', [`${host}: ${message} ${text.slice(0, 400)}`])
    if (!breaksLaw(message)) return
    const accused = this.monitor.chronicle.nameOf(keyIn(fields))
    if (accused !== undefined && this.liars.has(accused)) return
    this.accuse(codeOf(message), [`${host} finds: ${message} ${text.slice(0, 200)}`])
  }
}

/** The key that a log line speaks of: by name, or as the author of a feed. */
function keyIn(fields: object): string {
  const { accused, author, feed } = fields as Readonly<Record<string, unknown>>
  return String(accused ?? author ?? feed ?? '').slice(0, 64)
}

function codeOf(message: string): InvariantCode {
  if (message.includes('certificates')) return 'S1'
  return message.includes('ends early') ? 'S15' : 'S12'
}
