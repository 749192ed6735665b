/**
 * A network in one process, in the time of any clock: for simulated fleets.
 *
 * It is worse than a real one on purpose: messages are late, lost and doubled as a seed says, cuts
 * may be one-way, and a crashed node falls silent without a word. All randomness comes from the seed
 * and all waiting from the clock, so that a run can be repeated.
 */
import { concatBytes, type HostName, sha256Hex, utf8 } from '../../protocol/index.ts'
import type { Clock, NetworkHandlers, PeerName, Topic } from '../ports.ts'
import { unreachable } from './failures.ts'

/** How bad the network is; all of it can be changed while it runs. */
export interface MemoryWeather {
  /** Least and greatest delay of one message, in ms. */
  latencyMs: readonly [number, number]
  /** Share of messages that are lost, from 0 to 1. A lost question or answer looks like silence. */
  dropRate: number
  /** Share of messages that arrive twice. */
  duplicateRate: number
}

export interface MemoryHubOptions {
  readonly clock: Clock
  readonly seed: number
  readonly weather?: Partial<MemoryWeather>
  /** Peers that a gossiped message is handed on to. Default 8. */
  readonly fanout?: number
  /** From a change of the wires until peers see a connection come up. Default 500. */
  readonly upMs?: number
  /** From a change of the wires until peers see a connection go down. Default 2500. */
  readonly downMs?: number
}

/** One node as the hub sees it. */
export interface MemoryEndpoint {
  readonly name: HostName
  readonly handlers: NetworkHandlers
  /** Whether this endpoint lets `peer` in. */
  admits(peer: PeerName): boolean
}

/** How long a message counts as seen; the real network uses the same. */
const SEEN_MS = 120_000
const CALM: MemoryWeather = { latencyMs: [1, 5], dropRate: 0, duplicateRate: 0 }

/** The wires between memory nodes. */
export class MemoryHub {
  readonly clock: Clock
  readonly weather: MemoryWeather
  readonly #fanout: number
  readonly #upMs: number
  readonly #downMs: number
  readonly #random: () => number
  readonly #endpoints = new Map<HostName, MemoryEndpoint>()
  readonly #cuts = new Set<string>()
  readonly #connected = new Set<string>()
  /** Whom each is connected with, until the next change. */
  readonly #peers = new Map<HostName, readonly HostName[]>()
  readonly #seen = new Map<HostName, Map<string, number>>()

  constructor(options: MemoryHubOptions) {
    this.clock = options.clock
    this.weather = { ...CALM, ...options.weather }
    this.#fanout = options.fanout ?? 8
    this.#upMs = options.upMs ?? 500
    this.#downMs = options.downMs ?? 2_500
    this.#random = seededRandom(options.seed)
  }

  /** Nothing passes from `from` to `to` any more; the way back stays open. */
  cutOneWay(from: HostName, to: HostName): void {
    this.#cuts.add(wire(from, to))
    this.#wiresChanged()
  }

  /** Nothing passes between the two. */
  cut(a: HostName, b: HostName): void {
    this.#cuts.add(wire(a, b))
    this.#cuts.add(wire(b, a))
    this.#wiresChanged()
  }

  /** Only hosts of one list reach each other; a host of no list reaches nobody. */
  partition(...sides: readonly (readonly HostName[])[]): void {
    this.#cuts.clear()
    const sideOf = (name: HostName): number => sides.findIndex((side) => side.includes(name))
    const names = [...new Set([...this.#endpoints.keys(), ...sides.flat()])]
    for (const from of names) {
      for (const to of names) {
        if (from !== to && (sideOf(from) !== sideOf(to) || sideOf(from) < 0)) {
          this.#cuts.add(wire(from, to))
        }
      }
    }
    this.#wiresChanged()
  }

  /** Opens the ways between two hosts. */
  heal(a: HostName, b: HostName): void {
    this.#cuts.delete(wire(a, b))
    this.#cuts.delete(wire(b, a))
    this.#wiresChanged()
  }

  /** Opens every way. */
  healAll(): void {
    this.#cuts.clear()
    this.#wiresChanged()
  }

  /** The node stops dead: what is under way to it is lost, and its handlers are never called again. */
  crash(name: HostName): void {
    this.#endpoints.delete(name)
    this.#seen.delete(name)
    this.#wiresChanged()
  }

  /** Members whom `name` is connected with, by name. */
  peersOf(name: HostName): readonly HostName[] {
    const known = this.#peers.get(name)
    if (known !== undefined) return known
    const peers = [...this.#connected]
      .map(unpair)
      .filter((ends) => ends.includes(name))
      .map(([a, b]) => (a === name ? b : a))
      .sort()
    this.#peers.set(name, peers)
    return peers
  }

  /** Plugs an endpoint in; connections of a predecessor of its name break. */
  attach(endpoint: MemoryEndpoint): void {
    for (const peer of this.peersOf(endpoint.name)) {
      this.#connected.delete(pair(endpoint.name, peer))
      this.#peers.clear()
      this.#endpoints.get(peer)?.handlers.peer(endpoint.name, false)
    }
    this.#endpoints.set(endpoint.name, endpoint)
    this.#seen.set(endpoint.name, new Map())
    this.#wiresChanged()
  }

  /** Unplugs an endpoint, if it is still the one of its name. */
  detach(endpoint: MemoryEndpoint): void {
    if (this.holds(endpoint)) this.crash(endpoint.name)
  }

  /** Whether `endpoint` is plugged in and alive. */
  holds(endpoint: MemoryEndpoint): boolean {
    return this.#endpoints.get(endpoint.name) === endpoint
  }

  /** Looks again who lets whom in. */
  membershipChanged(): void {
    this.#wiresChanged()
  }

  /** Starts a message of `from` on its way through the fleet. */
  gossip(from: HostName, topic: Topic, bytes: Uint8Array): void {
    const id = sha256Hex(concatBytes(utf8(topic), Uint8Array.of(0), bytes))
    this.#markSeen(from, id)
    this.#spread(from, topic, bytes, id)
  }

  /**
   * Carries a question or an answer: `arrive` runs once, late, twice or never. A message on its way
   * is lost when the wire is cut or the receiver dies before it arrives.
   */
  carry(from: PeerName, to: PeerName, arrive: () => void): void {
    for (let copies = this.#copies(); copies > 0; copies--) {
      const receiver = this.#endpoints.get(to)
      this.clock.after(this.latency(), () => {
        if (this.#endpoints.get(to) === receiver && this.open(from, to)) arrive()
      })
    }
  }

  /** The living endpoint of that name which lets `from` in. Throws PEER_UNREACHABLE. */
  reach(from: PeerName, to: HostName): MemoryEndpoint {
    const endpoint = this.#endpoints.get(to)
    if (endpoint?.admits(from)) return endpoint
    throw unreachable(
      to,
      endpoint === undefined ? 'nobody of that name' : 'a node that does not let us in',
    )
  }

  /** Whether a message may pass from `from` to `to` now. */
  open(from: PeerName, to: PeerName): boolean {
    return !this.#cuts.has(wire(from, to))
  }

  /** The delay of the next message, in ms. */
  latency(): number {
    const [least, greatest] = this.weather.latencyMs
    return least + this.#random() * (greatest - least)
  }

  #spread(from: HostName, topic: Topic, bytes: Uint8Array, id: string): void {
    const others = [...this.#endpoints.values()].filter(
      (endpoint) => endpoint.name !== from && this.#mutual(from, endpoint.name),
    )
    for (const { name } of this.#choose(others)) {
      const twice = this.#random() < this.weather.duplicateRate
      this.carry(from, name, () => void this.#deliver({ from, to: name, topic, bytes, id, twice }))
    }
  }

  async #deliver(message: {
    from: HostName
    to: HostName
    topic: Topic
    bytes: Uint8Array
    id: string
    twice: boolean
  }): Promise<void> {
    const { from, to, topic, bytes, id } = message
    const endpoint = this.#endpoints.get(to)
    if (endpoint === undefined || this.#isSeen(to, id)) return
    this.#markSeen(to, id)
    const acceptance = await endpoint.handlers.gossip(topic, bytes.slice(), from)
    if (this.#endpoints.get(to) !== endpoint) return
    if (message.twice) await endpoint.handlers.gossip(topic, bytes.slice(), from)
    if (acceptance === 'accept') this.#spread(to, topic, bytes, id)
  }

  #choose(endpoints: readonly MemoryEndpoint[]): readonly MemoryEndpoint[] {
    const rest = [...endpoints]
    const chosen: MemoryEndpoint[] = []
    while (rest.length > 0 && chosen.length < this.#fanout) {
      chosen.push(...rest.splice(Math.floor(this.#random() * rest.length), 1))
    }
    return chosen
  }

  #copies(): number {
    if (this.#random() < this.weather.dropRate) return 0
    return this.#random() < this.weather.duplicateRate ? 2 : 1
  }

  #isSeen(name: HostName, id: string): boolean {
    const until = this.#seen.get(name)?.get(id)
    return until !== undefined && until > this.clock.bootMs()
  }

  #markSeen(name: HostName, id: string): void {
    const seen = this.#seen.get(name)
    if (seen === undefined) return
    const now = this.clock.bootMs()
    for (const [old, until] of seen) {
      if (until > now) break
      seen.delete(old)
    }
    seen.delete(id)
    seen.set(id, now + SEEN_MS)
  }

  #mutual(a: HostName, b: HostName): boolean {
    return Boolean(this.#endpoints.get(a)?.admits(b) && this.#endpoints.get(b)?.admits(a))
  }

  /** Peers notice later, as pings fail or redials succeed; each pair is judged when its time comes. */
  #wiresChanged(): void {
    this.clock.after(this.#upMs, () => this.#judge('up'))
    this.clock.after(this.#downMs, () => this.#judge('down'))
  }

  #judge(direction: 'up' | 'down'): void {
    const names = [
      ...new Set([...this.#endpoints.keys(), ...[...this.#connected].flatMap(unpair)]),
    ].sort()
    for (const [i, a] of names.entries()) {
      for (const b of names.slice(i + 1)) this.#judgePair(a, b, direction)
    }
  }

  #judgePair(a: HostName, b: HostName, direction: 'up' | 'down'): void {
    const linked = this.#mutual(a, b) && this.open(a, b) && this.open(b, a)
    const was = this.#connected.has(pair(a, b))
    if (linked === was || linked !== (direction === 'up')) return
    if (linked) this.#connected.add(pair(a, b))
    else this.#connected.delete(pair(a, b))
    this.#peers.clear()
    this.#endpoints.get(a)?.handlers.peer(b, linked)
    this.#endpoints.get(b)?.handlers.peer(a, linked)
  }
}

/** A generator of numbers from 0 to 1 that depends on `seed` alone (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function wire(from: PeerName, to: PeerName): string {
  return `${from}>${to}`
}

function pair(a: HostName, b: HostName): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`
}

function unpair(key: string): [HostName, HostName] {
  const [a = '', b = ''] = key.split('|')
  return [a, b]
}
