/** A world for one observer: a virtual clock, hosts that answer as told, a disk that may be cut off. */
import type { Attestation, AttestSubject } from '../../../protocol/index.ts'
import type { ObserverEffect } from '../../../rollout/observer-draft.ts'
import { type ObserverEvent, stepObserver } from '../../../rollout/observer-machine.ts'
import {
  OBSERVER_JOURNAL,
  type ObserverJournal,
  type ObserverSettings,
  type ObserverState,
  observerDueAt,
  type ProbeResult,
  startObserver,
} from '../../../rollout/observer-state.ts'
import type { Duty } from '../../../rollout/orders.ts'

export const SETTINGS: ObserverSettings = {
  self: 'me',
  probeMs: 100,
  failRounds: 3,
  windowMs: 300,
  activateMs: 250,
}
export const ROLLOUT: string = '11'.repeat(32)
export const NEW = '/nix/store/new'
export const OLD = '/nix/store/old'

/** A duty as a started host gives it; ACTIVATING is held. */
export function dutyFor(changes: Partial<Duty> = {}): Duty {
  return {
    rollout: ROLLOUT,
    round: 0,
    host: 'web-01',
    generation: NEW,
    checks: [],
    soakMs: 1000,
    activating: true,
    beginByMs: 1000,
    committed: false,
    halted: false,
    ...changes,
  }
}

/** A host that is well. */
export const WELL: ProbeResult & { reachable: true } = {
  reachable: true,
  generation: NEW,
  boot: 'b0',
  healthy: true,
}
/** A host that does not answer. */
export const SILENT: ProbeResult = { reachable: false }

/** One published finding, and when. */
export interface Published extends AttestSubject {
  readonly at: number
  readonly rollout: string
}

/** Drives an observer through virtual time and writes down what it does. */
export class ObserverWorld {
  state: ObserverState
  now = 0
  /** What the disk holds. */
  journal: ObserverJournal | undefined
  /** How many more effects are carried out before the power goes. */
  effectsLeft = Number.POSITIVE_INFINITY
  readonly published: Published[] = []
  readonly attestations: Attestation[] = []
  readonly probes: { host: string; at: number }[] = []
  /** What a host answers now. */
  answer: (host: string, now: number) => ProbeResult = () => WELL
  /** How the control set answers; undefined: never. */
  control: (now: number) => { reachable: number; of: number } | undefined = () => ({
    reachable: 8,
    of: 8,
  })
  /** Called before each answer is handed over. */
  beforeAnswer: (now: number) => void = () => {}

  constructor(journal?: ObserverJournal) {
    this.journal = journal
    this.state = startObserver(SETTINGS, journal)
  }

  /** Feeds one event now and carries out what it asks for. */
  feed(event: ObserverEvent): void {
    if (this.effectsLeft <= 0) return
    const { state, effects } = stepObserver(this.state, event, this.now)
    this.state = state
    for (const effect of effects) this.carryOut(effect)
  }

  /** Lets time pass up to `until`. */
  run(until: number): void {
    for (;;) {
      const due = observerDueAt(this.state)
      if (due === undefined || due > until || this.effectsLeft <= 0) break
      this.now = Math.max(this.now, due)
      this.feed({ kind: 'tick' })
    }
    this.now = until
  }

  private carryOut(effect: ObserverEffect): void {
    if (this.effectsLeft-- <= 0) return
    switch (effect.kind) {
      case 'journal': {
        const bytes = OBSERVER_JOURNAL.encode(effect.journal)
        this.journal = OBSERVER_JOURNAL.decode(bytes, 'journal')
        break
      }
      case 'attest':
        this.publish(effect.attestation)
        break
      case 'probe': {
        this.probes.push({ host: effect.host, at: this.now })
        this.beforeAnswer(this.now)
        const result = this.answer(effect.host, this.now)
        const { rollout, round, host } = effect
        this.feed({ kind: 'probed', rollout, round, host, result })
        break
      }
      case 'probeControl': {
        const control = this.control(this.now)
        if (control !== undefined) this.feed({ kind: 'control', ...control })
      }
    }
  }

  private publish(attestation: Attestation): void {
    this.attestations.push(attestation)
    for (const subject of attestation.subjects) {
      this.published.push({ ...subject, at: this.now, rollout: attestation.rollout })
    }
  }
}
