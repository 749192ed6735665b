/** Halts as facts: one for a whole rollout, or as many as named hosts need. */
import type { FactOf, HostName, RolloutId } from '../protocol/index.ts'
import type { Author } from './operator.ts'

/** Hosts that one halt can name (protocol/plan.ts). */
const HALT_HOSTS_MAX = 32

/** Seals the halts of one rollout. No hosts: all of them. */
export function sealHalts(
  author: Author,
  halt: {
    readonly rollout: RolloutId
    readonly revert: boolean
    readonly hosts: readonly HostName[]
    readonly why: string
  },
): readonly FactOf<'rollout.halt'>[] {
  const { rollout, revert, hosts, why } = halt
  if (hosts.length === 0) return [author.seal('rollout.halt', { rollout, revert, why })]
  const facts: FactOf<'rollout.halt'>[] = []
  for (let at = 0; at < hosts.length; at += HALT_HOSTS_MAX) {
    const some = hosts.slice(at, at + HALT_HOSTS_MAX)
    facts.push(author.seal('rollout.halt', { rollout, revert, hosts: some, why }))
  }
  return facts
}
