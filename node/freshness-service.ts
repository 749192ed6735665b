/**
 * Asks the voters whether this node's log is the newest (SPEC §9.5), and holds the host back from
 * rollouts of a log that nobody has confirmed: a peer, a bundle or an old disk may replay a prefix of
 * it. No clock of another host is looked at, and none of this host's that can be set.
 */
import {
  ASK_BYTES_MAX,
  CURRENT_REQUEST,
  type CurrentAnswer,
  decodeCanonical,
  encodeCanonical,
  type HostName,
  openAnswer,
  sealAnswer,
  toHex,
} from '../protocol/index.ts'
import { confirmsLog, hostNamed, newestBeyond, type Orders } from '../rollout/index.ts'
import { NodeError } from './errors.ts'
import { ASK_MS_MAX, CURRENT_PROBES, CURRENT_RETRY_PROBES, STALE_MS_MAX } from './limits.ts'
import type { Runtime } from './runtime.ts'

const CONFIRMED_KEY = 'freshness/confirmed'

/** What a screen shows of it. Ages in ms of this host's own clock; null where nothing is known. */
export interface Freshness {
  readonly state: 'unknown' | 'current' | 'stale'
  readonly confirmedAgeMs: number | null
  readonly blockAgeMs: number | null
}

export class FreshnessService {
  readonly #node: Runtime
  readonly #startedAt: number
  #askedAt = Number.NEGATIVE_INFINITY
  #nonce = ''
  #answers = new Map<HostName, CurrentAnswer>()
  #confirmedAt: number | undefined
  #committedAt: number | undefined
  /** The log was confirmed once in the life of this disk. */
  #cleared = false

  constructor(node: Runtime) {
    this.#node = node
    this.#startedAt = node.parts.clock.bootMs()
  }

  async load(): Promise<void> {
    this.#cleared = (await this.#node.parts.store.get(CONFIRMED_KEY)) !== undefined
  }

  /** A block was committed while this node ran. */
  committed(): void {
    this.#committedAt = this.#node.parts.clock.bootMs()
  }

  get now(): Freshness {
    const now = this.#node.parts.clock.bootMs()
    const age = (at: number | undefined): number | null => (at === undefined ? null : now - at)
    const stale = now - (this.#confirmedAt ?? this.#startedAt) >= STALE_MS_MAX
    const known = this.#confirmedAt === undefined ? 'unknown' : 'current'
    return {
      state: stale ? 'stale' : known,
      confirmedAgeMs: age(this.#confirmedAt),
      blockAgeMs: age(this.#committedAt),
    }
  }

  /**
   * Orders that the host may take up: all, once the log was confirmed; before that those of rollouts
   * that it has a part in already. Stops of those reach it in either case.
   */
  cleared(orders: Orders): Orders {
    if (this.#cleared) return orders
    const { rollouts, stack } = this.#node.host.state
    const known = new Set([...rollouts, ...stack].map((one) => one.rollout))
    return { ...orders, rollouts: orders.rollouts.filter((one) => known.has(one.rollout)) }
  }

  /** Why this host takes up no rollout, in one line; undefined when it does. */
  get held(): string | undefined {
    if (this.#cleared) return undefined
    const { gate, parts } = this.#node
    const { quorum, voters } = parts.trust.config
    const { slot } = gate.state
    const newest = newestBeyond(slot, this.#answers)
    const text = `freshness unknown: the log here ends at slot ${slot} and ${quorum} of ${voters.length} voters have not confirmed it`
    if (newest === undefined) return text
    const { voter, answer } = newest
    const last =
      answer.last === undefined
        ? 'no rollout was admitted for this host there'
        : `the last rollout admitted for this host is ${answer.last.slice(0, 12)}, version ${answer.version ?? 0} its channel's newest`
    return `${text}: ${voter} is at slot ${answer.slot}, where ${last}`
  }

  /** Asks when it is time to. */
  tick(): void {
    this.#judge()
    const { clock, trust } = this.#node.parts
    const now = clock.bootMs()
    const confirmed = this.#confirmedAt !== undefined && this.#confirmedAt >= this.#askedAt
    const probes = confirmed ? CURRENT_PROBES : CURRENT_RETRY_PROBES
    if (now - this.#askedAt < probes * trust.config.timing.probeMs) return
    this.#askedAt = now
    this.#ask()
  }

  /** A voter's answer. Throws PEER_REFUSED where this node must not vouch for its log. */
  answer(bytes: Uint8Array, from: HostName): Uint8Array {
    const value = decodeCanonical(bytes, ASK_BYTES_MAX, `a question of ${from} for the log`)
    const { nonce } = CURRENT_REQUEST.decode(value, 'current')
    const { gate, parts, signer } = this.#node
    const { trust, keys, name } = parts
    if (!trust.config.voters.includes(name) || gate.silent || gate.frozen)
      throw new NodeError('PEER_REFUSED', `${name} vouches for no log now`, 'Ask other voters.')
    const { head, slot } = gate.state
    const answer: CurrentAnswer = { nonce, host: from, head, slot, ...this.#lastOf(from) }
    return sealAnswer('current.rsp', answer, { fleet: trust.fleet, key: keys.fact, signer })
  }

  #lastOf(host: HostName): Pick<CurrentAnswer, 'last' | 'version'> {
    const { state, view } = this.#node.knowledge()
    const last = state.hosts.get(host)?.last
    if (last === undefined) return {}
    const release = view.plans.get(last)?.body.release ?? ''
    const channel = view.releases.get(release)?.body.channel ?? ''
    const version = state.channels.get(channel)?.version
    return { last, ...(version === undefined ? {} : { version }) }
  }

  #ask(): void {
    const { parts, gate } = this.#node
    const { trust, name, network, random, log } = parts
    const nonce = toHex(random.bytes(16))
    this.#nonce = nonce
    this.#answers = new Map()
    const question = encodeCanonical(CURRENT_REQUEST.encode({ nonce, have: gate.state.head }))
    for (const voter of trust.config.voters) {
      if (voter === name) continue
      network
        .ask(voter, 'current', question, ASK_MS_MAX)
        .then((bytes) => this.#take(voter, nonce, bytes))
        .catch((error: unknown) =>
          log.debug({ voter, error: String(error) }, 'a voter said nothing of the log'),
        )
    }
    this.#judge()
  }

  #take(voter: HostName, nonce: string, bytes: Uint8Array): void {
    if (this.#node.stopped || nonce !== this.#nonce) return
    const { trust, name } = this.#node.parts
    const options = { fleet: trust.fleet, whose: `the log of ${voter}`, signer: this.#node.signer }
    const { author, body } = openAnswer('current.rsp', bytes, options)
    const own = author === hostNamed(trust, voter)?.fact && body.host === name
    if (!own || body.nonce !== nonce) throw new Error(`expected ${voter}'s answer over ${nonce}`)
    this.#answers.set(voter, body)
    if (body.slot > this.#node.gate.state.slot) this.#node.gate.repairFrom(voter)
    this.#judge()
  }

  /** Also later: what was committed at the making of the nonce may arrive after the answers. */
  #judge(): void {
    const { parts, gate } = this.#node
    if (this.#nonce === '' || gate.frozen) return
    if (!confirmsLog(parts.trust, parts.name, gate.state.slot, this.#answers)) return
    this.#confirmedAt = this.#askedAt
    this.#nonce = ''
    if (this.#cleared) return
    this.#cleared = true
    this.#node.post(() =>
      this.#node.guard('freshness', async () => {
        const value = new Uint8Array([1])
        await parts.store.write([{ key: CONFIRMED_KEY, value }], { sync: false })
      }),
    )
    this.#node.touch()
  }
}
