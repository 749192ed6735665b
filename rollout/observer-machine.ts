/**
 * What an observer does: probe its subjects, say at once who failed, say per window who was well
 * (SPEC §11). Pure: `(state, event, now) → { state, effects }`.
 *
 * A FAIL is published at the last of `failRounds` bad rounds; an OK waits for the end of its window.
 * Before it accuses a silent host, the observer asks a control set: whoever hears nobody is itself cut
 * off and abstains. An observer that is updating never accuses.
 */
import { concatBytes, fromHex, sha256, utf8 } from '../protocol/index.ts'
import { OBSERVER_LAG_MS_MAX, WATCHED_ROLLOUTS_MAX } from './limits.ts'
import { accuse, calm, takeControl } from './observer-accuse.ts'
import { cutAttestations } from './observer-attest.ts'
import type { Draft, ObserverEffect } from './observer-draft.ts'
import {
  judgeLook,
  type Look,
  mayBeFailed,
  UNREACHABLE,
  WRONG_GENERATION,
} from './observer-judge.ts'
import {
  EMPTY_TALLY,
  type ObserverSettings,
  type ObserverState,
  observerDueAt,
  observerJournal,
  outsideChecks,
  type ProbeResult,
  type Subject,
  type SubjectPlace,
  subjectKey,
} from './observer-state.ts'
import { closeWindows, openWindow } from './observer-windows.ts'
import type { Duty } from './orders.ts'

/** What happens to an observer. Every `probe` must be answered by one `probed` within `probeMs`. */
export type ObserverEvent =
  /** Every host to watch now; those that are missing are watched no longer. */
  | { readonly kind: 'duties'; readonly duties: readonly Duty[] }
  | ({ readonly kind: 'probed'; readonly result: ProbeResult } & SubjectPlace)
  /** How many members of the control set answered, of how many asked. */
  | { readonly kind: 'control'; readonly reachable: number; readonly of: number }
  | { readonly kind: 'lag'; readonly ms: number }
  | { readonly kind: 'updating'; readonly on: boolean }
  | { readonly kind: 'tick' }

/** The state after an event, and what to do. */
export interface ObserverStep {
  readonly state: ObserverState
  readonly effects: readonly ObserverEffect[]
}

/** One step of the observer. `now` is the clock that counts suspend, in ms. */
export function stepObserver(
  state: ObserverState,
  event: ObserverEvent,
  now: number,
): ObserverStep {
  const dueAt = observerDueAt(state) ?? Number.POSITIVE_INFINITY
  if (event.kind === 'tick' && now < dueAt) return { state, effects: [] }
  const draft: Draft = {
    ...state,
    now,
    subjects: new Map(state.subjects),
    clocks: new Map(state.clocks),
    spoken: new Map(),
    effects: [],
  }
  takeEvent(draft, event)
  closeWindows(draft)
  askProbes(draft)
  return finish(draft)
}

function takeEvent(draft: Draft, event: ObserverEvent): void {
  switch (event.kind) {
    case 'duties':
      takeDuties(draft, event.duties)
      break
    case 'probed':
      takeProbe(draft, event, event.result)
      break
    case 'control':
      takeControl(draft, event)
      break
    case 'lag':
      if (event.ms > OBSERVER_LAG_MS_MAX) draft.laggedAt = draft.now
      break
    case 'updating':
      takeUpdating(draft, event.on)
      break
    case 'tick':
      break
  }
}

function takeDuties(draft: Draft, duties: readonly Duty[]): void {
  const before = new Map(draft.subjects)
  draft.subjects.clear()
  for (const duty of duties) {
    const key = subjectKey(duty)
    const kept = before.get(key) ?? newSubject(draft, duty)
    const known = duty.committed && !kept.duty.committed ? calm(kept) : kept
    const activatingAt = known.activatingAt ?? (duty.activating ? draft.now : undefined)
    draft.subjects.set(key, { ...known, duty, activatingAt })
    openWindow(draft, duty)
  }
  const watched = new Set(duties.map((duty) => duty.rollout))
  for (const [rollout, clock] of draft.clocks) {
    if (watched.has(rollout)) continue
    if (draft.clocks.size > WATCHED_ROLLOUTS_MAX) draft.clocks.delete(rollout)
    else draft.clocks.set(rollout, { ...clock, number: clock.unused, closesAt: undefined })
  }
}

function newSubject(draft: Draft, duty: Duty): Subject {
  return {
    duty,
    seenAt: draft.now,
    activatingAt: undefined,
    probeAt: draft.now + phaseMs(draft.settings, duty),
    asked: false,
    generation: duty.generation,
    boot: '',
    ran: false,
    streak: 0,
    streakSince: draft.now,
    awaiting: false,
    failedIn: undefined,
    goodAt: undefined,
    window: EMPTY_TALLY,
  }
}

/** A place in the probe period that differs per observer and host, so that nobody is asked by all at once. */
function phaseMs(settings: ObserverSettings, duty: Duty): number {
  const names = utf8(`${settings.self}/${duty.host}`)
  const [a = 0, b = 0, c = 0] = sha256(concatBytes(fromHex(duty.rollout), names))
  return (a * 65536 + b * 256 + c) % settings.probeMs
}

function takeProbe(draft: Draft, place: SubjectPlace, result: ProbeResult): void {
  const key = subjectKey(place)
  const asked = draft.subjects.get(key)
  if (!asked?.asked) return
  const { settings, now } = draft
  const look = judgeLook({ subject: asked, result, settings, now })
  const subject = countLook(draft, hear({ ...asked, asked: false }, result), look)
  draft.subjects.set(key, subject)
  if (look.kind === 'bad' && subject.streak >= settings.failRounds) accuse(draft, key, look.why)
}

/** Notes what the host answered; another generation or boot begins its window anew. */
function hear(subject: Subject, result: ProbeResult): Subject {
  if (!result.reachable) return subject
  const { generation, boot } = result
  const same = generation === subject.generation && boot === subject.boot
  if (same) return subject
  const ran = subject.ran || generation === subject.duty.generation
  return { ...subject, generation, boot, ran, goodAt: undefined, window: EMPTY_TALLY }
}

function countLook(draft: Draft, subject: Subject, look: Look): Subject {
  const { window, goodAt } = subject
  if (look.kind === 'good') {
    const gapMs = goodAt === undefined ? 0 : draft.now - goodAt
    // A longer gap was not watched: this host slept, or its questions got lost.
    const elapsedMs = window.elapsedMs + (gapMs <= 2 * draft.settings.probeMs ? gapMs : 0)
    const tally = { ...window, ok: window.ok + 1, elapsedMs }
    return { ...calm(subject), goodAt: draft.now, window: tally }
  }
  const why = look.kind === 'early' ? WRONG_GENERATION : look.why
  const tally = { ...window, ko: window.ko + 1, why: window.why ?? why }
  const tallied = { ...subject, goodAt: undefined, window: tally }
  if (look.kind === 'early' || !mayBeFailed(subject, draft.now)) return calm(tallied)
  if (subject.duty.committed && look.why === UNREACHABLE) return tallied
  const streakSince = subject.streak === 0 ? draft.now : subject.streakSince
  return { ...tallied, streak: subject.streak + 1, streakSince }
}

/** After its own update the observer trusts no round that it saw meanwhile. */
function takeUpdating(draft: Draft, on: boolean): void {
  if (draft.updating && !on) {
    for (const [key, subject] of draft.subjects) draft.subjects.set(key, calm(subject))
  }
  draft.updating = on
}

function askProbes(draft: Draft): void {
  const { now, settings } = draft
  for (const [key, subject] of draft.subjects) {
    if (now < subject.probeAt) continue
    const periods = Math.floor((now - subject.probeAt) / settings.probeMs) + 1
    const probeAt = subject.probeAt + periods * settings.probeMs
    draft.subjects.set(key, { ...subject, asked: true, probeAt })
    const { rollout, round, host, checks } = subject.duty
    draft.effects.push({ kind: 'probe', rollout, round, host, checks: outsideChecks(checks) })
  }
}

function finish(draft: Draft): ObserverStep {
  const { settings, subjects, clocks, spoken, effects, updating, laggedAt, controlAskedAt } = draft
  const state = { settings, subjects, clocks, updating, laggedAt, controlAskedAt }
  if (spoken.size === 0) return { state, effects }
  const attests = [...spoken].flatMap(([rollout, said]) => cutAttestations(rollout, said))
  return {
    state,
    effects: [
      { kind: 'journal', journal: observerJournal(state) },
      ...attests.map((attestation) => ({ kind: 'attest', attestation }) as const),
      ...effects,
    ],
  }
}
