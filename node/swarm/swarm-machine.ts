/**
 * The swarm of a host that downloads, as a machine: (state, event, now) → { state, effects }.
 *
 * It decides what to ask whom (`choose.ts`), when to ask again who holds what, and whom to drop. It
 * touches no network, no disk and no clock: `swarm.ts` carries out what it says.
 */
import {
  type Hash,
  type HostName,
  PIECE_NARS_MAX,
  type PieceHave,
  type PieceId,
} from '../../protocol/index.ts'
import { SWARM_BUSY_MS, SWARM_LOOK_MS, SWARM_LOOK_PEERS } from '../limits.ts'
import { backoffMs } from '../pause.ts'
import { chooseNext } from './choose.ts'
import type { SwarmAsk, SwarmEffect, SwarmEvent, SwarmPeer, SwarmState } from './swarm-state.ts'

/** A step's outcome. */
export interface SwarmStep {
  readonly state: SwarmState
  readonly effects: readonly SwarmEffect[]
}

/** Takes in one event, and asks for whatever there is now to ask for. */
export function stepSwarm(state: SwarmState, event: SwarmEvent, now: number): SwarmStep {
  const taken = take(state, event, now)
  const looked = look(taken.state, now)
  const asked = ask(looked.state, now)
  return {
    state: asked.state,
    effects: [...taken.effects, ...looked.effects, ...asked.effects],
  }
}

function take(state: SwarmState, event: SwarmEvent, now: number): SwarmStep {
  switch (event.kind) {
    case 'want': {
      const { nar, held } = event
      const lacking = held.filter((isHeld) => !isHeld).length
      return quiet({ ...state, nars: new Map(state.nars).set(nar, { nar, held, lacking }) })
    }
    case 'forget':
      return forget(state, event.nar)
    case 'up':
      return quiet(withPeer(state, freshPeer(event.peer, event.near)))
    case 'down':
      return goneDown(state, event.peer)
    case 'looked':
      return looked(state, event, now)
    case 'chosen':
      return chosen(state, event)
    case 'piece':
      return event.good ? good(state, event) : bad(state, event)
    case 'ended':
      return ended(state, event, now)
    case 'tick':
      return quiet(state)
    default:
      return event satisfies never
  }
}

function forget(state: SwarmState, nar: Hash): SwarmStep {
  const nars = new Map(state.nars)
  nars.delete(nar)
  const peers = new Map(
    [...state.peers].map(([name, peer]) => {
      const have = new Map(peer.have)
      have.delete(nar)
      return [name, { ...peer, have }]
    }),
  )
  // A question that offered something else besides still has its use.
  const next = { ...state, nars, peers }
  return abort(next, ({ offers }) => offers.every((offer) => isHeld(next, offer)))
}

function goneDown(state: SwarmState, name: HostName): SwarmStep {
  const peers = new Map(state.peers)
  peers.delete(name)
  return abort({ ...state, peers }, (one) => one.peer === name)
}

function looked(
  state: SwarmState,
  { peer: name, nars, haves }: SwarmEvent & { kind: 'looked' },
  now: number,
): SwarmStep {
  const peer = state.peers.get(name)
  if (peer === undefined) return quiet(state)
  if (haves === undefined) return quiet(withPeer(state, failed({ ...peer, looking: false }, now)))
  const have = new Map(peer.have)
  nars.forEach((nar, i) => {
    const stated = haves[i]
    if (stated !== undefined && state.nars.has(nar)) have.set(nar, stated)
  })
  const lookAt = now + SWARM_LOOK_MS * Math.max(1, state.peers.size / SWARM_LOOK_PEERS)
  return quiet(withPeer(state, { ...peer, have, looking: false, lookAt, failures: 0 }))
}

function chosen(
  state: SwarmState,
  { ask: id, choice, have }: SwarmEvent & { kind: 'chosen' },
): SwarmStep {
  const one = state.asks.get(id)
  const piece = one?.offers[choice]
  if (one === undefined || piece === undefined) return quiet(state)
  const asks = new Map(state.asks).set(id, { ...one, offers: [piece], chosen: true })
  const peer = state.peers.get(one.peer)
  const next = { ...state, asks }
  const told = peer === undefined ? next : withPeer(next, stated(peer, piece.nar, have))
  // It came from elsewhere while this peer had us wait.
  return abort(told, (it) => it.id === id && isHeld(told, piece))
}

function good(state: SwarmState, event: SwarmEvent & { kind: 'piece' }): SwarmStep {
  const { ask: id, peer: name, piece } = event
  const asks = new Map(state.asks)
  asks.delete(id)
  const peer = state.peers.get(name)
  const peers = new Map(state.peers)
  if (peer !== undefined) peers.set(name, { ...peer, failures: 0 })
  const next = { ...held(state, piece.nar, piece.index), asks, peers }
  // Whoever else was asked for it, and for nothing else of use, may stop.
  return abort(next, ({ offers }) => offers.every((offer) => isHeld(next, offer)))
}

function held(state: SwarmState, nar: Hash, index: number): SwarmState {
  const wanted = state.nars.get(nar)
  if (wanted === undefined || wanted.held[index] !== false) return state
  const now = wanted.held.with(index, true)
  const nars = new Map(state.nars).set(nar, { nar, held: now, lacking: wanted.lacking - 1 })
  return { ...state, nars }
}

/** Whether a piece is of no use any more: here already, or of a NAR that nobody wants. */
function isHeld(state: SwarmState, { nar, index }: PieceId): boolean {
  return state.nars.get(nar)?.held[index] !== false
}

/** The piece costs us its bytes and them our trust: everything else under way from there ends too. */
function bad(state: SwarmState, event: SwarmEvent & { kind: 'piece' }): SwarmStep {
  const { ask: id, peer, piece } = event
  const asks = new Map(state.asks)
  asks.delete(id)
  const liars = new Set(state.liars).add(peer)
  const { state: next, effects } = abort({ ...state, asks, liars }, (it) => it.peer === peer)
  return { state: next, effects: [{ kind: 'drop', peer, piece }, ...effects] }
}

function ended(
  state: SwarmState,
  { ask: id, why }: SwarmEvent & { kind: 'ended' },
  now: number,
): SwarmStep {
  const one = state.asks.get(id)
  if (one === undefined) return quiet(state)
  const asks = new Map(state.asks)
  asks.delete(id)
  const next = { ...state, asks }
  const peer = state.peers.get(one.peer)
  if (peer === undefined) return quiet(next)
  if (why === 'broken') return quiet(withPeer(next, failed(peer, now)))
  const restUntil = now + SWARM_BUSY_MS
  if (why === 'busy') return quiet(withPeer(next, { ...peer, restUntil }))
  // It does not hold what it said: what it said is forgotten, and it is asked again.
  const have = new Map(peer.have)
  for (const { nar } of one.offers) have.delete(nar)
  return quiet(withPeer(next, { ...peer, have, restUntil, lookAt: restUntil }))
}

/** Asks who holds what: at once where that is not known, else now and then while it may change. */
function look(state: SwarmState, now: number): SwarmStep {
  const effects: SwarmEffect[] = []
  const peers = new Map(state.peers)
  const lacking = [...state.nars.values()].filter((wanted) => wanted.lacking > 0)
  // Who sends a piece says with it what else there is.
  const sending = new Set([...state.asks.values()].map((one) => one.peer))
  for (const peer of state.peers.values()) {
    if (peer.looking || peer.restUntil > now || state.liars.has(peer.name)) continue
    const unknown = lacking.filter(({ nar }) => !peer.have.has(nar))
    const partial = lacking.filter(({ nar }) => peer.have.get(nar)?.kind !== 'all')
    const again = peer.lookAt <= now && !sending.has(peer.name)
    const due = unknown.length > 0 ? unknown : again ? partial : []
    if (due.length === 0) continue
    // A closure of more NARs than one question takes is asked for in turns.
    const turn = (Math.floor(now / SWARM_LOOK_MS) * PIECE_NARS_MAX) % due.length
    const nars = [...due.slice(turn), ...due.slice(0, turn)]
      .slice(0, PIECE_NARS_MAX)
      .map(({ nar }) => nar)
    peers.set(peer.name, { ...peer, looking: true })
    effects.push({ kind: 'look', peer: peer.name, nars })
  }
  return { state: { ...state, peers }, effects }
}

function ask(state: SwarmState, now: number): SwarmStep {
  const effects: SwarmEffect[] = []
  let next = state
  for (;;) {
    const choice = chooseNext(next, now)
    if (choice === undefined) return { state: next, effects }
    const { peer, offers, duplicate } = choice
    const id = next.nextAsk
    next = {
      ...next,
      nextAsk: id + 1,
      duplicates: next.duplicates + (duplicate ? 1 : 0),
      asks: new Map(next.asks).set(id, { id, peer, offers, chosen: false, since: now }),
    }
    effects.push({ kind: 'ask', id, peer, offers })
  }
}

function abort(state: SwarmState, useless: (ask: SwarmAsk) => boolean): SwarmStep {
  const asks = new Map(state.asks)
  const effects: SwarmEffect[] = []
  for (const one of state.asks.values()) {
    if (!useless(one)) continue
    asks.delete(one.id)
    effects.push({ kind: 'abort', id: one.id })
  }
  return { state: { ...state, asks }, effects }
}

function freshPeer(name: HostName, near: boolean): SwarmPeer {
  const idle = { looking: false, lookAt: 0, restUntil: 0, failures: 0 }
  return { name, near, have: new Map(), ...idle }
}

function stated(peer: SwarmPeer, nar: Hash, have: PieceHave): SwarmPeer {
  return { ...peer, have: new Map(peer.have).set(nar, have), failures: 0 }
}

function failed(peer: SwarmPeer, now: number): SwarmPeer {
  const failures = peer.failures + 1
  return { ...peer, failures, restUntil: now + backoffMs(failures) }
}

function withPeer(state: SwarmState, peer: SwarmPeer): SwarmState {
  return { ...state, peers: new Map(state.peers).set(peer.name, peer) }
}

function quiet(state: SwarmState): SwarmStep {
  return { state, effects: [] }
}
