/**
 * What an observer remembers of the hosts it watches, and what of it must survive a crash (SPEC §11).
 *
 * Only window numbers are journaled: a number that was published is never used again, so no window
 * has two stories. Streaks and half windows start anew after a restart, which only makes the observer
 * slower to speak.
 */
import {
  FACT_ID,
  type HealthCheck,
  type HostName,
  list,
  type RolloutId,
  type Schema,
  type StorePath,
  shape,
  type Timing,
  uint,
} from '../protocol/index.ts'
import { WATCHED_ROLLOUTS_MAX } from './limits.ts'
import type { Duty } from './orders.ts'

/** Who observes, and by which clocks of the group. All in ms but `failRounds`. */
export interface ObserverSettings
  extends Pick<Timing, 'probeMs' | 'failRounds' | 'windowMs' | 'activateMs'> {
  readonly self: HostName
}

/** The observer's memory. Times are those of the clock that counts suspend. */
export interface ObserverState {
  readonly settings: ObserverSettings
  /** Watched hosts by `subjectKey`. */
  readonly subjects: ReadonlyMap<string, Subject>
  readonly clocks: ReadonlyMap<RolloutId, WindowClock>
  /** This host is ACTIVATING, PROBATION or REVERTING itself. */
  readonly updating: boolean
  /** When its event loop last stood still for longer than `OBSERVER_LAG_MS_MAX`. */
  readonly laggedAt: number | undefined
  /** When the control set was asked, while no answer came. */
  readonly controlAskedAt: number | undefined
}

/** The windows of one rollout: all of its subjects share them, so that one fact closes them. */
export interface WindowClock {
  /** The window that is open, or the next one while nobody is watched. */
  readonly number: number
  /** The lowest number that no published attestation used; this is what the journal holds. */
  readonly unused: number
  /** When the open window ends; undefined while nobody is watched. */
  readonly closesAt: number | undefined
}

/** One watched host in one round. */
export interface Subject {
  readonly duty: Duty
  /** When the duty was first seen. */
  readonly seenAt: number
  /** When its ACTIVATING was first held. */
  readonly activatingAt: number | undefined
  readonly probeAt: number
  /** A probe is under way; only its one result counts. */
  readonly asked: boolean
  /** What it last answered; before the first answer the duty's generation and no boot. */
  readonly generation: StorePath
  readonly boot: string
  /** It was seen to run the duty's generation. */
  readonly ran: boolean
  /** Bad rounds in a row that may count against it, and when the first of them was. */
  readonly streak: number
  readonly streakSince: number
  /** The streak is full and waits for the control set. */
  readonly awaiting: boolean
  /** The window in which it was FAILed; one FAIL stands for the whole round. */
  readonly failedIn: number | undefined
  /** The last of an unbroken row of good rounds; survives the end of a window. */
  readonly goodAt: number | undefined
  readonly window: WindowTally
}

/** What one window saw of one host so far. */
export interface WindowTally {
  readonly ok: number
  readonly ko: number
  /** Time between good rounds that follow each other. */
  readonly elapsedMs: number
  /** Why the first bad round was bad. */
  readonly why: string | undefined
  /** A FAIL was withheld, and why. */
  readonly abstained: string | undefined
}

/** What one look from outside found. */
export type ProbeResult =
  | { readonly reachable: false }
  | {
      readonly reachable: true
      readonly generation: StorePath
      readonly boot: string
      /** The host's own word; false counts against it. */
      readonly healthy: boolean
      /** The first declared check that failed from here. */
      readonly failedCheck?: string | undefined
    }

/** Which subject: a host in one round of one rollout. */
export interface SubjectPlace {
  readonly rollout: RolloutId
  readonly round: number
  readonly host: HostName
}

/** What a window starts with. */
export const EMPTY_TALLY: WindowTally = {
  ok: 0,
  ko: 0,
  elapsedMs: 0,
  why: undefined,
  abstained: undefined,
}

/** The part that must be on the disk before an attestation leaves, oldest rollout first. */
export interface ObserverJournal {
  readonly windows: readonly { readonly rollout: RolloutId; readonly unused: number }[]
}

/** The journal on the disk. */
export const OBSERVER_JOURNAL: Schema<ObserverJournal> = shape<ObserverJournal>({
  windows: list(
    shape<ObserverJournal['windows'][number]>({ rollout: FACT_ID, unused: uint() }),
    WATCHED_ROLLOUTS_MAX,
  ),
})

/** An observer that watches nobody yet, with the window numbers of its journal. */
export function startObserver(
  settings: ObserverSettings,
  journal?: ObserverJournal,
): ObserverState {
  const clocks = (journal?.windows ?? []).map(
    ({ rollout, unused }) => [rollout, { number: unused, unused, closesAt: undefined }] as const,
  )
  return {
    settings,
    subjects: new Map(),
    clocks: new Map(clocks),
    updating: false,
    laggedAt: undefined,
    controlAskedAt: undefined,
  }
}

/** What the journal must hold for this state. */
export function observerJournal(state: Pick<ObserverState, 'clocks'>): ObserverJournal {
  return { windows: [...state.clocks].map(([rollout, { unused }]) => ({ rollout, unused })) }
}

/** When the observer next wants a tick, in the clock of `now`; undefined while it watches nobody. */
export function observerDueAt(state: ObserverState): number | undefined {
  let due: number | undefined
  const note = (at: number | undefined): void => {
    if (at !== undefined && (due === undefined || at < due)) due = at
  }
  for (const subject of state.subjects.values()) note(subject.probeAt)
  for (const clock of state.clocks.values()) note(clock.closesAt)
  return due
}

/** The key of a subject in `ObserverState.subjects`. */
export function subjectKey(place: SubjectPlace): string {
  return `${place.rollout}/${place.round}/${place.host}`
}

/** The checks that a peer runs. */
export function outsideChecks(checks: readonly HealthCheck[]): readonly HealthCheck[] {
  return checks.filter((check) => check.from !== 'inside')
}
