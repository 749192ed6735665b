/**
 * Carries the host machine: its decisions to the feed, the system, the deadman and the peers.
 *
 * The machine's state is on the disk, with fsync, before any effect of the same step leaves. Nothing
 * that was decided is lost: what the disk refuses waits in order, events before the journal and
 * signatures after it, and is tried again with every tick. All methods run inside the mailbox; what
 * takes long runs outside and comes back as an event.
 */
import {
  decodeCanonical,
  encodeCanonical,
  equalBytes,
  type Hex,
  ProtocolError,
  type Transition,
  toHex,
} from '../protocol/index.ts'
import {
  HOST_STATE,
  type HostEffect,
  type HostEvent,
  type HostRules,
  type HostState,
  initialHost,
  type Orders,
  releaseEntry,
  rolloutRecord,
  roundRecord,
  stepHost,
} from '../rollout/index.ts'
import { DeadmanLane } from './deadman-lane.ts'
import { NodeError } from './errors.ts'
import { HostAsks } from './host-asks.ts'
import { HOST_STATE_BYTES_MAX } from './limits.ts'
import { Pins } from './pins.ts'
import type { Runtime } from './runtime.ts'
import { serveNar } from './serving.ts'
import { Staging } from './staging.ts'
import { SystemLane } from './system-lane.ts'

const STATE_KEY = 'host/state'

export class HostService {
  readonly #node: Runtime
  readonly #lane: SystemLane
  readonly #deadman: DeadmanLane
  readonly #staging: Staging
  readonly #asks: HostAsks
  #state: HostState | undefined
  #journaled: Uint8Array = new Uint8Array()
  /** What happened and is not in the journal yet. */
  readonly #events: HostEvent[] = []
  /** What was decided and could not be signed yet, in the order in which it happened. */
  readonly #unsigned: Transition[] = []
  #signTrouble: string | undefined
  /** An activation waits until the feed says ACTIVATING. */
  #held: (HostEffect & { kind: 'activate' }) | undefined
  /** What is kept in this host's store. */
  readonly pins: Pins
  #checking = false
  #polling = false

  constructor(node: Runtime) {
    this.#node = node
    const { system, clock, log, trust, name } = node.parts
    const answer = (event: HostEvent): void => this.#answer(event)
    this.#lane = new SystemLane({ system, clock, log, answer })
    this.#deadman = new DeadmanLane({ deadman: system.deadman, clock, log, answer })
    this.#asks = new HostAsks(node, answer)
    this.pins = new Pins({ system, clock, log })
    this.#staging = new Staging({
      ...node.parts,
      swarm: node.parts.swarm?.swarm,
      others: trust.config.hosts.filter((host) => host.name !== name).length,
      entry: (rollout) => releaseEntry(node.knowledge(), rollout, name),
      own: (hash) => serveNar(node, hash),
      wanted: (rollout, generation) =>
        this.state.rollouts.some(
          (one) =>
            one.rollout === rollout && one.phase === 'STAGING' && one.generation === generation,
        ),
      answer: (event) => {
        answer(event)
        this.pins.refresh()
      },
    })
  }

  /** The machine's state, once it is loaded. */
  get loaded(): HostState | undefined {
    return this.#state
  }

  /** The machine's state. Throws before `load`. */
  get state(): HostState {
    if (this.#state === undefined) throw new TypeError('the host machine is not loaded')
    return this.#state
  }

  /** What keeps generations from being staged, for people. */
  get troubles(): Staging['troubles'] {
    return this.#staging.troubles
  }

  /**
   * Reads the journal. At the first start the generation that boots becomes the stack's bottom: what
   * runs may be somebody's test, or a rollout's that a lost disk knew of.
   */
  async load(): Promise<void> {
    const { store, system } = this.#node.parts
    const bytes = await store.get(STATE_KEY)
    if (bytes !== undefined) {
      this.#state = HOST_STATE.decode(
        decodeCanonical(bytes, HOST_STATE_BYTES_MAX, STATE_KEY),
        STATE_KEY,
      )
      this.#journaled = bytes
      this.pins.load(this.#state.pinned)
      return
    }
    const generation = await system.bootDefault()
    this.#state = initialHost({ generation, boot: await system.bootId() })
    await this.#journal(this.#state)
  }

  /** The first event after every start. */
  async restarted(): Promise<void> {
    const { system } = this.#node.parts
    await this.#step({
      kind: 'restarted',
      boot: await system.bootId(),
      running: await system.running(),
      bootDefault: await system.bootDefault(),
      deadman: await system.deadman.state(),
    })
  }

  async ordered(orders: Orders): Promise<void> {
    await this.#step({ kind: 'orders', orders, fresh: this.#fresh() })
  }

  async tick(): Promise<void> {
    await this.#signAll()
    await this.#step({ kind: 'tick', fresh: this.#fresh() })
    this.#poll()
  }

  /** Something came that stagings may wait for. */
  nudge(): void {
    this.#staging.nudge()
  }

  /** Nothing is begun or tried again any more. */
  stop(): void {
    this.#lane.stop()
    this.#deadman.stop()
    this.#staging.stop()
    this.pins.stop()
  }

  /** What runs and what the deadman did is read from the system, never remembered. */
  #poll(): void {
    if (this.#polling) return
    this.#polling = true
    const { system } = this.#node.parts
    const changes = this.#lane.changes
    Promise.all([system.running(), system.deadman.state()])
      .then(([running, deadman]) => {
        this.#node.post(async () => {
          if (deadman.kind === 'fired' && this.state.deadman?.token === deadman.token) {
            await this.#step({ ...deadman, kind: 'deadmanFired' })
          }
          const settled = !this.#lane.busy && this.#lane.changes === changes
          if (settled && running !== this.state.running) {
            await this.#step({ kind: 'running', generation: running })
          }
        })
      })
      .catch((error: unknown) =>
        this.#node.parts.log.warn({ error: String(error) }, 'the system could not be read'),
      )
      .finally(() => {
        this.#polling = false
      })
  }

  #rules(): HostRules {
    const { epoch, voters, quorum, timing } = this.#node.parts.trust.config
    return { epoch, voters, quorum, timing }
  }

  #fresh(): Hex {
    return toHex(this.#node.parts.random.bytes(16))
  }

  /** Brings a result of the outside world into the mailbox. */
  #answer(event: HostEvent): void {
    this.#node.post(() => this.#step(event))
  }

  /** This event and whatever waits before it. Throws when the journal cannot be written. */
  async #step(event: HostEvent): Promise<void> {
    this.#events.push(event)
    try {
      for (let next = this.#events[0]; next !== undefined; next = this.#events[0]) {
        const effects = await this.#take(next)
        this.#events.shift()
        for (const effect of effects) await this.#carry(effect)
      }
    } finally {
      this.#keepOnly(isSaidOnce)
    }
  }

  #keepOnly(keep: (event: HostEvent) => boolean): void {
    const kept = this.#events.filter(keep)
    this.#events.splice(0, this.#events.length, ...kept)
  }

  /** An event that the machine cannot read is a bug, and dropped: it must not stop those behind it. */
  async #take(event: HostEvent): Promise<readonly HostEffect[]> {
    const now = this.#node.parts.clock.bootMs()
    try {
      const { state, effects } = stepHost(this.state, event, now, this.#rules())
      if (state !== this.#state) await this.#journal(state)
      this.#state = state
      return effects
    } catch (error) {
      if (!(error instanceof NodeError)) this.#events.shift()
      throw error
    }
  }

  async #journal(state: HostState): Promise<void> {
    const bytes = encodeCanonical(HOST_STATE.encode(state))
    if (equalBytes(bytes, this.#journaled)) return
    await this.#node.parts.store.write([{ key: STATE_KEY, value: bytes }], { sync: true })
    this.#journaled = bytes
  }

  /** Never throws: an effect that fails is no reason to lose those after it. */
  async #carry(effect: HostEffect): Promise<void> {
    switch (effect.kind) {
      case 'sign':
        this.#unsigned.push(effect.transition)
        return await this.#signAll()
      case 'stage':
        return this.#staging.start(effect.rollout, effect.generation)
      case 'askLease':
        return this.#asks.lease(effect)
      case 'askConfirm':
        return this.#asks.confirm(effect)
      case 'runChecks':
        return this.#runChecks(effect)
      case 'pin':
        return this.pins.keep(effect.generations)
      case 'armDeadman':
      case 'renewDeadman':
      case 'disarmDeadman':
        return this.#deadman.carry(effect)
      case 'activate':
        this.#held = effect
        return this.#release()
      case 'revert':
        this.#dropHeld()
        return this.#lane.carry(effect)
      case 'setBootDefault':
        return this.#lane.carry(effect)
    }
  }

  /** Signs what waits, in order, as far as the disk takes it. */
  async #signAll(): Promise<void> {
    for (let next = this.#unsigned[0]; next !== undefined; next = this.#unsigned[0]) {
      try {
        await this.#sign(next)
      } catch (error) {
        this.#noteUnsigned(next, String(error))
        return
      }
      this.#signTrouble = undefined
      this.#unsigned.shift()
      this.#events.push({ kind: 'signed', ...nameOf(next) })
    }
    this.#release()
  }

  /** Once for each new trouble: it is tried again ten times a probe. */
  #noteUnsigned(transition: Transition, error: string): void {
    if (this.#signTrouble === error) return
    this.#signTrouble = error
    const fields = { ...nameOf(transition), error }
    this.#node.parts.log.error(fields, 'a transition could not be signed: trying again')
  }

  /** The feed may already hold it: a crash between the feed's write and the journal's. */
  async #sign(transition: Transition): Promise<void> {
    const { rollout, round, to } = transition
    const record = rolloutRecord(this.#node.knowledge().view, rollout)
    if (roundRecord(record, this.#node.parts.name, round).transitions.has(to)) return
    await this.#author(transition)
    this.#node.parts.log.info(
      { rollout, round, to, why: transition.why, detail: transition.detail },
      'transition',
    )
  }

  /** A detail that the wire refuses must not end the feed: the transition goes without it. */
  async #author(transition: Transition): Promise<void> {
    try {
      await this.#node.author('host.transition', transition)
    } catch (error) {
      if (!(error instanceof ProtocolError) || transition.detail === undefined) throw error
      await this.#node.author('host.transition', { ...transition, detail: undefined })
    }
  }

  /** The activation that waited for its transition, once that is in the feed. */
  #release(): void {
    const held = this.#held
    if (held === undefined || this.#unsigned.length > 0) return
    this.#held = undefined
    this.#lane.carry(held)
  }

  #dropHeld(): void {
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    const { rollout, round } = held
    const detail = 'overtaken by the way back'
    this.#answer({ kind: 'activated', rollout, round, ok: false, detail })
  }

  /** What ran while the checks were made is looked up before and after them. */
  #runChecks({ checks }: HostEffect & { kind: 'runChecks' }): void {
    if (this.#checking || this.#lane.busy) return
    this.#checking = true
    const { system } = this.#node.parts
    const inside = checks.filter((check) => check.from !== 'outside')
    const look = async (): Promise<void> => {
      const before = await system.running()
      const results = await Promise.all(inside.map((check) => system.check(check)))
      const generation = await system.running()
      if (before !== generation) return
      this.#node.health.note(generation, results)
      this.#answer({ kind: 'checks', results, generation })
    }
    look()
      .catch((error: unknown) =>
        this.#node.parts.log.warn({ error: String(error) }, 'the own checks could not be run'),
      )
      .finally(() => {
        this.#checking = false
      })
  }
}

/** Everything else is asked for or looked at again by itself, so that it may be forgotten. */
function isSaidOnce({ kind }: HostEvent): boolean {
  return !ASKED_AGAIN.has(kind)
}

const ASKED_AGAIN: ReadonlySet<HostEvent['kind']> = new Set([
  'orders',
  'tick',
  'running',
  'checks',
  'leaseAnswer',
  'confirmAnswer',
  'deadmanFired',
])

function nameOf({ rollout, round, to }: Transition): Pick<Transition, 'rollout' | 'round' | 'to'> {
  return { rollout, round, to }
}
