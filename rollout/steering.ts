/** What operators said of a rollout that runs: halts and holds (SPEC §6.3). */
import type { HostName } from '../protocol/index.ts'
import type { RolloutRecord } from './fleet-view.ts'

/** Whether a halt that covers `host` is known. */
export function haltCovers(record: RolloutRecord, host: HostName): boolean {
  return [...record.halts.values()].some((halt) => halt.body.hosts?.includes(host) ?? true)
}

/** Whether a halt that covers `host` and sends it back is known. */
export function revertCovers(record: RolloutRecord, host: HostName): boolean {
  return [...record.halts.values()].some(
    (halt) => halt.body.revert && (halt.body.hosts?.includes(host) ?? true),
  )
}

/** Whether a hold is known that no known fact releases. */
export function isHeld(record: RolloutRecord): boolean {
  const released = new Set<string>()
  for (const { body } of record.holds.values()) {
    if (body.kind === 'off') for (const id of body.releases) released.add(id)
  }
  return [...record.holds.values()].some(({ id, body }) => body.kind === 'on' && !released.has(id))
}
