/**
 * What to ask whom next: rarest first, own group first, nothing twice but at the very end.
 *
 * A pure function of the state. Each free place at a peer is filled with a question that offers several
 * pieces; what is offered to one peer is not offered to another until the first has chosen.
 */
import { type HostName, holdsPiece, PIECE_OFFERS_MAX, type PieceId } from '../../protocol/index.ts'
import {
  PIECES_ASKED_MAX,
  PIECES_PER_PEER_ASKED_MAX,
  SWARM_DUPLICATE_SHARE_MAX,
  SWARM_ENDGAME_MS,
} from '../limits.ts'
import { pieceKey, type SwarmPeer, type SwarmState } from './swarm-state.ts'

/** A question to put. */
export interface Choice {
  readonly peer: HostName
  readonly offers: readonly PieceId[]
  /** Whether somebody is being asked for this piece already. */
  readonly duplicate: boolean
}

/** A piece that is lacking, and how many peers hold it. */
interface Lacking extends PieceId {
  readonly key: string
  readonly holders: number
  /** Whether somebody of this host's own group holds it. */
  readonly near: boolean
}

/** The next question, or undefined when there is nothing to ask or nobody to ask it. */
export function chooseNext(state: SwarmState, now: number): Choice | undefined {
  if (state.asks.size >= PIECES_ASKED_MAX) return undefined
  const free = freePeers(state, now)
  if (free.length === 0) return undefined
  const lacking = rarestFirst(state)
  if (lacking.length === 0) return undefined
  const reserved = new Set([...state.asks.values()].flatMap(({ offers }) => offers.map(pieceKey)))
  const open = lacking.filter(({ key }) => !reserved.has(key))
  for (const peer of free) {
    const fitting = open.filter((piece) => mayAsk(peer, piece))
    if (fitting.length === 0) continue
    // As much choice as can be, and something left for every other place: who has much to send picks
    // what it has sent least, and where few peers are few pieces do not go out twice.
    const share = Math.max(1, Math.floor(open.length / placesOf(state)))
    const offers = fitting.slice(0, Math.min(PIECE_OFFERS_MAX, share)).map(idOf)
    return { peer: peer.name, offers, duplicate: false }
  }
  return chooseAgain(state, free, now)
}

/** Questions that may be under way at once. */
function placesOf({ peers }: SwarmState): number {
  return Math.min(PIECES_ASKED_MAX, peers.size * PIECES_PER_PEER_ASKED_MAX)
}

/** Peers with a free place: near ones first, among them who has least to do. */
function freePeers(state: SwarmState, now: number): readonly SwarmPeer[] {
  const busy = new Map<HostName, number>()
  for (const { peer } of state.asks.values()) busy.set(peer, (busy.get(peer) ?? 0) + 1)
  // Another order with every question, so that equal peers are asked in turn.
  const turn = (peer: SwarmPeer): number => mixed(state.salt ^ state.nextAsk, peer.name)
  const load = (peer: SwarmPeer): number => busy.get(peer.name) ?? 0
  return [...state.peers.values()]
    .filter((peer) => !state.liars.has(peer.name) && peer.restUntil <= now)
    .filter((peer) => load(peer) < PIECES_PER_PEER_ASKED_MAX)
    .sort((a, b) => Number(b.near) - Number(a.near) || load(a) - load(b) || turn(a) - turn(b))
}

/** Everything that is lacking and that somebody holds, the rarest first. */
function rarestFirst(state: SwarmState): readonly Lacking[] {
  const peers = [...state.peers.values()].filter(({ name }) => !state.liars.has(name))
  const lacking: Lacking[] = []
  for (const { nar, held, lacking: count } of state.nars.values()) {
    if (count === 0) continue
    const having = peers.flatMap((peer) => {
      const have = peer.have.get(nar)
      return have === undefined || have.kind === 'none' ? [] : [{ near: peer.near, have }]
    })
    if (having.length === 0) continue
    held.forEach((isHeld, index) => {
      if (isHeld) return
      const holders = having.filter(({ have }) => holdsPiece(have, index))
      if (holders.length === 0) return
      const near = holders.some((holder) => holder.near)
      lacking.push({ nar, index, key: pieceKey({ nar, index }), holders: holders.length, near })
    })
  }
  const order = new Map(lacking.map(({ key }) => [key, mixed(state.salt, key)]))
  return lacking.sort(
    (a, b) => a.holders - b.holders || (order.get(a.key) ?? 0) - (order.get(b.key) ?? 0),
  )
}

/** A far peer is asked only for what nobody near holds: one copy crosses to each site, not one for each host. */
function mayAsk(peer: SwarmPeer, piece: Lacking): boolean {
  if (!peer.near && piece.near) return false
  return peerHolds(peer, piece)
}

/**
 * At the end, when all that is lacking is under way: a second question for a piece that has taken long,
 * so that one slow peer does not hold up the whole. Bounded: few bytes may come twice.
 */
function chooseAgain(
  state: SwarmState,
  free: readonly SwarmPeer[],
  now: number,
): Choice | undefined {
  const total = [...state.nars.values()].reduce((sum, { held }) => sum + held.length, 0)
  if (state.duplicates >= Math.max(1, Math.floor(total * SWARM_DUPLICATE_SHARE_MAX))) {
    return undefined
  }
  const slow = [...state.asks.values()]
    .filter(({ since }) => now - since >= SWARM_ENDGAME_MS)
    .sort((a, b) => a.since - b.since)
  for (const { peer: asked, offers } of slow) {
    for (const piece of offers) {
      if (state.nars.get(piece.nar)?.held[piece.index] !== false || isAskedTwice(state, piece)) {
        continue
      }
      const other = free.find((peer) => peer.name !== asked && peerHolds(peer, piece))
      if (other !== undefined) return { peer: other.name, offers: [piece], duplicate: true }
    }
  }
  return undefined
}

function isAskedTwice(state: SwarmState, piece: PieceId): boolean {
  const key = pieceKey(piece)
  const asks = [...state.asks.values()]
  return asks.filter(({ offers }) => offers.some((it) => pieceKey(it) === key)).length > 1
}

function peerHolds(peer: SwarmPeer, { nar, index }: PieceId): boolean {
  const have = peer.have.get(nar)
  return have !== undefined && holdsPiece(have, index)
}

function idOf({ nar, index }: PieceId): PieceId {
  return { nar, index }
}

/** A number out of `salt` and `text` that looks random and is the same every time (FNV-1a). */
function mixed(salt: number, text: string): number {
  let hash = (0x811c9dc5 ^ salt) >>> 0
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  }
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0
}
