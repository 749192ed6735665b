/**
 * A site of hosts with thin lines, in made-up time: the shipped machine and the shipped choice of what
 * to give, over lines that share their bytes evenly. Tells how long a closure takes, without a
 * processor or a disk in the way.
 */

import { PIECES_SENT_MAX, PIECES_WAITING_MAX } from '../../node/limits.ts'
import { seededRandom } from '../../node/network/memory-hub.ts'
import { chooseOffer } from '../../node/swarm/piece-server.ts'
import { stepSwarm } from '../../node/swarm/swarm-machine.ts'
import {
  emptySwarm,
  pieceKey,
  type SwarmEvent,
  type SwarmState,
} from '../../node/swarm/swarm-state.ts'
import { PIECE_BYTES, type PieceHave, type PieceId, pieceHaveOf } from '../../protocol/index.ts'

/** What came of it. */
export interface LinesOutcome {
  readonly ms: number
  /** Pieces that left the seeder. */
  readonly seederPieces: number
  /** Pieces that came twice to one host. */
  readonly twice: number
}

interface Sending {
  readonly id: number
  readonly from: Host
  readonly to: Host
  readonly piece: PieceId
  left: number
}

interface Host {
  readonly name: string
  state: SwarmState
  readonly held: Set<string>
  readonly given: Map<string, number>
  readonly queue: { id: number; to: Host; offers: readonly PieceId[] }[]
  twice: number
}

const SEEDER = 'seeder'
const TICK_MS = 250
const TRIP_MS = 1

/** Plays a closure of `nars` (pieces each) to `hosts` hosts over lines of `bitsPerSecond` each way. */
export function playLines(site: {
  readonly seed: number
  readonly hosts: number
  readonly nars: readonly number[]
  readonly bitsPerSecond: number
}): LinesOutcome {
  return new Lines(site).run()
}

class Lines {
  readonly #site: Parameters<typeof playLines>[0]
  readonly #all: readonly PieceId[]
  readonly #hosts: readonly Host[]
  readonly #events: { at: number; run: () => void }[] = []
  #sending: Sending[] = []
  #now = 0

  constructor(site: Parameters<typeof playLines>[0]) {
    this.#site = site
    const random = seededRandom(site.seed)
    this.#all = site.nars.flatMap((count, i) =>
      Array.from({ length: count }, (_, index) => ({ nar: narName(i), index })),
    )
    const names = [SEEDER, ...Array.from({ length: site.hosts }, (_, i) => `host-${i}`)]
    this.#hosts = names.map((name) => ({
      name,
      state: emptySwarm(Math.floor(random() * 2 ** 32)),
      held: new Set(name === SEEDER ? this.#all.map(pieceKey) : []),
      given: new Map(),
      queue: [],
      twice: 0,
    }))
  }

  run(): LinesOutcome {
    const takers = this.#hosts.filter(({ name }) => name !== SEEDER)
    for (const host of takers) {
      for (const { name } of this.#hosts) {
        if (name !== host.name) this.#take(host, { kind: 'up', peer: name, near: true })
      }
      this.#site.nars.forEach((count, i) => {
        const held = new Array<boolean>(count).fill(false)
        this.#take(host, { kind: 'want', nar: narName(i), held })
      })
      this.#tick(host)
    }
    while (takers.some(({ held }) => held.size < this.#all.length)) this.#advance()
    const seeder = this.#hosts.find(({ name }) => name === SEEDER)
    const seederPieces = [...(seeder?.given.values() ?? [])].reduce((sum, times) => sum + times, 0)
    return { ms: this.#now, seederPieces, twice: takers.reduce((sum, { twice }) => sum + twice, 0) }
  }

  /** To the next thing that happens: an event, or the end of a piece. */
  #advance(): void {
    const rates = this.#rates()
    const ends = this.#sending.map((one) => this.#now + one.left / (rates.get(one) ?? 1))
    this.#events.sort((a, b) => a.at - b.at)
    const at = Math.min(this.#events[0]?.at ?? Number.POSITIVE_INFINITY, ...ends)
    if (!Number.isFinite(at)) throw new Error('expected the closure everywhere, found a standstill')
    for (const one of this.#sending) one.left -= (at - this.#now) * (rates.get(one) ?? 0)
    this.#now = at
    const done = this.#sending.filter(({ left }) => left < 1e-6)
    this.#sending = this.#sending.filter(({ left }) => left >= 1e-6)
    for (const one of done) this.#arrived(one)
    while ((this.#events[0]?.at ?? Number.POSITIVE_INFINITY) <= this.#now)
      this.#events.shift()?.run()
  }

  /** Bytes a ms of each transfer, shared as TCP would: what one cannot use at its narrow end others get. */
  #rates(): ReadonlyMap<Sending, number> {
    const line = this.#site.bitsPerSecond / 8 / 1000
    const rates = new Map<Sending, number>()
    const left = new Map<string, number>()
    const endsOf = ({ from, to }: Sending): readonly string[] => [
      `up ${from.name}`,
      `to ${to.name}`,
    ]
    let open = [...this.#sending]
    while (open.length > 0) {
      const users = new Map<string, number>()
      for (const end of open.flatMap(endsOf)) users.set(end, (users.get(end) ?? 0) + 1)
      const shares = [...users].map(
        ([end, count]) => [end, (left.get(end) ?? line) / count] as const,
      )
      const [narrowest, share] = shares.reduce((least, one) => (one[1] < least[1] ? one : least))
      for (const one of open.filter((it) => endsOf(it).includes(narrowest))) {
        rates.set(one, share)
        for (const end of endsOf(one)) left.set(end, (left.get(end) ?? line) - share)
      }
      open = open.filter((one) => !rates.has(one))
    }
    return rates
  }

  #arrived({ id, from, to, piece }: Sending): void {
    const key = pieceKey(piece)
    if (to.held.has(key)) to.twice++
    to.held.add(key)
    this.#serve(from)
    this.#take(to, { kind: 'piece', ask: id, peer: from.name, piece, good: true })
  }

  #take(host: Host, event: SwarmEvent): void {
    const { state, effects } = stepSwarm(host.state, event, this.#now)
    host.state = state
    for (const effect of effects) {
      if (effect.kind === 'look') this.#look(host, effect.peer, effect.nars)
      if (effect.kind === 'ask') this.#ask(host, effect)
      if (effect.kind === 'abort') this.#abort(host, effect.id)
    }
  }

  #look(host: Host, peer: string, nars: readonly string[]): void {
    const other = this.#named(peer)
    this.#later(2 * TRIP_MS, () => {
      const haves = nars.map((nar) => this.#have(other, nar))
      this.#take(host, { kind: 'looked', peer, nars, haves })
    })
  }

  #ask(
    host: Host,
    { id, peer, offers }: { id: number; peer: string; offers: readonly PieceId[] },
  ): void {
    const other = this.#named(peer)
    this.#later(TRIP_MS, () => {
      other.queue.push({ id, to: host, offers })
      this.#serve(other)
      if (other.queue.length <= PIECES_WAITING_MAX) return
      other.queue.pop()
      this.#later(TRIP_MS, () => this.#take(host, { kind: 'ended', ask: id, why: 'busy' }))
    })
  }

  #serve(host: Host): void {
    while (this.#sending.filter(({ from }) => from === host).length < PIECES_SENT_MAX) {
      const next = host.queue.shift()
      if (next === undefined) return
      const { id, to, offers } = next
      if (!to.state.asks.has(id)) continue
      const have = (nar: string): PieceHave => this.#have(host, nar)
      const choice = chooseOffer(offers, have, (offer) => host.given.get(pieceKey(offer)) ?? 0)
      const piece = choice === undefined ? undefined : offers[choice]
      if (choice === undefined || piece === undefined) {
        this.#later(TRIP_MS, () => this.#take(to, { kind: 'ended', ask: id, why: 'none' }))
        continue
      }
      host.given.set(pieceKey(piece), (host.given.get(pieceKey(piece)) ?? 0) + 1)
      this.#sending.push({ id, from: host, to, piece, left: PIECE_BYTES })
      const told = { kind: 'chosen', ask: id, choice, have: have(piece.nar) } as const
      this.#later(TRIP_MS, () => this.#take(to, told))
    }
  }

  #abort(host: Host, id: number): void {
    const stopped = this.#sending.filter((one) => one.to === host && one.id === id)
    this.#sending = this.#sending.filter((one) => !stopped.includes(one))
    for (const { from } of stopped) this.#later(TRIP_MS, () => this.#serve(from))
  }

  #have(host: Host, nar: string): PieceHave {
    const count = this.#site.nars[Number.parseInt(nar, 16)] ?? 0
    return pieceHaveOf(count, (index) => host.held.has(pieceKey({ nar, index })))
  }

  #tick(host: Host): void {
    this.#later(TICK_MS, () => {
      this.#take(host, { kind: 'tick' })
      if (host.held.size < this.#all.length) this.#tick(host)
    })
  }

  #later(ms: number, run: () => void): void {
    this.#events.push({ at: this.#now + ms, run })
  }

  #named(name: string): Host {
    const host = this.#hosts.find((one) => one.name === name)
    if (host === undefined) throw new Error(`nobody is called ${name}`)
    return host
  }
}

function narName(i: number): string {
  return i.toString(16).padStart(64, '0')
}
