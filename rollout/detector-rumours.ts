/** What members tell one another of the others: suspicions, refutations, sightings (SPEC §9.4). */
import type { HostName, ReachSeen } from '../protocol/index.ts'
import {
  INCARNATION_MAX,
  POLICY_MS_MAX,
  REACH_RUMOURS_MAX,
  REACH_SEEN_MAX,
} from '../protocol/index.ts'
import { type DetectorDraft, type News, put, reachedOf } from './detector-draft.ts'
import {
  delayed,
  type Passed,
  passesOf,
  type Rumour,
  rumourKey,
  suspicionMs,
  unknownMs,
} from './detector-state.ts'
import { SUSPECTS_NEEDED } from './limits.ts'

/** Takes in what `from` sent along. */
export function takeNews(draft: DetectorDraft, from: HostName, { rumours, seen }: News): void {
  for (const rumour of rumours) {
    if (rumour.kind === 'suspect') takeSuspicion(draft, rumour)
    else takeRefutation(draft, rumour)
  }
  for (const sighting of seen) takeSighting(draft, from, sighting)
}

/** The news for a message to `host`: what concerns it first, then what was passed on least. */
export function newsFor(draft: DetectorDraft, host: HostName): News {
  const most = passesOf(draft.settings.members.length)
  const about = ({ rumour }: Passed): boolean => rumour.kind === 'suspect' && rumour.host === host
  const waiting = [...draft.rumours]
    .filter(([, passed]) => !passed.settled && (passed.sent < most || about(passed)))
    .sort(([, a], [, b]) => Number(about(b)) - Number(about(a)) || a.sent - b.sent)
    .slice(0, REACH_RUMOURS_MAX)
  for (const [key, passed] of waiting) draft.rumours.set(key, { ...passed, sent: passed.sent + 1 })
  return { rumours: waiting.map(([, { rumour }]) => rumour), seen: sightings(draft) }
}

/** Whether something waits to be passed on. */
export function hasNews(draft: DetectorDraft): boolean {
  const most = passesOf(draft.settings.members.length)
  return [...draft.rumours.values()].some(({ sent, settled }) => !settled && sent < most)
}

/** This member could not reach `host` and says so. */
export function accuse(draft: DetectorDraft, host: HostName): void {
  const { incarnation } = reachedOf(draft, host)
  const by = draft.settings.self
  const rumour: Rumour = { kind: 'suspect', host, incarnation, by }
  const known = draft.rumours.get(rumourKey(rumour))
  // It is said anew with every failure, so that a member that came later hears it too.
  if (known === undefined || isOld(draft, known) || known.rumour.incarnation !== incarnation)
    draft.rumours.set(rumourKey(rumour), { rumour, sent: 0, at: draft.now })
  suspect(draft, host, by)
}

/**
 * The host itself showed its incarnation: lower suspicions are refuted, higher ones were lies, or so
 * old that their author will say it again. What this member said is settled by its own eyes.
 */
export function settleRumours(draft: DetectorDraft, host: HostName): void {
  const { incarnation, accusers } = reachedOf(draft, host)
  const { self } = draft.settings
  for (const [key, passed] of draft.rumours) {
    const { rumour } = passed
    if (rumour.kind !== 'suspect' || rumour.host !== host) continue
    const over = rumour.by === self && !accusers.includes(self)
    if (over || rumour.incarnation < incarnation) draft.rumours.delete(key)
    else if (rumour.incarnation > incarnation) draft.rumours.set(key, { ...passed, settled: true })
  }
}

function takeSuspicion(draft: DetectorDraft, rumour: Rumour & { kind: 'suspect' }): void {
  const { host, by, incarnation } = rumour
  if (host === draft.settings.self) {
    refute(draft, incarnation)
    return
  }
  const known = draft.hosts.get(host)
  if (known === undefined || by === host || !draft.hosts.has(by)) return
  if (incarnation < known.incarnation) return
  const before = draft.rumours.get(rumourKey(rumour))
  if (before?.settled && incarnation <= before.rumour.incarnation) return
  passOn(draft, rumour)
  const heard = known.heardAt !== undefined && draft.now - known.heardAt < draft.settings.periodMs
  if (!heard) suspect(draft, host, by)
}

function suspect(draft: DetectorDraft, host: HostName, by: HostName): void {
  const { state, accusers } = reachedOf(draft, host)
  if (accusers.includes(by) || accusers.length >= SUSPECTS_NEEDED) return
  const next = state === 'unreachable' ? state : 'suspect'
  put(draft, host, { state: next, accusers: [...accusers, by] })
}

/** Only a suspicion of the present incarnation needs an answer; whoever is suspected is slow. */
function refute(draft: DetectorDraft, incarnation: number): void {
  if (incarnation < draft.incarnation || draft.incarnation >= INCARNATION_MAX) return
  draft.incarnation++
  draft.delay = delayed(draft.delay, 1)
  const host = draft.settings.self
  const rumour: Rumour = { kind: 'refute', host, incarnation: draft.incarnation }
  draft.rumours.set(rumourKey(rumour), { rumour, sent: 0, at: draft.now })
}

function takeRefutation(draft: DetectorDraft, rumour: Rumour & { kind: 'refute' }): void {
  const { host, incarnation } = rumour
  const known = draft.hosts.get(host)
  if (known === undefined || incarnation <= known.incarnation) return
  // It says that the host lived after the suspicion; of an unknown one it says nothing about now.
  const state = known.state === 'unknown' ? 'unknown' : 'alive'
  put(draft, host, { state, incarnation, accusers: [] })
  passOn(draft, rumour)
  settleRumours(draft, host)
}

function takeSighting(draft: DetectorDraft, from: HostName, { host, ageMs }: ReachSeen): void {
  const known = draft.hosts.get(host)
  const at = draft.now - ageMs
  if (known === undefined || at <= (known.seen?.at ?? Number.NEGATIVE_INFINITY)) return
  const fresh = known.state === 'unknown' && ageMs < unknownMs(draft.settings)
  put(draft, host, { seen: { by: from, at }, ...(fresh ? { state: 'alive' } : {}) })
}

/** What is new is passed on, and what is old once more: the dead are remembered for newcomers. */
function passOn(draft: DetectorDraft, rumour: Rumour): void {
  const key = rumourKey(rumour)
  const known = draft.rumours.get(key)
  if (known !== undefined && !isOld(draft, known) && rumour.incarnation <= known.rumour.incarnation)
    return
  if (
    known === undefined &&
    rumour.kind === 'suspect' &&
    accusations(draft, rumour.host) >= SUSPECTS_NEEDED
  )
    return
  draft.rumours.set(key, { rumour, sent: 0, at: draft.now })
}

function accusations(draft: DetectorDraft, host: HostName): number {
  return [...draft.rumours.values()].filter(
    ({ rumour, settled }) => rumour.kind === 'suspect' && rumour.host === host && !settled,
  ).length
}

function isOld(draft: DetectorDraft, { at }: Passed): boolean {
  return draft.now - at >= suspicionMs(draft.settings, SUSPECTS_NEEDED)
}

/** Some of the members that this one heard itself; the next message takes the next ones. */
function sightings(draft: DetectorDraft): readonly ReachSeen[] {
  const { members } = draft.settings
  const found: ReachSeen[] = []
  let looked = 0
  while (looked < members.length && found.length < REACH_SEEN_MAX) {
    const host = members[(draft.cursor + looked++) % members.length] ?? ''
    const heardAt = draft.hosts.get(host)?.heardAt
    if (heardAt !== undefined && draft.now - heardAt <= POLICY_MS_MAX)
      found.push({ host, ageMs: Math.floor(draft.now - heardAt) })
  }
  draft.cursor = (draft.cursor + looked) % Math.max(1, members.length)
  return found
}
