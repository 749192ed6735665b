/**
 * How long this voter has known things, by its own clock that counts suspend (SPEC §7.4).
 *
 * Timeouts of the gate log are never compared between hosts: each voter counts from its own first
 * sight, and after a restart from the restart.
 */
import type { HostName, RolloutId } from '../protocol/index.ts'
import type { GateState } from './gate-state.ts'
import type { RolloutStanding } from './standing.ts'

/** First sight of each thing that a timeout counts from, in `bootMs`. */
export type LocalTimes = ReadonlyMap<string, number>

/** What `since` is asked about. */
export type Sight =
  | {
      readonly kind: 'start'
      readonly rollout: RolloutId
      readonly host: HostName
      readonly round: number
    }
  | {
      readonly kind: 'ended'
      readonly rollout: RolloutId
      readonly host: HostName
      readonly round: number
    }
  | { readonly kind: 'settled'; readonly rollout: RolloutId }
  | { readonly kind: 'anchor'; readonly slot: number }

/** Milliseconds since first sight; 0 when it was never seen. */
export function sinceMs(times: LocalTimes, sight: Sight, now: number): number {
  const seen = times.get(keyOf(sight))
  return seen === undefined ? 0 : now - seen
}

/**
 * Notes what is new at the committed state, and forgets what nothing counts from any more.
 *
 * `standings` are those of `timedStandings`, over everything held: a closed rollout is among them
 * while a start of it still holds a permit.
 */
export function noteTimes(
  times: LocalTimes,
  state: GateState,
  standings: ReadonlyMap<RolloutId, RolloutStanding>,
  now: number,
): LocalTimes {
  const next = new Map<string, number>()
  const note = (sight: Sight): void => {
    const key = keyOf(sight)
    next.set(key, times.get(key) ?? now)
  }
  note({ kind: 'anchor', slot: state.slot })
  for (const [rollout, standing] of standings) {
    for (const [host, { start, open }] of standing.hosts) {
      if (start === undefined) continue
      note({ kind: 'start', rollout, host, round: start.round })
      if (!open) note({ kind: 'ended', rollout, host, round: start.round })
    }
    if (isSettled(standing)) note({ kind: 'settled', rollout })
  }
  return next
}

/** Stopped, with nobody under way. Before the stop nothing is settled: hosts may yet be started. */
function isSettled({ halted, breached, hosts }: RolloutStanding): boolean {
  if (!halted && !breached) return false
  return [...hosts.values()].every(({ start, end }) => end !== undefined || start === undefined)
}

function keyOf(sight: Sight): string {
  switch (sight.kind) {
    case 'start':
    case 'ended':
      return `${sight.kind}/${sight.rollout}/${sight.host}/${sight.round}`
    case 'settled':
      return `settled/${sight.rollout}`
    case 'anchor':
      return `anchor/${sight.slot}`
  }
}
