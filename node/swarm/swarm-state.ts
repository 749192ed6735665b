/** What a downloading host knows of a swarm: what it lacks, who holds what, and what is under way. */
import type { Hash, HostName, PieceHave, PieceId } from '../../protocol/index.ts'

/** A NAR that is wanted. `held` has one entry for each piece. */
export interface WantedNar {
  readonly nar: Hash
  readonly held: readonly boolean[]
  /** Entries of `held` that are still false. */
  readonly lacking: number
}

/** A peer that is connected. */
export interface SwarmPeer {
  readonly name: HostName
  /** Of this host's own group: asked before all others. */
  readonly near: boolean
  /** What it said that it holds, by NAR. */
  readonly have: ReadonlyMap<Hash, PieceHave>
  /** A question about what it holds is under way. */
  readonly looking: boolean
  /** Not asked again what it holds before this, in ms. */
  readonly lookAt: number
  /** Not asked for a piece before this, in ms. */
  readonly restUntil: number
  /** Answers that broke since the last good one. */
  readonly failures: number
}

/** A question for one piece. */
export interface SwarmAsk {
  readonly id: number
  readonly peer: HostName
  /** What was offered; once the peer has chosen, that one alone. */
  readonly offers: readonly PieceId[]
  readonly chosen: boolean
  /** When it was asked, in ms. */
  readonly since: number
}

/** All of it. A value: `stepSwarm` never changes one. */
export interface SwarmState {
  readonly nars: ReadonlyMap<Hash, WantedNar>
  readonly peers: ReadonlyMap<HostName, SwarmPeer>
  readonly asks: ReadonlyMap<number, SwarmAsk>
  /** Peers that sent a wrong piece: not asked again for as long as this process runs. */
  readonly liars: ReadonlySet<HostName>
  readonly nextAsk: number
  /** Pieces that were asked for a second time while the first was under way. */
  readonly duplicates: number
  /** Makes equally rare pieces come in another order at every host. */
  readonly salt: number
}

/** What happens to a swarm. */
export type SwarmEvent =
  /** A NAR is wanted, of which `held` is here already. */
  | { readonly kind: 'want'; readonly nar: Hash; readonly held: readonly boolean[] }
  | { readonly kind: 'forget'; readonly nar: Hash }
  | { readonly kind: 'up'; readonly peer: HostName; readonly near: boolean }
  | { readonly kind: 'down'; readonly peer: HostName }
  /** A peer said what it holds of `nars`; without `haves` the question failed. */
  | {
      readonly kind: 'looked'
      readonly peer: HostName
      readonly nars: readonly Hash[]
      readonly haves?: readonly PieceHave[] | undefined
    }
  /** The peer has begun to send offer number `choice`. */
  | {
      readonly kind: 'chosen'
      readonly ask: number
      readonly choice: number
      readonly have: PieceHave
    }
  /** A piece came whole and, when its hash is right, is on the disk: also one that was given up meanwhile. */
  | {
      readonly kind: 'piece'
      readonly ask: number
      readonly peer: HostName
      readonly piece: PieceId
      readonly good: boolean
    }
  /** The question ended without a piece. */
  | {
      readonly kind: 'ended'
      readonly ask: number
      readonly why: 'none' | 'busy' | 'broken'
    }
  | { readonly kind: 'tick' }

/** What is to be done about it. */
export type SwarmEffect =
  | {
      readonly kind: 'ask'
      readonly id: number
      readonly peer: HostName
      readonly offers: readonly PieceId[]
    }
  | { readonly kind: 'look'; readonly peer: HostName; readonly nars: readonly Hash[] }
  /** The question is of no use any more. */
  | { readonly kind: 'abort'; readonly id: number }
  /** The peer lied about this piece: say so. */
  | { readonly kind: 'drop'; readonly peer: HostName; readonly piece: PieceId }

/** A swarm that wants nothing and knows nobody. */
export function emptySwarm(salt: number): SwarmState {
  return {
    nars: new Map(),
    peers: new Map(),
    asks: new Map(),
    liars: new Set(),
    nextAsk: 1,
    duplicates: 0,
    salt,
  }
}

/** One text for one piece, for sets and maps. */
export function pieceKey({ nar, index }: PieceId): string {
  return `${nar}/${index}`
}
