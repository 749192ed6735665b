/**
 * What a member remembers of who answers, and the arithmetic of its patience (SPEC §9.4).
 *
 * The shape is that of SWIM with Lifeguard's corrections: a member that is slow itself becomes more
 * patient with the others. For display and incidents only: no decision of the fleet reads this.
 */
import type { HostName } from '../protocol/index.ts'
import {
  DETECTOR_DELAY_MAX,
  SUSPECTS_NEEDED,
  SUSPICION_MAX_FACTOR,
  SUSPICION_PERIODS,
} from './limits.ts'

/** Whether a member answers, as far as this one knows. */
export type Reach = 'unknown' | 'alive' | 'suspect' | 'unreachable'

/** Who asks whom, and how often. Times in ms. */
export interface DetectorSettings {
  readonly self: HostName
  /** Every member of the group, this one included. */
  readonly members: readonly HostName[]
  /** Between two questions of this member. */
  readonly periodMs: number
  /** How long it waits for a direct answer; relays get twice as long. */
  readonly timeoutMs: number
}

/** What is known of one member. Times are those of the own clock that counts suspend. */
export interface Reached {
  readonly state: Reach
  /** When the state began. */
  readonly since: number
  /** The highest incarnation that the host itself has shown. */
  readonly incarnation: number
  /** When this member heard it itself. */
  readonly heardAt?: number | undefined
  /** The newest that anybody heard of it, and who that was. */
  readonly seen?: { readonly by: HostName; readonly at: number } | undefined
  /** Who could not reach it, in the order in which they said so; none while it is alive. */
  readonly accusers: readonly HostName[]
}

/** News about a member that is passed on. `sealed` is its author's envelope; ours are sealed when they leave. */
export type Rumour =
  | {
      readonly kind: 'suspect'
      readonly host: HostName
      readonly incarnation: number
      readonly by: HostName
      readonly sealed?: string | undefined
    }
  | {
      readonly kind: 'refute'
      readonly host: HostName
      readonly incarnation: number
      readonly sealed?: string | undefined
    }

/** A rumour, how often it was passed on, and when that began. */
export interface Passed {
  readonly rumour: Rumour
  readonly sent: number
  readonly at: number
  /** A suspicion of an incarnation that the host itself, heard later, had not reached: a lie. */
  readonly settled?: boolean | undefined
}

/** The question that is under way. */
export interface Question {
  readonly id: number
  readonly host: HostName
  readonly startedAt: number
  readonly endsAt: number
  /** Relays that were asked, and those of them that said that the host is silent. */
  readonly relays: readonly HostName[]
  readonly silent: readonly HostName[]
}

/** The detector's memory. Nothing of it is ever written to a disk. */
export interface DetectorState {
  readonly settings: DetectorSettings
  readonly hosts: ReadonlyMap<HostName, Reached>
  /** Members that are still to be asked in this round over all of them. */
  readonly order: readonly HostName[]
  readonly question: Question | undefined
  readonly questions: number
  readonly nextAt: number
  /** Not before this is news told to somebody who was not asked anyway. */
  readonly newsAt: number
  /** Lifeguard's measure of how slow this member itself is: 0 to `DETECTOR_DELAY_MAX`. */
  readonly delay: number
  readonly incarnation: number
  /** By `rumourKey`. */
  readonly rumours: ReadonlyMap<string, Passed>
  /** Where in the list of members the next sightings are taken from. */
  readonly cursor: number
  /** When this member last heard anybody. */
  readonly heardAt: number
}

/** A detector that knows nobody yet. `now` in bootMs. */
export function startDetector(settings: DetectorSettings, now: number): DetectorState {
  return {
    settings,
    hosts: new Map(othersOf(settings).map((name) => [name, unheard(now)])),
    order: [],
    question: undefined,
    questions: 0,
    nextAt: now,
    newsAt: now,
    delay: 0,
    incarnation: 0,
    rumours: new Map(),
    cursor: 0,
    heardAt: now,
  }
}

/** A member of which nothing is known. */
export function unheard(now: number): Reached {
  return { state: 'unknown', since: now, incarnation: 0, accusers: [] }
}

/** The settings of a group whose probes are `probeMs` apart. */
export function detectorSettings(input: {
  readonly self: HostName
  readonly members: readonly HostName[]
  readonly probeMs: number
}): DetectorSettings {
  const { self, members, probeMs } = input
  return { self, members, periodMs: 2 * probeMs, timeoutMs: Math.ceil((2 * probeMs) / 5) }
}

/** Every member but this one. */
export function othersOf({ self, members }: DetectorSettings): readonly HostName[] {
  return members.filter((name) => name !== self)
}

/**
 * How long a suspect has to refute, in ms: the shorter, the more members suspect it on their own.
 *
 * From 6 × min for one accuser to min for `SUSPECTS_NEEDED`, with the logarithm between. Where there
 * are too few members to ask for that many, min.
 */
export function suspicionMs(
  { members, periodMs }: Pick<DetectorSettings, 'members' | 'periodMs'>,
  accusers: number,
): number {
  const least = Math.ceil(SUSPICION_PERIODS * Math.max(1, Math.log10(members.length)) * periodMs)
  if (members.length - 1 < SUSPECTS_NEEDED) return least
  const share = Math.log(Math.max(1, accusers)) / Math.log(SUSPECTS_NEEDED)
  const most = SUSPICION_MAX_FACTOR * least
  return Math.max(least, Math.ceil(most - share * (most - least)))
}

/** After this long without a word of it from anybody a member is unknown again, in ms. */
export function unknownMs(settings: DetectorSettings): number {
  return suspicionMs(settings, 1) + 2 * settings.members.length * settings.periodMs
}

/** How often one member passes one rumour on. */
export function passesOf(members: number): number {
  return SUSPICION_PERIODS * Math.ceil(Math.log10(members + 1))
}

/** The own delay after `change`, within its bounds. */
export function delayed(delay: number, change: number): number {
  return Math.min(DETECTOR_DELAY_MAX, Math.max(0, delay + change))
}

/** One suspicion of one host by one member, and one refutation of each host, are passed on at a time. */
export function rumourKey(rumour: Rumour): string {
  return rumour.kind === 'suspect' ? `s/${rumour.host}/${rumour.by}` : `r/${rumour.host}`
}
