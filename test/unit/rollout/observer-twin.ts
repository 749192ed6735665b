/**
 * The observer told twice: the same rules over a finished list of rounds, each answered by looking
 * back over all of them. Slow, without state, and shaped unlike the machine.
 */
import { NEW, OLD, SETTINGS } from './observer-world.ts'

/** One probe and what surrounded it. */
export interface Round {
  readonly answer: 'well' | 'silent' | 'check' | 'self' | 'old' | 'reboot'
  readonly cutOff: boolean
  readonly updating: boolean
  readonly lag: boolean
}

/** What holds for the subject all the time. */
export interface Circumstances {
  readonly activating: boolean
  readonly committed: boolean
  readonly halted: boolean
  readonly beginByMs: number
}

/** What was said of the subject in one window. */
export interface Verdict {
  readonly at: number
  readonly window: number
  readonly verdict: 'ok' | 'fail' | 'abstain'
  readonly ok: number
  readonly ko: number
  readonly elapsedMs: number
  readonly generation: string
  readonly boot: string
  readonly why: string | undefined
}

interface Seen extends Round {
  readonly at: number
  readonly generation: string | undefined
  readonly boot: string | undefined
  readonly why: string | undefined
  readonly early: boolean
}

/** Everything that the observer says when rounds come `probeMs` apart, the first at `firstAt`. */
export function twinOf(
  rounds: readonly Round[],
  all: Circumstances,
  time: { readonly firstAt: number; readonly until: number },
): readonly Verdict[] {
  const seen = look(rounds, all, time.firstAt)
  const { fails, withheld } = accusations(seen, all)
  const said: Verdict[] = []
  const fail = fails[0]
  if (fail !== undefined) said.push(tell(seen, fail, 'fail', seen[fail]?.at ?? 0, seen[fail]?.why))
  for (let window = 0; (window + 1) * SETTINGS.windowMs <= time.until; window++) {
    const closesAt = (window + 1) * SETTINGS.windowMs
    const last = seen.findLastIndex((round) => round.at < closesAt)
    if (last < 0 || windowOf(seen[last]?.at ?? 0) !== window) continue
    if (fail !== undefined && windowOf(seen[fail]?.at ?? 0) === window) continue
    const tally = tell(seen, last, 'ok', closesAt, undefined)
    const doubts = withheld.filter(({ i }) => i >= restartOf(seen, last) && i <= last)
    const doubt = doubts.at(-1)
    if (doubt !== undefined) said.push({ ...tally, verdict: 'abstain', why: doubt.why })
    else if (tally.ok > 0 && tally.ko === 0) said.push(tally)
  }
  return said.sort((a, b) => a.at - b.at)
}

function look(rounds: readonly Round[], all: Circumstances, firstAt: number): Seen[] {
  const switchedBy = all.activating ? SETTINGS.activateMs : all.beginByMs
  return rounds.map((round, i) => {
    const at = firstAt + i * SETTINGS.probeMs
    const before = rounds.slice(0, i)
    const reboots = before.filter((other) => other.answer === 'reboot').length
    const ran = before.some((other) => other.answer !== 'silent' && other.answer !== 'old')
    const plain = { ...round, at, early: false, boot: `b${reboots}`, generation: NEW }
    switch (round.answer) {
      case 'silent':
        return { ...plain, generation: undefined, boot: undefined, why: 'unreachable' }
      case 'old':
        return { ...plain, generation: OLD, why: 'generation', early: !ran && at < switchedBy }
      case 'reboot':
        return { ...plain, boot: `b${reboots + 1}`, why: ran ? 'generation' : undefined }
      case 'check':
        return { ...plain, why: 'http' }
      case 'self':
        return { ...plain, why: 'self' }
      default:
        return { ...plain, why: undefined }
    }
  })
}

function accusations(
  seen: readonly Seen[],
  all: Circumstances,
): { fails: number[]; withheld: { i: number; why: string }[] } {
  const fails: number[] = []
  const withheld: { i: number; why: string }[] = []
  seen.forEach((round, i) => {
    if (fails.length > 0) return
    const streak = streakAt(seen, i, all, withheld)
    const counts = streak.length >= SETTINGS.failRounds
    const neutral = all.committed && round.why === 'unreachable'
    if (!counts || neutral) return
    const why = doubt(seen, streak)
    if (why === undefined) fails.push(i)
    else withheld.push({ i, why })
  })
  return { fails, withheld }
}

/** The indices of the bad rounds in a row that end at `i`. */
function streakAt(
  seen: readonly Seen[],
  i: number,
  all: Circumstances,
  withheld: readonly { i: number }[],
): number[] {
  const streak: number[] = []
  for (let j = i; j >= 0; j--) {
    const round = seen[j]
    const next = seen[j + 1]
    if (round === undefined || round.why === undefined || round.early) break
    const began = all.activating || round.at >= all.beginByMs
    if (all.halted || !began) break
    if (j < i && round.updating && next?.updating === false) break
    if (j < i && withheld.some((one) => one.i === j)) break
    if (!(all.committed && round.why === 'unreachable')) streak.unshift(j)
  }
  return streak
}

function doubt(seen: readonly Seen[], streak: readonly number[]): string | undefined {
  const last = seen[streak.at(-1) ?? 0]
  const since = (seen[streak[0] ?? 0]?.at ?? 0) - SETTINGS.probeMs
  if (last?.updating) return 'updating'
  if (last?.why !== 'unreachable') return undefined
  if (seen.some((round) => round.lag && round.at >= since && round.at <= last.at)) return 'lag'
  return last.cutOff ? 'control' : undefined
}

/** The first round that counts in the window of round `i`: after its start and the last change. */
function restartOf(seen: readonly Seen[], i: number): number {
  const window = windowOf(seen[i]?.at ?? 0)
  let first = i
  for (let j = i; j >= 0 && windowOf(seen[j]?.at ?? 0) === window; j--) {
    first = j
    if (changedAt(seen, j)) break
  }
  return first
}

function changedAt(seen: readonly Seen[], j: number): boolean {
  const round = seen[j]
  if (round?.boot === undefined) return false
  const before = seen.slice(0, j).findLast((other) => other.boot !== undefined)
  return before?.boot !== round.boot || before.generation !== round.generation
}

function tell(
  seen: readonly Seen[],
  i: number,
  verdict: Verdict['verdict'],
  at: number,
  why: string | undefined,
): Verdict {
  const first = restartOf(seen, i)
  const part = seen.slice(first, i + 1)
  let elapsedMs = 0
  for (let j = Math.max(first, 1); j <= i; j++) {
    const both = seen[j]?.why === undefined && seen[j - 1]?.why === undefined
    if (both && !changedAt(seen, j)) elapsedMs += SETTINGS.probeMs
  }
  const answered = seen.slice(0, i + 1).findLast((round) => round.boot !== undefined)
  return {
    at,
    window: windowOf(seen[i]?.at ?? 0),
    verdict,
    ok: part.filter((round) => round.why === undefined).length,
    ko: part.filter((round) => round.why !== undefined).length,
    elapsedMs,
    generation: answered?.generation ?? NEW,
    boot: answered?.boot ?? '',
    why,
  }
}

function windowOf(at: number): number {
  return Math.floor(at / SETTINGS.windowMs)
}
