/** One step of the observer while it is being made, and what may come out of it. */
import type {
  Attestation,
  AttestSubject,
  HealthCheck,
  HostName,
  RolloutId,
} from '../protocol/index.ts'
import type {
  ObserverJournal,
  ObserverSettings,
  Subject,
  SubjectPlace,
  WindowClock,
} from './observer-state.ts'

/** What an observer asks for, to be carried out in order. */
export type ObserverEffect =
  /** On the disk before anything after it is done. */
  | { readonly kind: 'journal'; readonly journal: ObserverJournal }
  | ({ readonly kind: 'probe'; readonly checks: readonly HealthCheck[] } & SubjectPlace)
  /** Ask `controlSet` of these subjects, at once. */
  | { readonly kind: 'probeControl'; readonly subjects: readonly HostName[] }
  | { readonly kind: 'attest'; readonly attestation: Attestation }

/** A copy of the state that one step may change, with what it says and asks. */
export interface Draft {
  readonly settings: ObserverSettings
  readonly now: number
  readonly subjects: Map<string, Subject>
  readonly clocks: Map<RolloutId, WindowClock>
  readonly spoken: Map<RolloutId, AttestSubject[]>
  readonly effects: ObserverEffect[]
  updating: boolean
  laggedAt: number | undefined
  controlAskedAt: number | undefined
}
