/** Judges hosts as they go forward and back: S3, S4, S5, S9, S10, and the bounds L4 and L7. */
import {
  decodeCanonical,
  type FactOf,
  type HostName,
  openAnswer,
  type RolloutId,
  type StorePath,
  toHex,
  utf8,
  type WireValue,
} from '../../protocol/index.ts'
import type { HostState } from '../../rollout/index.ts'
import { generationOf } from './fleet.ts'
import type { GateWatch } from './gate-watch.ts'
import { s10VotersAway } from './invariants/gate.ts'
import {
  type Go,
  type LeaseEvidence,
  type Stand,
  s3Authority,
  s4FreshGo,
  s5HaltSticks,
  s9PowerCut,
  s9WayBack,
} from './invariants/host.ts'
import type { Rest } from './invariants/merge.ts'
import type { Bench } from './monitor.ts'
import { READER } from './violation.ts'

const GRANT_PREFIX = utf8('nixfleet/v1/lease.rsp')
/** After the domain: a zero byte and the fleet's 16. */
const HEADER_BYTES = GRANT_PREFIX.length + 17

interface Lease {
  readonly nonce: string
  readonly rollout: RolloutId
  readonly round: number
  readonly askedAt: number
  readonly voters: Set<HostName>
}

export class HostWatch {
  readonly #bench: Bench
  readonly #gate: GateWatch
  readonly #leases = new Map<HostName, Lease[]>()
  readonly #seen = new Map<
    HostName,
    Omit<Stand, 'host' | 'state'> & { readonly state: HostState | undefined }
  >()
  /** Hosts whose journal was lost or put back, until they commit again: their stack is not their history. */
  readonly #amnesic = new Set<HostName>()

  constructor(bench: Bench, gate: GateWatch) {
    this.#bench = bench
    this.#gate = gate
  }

  get amnesic(): ReadonlySet<HostName> {
    return this.#amnesic
  }

  forgot(host: HostName): void {
    this.#amnesic.add(host)
    this.#gate.restarted(host)
    this.#seen.delete(host)
  }

  /** A host's journal was written. */
  changed(host: HostName, before: HostState | undefined, after: HostState): void {
    this.#noteLease(host, after)
    const { flight } = after
    const known = before?.flight
    const isSame =
      known?.rollout === flight?.rollout &&
      known?.round === flight?.round &&
      known?.activatedAt === flight?.activatedAt
    if (flight !== undefined && !isSame) {
      const { rollout, round, generation, activatedAt: at } = flight
      this.#goes({ host, rollout, round, generation, at })
    }
    const grew = before !== undefined && after.stack.length > before.stack.length
    if (grew) this.#amnesic.delete(host)
  }

  /** A voter signs: grants are noted before anybody can have them. */
  signed(host: HostName, message: Uint8Array): void {
    if (!GRANT_PREFIX.every((byte, i) => message[i] === byte)) return
    const payload = decodeCanonical(message.subarray(HEADER_BYTES), 4096, 'a grant')
    const body = (payload as { readonly b: Readonly<Record<string, WireValue>> }).b
    const { granted, rollout, host: asker } = body
    this.#bench.coverage.add(granted === true ? 'lease-granted' : 'lease-refused')
    if (granted !== true || this.#bench.liars.has(host)) return
    const about = { rollout: hexOf(rollout), host: String(asker) }
    const what = `${host} grants ${about.host} a lease for ${about.rollout.slice(0, 12)}`
    this.#bench.accuse(
      'S5',
      s5HaltSticks(what, about, this.#gate.stopEvidence(host, about.rollout)),
    )
    if (about.host === host) this.#granted(host, hexOf(body['nonce']), host)
  }

  heardLease(host: HostName, voter: HostName, answer: Uint8Array | undefined): void {
    if (answer === undefined) return
    const { fleet } = this.#bench.fleet.trust
    const { author, body } = openAnswer('lease.rsp', answer, {
      ...{ fleet, whose: voter, signer: READER },
    })
    const isVoter = this.#bench.chronicle.trustAt(host).config.voters.includes(voter)
    const isTheirs = author === this.#bench.chronicle.keyOf(voter)
    if (body.granted && isVoter && isTheirs) this.#granted(host, body.nonce, voter)
  }

  /** Looks at every machine that has changed since the last look. */
  look(): void {
    const { fleet, liars } = this.#bench
    let moved = false
    for (const name of fleet.names) {
      if (liars.has(name)) continue
      if (!this.#hasMoved(name)) continue
      const stand = this.standOf(name)
      if (stand === undefined) continue
      moved = true
      if (this.#amnesic.has(name)) continue
      this.#bench.accuse('S9', [...s9WayBack(stand), ...s9PowerCut(stand)])
    }
    if (moved) this.#voters()
  }

  standOf(host: HostName): Stand | undefined {
    const state = this.#bench.chronicle.states.get(host)
    if (state === undefined) return undefined
    const { running, bootDefault, deadman } = this.#bench.fleet.host(host).machine
    return { host, running, bootDefault, deadman: deadman.now, state }
  }

  /** Where every host rests, and where its own word and the halts put it. */
  rests(): readonly Rest[] {
    const { fleet, members, liars } = this.#bench
    return members()
      .filter((host) => !liars.has(host) && !this.#amnesic.has(host))
      .map((host) => {
        const { running, bootDefault } = fleet.host(host).machine
        return { host, running, bootDefault, expected: this.#expected(host) }
      })
  }

  /** What it committed last and nobody took back, else what it was enrolled with. */
  #expected(host: HostName): StorePath {
    const { chronicle } = this.#bench
    const key = chronicle.keyOf(host)
    const said = [...chronicle.byId.values()]
      .filter((fact): fact is FactOf<'host.transition'> => fact.type === 'host.transition')
      .filter((fact) => fact.author === key)
      .reverse()
    const halted = new Set(
      [...chronicle.byId.values()].flatMap((fact) => {
        if (fact.type !== 'rollout.halt' || !fact.body.revert) return []
        return fact.body.hosts?.includes(host) === false ? [] : [fact.body.rollout]
      }),
    )
    const back = new Set<RolloutId>()
    for (const { body } of said) {
      const { to, rollout, generation } = body
      if (to === 'REVERTED' || to === 'REVERTING') back.add(rollout)
      if (to === 'COMMITTED' && !back.has(rollout) && !halted.has(rollout)) return generation
    }
    return generationOf(0)
  }

  /** Asked after every event, and nearly always answered with no. */
  #hasMoved(host: HostName): boolean {
    const state = this.#bench.chronicle.states.get(host)
    const { running, bootDefault, deadman } = this.#bench.fleet.host(host).machine
    const before = this.#seen.get(host)
    const isSame =
      before?.state === state &&
      before?.running === running &&
      before.bootDefault === bootDefault &&
      before.deadman === deadman.now
    if (isSame) return false
    this.#seen.set(host, { state, running, bootDefault, deadman: deadman.now })
    return state !== undefined
  }

  #voters(): void {
    const { chronicle, liars, accuse, fleet } = this.#bench
    const back = fleet.names.filter((name) => fleet.host(name).machine.deadman.now.kind !== 'armed')
    const excused = new Set([...chronicle.lost, ...liars, ...this.#amnesic, ...back])
    accuse('S10', s10VotersAway(chronicle.trust, chronicle.states, excused))
  }

  #goes(go: Go): void {
    const { chronicle, accuse, note } = this.#bench
    const { host, rollout } = go
    note(host, `goes to ${go.generation} round ${go.round}`)
    accuse('S3', s3Authority(go, chronicle.logs.get(host) ?? [], chronicle))
    const { quorum, timing } = chronicle.trustAt(host).config
    const leases: readonly LeaseEvidence[] = this.#leases.get(host) ?? []
    accuse('S4', s4FreshGo(go, leases, { quorum, leaseMs: timing.leaseMs }))
    const evidence = this.#gate.stopEvidence(host, rollout)
    accuse('S5', s5HaltSticks(`${host} goes on with ${rollout.slice(0, 12)}`, go, evidence))
    this.#gate.skippedOrGone()
  }

  #noteLease(host: HostName, { lease }: HostState): void {
    if (lease === undefined) return
    const leases = this.#leases.get(host) ?? []
    if (leases.some((one) => one.nonce === lease.nonce)) return
    const { nonce, rollout, round, askedAt } = lease
    this.#leases.set(host, [...leases, { nonce, rollout, round, askedAt, voters: new Set() }])
  }

  #granted(host: HostName, nonce: string, voter: HostName): void {
    this.#leases
      .get(host)
      ?.find((one) => one.nonce === nonce)
      ?.voters.add(voter)
  }
}

function hexOf(value: WireValue | undefined): string {
  return value instanceof Uint8Array ? toHex(value) : String(value)
}
