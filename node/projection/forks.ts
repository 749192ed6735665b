/** Proven contradictions as rows, and as what an operator has to be told. */
import { type FeedKey, splitFeedKey } from '../../protocol/index.ts'
import {
  accusedVoters,
  forkLimit,
  frozenBy,
  type Knowledge,
  type ProvenLie,
} from '../../rollout/index.ts'
import type { ForkRow } from '../api/fork-schema.ts'
import { authorOf } from './people.ts'

/** Every proof that this node holds: forked feeds first, then votes and proposals. */
export function forkRows(knowledge: Knowledge): readonly ForkRow[] {
  const { view } = knowledge
  const feeds = [...view.forks].map(([feed, proven]) =>
    rowOf(knowledge, proven, feedEffect(knowledge, feed)),
  )
  const votes = [...view.lies.values()].map((proven) =>
    rowOf(knowledge, proven, voterEffect(knowledge, proven)),
  )
  return [...feeds, ...votes]
}

/** One line for each author that was caught, and what to do. */
export function forkAlarms(knowledge: Knowledge): readonly string[] {
  const { trust, view } = knowledge
  const alarms: string[] = []
  const frozen = frozenBy(trust, view)
  if (frozen !== undefined) {
    alarms.push(`the group is frozen: ${frozen}; halting and going back still work`)
  }
  const accused = accusedVoters(trust, view)
  const { voters, quorum } = trust.config
  // The accused do not decide about themselves (SPEC §7.8).
  const tooFew = frozen !== undefined && voters.length - accused.size < quorum
  for (const key of accused) {
    const { name } = authorOf(trust, key)
    const how = tooFew ? ' --recover, because too few other voters are left to agree' : ''
    alarms.push(
      `the voter ${name} signed messages that exclude each other; replace it with an admin's key: nixfleet hosts remove ${name}${how}`,
    )
  }
  const authors = new Set([...view.forks.keys()].map((feed) => splitFeedKey(feed).author))
  for (const key of authors) {
    const { name, role } = authorOf(trust, key)
    alarms.push(
      `${role} ${name} signed two facts for one place of its feed: its key was copied or its disk put back; see: nixfleet peers forks`,
    )
  }
  return alarms
}

function rowOf({ trust }: Knowledge, { lie, fact }: ProvenLie, effect: string): ForkRow {
  const { accused, place, first, second } = lie
  return {
    accused: authorOf(trust, accused),
    kind: kindOf(lie.kind),
    place:
      place.in === 'feed'
        ? `session ${place.session.slice(0, 12)}, sequence ${place.seq}`
        : `epoch ${place.epoch}, view ${place.view}`,
    first,
    second,
    provedBy: authorOf(trust, fact.author),
    fact: fact.id,
    effect,
  }
}

/** Checkpoints and roots are never proven by this version. */
function kindOf(kind: ProvenLie['lie']['kind']): ForkRow['kind'] {
  return kind === 'checkpoint' || kind === 'root' ? 'feed' : kind
}

function feedEffect({ view, state }: Knowledge, feed: FeedKey): string {
  const limit = forkLimit(view.forks, feed, state.evidence.vector.get(feed)) ?? -1
  return limit < 0
    ? 'nothing of this feed counts'
    : `this feed counts up to sequence ${limit} and no further`
}

function voterEffect({ trust, view }: Knowledge, { lie }: ProvenLie): string {
  if (!accusedVoters(trust, view).has(lie.accused)) return 'it does not vote any more'
  return frozenBy(trust, view) === undefined
    ? 'its votes still count: one such voter is tolerated'
    : 'the gate log is frozen until the voters change'
}
