/**
 * Facts into the fleet view (SPEC §10): set union with a few single-writer registers.
 *
 * Hosts speak for themselves alone; whether people may say what they say, `withAuthority` decides.
 * Where one author said two things for one register, the
 * choice between them is a total order in which words against a host stand first, so that nothing
 * that was proven once is ever taken back by a later fact.
 */
import {
  type AttestSubject,
  type Fact,
  type FactOf,
  feedOf,
  fromHex,
  type HostName,
  openFact,
  ProtocolError,
  type RolloutId,
  type Session,
  type TransitionWhy,
} from '../protocol/index.ts'
import {
  type EnrolmentView,
  type FleetView,
  NO_ROLLOUT,
  NO_ROUND,
  type ProvenLie,
  type RolloutRecord,
  type RoundRecord,
  type WindowAttest,
} from './fleet-view.ts'
import { foldEnrolment } from './fold-enrolment.ts'
import { noteLie } from './lies.ts'
import { authorHost, type Trust } from './trust.ts'

/** A view in the making: `owned` are the maps made by this fold, which it may still write to. */
interface Draft {
  readonly trust: Trust
  readonly owned: Set<object>
  readonly vector: Map<string, { seq: number; id: string }>
  readonly releases: Map<string, FactOf<'release.announce'>>
  readonly plans: Map<string, FactOf<'rollout.plan'>>
  readonly roots: Map<string, FactOf<'fleet.root'>>
  readonly revocations: Map<string, ReadonlyMap<string, FactOf<'key.revoke'>>>
  readonly configs: Map<string, FactOf<'group.config'>>
  /** Replaced as a whole: invites are few. */
  enrolment: EnrolmentView
  readonly rollouts: Map<string, RolloutRecord>
  readonly health: Map<string, FactOf<'health.change'>>
  readonly reports: Map<string, FactOf<'health.change'>>
  readonly forks: Map<string, ProvenLie>
  readonly lies: Map<string, ProvenLie>
  readonly accusations: Map<string, FactOf<'equivocation'>>
}

/**
 * The view with `facts` folded in. Order, repetition and grouping do not matter.
 *
 * Facts must be verified; a feed's facts must be complete up to its newest for the vector to be a
 * true summary, which the store's chain rule guarantees.
 */
export function foldFacts(view: FleetView, facts: Iterable<Fact>, trust: Trust): FleetView {
  const { vector, releases, plans, roots, configs, rollouts, health, reports } = view
  const { revocations, enrolment, forks, lies, accusations } = view
  const draft: Draft = {
    trust,
    owned: new Set(),
    vector: new Map(vector),
    releases: new Map(releases),
    plans: new Map(plans),
    roots: new Map(roots),
    revocations: new Map(revocations),
    configs: new Map(configs),
    enrolment,
    rollouts: new Map(rollouts),
    health: new Map(health),
    reports: new Map(reports),
    forks: new Map(forks),
    lies: new Map(lies),
    accusations: new Map(accusations),
  }
  for (const fact of facts) foldFact(draft, fact)
  return {
    vector: draft.vector,
    releases: draft.releases,
    plans: draft.plans,
    roots: draft.roots,
    revocations: draft.revocations,
    configs: draft.configs,
    enrolment: draft.enrolment,
    rollouts: draft.rollouts,
    health: draft.health,
    reports: draft.reports,
    forks: draft.forks,
    lies: draft.lies,
    accusations: draft.accusations,
  }
}

function foldFact(draft: Draft, fact: Fact): void {
  const head = draft.vector.get(feedOf(fact))
  if (head === undefined || comesAfter(fact, head)) {
    draft.vector.set(feedOf(fact), { seq: fact.seq, id: fact.id })
  }
  switch (fact.type) {
    case 'release.announce':
      draft.releases.set(fact.id, fact)
      return
    case 'rollout.plan':
      draft.plans.set(fact.id, fact)
      return
    case 'rollout.halt':
    case 'rollout.hold':
    case 'host.lost':
      foldSteering(draft, fact)
      return
    case 'host.transition':
      foldTransition(draft, fact)
      return
    case 'health.change':
      foldHealth(draft, fact)
      return
    case 'obs.attest':
      foldAttestation(draft, fact)
      return
    case 'equivocation':
      if (fact.body.proof.kind === 'blob') draft.accusations.set(fact.id, fact)
      else noteLie(draft, fact, draft.trust)
      return
    case 'halt.relay':
      foldRelay(draft, fact)
      return
    case 'group.config':
      if (fact.body.group === draft.trust.config.group) draft.configs.set(fact.id, fact)
      return
    case 'fleet.root':
      draft.roots.set(fact.id, fact)
      return
    case 'closure.held':
      foldHeld(draft, fact)
      return
    case 'key.revoke':
      foldRevocation(draft, fact)
      return
    case 'invite.open':
    case 'invite.revoke':
    case 'enroll.request':
    case 'enroll.deny':
      draft.enrolment = foldEnrolment(draft.enrolment, fact, draft.trust)
      return
    case 'foreign':
      return
    default:
      unreachable(fact)
  }
}

function foldRevocation(draft: Draft, fact: FactOf<'key.revoke'>): void {
  const { key } = fact.body
  const known = draft.revocations.get(key) ?? new Map<string, FactOf<'key.revoke'>>()
  draft.revocations.set(key, own(draft, known).set(fact.id, fact))
}

function foldSteering(
  draft: Draft,
  fact: FactOf<'rollout.halt'> | FactOf<'rollout.hold'> | FactOf<'host.lost'>,
): void {
  const { rollout } = fact.body
  const record = recordOf(draft, rollout)
  if (fact.type === 'rollout.halt') {
    const halts = own(draft, record.halts).set(fact.id, fact)
    draft.rollouts.set(rollout, { ...record, halts })
  } else if (fact.type === 'rollout.hold') {
    const holds = own(draft, record.holds).set(fact.id, fact)
    draft.rollouts.set(rollout, { ...record, holds })
  } else {
    const losses = own(draft, record.losses).set(fact.id, fact)
    draft.rollouts.set(rollout, { ...record, losses })
  }
}

/** A host's word for a wave stands for the waves before it too: a register that only rises. */
function foldHeld(draft: Draft, fact: FactOf<'closure.held'>): void {
  const host = authorHost(draft.trust, fact.author)
  if (host === undefined) return
  const { rollout, wave, generations } = fact.body
  const record = recordOf(draft, rollout)
  const fresh = generations.filter((one) => (record.holders.get(one)?.get(host.name) ?? -1) < wave)
  if (fresh.length === 0) return
  const holders = own(draft, record.holders)
  for (const generation of fresh) {
    holders.set(generation, own(draft, holders.get(generation) ?? new Map()).set(host.name, wave))
  }
  draft.rollouts.set(rollout, { ...record, holders })
}

/** A halt counts whoever brings it: it proves itself, and stopping asks nobody (SPEC §6.8). */
function foldRelay(draft: Draft, { body }: FactOf<'halt.relay'>): void {
  const { fleet, signer } = draft.trust
  const given = { fleet, whose: 'a relayed halt', ...(signer === undefined ? {} : { signer }) }
  try {
    const halt = openFact(fromHex(body.halt), given)
    if (halt.type === 'rollout.halt') foldSteering(draft, halt)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
  }
}

function foldTransition(draft: Draft, fact: FactOf<'host.transition'>): void {
  const host = authorHost(draft.trust, fact.author)
  if (host === undefined) return
  const { rollout, round, to } = fact.body
  changeRound(draft, { rollout, host: host.name, round }, (record) => {
    const before = record.transitions.get(to)
    if (before !== undefined && !speaksFirst(fact, before)) return record
    return { ...record, transitions: own(draft, record.transitions).set(to, fact) }
  })
}

/** How much a reason speaks against its host: a failure, perhaps a failure, no failure. */
function blame(why: TransitionWhy | undefined): number {
  if (why === 'activate' || why === 'check' || why === 'reboot') return 2
  return why === 'unconfirmed' ? 1 : 0
}

function speaksFirst(a: FactOf<'host.transition'>, b: FactOf<'host.transition'>): boolean {
  const harder = blame(a.body.why) - blame(b.body.why)
  return harder !== 0 ? harder > 0 : comesAfter(b, a)
}

function foldHealth(draft: Draft, fact: FactOf<'health.change'>): void {
  const host = authorHost(draft.trust, fact.author)
  if (host === undefined) return
  const before = draft.reports.get(feedOf(fact))
  if (before !== undefined && !comesAfter(fact, before)) return
  draft.reports.set(feedOf(fact), fact)
  draft.health.set(host.name, newestReport(draft, fact))
}

/** A clock that was set back hides nothing inside a feed, so clocks only choose between feeds. */
function newestReport(draft: Draft, fact: FactOf<'health.change'>): FactOf<'health.change'> {
  let newest = fact
  for (const report of draft.reports.values()) {
    if (report.author !== fact.author) continue
    const later = report.ts !== newest.ts ? report.ts > newest.ts : report.id > newest.id
    if (later) newest = report
  }
  return newest
}

function foldAttestation(draft: Draft, fact: FactOf<'obs.attest'>): void {
  const observer = authorHost(draft.trust, fact.author)
  if (observer === undefined) return
  for (const subject of fact.body.subjects) {
    if (subject.host === observer.name) continue
    const place = { rollout: fact.body.rollout, host: subject.host, round: subject.round }
    changeRound(draft, place, (record) => withAttest(draft, record, fact, subject))
  }
}

function withAttest(
  draft: Draft,
  record: RoundRecord,
  fact: FactOf<'obs.attest'>,
  subject: AttestSubject,
): RoundRecord {
  const said = record.attests.get(fact.author) ?? new Map<string, WindowAttest>()
  const place = attestPlace(fact.session, subject)
  const before = said.get(place)
  if (before !== undefined && !comesAfter({ seq: before.seq, id: before.fact }, fact)) return record
  const next = own(draft, said).set(place, { seq: fact.seq, fact: fact.id, subject })
  if (record.attests.get(fact.author) === next) return record
  return { ...record, attests: own(draft, record.attests).set(fact.author, next) }
}

/**
 * Attestations of different places do not compete: FAIL is published at once and its window closes
 * later, and an observer that came back from an old disk counts its windows anew in another feed.
 */
function attestPlace(session: Session, { verdict, window }: AttestSubject): string {
  return `${session}/${window}/${verdict === 'fail' ? 'fail' : 'seen'}`
}

function changeRound(
  draft: Draft,
  place: { rollout: RolloutId; host: HostName; round: number },
  change: (record: RoundRecord) => RoundRecord,
): void {
  const record = recordOf(draft, place.rollout)
  const rounds = record.hosts.get(place.host) ?? new Map<number, RoundRecord>()
  const before = rounds.get(place.round) ?? NO_ROUND
  const after = change(before)
  if (after === before) return
  const hosts = own(draft, record.hosts)
  hosts.set(place.host, own(draft, rounds).set(place.round, after))
  draft.rollouts.set(place.rollout, { ...record, hosts })
}

function recordOf(draft: Draft, rollout: RolloutId): RolloutRecord {
  return draft.rollouts.get(rollout) ?? NO_ROLLOUT
}

/** A map with the same entries that this fold may write to: a long fold copies each map once. */
function own<K, V>(draft: Draft, map: ReadonlyMap<K, V>): Map<K, V> {
  if (draft.owned.has(map)) return map as Map<K, V>
  const copy = new Map(map)
  draft.owned.add(copy)
  return copy
}

/** A total order of places in feeds: by sequence, then by id. */
function comesAfter(
  a: { readonly seq: number; readonly id: string },
  b: { readonly seq: number; readonly id: string },
): boolean {
  return a.seq !== b.seq ? a.seq > b.seq : a.id > b.id
}

function unreachable(fact: never): never {
  throw new TypeError(`unknown fact ${JSON.stringify(fact)}`)
}
