/**
 * Who of the group answers: one question a period, whatever the group's size (SPEC §9.4). Pure:
 * `(state, event, now) → { state, effects }`.
 *
 * A member that does not answer is asked through three others before it is suspected, and a suspect
 * has time to refute. Lifeguard's rule is the heart: each sign that this member itself is slow makes
 * it ask less often, wait longer and blame later. Whoever hears nobody at all blames nobody.
 */
import { concatBytes, type HostName, sha256, utf8 } from '../protocol/index.ts'
import {
  type DetectorDraft,
  type DetectorEffect,
  draftOf,
  type News,
  put,
  reachedOf,
} from './detector-draft.ts'
import { accuse, hasNews, newsFor, settleRumours, takeNews } from './detector-rumours.ts'
import {
  type DetectorState,
  delayed,
  othersOf,
  type Reached,
  suspicionMs,
  unheard,
  unknownMs,
} from './detector-state.ts'
import { RELAYS_ASKED } from './limits.ts'

/** Of a message that only carries news: nobody is blamed when it is not answered. */
const NO_QUESTION = -1

/** What happens to a detector. */
export type DetectorEvent =
  /** Time passed. `random` is fresh for each; `lateMs` is how late the timer of this tick went off. */
  | {
      readonly kind: 'tick'
      readonly random: Uint8Array
      readonly lateMs: number
      readonly members: readonly HostName[]
    }
  /** The host proved that it is there, to this member or through a relay. */
  | {
      readonly kind: 'answered'
      readonly host: HostName
      readonly incarnation: number
      readonly news: News
    }
  /** No answer within the time, or no way to ask. */
  | { readonly kind: 'unanswered'; readonly question: number; readonly random: Uint8Array }
  /** A relay answered that the host is silent. */
  | { readonly kind: 'silent'; readonly question: number; readonly via: HostName }
  /** A member asked this one: the one effect is the answer. */
  | { readonly kind: 'asked'; readonly from: HostName; readonly news: News }
  /** Anything else of the host arrived over its own connection. */
  | { readonly kind: 'heard'; readonly host: HostName }

/** The state after an event, and what to do. */
export interface DetectorStep {
  readonly state: DetectorState
  readonly effects: readonly DetectorEffect[]
}

/** One step of the detector. `now` is the clock that counts suspend, in ms. */
export function stepDetector(
  state: DetectorState,
  event: DetectorEvent,
  now: number,
): DetectorStep {
  const draft = draftOf(state, now)
  takeEvent(draft, event)
  const { effects, now: _, ...next } = draft
  return { state: next, effects }
}

function takeEvent(draft: DetectorDraft, event: DetectorEvent): void {
  switch (event.kind) {
    case 'tick':
      takeTick(draft, event)
      break
    case 'answered':
      hear(draft, event.host, event.incarnation)
      takeNews(draft, event.host, event.news)
      break
    case 'unanswered':
      askRelays(draft, event)
      break
    case 'silent':
      takeSilence(draft, event)
      break
    case 'asked':
      hear(draft, event.from)
      takeNews(draft, event.from, event.news)
      draft.effects.push({
        kind: 'answer',
        incarnation: draft.incarnation,
        news: newsFor(draft, event.from),
      })
      break
    case 'heard':
      hear(draft, event.host)
      break
  }
}

function takeTick(draft: DetectorDraft, event: DetectorEvent & { kind: 'tick' }): void {
  takeMembers(draft, event.members)
  if (event.lateMs > draft.settings.timeoutMs) {
    // What was asked meanwhile was not heard either: this member stood still, not the others.
    draft.delay = delayed(draft.delay, 1)
    draft.question = undefined
  }
  conclude(draft)
  for (const [host, known] of draft.hosts) age(draft, host, known)
  if (draft.now >= draft.nextAt) askNext(draft, event.random)
  tellNews(draft, event.random)
}

/**
 * News travels faster than questions: a suspect must hear of it and be heard again within its time.
 * Each rumour is passed on a bounded number of times, so that this too ends.
 */
function tellNews(draft: DetectorDraft, random: Uint8Array): void {
  if (draft.now < draft.newsAt || !hasNews(draft)) return
  const { timeoutMs } = draft.settings
  draft.newsAt = draft.now + timeoutMs
  const others = othersOf(draft.settings)
  const [a = 0, b = 0] = random
  const host = others[(256 * a + b) % Math.max(1, others.length)]
  if (host === undefined) return
  const news = newsFor(draft, host)
  draft.effects.push({ kind: 'ask', question: NO_QUESTION, host, timeoutMs, news })
}

function takeMembers(draft: DetectorDraft, members: readonly HostName[]): void {
  if (members === draft.settings.members) return
  draft.settings = { ...draft.settings, members }
  for (const host of draft.hosts.keys()) if (!members.includes(host)) draft.hosts.delete(host)
  for (const host of othersOf(draft.settings))
    if (!draft.hosts.has(host)) draft.hosts.set(host, unheard(draft.now))
  for (const [key, { rumour }] of draft.rumours)
    if (!members.includes(rumour.host)) draft.rumours.delete(key)
}

/** The end of a period that brought no answer. */
function conclude(draft: DetectorDraft): void {
  const { question } = draft
  if (question === undefined || draft.now < question.endsAt) return
  draft.question = undefined
  const { host, relays, silent, startedAt } = question
  draft.delay = delayed(draft.delay, relays.length === 0 ? 1 : relays.length - silent.length)
  if (draft.heardAt >= startedAt) accuse(draft, host)
}

/** A suspicion that nobody refuted, and a member of which nobody spoke for long. */
function age(draft: DetectorDraft, host: HostName, known: Reached): void {
  const { settings, now } = draft
  if (
    known.state === 'suspect' &&
    now - known.since >= suspicionMs(settings, known.accusers.length)
  )
    put(draft, host, { state: 'unreachable' })
  else if (known.state === 'alive' && now - (known.seen?.at ?? known.since) >= unknownMs(settings))
    put(draft, host, { state: 'unknown' })
}

function askNext(draft: DetectorDraft, random: Uint8Array): void {
  const { periodMs, timeoutMs, members } = draft.settings
  const left = draft.order.filter((name) => draft.hosts.has(name))
  const [host, ...order] =
    left.length > 0 ? left : shuffled(othersOf(draft.settings), random, members.length)
  const patience = 1 + draft.delay
  draft.order = order
  draft.nextAt = draft.now + periodMs * patience
  if (host === undefined) return
  const id = draft.questions++
  draft.question = { id, host, startedAt: draft.now, endsAt: draft.nextAt, relays: [], silent: [] }
  const news = newsFor(draft, host)
  draft.effects.push({ kind: 'ask', question: id, host, timeoutMs: timeoutMs * patience, news })
}

/** Three others ask in this member's place; those that are thought alive come first. */
function askRelays(draft: DetectorDraft, event: DetectorEvent & { kind: 'unanswered' }): void {
  const { question, settings } = draft
  if (question?.id !== event.question || question.relays.length > 0) return
  const others = othersOf(settings).filter((name) => name !== question.host)
  const isAway = (name: HostName): boolean =>
    ['suspect', 'unreachable'].includes(reachedOf(draft, name).state)
  const relays = shuffled(others, event.random, question.id)
    .sort((a, b) => Number(isAway(a)) - Number(isAway(b)))
    .slice(0, RELAYS_ASKED)
  draft.question = { ...question, relays }
  const timeoutMs = 2 * settings.timeoutMs * (1 + draft.delay)
  for (const via of relays)
    draft.effects.push({
      kind: 'relay',
      question: question.id,
      via,
      host: question.host,
      timeoutMs,
    })
}

function takeSilence(draft: DetectorDraft, event: DetectorEvent & { kind: 'silent' }): void {
  const { question } = draft
  hear(draft, event.via)
  if (question?.id !== event.question || !question.relays.includes(event.via)) return
  if (question.silent.includes(event.via)) return
  draft.question = { ...question, silent: [...question.silent, event.via] }
}

/** Own eyes end every suspicion. An answer to the question also says that this member is quick enough. */
function hear(draft: DetectorDraft, host: HostName, incarnation?: number): void {
  const known = draft.hosts.get(host)
  if (known === undefined) return
  const { now, settings } = draft
  put(draft, host, {
    state: 'alive',
    heardAt: now,
    seen: { by: settings.self, at: now },
    accusers: [],
    incarnation: Math.max(known.incarnation, incarnation ?? 0),
  })
  draft.heardAt = now
  settleRumours(draft, host)
  if (draft.question?.host !== host) return
  draft.question = undefined
  if (incarnation !== undefined) draft.delay = delayed(draft.delay, -1)
}

/** An order that nobody can foresee who does not know `random`. */
function shuffled(names: readonly HostName[], random: Uint8Array, salt: number): HostName[] {
  const rank = (name: HostName): string =>
    sha256(concatBytes(random, utf8(`${salt}/${name}`))).join()
  return names
    .map((name) => [rank(name), name] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, name]) => name)
}
