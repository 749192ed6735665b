/** The windows of an observer: all subjects of a rollout share them (SPEC §11). */
import type { AttestSubject, RolloutId } from '../protocol/index.ts'
import { attestSubject, closingVerdict } from './observer-attest.ts'
import type { Draft } from './observer-draft.ts'
import { EMPTY_TALLY, type ObserverSettings, type WindowClock } from './observer-state.ts'
import type { Duty } from './orders.ts'

/** How long a rollout's windows are: half of its soak, at most `windowMs`, at least one probe period. */
export function windowMsOf(duty: Duty, settings: ObserverSettings): number {
  const half = Math.floor(duty.soakMs / 2)
  return Math.max(settings.probeMs, Math.min(settings.windowMs, half))
}

/** Opens the window of a rollout that nobody watched before. */
export function openWindow(draft: Draft, duty: Duty): void {
  const clock = draft.clocks.get(duty.rollout) ?? { number: 0, unused: 0, closesAt: undefined }
  if (clock.closesAt !== undefined) return
  const closesAt = draft.now + windowMsOf(duty, draft.settings)
  draft.clocks.set(duty.rollout, { ...clock, closesAt })
}

/** Closes every window whose time has come, and opens the next. */
export function closeWindows(draft: Draft): void {
  for (const [rollout, clock] of draft.clocks) {
    if (clock.closesAt !== undefined && draft.now >= clock.closesAt)
      closeWindow(draft, rollout, clock)
  }
}

function closeWindow(draft: Draft, rollout: RolloutId, clock: WindowClock): void {
  let lengthMs = draft.settings.windowMs
  for (const [key, subject] of draft.subjects) {
    if (subject.duty.rollout !== rollout) continue
    lengthMs = windowMsOf(subject.duty, draft.settings)
    const verdict = closingVerdict(subject, clock.number)
    if (verdict !== undefined) speak(draft, rollout, attestSubject(subject, clock.number, verdict))
    draft.subjects.set(key, { ...subject, window: EMPTY_TALLY })
  }
  const spoken = draft.clocks.get(rollout) ?? clock
  draft.clocks.set(rollout, { ...spoken, number: clock.number + 1, closesAt: draft.now + lengthMs })
}

/** Adds to what this step says; its window is used from now on. */
export function speak(draft: Draft, rollout: RolloutId, subject: AttestSubject): void {
  draft.spoken.set(rollout, [...(draft.spoken.get(rollout) ?? []), subject])
  const clock = draft.clocks.get(rollout)
  if (clock !== undefined) draft.clocks.set(rollout, { ...clock, unused: subject.window + 1 })
}
