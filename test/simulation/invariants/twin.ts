/**
 * Where every host of a rollout stands, told a second time and simply: every answer is a search
 * through the list of facts. Slow, without memory, and shaped unlike the shipped derivation.
 */
import {
  type Fact,
  type FactOf,
  fromHex,
  type GroupConfig,
  type HostName,
  type Manifest,
  sha256,
  toHex,
  utf8,
} from '../../../protocol/index.ts'
import type { Trust } from '../../../rollout/index.ts'
import type { LedgerRollout } from './ledger.ts'

export type TwinEnd = 'committed' | 'reverted' | 'stuck' | 'failed' | 'skipped' | 'lost'

export interface TwinStanding {
  readonly host: HostName
  readonly wave: number
  readonly round: number | undefined
  readonly end: TwinEnd | undefined
  /** Confirmed by its own word: its permit is back. */
  readonly confirmed: boolean
  readonly failed: boolean
  readonly unconfirmed: boolean
}

export interface TwinInput {
  readonly trust: Trust
  readonly rollout: LedgerRollout
  readonly facts: readonly Fact[]
  readonly manifest: Manifest | undefined
}

/** At most five, as SPEC §11 says. */
const OBSERVERS = 5
const LAST_ROUND = 2

const drawn = new WeakMap<Trust, Map<string, readonly HostName[]>>()

/**
 * Who belonged when the round was started: later epochs change neither who watches it nor how many of
 * them decide. Before a start, whoever belongs now.
 */
export function twinTrust(
  { trust, rollout }: Pick<TwinInput, 'trust' | 'rollout'>,
  host: HostName,
  round: number | undefined,
): Trust {
  const epoch = rollout.starts.find((mark) => mark.host === host && mark.round === round)?.epoch
  const config = trust.past?.find((one) => one.epoch === epoch)
  if (config === undefined) return trust
  const known = trustsOf.get(config) ?? { ...trust, config }
  trustsOf.set(config, known)
  return known
}

const trustsOf = new WeakMap<GroupConfig, Trust>()

/** The hosts with the lowest hash over the admitting block and both names. */
export function twinObservers(
  trust: Trust,
  rollout: LedgerRollout,
  host: HostName,
): readonly HostName[] {
  const known = drawn.get(trust) ?? new Map<string, readonly HostName[]>()
  drawn.set(trust, known)
  const key = `${rollout.admittedBy} ${host}`
  const names = known.get(key) ?? draw(trust, rollout, host)
  known.set(key, names)
  return names
}

function draw(trust: Trust, rollout: LedgerRollout, host: HostName): readonly HostName[] {
  const rank = (name: HostName): string =>
    toHex(
      sha256(Buffer.concat([fromHex(rollout.admittedBy), utf8(host), Buffer.alloc(1), utf8(name)])),
    )
  return trust.config.hosts
    .map(({ name }) => name)
    .filter((name) => name !== host)
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
    .slice(0, OBSERVERS)
}

/** Witnesses for health and for failure out of `k`. */
export function twinNeeded(trust: Trust, k: number): { health: number; failure: number } {
  const majority = Math.floor(k / 2) + 1
  if (k === 0) return { health: 0, failure: Number.POSITIVE_INFINITY }
  const kind = trust.config.faultModel === 'crash' && k === 2
  return { health: kind ? 1 : majority, failure: majority }
}

export function transitionsOf(
  input: Pick<TwinInput, 'trust' | 'facts'> & { rollout: { id: string } },
  host: HostName,
  round: number,
): readonly FactOf<'host.transition'>[] {
  const key = keyOf(input.trust, host)
  return input.facts.filter(
    (fact): fact is FactOf<'host.transition'> =>
      fact.type === 'host.transition' &&
      fact.author === key &&
      fact.body.rollout === input.rollout.id &&
      fact.body.round === round,
  )
}

/** Observers of the host that attested a failure in this round. */
export function accusers(input: TwinInput, host: HostName, round: number): readonly HostName[] {
  return twinObservers(twinTrust(input, host, round), input.rollout, host).filter((observer) =>
    attests(input, observer, host, round).some((one) => one.verdict === 'fail'),
  )
}

/** Observers of the host that saw one boot of the generation well for the whole soak. */
export function healthWitnesses(
  input: TwinInput,
  place: { host: HostName; round: number; generation: string; boot?: string },
): readonly HostName[] {
  const { host, round, generation, boot } = place
  const { soakMs } = input.rollout.plan.policy
  return twinObservers(twinTrust(input, host, round), input.rollout, host).filter((observer) => {
    const sums = new Map<string, number>()
    for (const one of attests(input, observer, host, round)) {
      if (one.verdict !== 'ok' || one.generation !== generation) continue
      sums.set(one.boot, (sums.get(one.boot) ?? 0) + one.elapsedMs)
    }
    const enough = [...sums].filter(([, ms]) => ms >= soakMs).map(([id]) => id)
    return boot === undefined ? enough.length > 0 : enough.includes(boot)
  })
}

/** Of the attestations of one window that are not FAIL, only the first counts. */
function attests(
  { trust, facts, rollout }: TwinInput,
  observer: HostName,
  host: HostName,
  round: number,
): FactOf<'obs.attest'>['body']['subjects'] {
  const key = keyOf(trust, observer)
  const said = facts
    .filter((fact) => fact.author === key && fact.type === 'obs.attest')
    .map((fact) => fact as FactOf<'obs.attest'>)
    .filter((fact) => fact.body.rollout === rollout.id)
    .sort((a, b) => a.seq - b.seq)
  const seen = new Set<string>()
  return said.flatMap(({ session, body }) =>
    body.subjects.filter((subject) => {
      if (subject.host !== host || subject.round !== round) return false
      const place = `${session} ${subject.window} ${subject.verdict === 'fail'}`
      if (seen.has(place)) return false
      seen.add(place)
      return true
    }),
  )
}

/** Where each host of the rollout stands over these facts and the marks of the ledger. */
export function twinStandings(input: TwinInput): readonly TwinStanding[] {
  return input.rollout.waves.flatMap((hosts, wave) =>
    hosts.map((host) => standingOf(input, host, wave)),
  )
}

function standingOf(input: TwinInput, host: HostName, wave: number): TwinStanding {
  const { rollout, facts } = input
  const rounds = rollout.starts.filter((mark) => mark.host === host).map((mark) => mark.round)
  const round = rounds.at(-1)
  const phases = new Set(transitionsOf(input, host, round ?? 0).map((fact) => fact.body.to))
  const condemned = rounds.filter(
    (one) => accusers(input, host, one).length >= needed(input, host, one).failure,
  )
  const blamed = rounds.some((one) =>
    backReasons(input, host, one).some(
      (why) => SELF_BLAME.has(why) || (why === 'unconfirmed' && one === LAST_ROUND),
    ),
  )
  const named = facts.some(
    (fact) =>
      fact.type === 'host.lost' && fact.body.rollout === rollout.id && fact.body.host === host,
  )
  const lost = named || rollout.gone.has(host)
  const skipped = rollout.skips.some((mark) => mark.host === host && mark.round === round)
  const end = endOf(phases, {
    failed: round !== undefined && condemned.includes(round),
    witnessed: isWitnessed(input, host, round),
    skipped,
    lost,
  })
  const confirmed = ['CONFIRMED', 'SOAKED', 'COMMITTED'].some((phase) => phases.has(phase as never))
  const failed = condemned.length > 0 || blamed
  const gaveUp = rounds.some((one) => backReasons(input, host, one).includes('unconfirmed'))
  return {
    ...{ host, wave, round, end, confirmed, failed },
    unconfirmed: gaveUp && !failed && !lost && !(confirmed && !phases.has('REVERTED')),
  }
}

const SELF_BLAME: ReadonlySet<string> = new Set(['activate', 'check', 'reboot'])

function backReasons(input: TwinInput, host: HostName, round: number): readonly string[] {
  return transitionsOf(input, host, round)
    .filter(({ body }) => ['REVERTING', 'REVERTED', 'STUCK'].includes(body.to))
    .flatMap(({ body }) => body.why ?? [])
}

function isWitnessed(input: TwinInput, host: HostName, round: number | undefined): boolean {
  const generation = input.manifest?.hosts.find((one) => one.host === host)?.generation
  if (generation === undefined || round === undefined) return false
  const { health } = needed(input, host, round)
  return healthWitnesses(input, { host, round, generation }).length >= health
}

/** How many of a host's observers decide in a round. */
export function needed(
  input: Pick<TwinInput, 'trust' | 'rollout'>,
  host: HostName,
  round: number | undefined,
): { health: number; failure: number } {
  const trust = twinTrust(input, host, round)
  return twinNeeded(trust, twinObservers(trust, input.rollout, host).length)
}

function endOf(
  phases: ReadonlySet<string>,
  known: { failed: boolean; witnessed: boolean; skipped: boolean; lost: boolean },
): TwinEnd | undefined {
  if (phases.has('REVERTED')) return 'reverted'
  if (phases.has('STUCK')) return 'stuck'
  if (known.failed) return 'failed'
  const goesBack = phases.has('REVERTING')
  if (phases.has('COMMITTED') && known.witnessed && !goesBack) return 'committed'
  if ((phases.has('SKIPPED') && !goesBack) || known.skipped) return 'skipped'
  return known.lost ? 'lost' : undefined
}

/** Failures of the rollout, and how many its plan bears. */
export function twinBudget(input: TwinInput): { failures: number; budget: number } {
  const all = twinStandings(input)
  const { budget } = input.rollout.plan.policy
  return {
    failures: all.filter((one) => one.failed).length,
    budget:
      budget.kind === 'count' ? budget.count : Math.floor((all.length * budget.percent) / 100),
  }
}

function keyOf(trust: Trust, name: HostName): string {
  const configs = [trust.config, ...(trust.past ?? [])]
  return configs.flatMap(({ hosts }) => hosts).find((host) => host.name === name)?.fact ?? ''
}
