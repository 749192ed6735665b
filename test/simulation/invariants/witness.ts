/** The invariants of those who watch: S7 and S8. Each returns what breaks it. */
import type { FactOf, HostName } from '../../../protocol/index.ts'
import { healthWitnesses, needed, type TwinInput, twinObservers, twinTrust } from './twin.ts'

/** S7: who says SOAKED or COMMITTED was seen well by enough observers for the whole soak. */
export function s7Witnessed(
  host: HostName,
  said: FactOf<'host.transition'>,
  input: TwinInput,
): readonly string[] {
  const { round, generation, boot, to, rollout } = said.body
  const { health } = needed(input, host, round)
  const witnesses = healthWitnesses(input, { host, round, generation, boot })
  if (witnesses.length >= health) return []
  const whom = witnesses.length === 0 ? 'nobody' : witnesses.join(', ')
  return [
    `${host} says ${to} in ${rollout.slice(0, 12)}, round ${round}: expected ${health} witnesses of its whole soak, found ${whom}`,
  ]
}

/** S7 for CONFIRMED: enough observers looked and said yes. */
export function s7Confirmed(
  host: HostName,
  said: FactOf<'host.transition'>,
  input: TwinInput,
  yes: ReadonlySet<HostName>,
): readonly string[] {
  const observers = twinObservers(twinTrust(input, host, said.body.round), input.rollout, host)
  const { health } = needed(input, host, said.body.round)
  const found = observers.filter((observer) => yes.has(observer))
  if (found.length >= health) return []
  return [
    `${host} says CONFIRMED in ${said.body.rollout.slice(0, 12)}: expected ${health} confirmations, found ${found.join(', ') || 'none'}`,
  ]
}

/** What an observer saw of a host at one moment. */
export interface Look {
  readonly at: number
  readonly ok: boolean
}

/**
 * S8: what an honest observer says it has seen. FAIL takes bad looks and not one good one after them;
 * OK takes at least one good look since the window before.
 */
export function s8Honest(
  who: { readonly observer: HostName; readonly subject: HostName },
  said: { readonly verdict: 'ok' | 'fail'; readonly at: number },
  looks: readonly Look[],
  rules: {
    readonly probeMs: number
    readonly failRounds: number
    readonly windowMs: number
    /** How long the observer's disk kept it from saying so. */
    readonly waitedMs: number
  },
): readonly string[] {
  const { verdict, at } = said
  const lookedMs =
    verdict === 'fail' ? rules.probeMs * (rules.failRounds + 3) : rules.windowMs + rules.probeMs * 4
  const spanMs = lookedMs + rules.waitedMs
  const recent = looks.filter((look) => at - look.at <= spanMs)
  const matching = recent.filter((look) => look.ok === (verdict === 'ok')).length
  const needed = verdict === 'fail' ? rules.failRounds : 1
  const rounds = roundsOf(recent, verdict === 'ok', rules.probeMs)
  // Two looks of one round may stand far apart, and two of different rounds close together.
  if (matching >= needed && rounds >= Math.max(1, needed - 1)) return []
  return [
    `${who.observer} attests ${verdict} of ${who.subject}: expected ${needed} such looks within ${spanMs} ms, found ${matching} of ${recent.length}`,
  ]
}

/** How many looks that went that way are half a probe period or more apart. */
function roundsOf(looks: readonly Look[], ok: boolean, probeMs: number): number {
  let rounds = 0
  let last = Number.NEGATIVE_INFINITY
  for (const look of looks) {
    if (look.ok !== ok || look.at - last < probeMs / 2) continue
    rounds++
    last = look.at
  }
  return rounds
}

/**
 * S8: a certificate carries at least one honest voice, while no more observers lie than the group
 * bears.
 */
export function s8Certificate(
  what: string,
  witnesses: readonly HostName[],
  liars: ReadonlySet<HostName>,
): readonly string[] {
  if (witnesses.some((witness) => !liars.has(witness))) return []
  return [`${what} rests on ${witnesses.join(', ')} alone, and all of them lie`]
}

/**
 * S8: who is itself on its way forward trusts its own eyes too little to accuse. `sinceMs` is how long
 * it has been; what was decided just before may still reach the disk after.
 */
export function s8Unsteady(
  who: { readonly observer: HostName; readonly subject: HostName },
  away: { readonly phase: string | undefined; readonly sinceMs: number },
  probeMs: number,
): readonly string[] {
  const { phase, sinceMs } = away
  if (phase !== 'ACTIVATING' && phase !== 'PROBATION') return []
  if (sinceMs < 2 * probeMs) return []
  return [
    `${who.observer} accuses ${who.subject}, though it is in ${phase} for ${sinceMs} ms itself`,
  ]
}

/** A clock that runs a tenth fast may come to it so much earlier. */
const DRIFT = 0.85

/** S8: an offline host that never began is skipped, not failed. */
export function s8Patient(
  who: { readonly observer: HostName; readonly subject: HostName },
  sinceMs: number,
  dueMs: number,
): readonly string[] {
  if (sinceMs >= dueMs * DRIFT) return []
  return [
    `${who.observer} accuses ${who.subject}, which has not begun, ${sinceMs} ms after its start: it had ${dueMs} ms`,
  ]
}

/** S8: silence of the watched alone is no sign that the observer is cut off. */
export function s8CutOff(
  observer: HostName,
  others: readonly HostName[],
  missed: readonly HostName[],
): readonly string[] {
  if (others.length === 0 || missed.length > 0) return []
  return [`${observer} holds itself cut off, and missed none of ${others.join(', ')}`]
}
