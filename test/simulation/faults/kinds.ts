/**
 * Everything that can go wrong in a simulated fleet, and everything that can be decided in it, by
 * the names that reports count them under. A fault counts only when it changed something.
 */

/** The calls of a daemon into its world that a crash may strike, just before or just after. */
export const PORT_CALLS = ['write', 'publish', 'ask', 'answer', 'system'] as const
export type PortCall = (typeof PORT_CALLS)[number]

/** What a lying host does with its keys. */
export const LIES = [
  'equivocating-voter',
  'equivocating-leader',
  'withholding',
  'stale-replay',
  'spam',
  'observer-accuses',
  'observer-flatters',
  'colluding',
] as const
export type Lie = (typeof LIES)[number]

/** How a generation behaves. */
export const RELEASES = [
  'good',
  'release-fails-at-once',
  'release-fails-late',
  'release-fails-outside',
  'release-lies',
  'activation-fails',
  'activation-hangs',
  'activation-kills-daemon',
] as const
export type ReleaseKind = (typeof RELEASES)[number]

/** Every fault that a seed switches on or off. */
export const FAULTS = [
  'drop',
  'duplicate',
  'reorder',
  'delay',
  'partition-symmetric',
  'partition-asymmetric',
  'partition-flapping',
  'clock-jump',
  'clock-drift',
  'slow-node',
  'crash',
  'crash-before-write',
  'crash-after-write',
  'crash-before-publish',
  'crash-after-publish',
  'crash-before-ask',
  'crash-after-ask',
  'crash-before-answer',
  'crash-after-answer',
  'crash-before-system',
  'crash-after-system',
  'power-cut',
  'lost-writes',
  'torn-tail',
  'disk-full',
  'disk-lost',
  'disk-restored',
  ...(RELEASES.slice(1) as Exclude<ReleaseKind, 'good'>[]),
  ...LIES,
] as const
export type Fault = (typeof FAULTS)[number]

/** Every decision that the fleet may come to. */
export const DECISIONS = [
  'admit',
  'start',
  'skip',
  'close-complete',
  'close-halted',
  'close-reverted',
  'close-superseded',
  'reject',
  'anchor',
  'view-skipped',
  'lease-granted',
  'lease-refused',
  'committed',
  'revert',
  'skipped',
  'catch-up',
  'unconfirmed',
  'health-certificate',
  'failure-certificate',
  'breach',
  'halt',
  'halt-revert',
  'halt-host',
  'hold',
  'release-hold',
  'host-lost',
  'rollback',
  'reconfig',
] as const
export type Decision = (typeof DECISIONS)[number]

export function isFault(name: string): name is Fault {
  return (FAULTS as readonly string[]).includes(name)
}
