/**
 * The facts of a pull as rows for other programs: who did what to what, and what became of it.
 *
 * Rows stream in the order of the feeds; nothing is kept but, for each host, the generation that its
 * last transition left.
 */
import {
  type Fact,
  type FactOf,
  type FleetId,
  fromHex,
  type LogEntry,
  openLoggedFact,
  rolloutOf,
  sha256,
  sha256Hex,
  toHex,
} from '../../protocol/index.ts'
import { type KnownTrust, personOf } from './documents.ts'
import { feedsIn, type LogPlace } from './layout.ts'
import { readBundles, readHead } from './log-files.ts'

/** One signed act. Absent things are empty, never guessed. */
export interface ExportRow {
  /** The author's wall clock, ISO 8601 in UTC. */
  readonly time: string
  readonly actor: string
  readonly role: string
  readonly key: string
  /** First 16 digits of SHA-256 of the key. */
  readonly fingerprint: string
  readonly action: string
  readonly target: string
  readonly outcome: string
  readonly reason: string
  readonly rollout: string
  /** What the host ran before and after, for acts of a host that say so. */
  readonly generationBefore: string
  readonly generationAfter: string
  readonly factId: string
  readonly session: string
  readonly sequence: number
  readonly epoch: number
}

/** Every column, in the order of the exports. */
export const EXPORT_COLUMNS: readonly (keyof ExportRow)[] = [
  ...(['time', 'actor', 'role', 'key', 'fingerprint', 'action', 'target', 'outcome'] as const),
  ...(['reason', 'rollout', 'generationBefore', 'generationAfter', 'factId'] as const),
  ...(['session', 'sequence', 'epoch'] as const),
]

/** The rows of a pull. Facts that are missing or do not verify are left to `audit verify`; `skipped` counts them. */
export function* rowsOf(
  pull: string,
  trust: KnownTrust,
  skipped: (facts: number) => void,
): Generator<ExportRow> {
  for (const place of feedsIn(pull)) {
    let before = ''
    for (const fact of factsOf(place, trust.fleet, skipped)) {
      const row = rowOf(fact, trust, before)
      if (row.generationAfter !== '') before = row.generationAfter
      yield row
    }
  }
}

function* factsOf(
  place: LogPlace,
  fleet: FleetId,
  skipped: (facts: number) => void,
): Generator<Fact> {
  for (const { entries, width } of readBundles(place, readHead(place)?.size ?? 0, false)) {
    if (entries.length < width) skipped(width - entries.length)
    for (const stored of entries) {
      const fact = opened(stored, fleet, place.name)
      if (fact === undefined) skipped(1)
      else yield fact
    }
  }
}

function opened(stored: LogEntry, fleet: FleetId, whose: string): Fact | undefined {
  try {
    return openLoggedFact(stored, { fleet, whose })
  } catch {
    return undefined
  }
}

function rowOf(fact: Fact, trust: KnownTrust, before: string): ExportRow {
  const { author: key, id: factId, session, seq: sequence, epoch } = fact
  const person = personOf(trust, key)
  const after = generationOf(fact)
  return {
    time: timeOf(fact.ts),
    actor: person?.name ?? '',
    role: person?.role ?? 'unknown',
    key,
    fingerprint: toHex(sha256(fromHex(key))).slice(0, 16),
    action: fact.type === 'foreign' ? fact.foreignType : fact.type,
    target: targetOf(fact, person?.name ?? ''),
    outcome: outcomeOf(fact),
    reason: reasonOf(fact),
    rollout: rolloutOf(fact) ?? '',
    generationBefore: after === '' ? '' : before,
    generationAfter: after,
    ...{ factId, session, sequence, epoch },
  }
}

/** A time beyond what a calendar knows stays a number: it is the author's word, and a row all the same. */
function timeOf(ts: number): string {
  const date = new Date(ts)
  return Number.isNaN(date.getTime()) ? String(ts) : date.toISOString()
}

function generationOf(fact: Fact): string {
  return fact.type === 'host.transition' || fact.type === 'health.change'
    ? fact.body.generation
    : ''
}

function targetOf(fact: Fact, author: string): string {
  switch (fact.type) {
    case 'release.announce':
      return `${fact.body.channel}/${fact.body.version} ${fact.body.name}`
    case 'rollout.plan':
      return fact.body.groups.join(' ')
    case 'rollout.halt':
      return fact.body.hosts?.join(' ') ?? fact.body.rollout
    case 'rollout.hold':
    case 'closure.held':
      return fact.body.rollout
    case 'host.lost':
      return fact.body.host
    case 'obs.attest':
      return fact.body.subjects.map((one) => one.host).join(' ')
    case 'host.transition':
    case 'health.change':
      return author
    case 'equivocation':
      return fact.body.accused
    case 'invite.open':
      return fact.body.name ?? `${fact.body.uses} × ${fact.body.role}`
    case 'invite.revoke':
      return fact.body.invite
    case 'enroll.request':
      return sha256Hex(fromHex(fact.body.request))
    case 'enroll.deny':
      return fact.body.request
    default:
      return ''
  }
}

function outcomeOf(fact: Fact): string {
  switch (fact.type) {
    case 'host.transition':
      return fact.body.to
    case 'health.change':
      return fact.body.state
    case 'obs.attest':
      return fact.body.subjects.map((one) => `${one.host}=${one.verdict}`).join(' ')
    case 'rollout.halt':
      return fact.body.revert ? 'revert' : 'halt'
    case 'closure.held':
      return `${fact.body.generations.length} closures, wave ${fact.body.wave + 1}`
    case 'rollout.hold':
    case 'equivocation':
      return fact.body.kind
    default:
      return 'recorded'
  }
}

function reasonOf(fact: Fact): string {
  switch (fact.type) {
    case 'host.transition':
      return [fact.body.why, fact.body.detail].filter((one) => one !== undefined).join(': ')
    case 'rollout.halt':
    case 'rollout.hold':
    case 'host.lost':
    case 'invite.open':
    case 'invite.revoke':
    case 'enroll.deny':
      return fact.body.why
    case 'obs.attest':
      return attestedWhy(fact)
    default:
      return ''
  }
}

function attestedWhy({ body }: FactOf<'obs.attest'>): string {
  return body.subjects
    .flatMap((one) => (one.why === undefined ? [] : [`${one.host}: ${one.why}`]))
    .join('; ')
}
