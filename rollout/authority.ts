/**
 * What counts of what people said (SPEC §10): the view without words that their authors had no
 * authority for.
 *
 * The fold keeps everything, because roots come and go and the fold must not depend on when. A word
 * counts under the root that was in force when the log pinned it (`rootFor`), so that every node that
 * stands at one place of the log leaves out the same. Halts count longer: whoever could halt a rollout
 * when it was admitted always can, because nobody takes a stop back.
 */
import {
  type FactOf,
  feedKey,
  type KeyId,
  type RolloutId,
  type Root,
  type Vector,
} from '../protocol/index.ts'
import type { EnrolmentView, FleetView, RolloutRecord } from './fleet-view.ts'
import type { GateRollout, GateState } from './gate-state.ts'
import { revokedKeys, revokedLimit } from './revocations.ts'
import {
  mayAnnounceRoot,
  mayConfigure,
  mayDeploy,
  mayHalt,
  mayRevoke,
  rootFor,
  type Trust,
} from './trust.ts'

type Place = Pick<GateState, 'rollouts' | 'rootVersion' | 'evidence'>
/** What an answer depends on besides the view. */
interface Known {
  readonly trust: Trust
  readonly rollouts: ReadonlyMap<RolloutId, GateRollout>
  readonly pinned: Vector
  readonly view: FleetView
}

/** A view is looked at by many rules; it is filtered once for each place of the log. */
const known = new WeakMap<FleetView, Known>()

/** `view` with the words that count at `state`. The view itself, where all of them do. */
export function withAuthority(view: FleetView, trust: Trust, state: Place): FleetView {
  const before = known.get(view)
  const { rollouts } = state
  const pinned = state.evidence.vector
  // Under the first root, and while nobody is revoked, where the log has come to changes nothing.
  const simple = trust.pastRoots === undefined && view.revocations.size === 0
  const same = simple || (before?.rollouts === rollouts && before.pinned === pinned)
  if (before?.trust === trust && same) return before.view
  const filtered = filter(view, trust, state)
  const answer = { trust, rollouts, pinned, view: filtered }
  known.set(view, answer)
  if (filtered !== view) known.set(filtered, answer)
  return filtered
}

/** What a word is judged by. */
interface Judge {
  readonly trust: Trust
  readonly state: Place
  readonly revocations: Pick<FleetView, 'revocations'>
}

/** Where a word stands. */
type Word = Pick<FactOf<'rollout.halt'>, 'author' | 'session' | 'seq'>

function filter(view: FleetView, trust: Trust, state: Place): FleetView {
  const revocations = keptRevocations(view.revocations, trust)
  const judge: Judge = { trust, state, revocations: { revocations } }
  const parts = {
    revocations,
    releases: kept(view.releases, judging(judge, mayRelease)),
    roots: kept(
      view.roots,
      judging(judge, (root, { author }) => mayAnnounceRoot(root, author)),
    ),
    configs: kept(
      view.configs,
      judging(judge, (root, { author }) => mayConfigure(under(trust, root), author)),
    ),
    enrolment: keptEnrolment(view.enrolment, judge),
    rollouts: keptRecords(view.rollouts, judge),
  }
  const names = Object.keys(parts) as (keyof typeof parts)[]
  return names.every((name) => parts[name] === view[name]) ? view : { ...view, ...parts }
}

/** Whether a word counts: its place in its feed and, under its root, its author's role. */
function judging<W extends Word>(
  judge: Judge,
  may: (root: Root, word: W) => boolean,
): (word: W) => boolean {
  return (word) => stands(judge, word) && may(rootFor(judge.trust, word), word)
}

/** Whether a word stands within what counts of its author's feed. */
function stands({ state, revocations }: Judge, { author, session, seq }: Word): boolean {
  const feed = feedKey(author, session)
  const limit = revokedLimit(revocations, feed, state.evidence.vector.get(feed))
  return limit === undefined || seq <= limit
}

function under(trust: Trust, root: Root): Trust {
  return root === trust.root ? trust : { ...trust, root }
}

function mayRelease({ releaseKeys }: Root, { author, body }: FactOf<'release.announce'>): boolean {
  const key = releaseKeys.find((one) => one.key === author)
  if (key === undefined) return false
  return key.channels.length === 0 || key.channels.includes(body.channel)
}

/** A request proves itself, whoever brought it; the rest is said by those who may configure the group. */
function keptEnrolment(all: EnrolmentView, judge: Judge): EnrolmentView {
  const may = judging<Word>(judge, (root, { author }) =>
    mayConfigure(under(judge.trust, root), author),
  )
  const invites = kept(all.invites, may)
  const revoked = kept(all.revoked, may)
  const denied = kept(all.denied, may)
  const whole = invites === all.invites && revoked === all.revoked && denied === all.denied
  return whole ? all : { ...all, invites, revoked, denied }
}

function keptRevocations(all: FleetView['revocations'], trust: Trust): FleetView['revocations'] {
  let next: Map<KeyId, ReadonlyMap<string, FactOf<'key.revoke'>>> | undefined
  for (const [key, facts] of all) {
    const good = kept(facts, (fact) => mayRevoke(trust, rootFor(trust, fact), fact))
    if (good === facts) continue
    next ??= new Map(all)
    if (good.size === 0) next.delete(key)
    else next.set(key, good)
  }
  return next ?? all
}

function keptRecords(records: FleetView['rollouts'], judge: Judge): FleetView['rollouts'] {
  let next: Map<RolloutId, RolloutRecord> | undefined
  for (const [id, record] of records) {
    const filtered = keptRecord(record, judge, judge.state.rollouts.get(id))
    if (filtered === record) continue
    next ??= new Map(records)
    if (isEmpty(filtered)) next.delete(id)
    else next.set(id, filtered)
  }
  return next ?? records
}

function keptRecord(
  record: RolloutRecord,
  judge: Judge,
  rollout: GateRollout | undefined,
): RolloutRecord {
  const { trust, state, revocations } = judge
  const least = rollout?.rootVersion ?? state.rootVersion
  const revoked = rollout?.revoked ?? revokedKeys(revocations)
  const deploys = judging<Word>(judge, (root, { author }) => mayDeploy(under(trust, root), author))
  const halts = kept(
    record.halts,
    ({ author }) => !revoked.has(author) && mayHalt(trust, author, least),
  )
  const holds = kept(record.holds, deploys)
  const losses = kept(record.losses, deploys)
  const whole = halts === record.halts && holds === record.holds && losses === record.losses
  return whole ? record : { ...record, halts, holds, losses }
}

function isEmpty({ halts, holds, losses, hosts }: RolloutRecord): boolean {
  return halts.size + holds.size + losses.size + hosts.size === 0
}

function kept<K, V>(map: ReadonlyMap<K, V>, counts: (value: V) => boolean): ReadonlyMap<K, V> {
  for (const value of map.values()) {
    if (!counts(value)) return new Map([...map].filter(([, one]) => counts(one)))
  }
  return map
}
