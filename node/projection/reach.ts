/** What is heard of a host in the steady state, with whose word it is and how old (design D12). */
import type { HostName } from '../../protocol/index.ts'
import type { ReachRow } from '../api/schema.ts'
import type { Runtime } from '../runtime.ts'

/** The row of `host` as this node hears of it now. */
export function reachRow(node: Runtime, host: HostName): ReachRow {
  const known = node.detector.of(host)
  if (known === undefined) {
    const state = host === node.parts.name ? 'self' : 'unknown'
    return { state, sinceMs: 0, seenBy: null, seenAgeMs: null, accusers: [] }
  }
  const { state, since, seen, accusers } = known
  const now = node.parts.clock.bootMs()
  return {
    state,
    sinceMs: Math.max(0, now - since),
    seenBy: seen?.by ?? null,
    seenAgeMs: seen === undefined ? null : Math.max(0, now - seen.at),
    accusers,
  }
}
