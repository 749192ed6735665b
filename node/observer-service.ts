/**
 * Carries the observer machine: its probes to the peers, its attestations to the feed.
 *
 * What it has to say is said in order, the journal before the attestation that it belongs to. While
 * the disk refuses, it waits: an accusation that was decided is never lost.
 */
import { decodeCanonical, encodeCanonical, type HostName, type Phase } from '../protocol/index.ts'
import {
  controlSet,
  type Duty,
  type HostState,
  OBSERVER_JOURNAL,
  type ObserverEffect,
  type ObserverEvent,
  type ObserverState,
  startObserver,
  stepObserver,
} from '../rollout/index.ts'
import { OBSERVER_JOURNAL_BYTES_MAX, OBSERVER_WAITING_MAX } from './limits.ts'
import { lookAt, probe } from './look.ts'
import type { Runtime } from './runtime.ts'

const JOURNAL_KEY = 'observer/windows'

type Spoken = Extract<ObserverEffect, { kind: 'journal' | 'attest' }>

export class ObserverService {
  readonly #node: Runtime
  #state: ObserverState
  #duties: readonly Duty[] = []
  /** Journals and attestations that are not on the disk yet. */
  readonly #waiting: Spoken[] = []

  constructor(node: Runtime) {
    this.#node = node
    this.#state = startObserver(this.#settings())
  }

  /** The clocks of the group may have changed with the epoch. */
  entered(): void {
    this.#state = { ...this.#state, settings: this.#settings() }
  }

  /** The hosts that this node has to watch now. */
  get duties(): readonly Duty[] {
    return this.#duties
  }

  async load(): Promise<void> {
    const bytes = await this.#node.parts.store.get(JOURNAL_KEY)
    if (bytes === undefined) return
    const value = decodeCanonical(bytes, OBSERVER_JOURNAL_BYTES_MAX, JOURNAL_KEY)
    this.#state = startObserver(this.#settings(), OBSERVER_JOURNAL.decode(value, JOURNAL_KEY))
  }

  /** The same duties again are no news, but a moment to look at the time. */
  async assigned(duties: readonly Duty[]): Promise<void> {
    const isNews = duties !== this.#duties
    this.#duties = duties
    await this.#step(isNews ? { kind: 'duties', duties } : { kind: 'tick' })
  }

  /**
   * `lateMs`: how late the timer of this tick went off. An observer whose event loop stands still must
   * not accuse; one whose disk is slow sees as well as any.
   */
  async tick(lateMs: number): Promise<void> {
    if (lateMs > 0) await this.#step({ kind: 'lag', ms: Math.floor(lateMs) })
    const updating = isSwitching(this.#node.host.state)
    if (updating !== this.#state.updating) await this.#step({ kind: 'updating', on: updating })
    await this.#step({ kind: 'tick' })
  }

  #settings(): ObserverState['settings'] {
    const { name, trust } = this.#node.parts
    return { ...trust.config.timing, self: name }
  }

  async #step(event: ObserverEvent): Promise<void> {
    const { state, effects } = stepObserver(this.#state, event, this.#node.parts.clock.bootMs())
    this.#state = state
    for (const effect of effects) this.#carry(effect)
    await this.#speak()
  }

  #carry(effect: ObserverEffect): void {
    switch (effect.kind) {
      case 'journal':
      case 'attest':
        this.#waiting.push(effect)
        if (this.#waiting.length > OBSERVER_WAITING_MAX) this.#waiting.shift()
        return
      case 'probe':
        this.#probe(effect)
        return
      case 'probeControl':
        this.#probeControl(effect.subjects)
    }
  }

  /** Says what waits, as far as the disk takes it. */
  async #speak(): Promise<void> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (next.kind === 'attest') await this.#node.author('obs.attest', next.attestation)
      else {
        const value = encodeCanonical(OBSERVER_JOURNAL.encode(next.journal))
        await this.#node.parts.store.write([{ key: JOURNAL_KEY, value }], { sync: true })
      }
      this.#waiting.shift()
    }
  }

  #probe({ rollout, round, host, checks }: ObserverEffect & { kind: 'probe' }): void {
    const { probeMs } = this.#node.parts.trust.config.timing
    lookAt(this.#node.eyes, { host, checks, timeoutMs: probeMs })
      .then((result) =>
        this.#node.post(() => this.#step({ kind: 'probed', rollout, round, host, result })),
      )
      .catch((error: unknown) =>
        this.#node.parts.log.error({ host, error: String(error) }, 'a look failed'),
      )
  }

  #probeControl(subjects: readonly HostName[]): void {
    const { trust, name } = this.#node.parts
    const set = controlSet({
      self: name,
      subjects,
      members: trust.config.hosts.map((host) => host.name),
      voters: trust.config.voters,
    })
    const asked = set.map((host) => probe(this.#node.eyes, host, trust.config.timing.probeMs))
    Promise.allSettled(asked)
      .then((answers) => {
        const reachable = answers.filter((answer) => answer.status === 'fulfilled').length
        this.#node.post(() => this.#step({ kind: 'control', reachable, of: set.length }))
      })
      .catch((error: unknown) =>
        this.#node.parts.log.error({ error: String(error) }, 'the control set failed'),
      )
  }
}

/** Phases in which a host's own services and network may be in motion, so that it accuses nobody. */
const SWITCHING: ReadonlySet<Phase> = new Set(['ACTIVATING', 'PROBATION', 'REVERTING'])

/** A host that is confirmed and soaks sees as well as any other: in one wave everybody may soak. */
function isSwitching({ back, rollouts }: HostState): boolean {
  return back !== undefined || rollouts.some(({ phase }) => SWITCHING.has(phase))
}
