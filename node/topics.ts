/** Which gossip topic a fact travels under (SPEC §8.3). */
import type { Fact } from '../protocol/index.ts'
import type { Topic } from './ports.ts'

/** Stop facts and plans go to all hosts of the fleet, the rest stays in its group. */
export function topicOf(fact: Fact): Topic {
  return fact.type.startsWith('rollout.') || CONTROL.has(fact.type) ? 'ctl' : 'fact'
}

const CONTROL: ReadonlySet<string> = new Set([
  'release.announce',
  'host.lost',
  'halt.relay',
  'key.revoke',
])
