/**
 * What one look from outside says about a host (SPEC §11): pure answers for the observer machine and
 * for a host that asks to be confirmed.
 */
import type { HostName, StorePath } from '../protocol/index.ts'
import { CONTROL_HOSTS_MAX } from './limits.ts'
import type { ObserverSettings, ProbeResult, Subject } from './observer-state.ts'
import type { Duty } from './orders.ts'

/** Why a round without an answer is bad. */
export const UNREACHABLE = 'unreachable'
/** Why a round is bad when another generation ran, or when the host had rebooted. */
export const WRONG_GENERATION = 'generation'
/** Why a round is bad when the host itself says that its checks fail. */
export const OWN_WORD = 'self'

/**
 * A look: good, bad with a reason, or early. An early host answers and still runs what it ran before;
 * that is no good round, and nothing against it until its activation must be over.
 */
export type Look =
  | { readonly kind: 'good' }
  | { readonly kind: 'early' }
  | { readonly kind: 'bad'; readonly why: string }

/** Judges one probe of a subject. */
export function judgeLook(input: {
  readonly subject: Subject
  readonly result: ProbeResult
  readonly settings: Pick<ObserverSettings, 'activateMs'>
  readonly now: number
}): Look {
  const { subject, result, settings, now } = input
  if (!result.reachable) return { kind: 'bad', why: UNREACHABLE }
  if (result.generation !== subject.duty.generation) {
    const late = subject.ran || now >= switchedBy(subject, settings.activateMs)
    return late ? { kind: 'bad', why: WRONG_GENERATION } : { kind: 'early' }
  }
  if (subject.ran && result.boot !== subject.boot) return { kind: 'bad', why: WRONG_GENERATION }
  const why = failedWithin(result)
  return why === undefined ? { kind: 'good' } : { kind: 'bad', why }
}

/** Whether bad rounds count: it began or should have, and no held halt covers it. */
export function mayBeFailed(subject: Subject, now: number): boolean {
  const { duty, seenAt } = subject
  return !duty.halted && (duty.activating || now - seenAt >= duty.beginByMs)
}

/** An observer's answer to a host that asks to be looked at now. */
export type ConfirmDecision =
  | { readonly ok: true; readonly why?: undefined }
  | { readonly ok: false; readonly why: string }

/**
 * Whether to confirm `asked`, after an immediate look with every outside check.
 *
 * Only for a host that this observer has a duty for, that runs the generation of the duty in the boot
 * that it names. `why` is `not-my-subject`, `unreachable`, `generation`, `boot`, `self` or the name
 * of the first check that failed.
 */
export function answerConfirm(input: {
  readonly duty: Duty | undefined
  readonly asked: { readonly generation: StorePath; readonly boot: string }
  readonly result: ProbeResult
}): ConfirmDecision {
  const { duty, asked, result } = input
  if (duty === undefined) return { ok: false, why: 'not-my-subject' }
  if (!result.reachable) return { ok: false, why: UNREACHABLE }
  if (asked.generation !== duty.generation || result.generation !== duty.generation) {
    return { ok: false, why: WRONG_GENERATION }
  }
  if (result.boot !== asked.boot) return { ok: false, why: 'boot' }
  const why = failedWithin(result)
  return why === undefined ? { ok: true } : { ok: false, why }
}

/**
 * The members to ask whether anything answers at all: at most 8, voters first, never itself.
 *
 * Members that are not watched come first. Watched ones fill up to as many again, never more: a bad
 * release that silences every watched host must not pass for a broken network of the observer's own.
 */
export function controlSet(input: {
  readonly members: readonly HostName[]
  readonly voters: readonly HostName[]
  readonly self: HostName
  readonly subjects: readonly HostName[]
}): readonly HostName[] {
  const { voters, self, subjects } = input
  const others = input.members.filter((name) => name !== self)
  const ordered = [
    ...others.filter((name) => voters.includes(name)),
    ...others.filter((name) => !voters.includes(name)),
  ]
  const free = ordered.filter((name) => !subjects.includes(name)).slice(0, CONTROL_HOSTS_MAX)
  const room = Math.min(free.length, CONTROL_HOSTS_MAX - free.length)
  return [...free, ...ordered.filter((name) => subjects.includes(name)).slice(0, room)]
}

/** When a reachable host must have left its old generation. */
function switchedBy(subject: Subject, activateMs: number): number {
  const { activatingAt, seenAt, duty } = subject
  return activatingAt === undefined ? seenAt + duty.beginByMs : activatingAt + activateMs
}

function failedWithin(result: ProbeResult & { readonly reachable: true }): string | undefined {
  return result.healthy ? result.failedCheck : (result.failedCheck ?? OWN_WORD)
}
