/** Judges those who watch, and those who say that they were seen: S7 and S8. */
import {
  type FactOf,
  type HostName,
  openAnswer,
  type RolloutId,
  type StorePath,
  toHex,
} from '../../protocol/index.ts'
import { type GateWatch, placeOf } from './gate-watch.ts'
import { inputOf } from './invariants/gate.ts'
import { s6NoLateBreach } from './invariants/host.ts'
import type { Ledger } from './invariants/ledger.ts'
import { accusers, healthWitnesses, needed, twinBudget } from './invariants/twin.ts'
import {
  type Look,
  s7Confirmed,
  s7Witnessed,
  s8Certificate,
  s8CutOff,
  s8Honest,
  s8Patient,
  s8Unsteady,
} from './invariants/witness.ts'
import type { Bench } from './monitor.ts'
import { READER } from './violation.ts'

/** One thing that an observer saw of a host. */
interface Sight {
  readonly at: number
  readonly silent: boolean
  readonly well: boolean
  /** Of a probe that was answered. */
  readonly generation?: StorePath
}

const NOTHING = new Uint8Array()
/** Sights that are kept of each pair: more than any window and any row of failed rounds. */
const SIGHTS_MAX = 200
/** A disk that refuses is tried at least so often, and a slow one written to. */
const MUTE_GAP_MS = 5_000

export class WitnessWatch {
  readonly #bench: Bench
  readonly #gate: GateWatch
  readonly #ledger: Ledger
  readonly #sights = new Map<string, Sight[]>()
  /** The newest time in which a host's disk was full or slow, by its own clock: what it had to say came later. */
  readonly #mute = new Map<HostName, { readonly from: number; until: number }>()
  /** Who confirmed a host, by host, rollout and round. */
  readonly #confirmed = new Map<string, Set<HostName>>()

  constructor(bench: Bench, gate: GateWatch) {
    this.#bench = bench
    this.#gate = gate
    this.#ledger = gate.ledger
  }

  /** An answer over another nonce is none. */
  probed(observer: HostName, peer: HostName, question?: Uint8Array, answer?: Uint8Array): void {
    const { fleet } = this.#bench.fleet.trust
    const opened = answer && openAnswer('probe.rsp', answer, { fleet, whose: peer, signer: READER })
    if (opened === undefined || !toHex(question ?? answer ?? NOTHING).endsWith(opened.body.nonce)) {
      this.#saw(observer, peer, { silent: true, well: false })
      return
    }
    const { generation, healthy: well } = opened.body
    this.#saw(observer, peer, { silent: false, well, generation })
  }

  checked(observer: HostName, peer: string, well: boolean): void {
    this.#saw(observer, peer, { silent: false, well })
  }

  heardConfirm(host: HostName, observer: HostName, answer: Uint8Array | undefined): void {
    if (answer === undefined) return
    const { fleet } = this.#bench.fleet.trust
    const { author, body } = openAnswer('confirm.rsp', answer, {
      ...{ fleet, whose: observer, signer: READER },
    })
    if (!body.ok || body.host !== host || author !== this.#bench.chronicle.keyOf(observer)) return
    const key = `${host} ${body.rollout} ${body.round}`
    this.#confirmed.set(key, (this.#confirmed.get(key) ?? new Set()).add(observer))
  }

  /** A host's disk refuses a write or keeps it waiting, or its feed is in doubt: what stands behind it is said later. */
  waits(host: HostName): void {
    const now = this.#bench.bootMs(host)
    const before = this.#mute.get(host)
    const goesOn = before !== undefined && now - before.until <= MUTE_GAP_MS
    this.#mute.set(host, { from: goesOn ? before.from : now, until: now })
  }

  /** How long what a host says now may have waited. */
  #waitedMs(host: HostName): number {
    const now = this.#bench.bootMs(host)
    const mute = this.#mute.get(host)
    return mute === undefined || now - mute.until > MUTE_GAP_MS ? 0 : now - mute.from
  }

  /** An honest host says where it is. */
  transition(host: HostName, said: FactOf<'host.transition'>): void {
    const { to, rollout, round, why } = said.body
    this.#count(to, why)
    const known = this.#ledger.rollouts.get(rollout)
    if (known === undefined) return
    const { chronicle, fleet, accuse } = this.#bench
    const facts = chronicle.factsOn(fleet.host(host).disk)
    const input = { ...inputOf(this.#ledger, chronicle, known), facts }
    if (to === 'REVERTING') accuse('S6', s6NoLateBreach(host, said, chronicle.logs.get(host) ?? []))
    if (to === 'SOAKED' || to === 'COMMITTED') accuse('S7', s7Witnessed(host, said, input))
    if (to === 'CONFIRMED') {
      const yes = this.#confirmed.get(`${host} ${rollout} ${round}`) ?? new Set()
      accuse('S7', s7Confirmed(host, said, input, yes))
    }
  }

  /** An honest observer says what it saw. */
  attested(observer: HostName, { body }: FactOf<'obs.attest'>): void {
    const { probeMs, failRounds, windowMs } = this.#bench.fleet.trust.config.timing
    for (const { host, verdict, why, round } of body.subjects) {
      if (verdict === 'abstain' && why === 'control') this.#cutOff(observer)
      if (verdict === 'abstain') continue
      if (verdict === 'fail') this.#early(observer, { rollout: body.rollout, host, round })
      const expected = this.#generationOf(body.rollout, host)
      const looks: Look[] = (this.#sights.get(`${observer} ${host}`) ?? []).map((sight) => ({
        at: sight.at,
        ok: sight.well && (sight.generation === undefined || sight.generation === expected),
      }))
      const said = { verdict, at: this.#bench.bootMs(observer) }
      const rules = { probeMs, failRounds, windowMs, waitedMs: this.#waitedMs(observer) }
      this.#bench.accuse('S8', s8Honest({ observer, subject: host }, said, looks, rules))
      const who = { observer, subject: host }
      if (verdict === 'fail')
        this.#bench.accuse('S8', s8Unsteady(who, this.#away(observer), probeMs))
    }
  }

  /** S8: nobody is accused of not beginning before it had all the time to. */
  #early(observer: HostName, place: { rollout: RolloutId; host: HostName; round: number }): void {
    const { accuse, chronicle, fleet } = this.#bench
    const startedAt = this.#gate.startedAt.get(placeOf(place))
    const plan = chronicle.planOf(place.rollout)
    const begun = [...chronicle.byId.values()].some(
      (fact) =>
        fact.type === 'host.transition' &&
        fact.body.to === 'ACTIVATING' &&
        fact.body.round === place.round &&
        fact.body.rollout === place.rollout &&
        fact.author === chronicle.keyOf(place.host),
    )
    if (begun || startedAt === undefined || plan === undefined) return
    const sinceMs = fleet.clock.bootMs() - startedAt
    const dueMs = plan.policy.startTimeoutMs + fleet.trust.config.timing.leaseMs
    accuse('S8', s8Patient({ observer, subject: place.host }, sinceMs, dueMs))
  }

  /** S8: who holds itself cut off has asked hosts that it does not watch, and missed one of them. */
  #cutOff(observer: HostName): void {
    const { accuse, bootMs, fleet } = this.#bench
    const { probeMs, windowMs } = fleet.trust.config.timing
    const spanMs = windowMs + probeMs * 4 + this.#waitedMs(observer)
    const since = bootMs(observer) - spanMs
    // Watched for certain is who is so by the newest log and by the observer's own, which may be older
    // than the one or newer than the word that is judged; and was so through all the time in which the
    // observer may have asked: who was started meanwhile it may have asked as one it does not watch.
    const duties = fleet.host(observer).node?.observer.duties ?? []
    const own = new Set(duties.map(({ host }) => host))
    const startedBy = fleet.clock.bootMs() - spanMs
    const watched = new Set(
      [...this.#ledger.rollouts.values()]
        .filter(({ closed }) => closed === undefined)
        .flatMap(({ id, starts }) => starts.map((start) => ({ ...start, rollout: id })))
        .filter((start) => (this.#gate.startedAt.get(placeOf(start)) ?? 0) <= startedBy)
        .map(({ host }) => host)
        .filter((host) => own.has(host)),
    )
    const others = fleet.names.filter((name) => name !== observer && !watched.has(name))
    const missed = others.filter((name) =>
      this.#sights.get(`${observer} ${name}`)?.some((sight) => sight.silent && sight.at >= since),
    )
    accuse('S8', s8CutOff(observer, others, missed))
  }

  /** Where the observer's own flight is. */
  #away(observer: HostName): { phase: string | undefined; sinceMs: number } {
    const state = this.#bench.chronicle.states.get(observer)
    const flight = state?.flight
    const phase = state?.rollouts.find((one) => one.rollout === flight?.rollout)?.phase
    // What it says now it may have found before it began to switch.
    const saidAt = this.#bench.bootMs(observer) - this.#waitedMs(observer)
    const sinceMs = saidAt - (flight?.activatedAt ?? 0)
    return { phase: flight === undefined ? undefined : phase, sinceMs }
  }

  /** S8 on every certificate that the facts make, and what they count for the report. */
  certificates(): void {
    const { chronicle } = this.#bench
    const facts = [...chronicle.byId.values()]
    for (const rollout of this.#ledger.rollouts.values()) {
      const input = { ...inputOf(this.#ledger, chronicle, rollout), facts }
      const { failures, budget } = twinBudget(input)
      if (failures > budget) this.#bench.coverage.add('breach')
      const rounds = new Set(rollout.starts.map(({ host, round }) => `${host} ${round}`))
      for (const place of rounds) {
        const [host = '', round = ''] = place.split(' ')
        this.#certificate(input, host, Number(round))
      }
    }
  }

  #certificate(input: Parameters<typeof accusers>[0], host: HostName, round: number): void {
    const { accuse, coverage, liars } = this.#bench
    const most = needed(input, host, round)
    const about = `${host}, round ${round} of ${input.rollout.id.slice(0, 12)}`
    const accused = accusers(input, host, round)
    if (accused.length >= most.failure) {
      coverage.add('failure-certificate')
      accuse('S8', s8Certificate(`the failure of ${about}`, accused, liars))
    }
    const generation = this.#generationOf(input.rollout.id, host)
    if (generation === undefined || most.health === 0) return
    const healthy = healthWitnesses(input, { host, round, generation })
    if (healthy.length < most.health) return
    coverage.add('health-certificate')
    accuse('S8', s8Certificate(`the health of ${about}`, healthy, liars))
  }

  #generationOf(rollout: RolloutId, host: HostName): StorePath | undefined {
    const plan = this.#bench.chronicle.planOf(rollout)
    const manifest = plan === undefined ? undefined : this.#bench.chronicle.manifestOf(plan)
    return manifest?.hosts.find((one) => one.host === host)?.generation
  }

  #saw(observer: HostName, peer: string, sight: Omit<Sight, 'at'>): void {
    const key = `${observer} ${peer}`
    const sights = this.#sights.get(key) ?? []
    this.#sights.set(key, sights)
    sights.push({ ...sight, at: this.#bench.bootMs(observer) })
    if (sights.length > SIGHTS_MAX) sights.shift()
  }

  #count(to: string, why: string | undefined): void {
    const { coverage } = this.#bench
    if (to === 'COMMITTED') coverage.add('committed')
    if (to === 'SKIPPED') coverage.add('skipped')
    if (to === 'REVERTING') coverage.add('revert')
    if (to === 'REVERTING' && why === 'unconfirmed') coverage.add('unconfirmed')
  }
}
