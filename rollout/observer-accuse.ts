/** From a full streak to FAIL or ABSTAIN (SPEC §11): the only place where an observer accuses. */
import { attestSubject } from './observer-attest.ts'
import type { Draft } from './observer-draft.ts'
import { mayBeFailed, UNREACHABLE } from './observer-judge.ts'
import type { Subject } from './observer-state.ts'
import { speak } from './observer-windows.ts'

/** The streak is full: FAIL, abstain, or ask the control set first. One FAIL stands for the round. */
export function accuse(draft: Draft, key: string, why: string): void {
  const subject = draft.subjects.get(key)
  if (subject === undefined || subject.failedIn !== undefined) return
  const doubt = doubtOf(draft, subject, why)
  if (doubt !== undefined) abstain(draft, key, doubt)
  else if (why !== UNREACHABLE) fail(draft, key, why)
  else {
    draft.subjects.set(key, { ...subject, awaiting: true })
    askControl(draft)
  }
}

/** Why this observer does not trust its own eyes; a failed check is doubted only while it updates. */
function doubtOf(draft: Draft, subject: Subject, why: string): string | undefined {
  if (draft.updating) return 'updating'
  return why === UNREACHABLE && laggedSince(draft, subject) ? 'lag' : undefined
}

function askControl(draft: Draft): void {
  const { controlAskedAt, settings, now } = draft
  if (controlAskedAt !== undefined && now - controlAskedAt < settings.probeMs) return
  draft.controlAskedAt = now
  const subjects = new Set([...draft.subjects.values()].map(({ duty }) => duty.host))
  draft.effects.push({ kind: 'probeControl', subjects: [...subjects] })
}

function laggedSince(draft: Draft, subject: Subject): boolean {
  const { laggedAt, settings } = draft
  return laggedAt !== undefined && laggedAt >= subject.streakSince - settings.probeMs
}

/** The control set's answer judges every silent subject that waits for it. */
export function takeControl(
  draft: Draft,
  control: { readonly reachable: number; readonly of: number },
): void {
  draft.controlAskedAt = undefined
  const cutOff = 2 * (control.of - control.reachable) > control.of
  for (const [key, subject] of draft.subjects) {
    if (!subject.awaiting) continue
    const doubt = doubtOf(draft, subject, UNREACHABLE) ?? (cutOff ? 'control' : undefined)
    if (subject.duty.committed || !mayBeFailed(subject, draft.now)) {
      draft.subjects.set(key, calm(subject))
    } else if (doubt !== undefined) abstain(draft, key, doubt)
    else fail(draft, key, UNREACHABLE)
  }
}

/** No bad rounds in a row, and nothing pending. */
export function calm(subject: Subject): Subject {
  return { ...subject, streak: 0, awaiting: false }
}

function fail(draft: Draft, key: string, why: string): void {
  const subject = draft.subjects.get(key)
  if (subject === undefined) return
  const { rollout } = subject.duty
  const window = draft.clocks.get(rollout)?.number ?? 0
  const accused = { ...subject, window: { ...subject.window, why } }
  speak(draft, rollout, attestSubject(accused, window, 'fail'))
  draft.subjects.set(key, { ...calm(subject), failedIn: window })
}

/** Withholds a FAIL. The next one takes a full streak again, seen with the doubt gone. */
function abstain(draft: Draft, key: string, why: string): void {
  const subject = draft.subjects.get(key)
  if (subject === undefined) return
  draft.subjects.set(key, { ...calm(subject), window: { ...subject.window, abstained: why } })
}
