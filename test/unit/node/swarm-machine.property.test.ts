/** The swarm's machine against random fleets: what it asks is of use, it ends, and liars cost one piece. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  PIECES_ASKED_MAX,
  PIECES_PER_PEER_ASKED_MAX,
  SWARM_DUPLICATE_SHARE_MAX,
} from '../../../node/limits.ts'
import { seededRandom } from '../../../node/network/memory-hub.ts'
import { chooseNext } from '../../../node/swarm/choose.ts'
import { stepSwarm } from '../../../node/swarm/swarm-machine.ts'
import {
  emptySwarm,
  pieceKey,
  type SwarmEffect,
  type SwarmEvent,
  type SwarmState,
} from '../../../node/swarm/swarm-state.ts'
import { holdsPiece, type PieceId, pieceHaveOf } from '../../../protocol/index.ts'

interface Peer {
  readonly name: string
  readonly near: boolean
  readonly lies: boolean
  /** Share of answers that break off or are refused. */
  readonly weak: number
  readonly holds: Set<string>
}

interface Fleet {
  readonly seed: number
  /** Pieces of each NAR. */
  readonly sizes: readonly number[]
  readonly peers: readonly { near: boolean; lies: boolean; weak: number; share: number }[]
}

const anyFleet: fc.Arbitrary<Fleet> = fc.record({
  seed: fc.nat(),
  sizes: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
  peers: fc.array(
    fc.record({
      near: fc.boolean(),
      lies: fc.integer({ min: 0, max: 3 }).map((die) => die === 0),
      weak: fc.constantFrom(0, 0.1, 0.5),
      share: fc.constantFrom(0, 0.3, 1),
    }),
    { minLength: 0, maxLength: 6 },
  ),
})

const narName = (i: number): string => i.toString(16).padStart(64, '0')

/** Plays a download to its end in made-up time, checking every question on its way. */
class Play {
  state: SwarmState
  now = 0
  readonly peers = new Map<string, Peer>()
  readonly all: PieceId[] = []
  readonly accepted = new Map<string, number>()
  readonly wrongFrom = new Map<string, number>()
  readonly random: () => number
  /** What is under way, by the time at which it happens. */
  #pending: { at: number; run: () => void; ask?: number }[] = []

  constructor(fleet: Fleet) {
    this.random = seededRandom(fleet.seed)
    this.state = emptySwarm(fleet.seed)
    fleet.sizes.forEach((size, i) => {
      for (let index = 0; index < size; index++) this.all.push({ nar: narName(i), index })
    })
    // One honest peer that is slow but has everything: without one a download may never end.
    const seeder = { near: false, lies: false, weak: 0, share: 1 }
    for (const [i, peer] of [seeder, ...fleet.peers].entries()) {
      const holds = new Set(this.all.filter(() => this.random() < peer.share).map(pieceKey))
      this.peers.set(`peer-${i}`, { name: `peer-${i}`, ...peer, holds })
    }
    for (const { name, near } of this.peers.values()) this.take({ kind: 'up', peer: name, near })
    fleet.sizes.forEach((size, i) => {
      this.take({ kind: 'want', nar: narName(i), held: new Array<boolean>(size).fill(false) })
    })
  }

  take(event: SwarmEvent): void {
    const { state, effects } = stepSwarm(this.state, event, this.now)
    this.state = state
    for (const effect of effects) this.#carry(effect)
    // Work-conserving: whatever could be asked has been asked.
    expect(chooseNext(this.state, this.now)).toBe(undefined)
  }

  run(): void {
    for (let steps = 0; this.lacking() > 0; steps++) {
      expect(steps).toBeLessThan(50_000)
      this.#pending.sort((a, b) => a.at - b.at)
      const next = this.#pending[0]
      if (next === undefined || next.at > this.now + 250) {
        this.now += 250
        this.take({ kind: 'tick' })
        continue
      }
      this.#pending.shift()
      this.now = Math.max(this.now, next.at)
      next.run()
    }
  }

  lacking(): number {
    return [...this.state.nars.values()].reduce((sum, { lacking }) => sum + lacking, 0)
  }

  #carry(effect: SwarmEffect): void {
    switch (effect.kind) {
      case 'ask':
        this.#asked(effect)
        return
      case 'look':
        this.#later(20, () => this.#looked(effect.peer, effect.nars))
        return
      case 'abort':
        this.#pending = this.#pending.filter(({ ask }) => ask !== effect.id)
        return
      case 'drop':
        expect(this.peers.get(effect.peer)?.lies).toBe(true)
    }
  }

  #asked({ id, peer: name, offers }: SwarmEffect & { kind: 'ask' }): void {
    const peer = this.peers.get(name)
    if (peer === undefined) throw new Error(`nobody is called ${name}`)
    expect(this.state.liars.has(name)).toBe(false)
    expect(new Set(offers.map(pieceKey)).size).toBe(offers.length)
    for (const offer of offers) {
      expect(this.state.nars.get(offer.nar)?.held[offer.index]).toBe(false)
      const have = this.state.peers.get(name)?.have.get(offer.nar)
      expect(have !== undefined && holdsPiece(have, offer.index)).toBe(true)
    }
    const dice = this.random()
    const slow = 100 + this.random() * (dice < 0.05 ? 9_000 : 300)
    if (dice < peer.weak) {
      const why = dice < peer.weak / 2 ? 'busy' : 'broken'
      this.#later(slow, () => this.take({ kind: 'ended', ask: id, why }), id)
    } else this.#later(slow / 2, () => this.#chose(id, peer, offers), id)
  }

  #chose(id: number, peer: Peer, offers: readonly PieceId[]): void {
    const choice = offers.findIndex((offer) => peer.holds.has(pieceKey(offer)))
    const piece = offers[choice]
    if (piece === undefined) {
      this.take({ kind: 'ended', ask: id, why: 'none' })
      return
    }
    // Before the machine hears of it: it may say at once that the piece is of no use any more.
    this.#later(100, () => this.#piece(id, peer, piece), id)
    this.take({ kind: 'chosen', ask: id, choice, have: this.#have(peer, piece.nar) })
  }

  #piece(id: number, peer: Peer, piece: PieceId): void {
    const key = pieceKey(piece)
    if (peer.lies) this.wrongFrom.set(peer.name, (this.wrongFrom.get(peer.name) ?? 0) + 1)
    else this.accepted.set(key, (this.accepted.get(key) ?? 0) + 1)
    this.take({ kind: 'piece', ask: id, peer: peer.name, piece, good: !peer.lies })
  }

  #looked(name: string, nars: readonly string[]): void {
    const peer = this.peers.get(name)
    if (peer === undefined) return
    const haves = nars.map((nar) => this.#have(peer, nar))
    this.take({ kind: 'looked', peer: name, nars, ...(this.random() < 0.9 && { haves }) })
  }

  #have(peer: Peer, nar: string): ReturnType<typeof pieceHaveOf> {
    const count = this.all.filter((piece) => piece.nar === nar).length
    return pieceHaveOf(count, (index) => peer.holds.has(pieceKey({ nar, index })))
  }

  #later(ms: number, run: () => void, ask?: number): void {
    this.#pending.push({ at: this.now + ms, run, ...(ask !== undefined && { ask }) })
  }
}

describe('a swarm', () => {
  it('ends with every piece once, whoever lies, breaks off or lacks most of it', () => {
    let liars = 0
    fc.assert(
      fc.property(anyFleet, (fleet) => {
        const play = new Play(fleet)
        play.run()
        const duplicates = [...play.accepted.values()].filter((times) => times > 1)
        expect(play.accepted.size).toBe(play.all.length)
        const allowed = Math.max(1, Math.floor(play.all.length * SWARM_DUPLICATE_SHARE_MAX))
        expect(play.state.duplicates).toBeLessThanOrEqual(allowed)
        expect(duplicates.length).toBeLessThanOrEqual(play.state.duplicates)
        for (const wrong of play.wrongFrom.values()) expect(wrong).toBe(1)
        liars += play.wrongFrom.size
        expect(play.state.asks.size).toBe(0)
      }),
      { numRuns: 150 },
    )
    expect(liars).toBeGreaterThan(0)
  })

  it('never asks more at once than its bounds, nor one piece of two peers before the end', () => {
    fc.assert(
      fc.property(anyFleet, (fleet) => {
        const play = new Play(fleet)
        const asks = [...play.state.asks.values()]
        expect(asks.length).toBeLessThanOrEqual(PIECES_ASKED_MAX)
        for (const name of play.peers.keys()) {
          const mine = asks.filter(({ peer }) => peer === name)
          expect(mine.length).toBeLessThanOrEqual(PIECES_PER_PEER_ASKED_MAX)
        }
        const keys = asks.flatMap(({ offers }) => offers.map(pieceKey))
        expect(new Set(keys).size).toBe(keys.length)
      }),
    )
  })

  it('chooses as the dumb twin: of what the peer has and nobody is asked for, the rarest', () => {
    let chosen = 0
    fc.assert(
      fc.property(anyState, (state) => {
        const choice = chooseNext(state, 0)
        const free = [...state.peers.keys()].filter((name) => twinOffers(state, name).length > 0)
        if (choice === undefined || choice.duplicate) {
          expect(free).toEqual([])
          return
        }
        chosen++
        const twin = twinOffers(state, choice.peer)
        const [first] = choice.offers
        if (first === undefined) throw new Error('a choice without an offer')
        const rarity = (piece: PieceId): number => holdersOf(state, piece).length
        expect(twin.map(pieceKey)).toContain(pieceKey(first))
        expect(rarity(first)).toBe(Math.min(...twin.map(rarity)))
        const rarities = choice.offers.map(rarity)
        expect(rarities).toEqual([...rarities].sort((a, b) => a - b))
        const isNear = (name: string): boolean => state.peers.get(name)?.near === true
        if (free.some(isNear)) expect(isNear(choice.peer)).toBe(true)
      }),
      { numRuns: 1000 },
    )
    expect(chosen).toBeGreaterThan(100)
  })

  it('asks a far site only for what nobody near holds', () => {
    let state = emptySwarm(1)
    const have = pieceHaveOf(4, (index) => index < 2)
    const step = (event: SwarmEvent): readonly SwarmEffect[] => {
      const stepped = stepSwarm(state, event, 0)
      state = stepped.state
      return stepped.effects
    }
    step({ kind: 'up', peer: 'near', near: true })
    step({ kind: 'up', peer: 'far', near: false })
    step({ kind: 'want', nar: narName(0), held: [false, false, false, false] })
    step({ kind: 'looked', peer: 'near', nars: [narName(0)], haves: [have] })
    const all = { kind: 'all' } as const
    const effects = step({ kind: 'looked', peer: 'far', nars: [narName(0)], haves: [all] })
    const next = effects.find((effect) => effect.kind === 'ask')
    const [piece] = next?.offers ?? []
    if (next === undefined || piece === undefined) throw new Error('expected a question')
    const { id: ask, peer } = next
    const then = step({ kind: 'piece', ask, peer, piece, good: true })
    const asked = [...effects, ...then].flatMap((effect) =>
      effect.kind === 'ask' ? effect.offers : [],
    )
    expect(asked.map(({ index }) => index).sort()).toEqual([2, 3])
    expect(peer).toBe('far')
  })
})

/** A state in the middle of a download: some pieces held, some peers known, some questions open. */
const anyState: fc.Arbitrary<SwarmState> = fc
  .record({
    seed: fc.nat(),
    count: fc.integer({ min: 1, max: 30 }),
    peers: fc.array(fc.record({ near: fc.boolean(), share: fc.constantFrom(0.1, 0.5, 1) }), {
      maxLength: 5,
    }),
    asks: fc.nat(6),
  })
  .map(({ seed, count, peers, asks }) => {
    const random = seededRandom(seed)
    const nar = narName(0)
    const held = Array.from({ length: count }, () => random() < 0.4)
    let state = emptySwarm(seed)
    const lacking = held.filter((isHeld) => !isHeld).length
    state = { ...state, nars: new Map([[nar, { nar, held, lacking }]]) }
    for (const [i, { near, share }] of peers.entries()) {
      const name = `peer-${i}`
      const have = new Map([[nar, pieceHaveOf(count, () => random() < share)]])
      const idle = { looking: false, lookAt: 0, restUntil: random() < 0.1 ? 9 : 0, failures: 0 }
      state = { ...state, peers: new Map(state.peers).set(name, { name, near, have, ...idle }) }
    }
    for (let id = 0; id < asks && peers.length > 0; id++) {
      const peer = `peer-${Math.floor(random() * peers.length)}`
      const offers = [{ nar, index: Math.floor(random() * count) }]
      const one = { id, peer, offers, chosen: true, since: 0 }
      state = { ...state, asks: new Map(state.asks).set(id, one) }
    }
    return state
  })

function holdersOf(state: SwarmState, { nar, index }: PieceId): readonly string[] {
  return [...state.peers.values()]
    .filter(({ have }) => holdsPiece(have.get(nar) ?? { kind: 'none' }, index))
    .map(({ name }) => name)
}

/** Everything that one peer may be asked for now, by looking at every piece and every rule in turn. */
function twinOffers(state: SwarmState, name: string): readonly PieceId[] {
  const peer = state.peers.get(name)
  const asks = [...state.asks.values()]
  if (peer === undefined || peer.restUntil > 0 || asks.length >= PIECES_ASKED_MAX) return []
  if (asks.filter((ask) => ask.peer === name).length >= PIECES_PER_PEER_ASKED_MAX) return []
  const asked = asks.flatMap(({ offers }) => offers.map(pieceKey))
  return [...state.nars.values()].flatMap(({ nar, held }) =>
    held.flatMap((isHeld, index) => {
      const holders = holdersOf(state, { nar, index })
      const nearHolds = holders.some((holder) => state.peers.get(holder)?.near === true)
      const fits = holders.includes(name) && (peer.near || !nearHolds)
      return !isHeld && fits && !asked.includes(pieceKey({ nar, index })) ? [{ nar, index }] : []
    }),
  )
}
