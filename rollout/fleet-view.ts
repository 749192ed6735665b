/**
 * The fold of verified facts: everything monotone that a node knows (SPEC §10).
 *
 * The fold is associative, commutative and idempotent: the same facts give the same view in any
 * order. It keeps what people say whoever they are: under which root a word counts, only the log
 * knows, and `withAuthority` leaves out what does not count there.
 */
import type {
  AttestSubject,
  EnrollRequest,
  FactId,
  FactOf,
  FeedKey,
  GroupConfig,
  Hash,
  HostName,
  KeyId,
  Lie,
  LiePair,
  Manifest,
  Phase,
  PlanBody,
  RolloutId,
  SignedDocument,
  StorePath,
  UnsignedRoot,
  Vector,
} from '../protocol/index.ts'

/** What is known, from facts alone. */
export interface FleetView {
  /** The newest fact of each feed that was folded in. */
  readonly vector: Vector
  readonly releases: ReadonlyMap<FactId, FactOf<'release.announce'>>
  readonly plans: ReadonlyMap<RolloutId, FactOf<'rollout.plan'>>
  /** Announced roots of the fleet. */
  readonly roots: ReadonlyMap<FactId, FactOf<'fleet.root'>>
  /** Revocations by the key that they take out. */
  readonly revocations: ReadonlyMap<KeyId, ReadonlyMap<FactId, FactOf<'key.revoke'>>>
  /** Invites of this group, what became of them, and who asked to be let in. */
  readonly enrolment: EnrolmentView
  /** Announced configurations of this group. */
  readonly configs: ReadonlyMap<FactId, FactOf<'group.config'>>
  readonly rollouts: ReadonlyMap<RolloutId, RolloutRecord>
  /** The newest health report of each host: of its feeds' newest reports, the one dated last. */
  readonly health: ReadonlyMap<HostName, FactOf<'health.change'>>
  /** The newest health report of each feed. */
  readonly reports: ReadonlyMap<FeedKey, FactOf<'health.change'>>
  /** Feeds whose author signed two facts for one place: the lowest place that is proven. */
  readonly forks: ReadonlyMap<FeedKey, ProvenLie>
  /** Gate messages of one voter that exclude each other, by voter, kind and place. */
  readonly lies: ReadonlyMap<string, ProvenLie>
  /** Accusations whose proof is a blob: they count once it is held. */
  readonly accusations: ReadonlyMap<FactId, FactOf<'equivocation'>>
}

/** Who was invited and who asked. Each map only grows; `enrolment.ts` says how it stands. */
export interface EnrolmentView {
  readonly invites: ReadonlyMap<FactId, FactOf<'invite.open'>>
  /** By the id of the revoking fact. */
  readonly revoked: ReadonlyMap<FactId, FactOf<'invite.revoke'>>
  readonly denied: ReadonlyMap<FactId, FactOf<'enroll.deny'>>
  /** Requests whose own signature holds, by their ids. */
  readonly requests: ReadonlyMap<FactId, BroughtRequest>
}

/** A request and the facts that brought it. */
export interface BroughtRequest {
  readonly request: EnrollRequest
  readonly by: ReadonlyMap<FactId, { readonly author: KeyId; readonly ts: number }>
}

/** A contradiction with the fact that proves it: of several, that of the lowest id. */
export interface ProvenLie {
  readonly lie: Lie
  readonly fact: FactOf<'equivocation'>
}

/** What facts say about one rollout; each is a grow-only set or a register of one writer. */
export interface RolloutRecord {
  readonly halts: ReadonlyMap<FactId, FactOf<'rollout.halt'>>
  readonly holds: ReadonlyMap<FactId, FactOf<'rollout.hold'>>
  readonly losses: ReadonlyMap<FactId, FactOf<'host.lost'>>
  readonly hosts: ReadonlyMap<HostName, ReadonlyMap<number, RoundRecord>>
  /** Who holds the closure of a generation: the highest wave that it said so for. */
  readonly holders: ReadonlyMap<StorePath, ReadonlyMap<HostName, number>>
}

/** One host in one round of one rollout. */
export interface RoundRecord {
  /**
   * The host's own word: one fact per phase. Of several, the one that speaks most against the host,
   * then the lowest sequence: a second feed of one key takes back nothing that the first admitted.
   */
  readonly transitions: ReadonlyMap<Phase, FactOf<'host.transition'>>
  /** What each member said, by its fact key and by what `attestPlace` tells apart. */
  readonly attests: ReadonlyMap<KeyId, ReadonlyMap<string, WindowAttest>>
}

/** The attestation of one place that counts: that of the lowest sequence. */
export interface WindowAttest {
  readonly seq: number
  readonly fact: FactId
  readonly subject: AttestSubject
}

/** Bodies that facts name by hash; a pure look-up, because the hash fixes the answer. */
export interface Bodies {
  plan(hash: Hash): PlanBody | undefined
  manifest(hash: Hash): Manifest | undefined
  /** The two envelopes of a proof; whether they prove anything is judged elsewhere. */
  proof?(hash: Hash): LiePair | undefined
  /** A configuration by the hash of its signed document; who must have signed it, the root in force says. */
  config(hash: Hash): SignedDocument<GroupConfig> | undefined
  /** A root by the hash of its signed document; who must have signed it, the root before it says. */
  root?(hash: Hash): UnsignedRoot | undefined
}

/** Nothing is known yet. */
export const EMPTY_VIEW: FleetView = {
  vector: new Map(),
  releases: new Map(),
  plans: new Map(),
  roots: new Map(),
  revocations: new Map(),
  enrolment: { invites: new Map(), revoked: new Map(), denied: new Map(), requests: new Map() },
  configs: new Map(),
  rollouts: new Map(),
  health: new Map(),
  reports: new Map(),
  forks: new Map(),
  lies: new Map(),
  accusations: new Map(),
}

/** What is known of one rollout; empty when nothing is. */
export function rolloutRecord(view: FleetView, rollout: RolloutId): RolloutRecord {
  return view.rollouts.get(rollout) ?? NO_ROLLOUT
}

/** What is known of one host in one round of one rollout; empty when nothing is. */
export function roundRecord(record: RolloutRecord, host: HostName, round: number): RoundRecord {
  return record.hosts.get(host)?.get(round) ?? NO_ROUND
}

/** The operators' word that `host` is lost to the rollout; of several that of the lowest id. */
export function lossOf(record: RolloutRecord, host: HostName): FactOf<'host.lost'> | undefined {
  let first: FactOf<'host.lost'> | undefined
  for (const fact of record.losses.values()) {
    if (fact.body.host === host && (first === undefined || fact.id < first.id)) first = fact
  }
  return first
}

/** A rollout of which no fact speaks. */
export const NO_ROLLOUT: RolloutRecord = {
  halts: new Map(),
  holds: new Map(),
  losses: new Map(),
  hosts: new Map(),
  holders: new Map(),
}

/** A round of which no fact speaks. */
export const NO_ROUND: RoundRecord = { transitions: new Map(), attests: new Map() }
