/**
 * The gate log's voter as plain data: what it holds, what reaches it, what it wants done (SPEC §7).
 *
 * `gate-step.ts` moves it. A machine without `self`, or whose `self` is no voter, follows: it commits
 * what voters decide and never speaks. The caller checks every signature before a message enters.
 */
import type {
  BasisFeed,
  Block,
  BlockBody,
  BlockId,
  Certificate,
  Command,
  FleetId,
  GateMessage,
  GroupName,
  KeyId,
  Vote,
  VoteBody,
  VoteKind,
} from '../protocol/index.ts'
import type { GateState } from './gate-state.ts'

/** One epoch of one group's gate log. */
export interface GateConfig {
  readonly fleet: FleetId
  readonly group: GroupName
  readonly epoch: number
  readonly genesis: BlockId
  /** In the order that leaders rotate in. */
  readonly voters: readonly KeyId[]
  readonly quorum: number
  /** This node's fact key; absent in a follower. */
  readonly self?: KeyId | undefined
  /** How long the first view after a commit may last, and any view at most; milliseconds. */
  readonly viewMs: number
  readonly viewMsMax: number
}

/** What the commands say about a block; `wait` and `invalid` are asked again when facts come. */
export type Judgement =
  | { readonly kind: 'valid'; readonly state: GateState }
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'invalid'; readonly why: string }

/** What a leader puts into a block. */
export interface Draft {
  readonly commands: readonly Command[]
  readonly rootVersion: number
  readonly basis: readonly BasisFeed[]
}

/** Voters that are proven to lie in a group that bears no liar (SPEC §7.8); nobody in any other group. */
export interface Accused {
  /** By the evidence of the state that was asked about. */
  readonly pinned: ReadonlySet<KeyId>
  /** By everything that this node holds. */
  readonly held: ReadonlySet<KeyId>
  /** A proof is held that the state does not show, and that a basis can bring. */
  readonly owed: boolean
}

/** Pure judgements over what this node holds now; given with each event. */
export interface GateRules {
  /** R2: true over the basis alone and still true with everything held. */
  judge(block: Block, parent: GateState): Judgement
  /** The state after a certified block; undefined while facts or bodies under its basis are missing. */
  apply(block: Block, parent: GateState): GateState | undefined
  /** What to decide next on `parent`: commands or an anchor; undefined when there is no request. */
  draft(parent: GateState): Draft | undefined
  /** Whose votes decide nothing in the epoch of `state`. */
  accused(state: GateState): Accused
}

/** A block above the commit, with the state after it once that was worked out. */
export interface HeldBlock {
  readonly block: Block
  readonly state: GateState | undefined
}

/** What this voter has voted in one view: marked when the vote leaves, before the journal answers. */
export interface OwnVotes {
  readonly notarize: BlockId | undefined
  readonly skip: boolean
  readonly final: BlockId | undefined
}

/** The views up to which this voter casts no vote of a kind; no proposal up to `final` (SPEC §7.6). */
export interface VoteFloor {
  readonly notarize: number
  readonly skip: number
  readonly final: number
}

/** The end of the committed chain. */
export interface GateCommit {
  readonly block: BlockId
  /** View of `block`; 0 at genesis. */
  readonly view: number
  readonly state: GateState
  /** The final certificate of this block or of a descendant; absent at the start. */
  readonly certificate: Certificate | undefined
}

/** The timer that was asked for; `patience` is the whole length of the view it belongs to. */
export interface GateTimer {
  readonly view: number
  readonly stage: 'grace' | 'full'
  readonly patience: number
}

/** Everything that the gate machine knows. Plain data, never changed in place. */
export interface GateMachine {
  readonly config: GateConfig
  readonly view: number
  readonly committed: GateCommit
  /** The newest committed places, oldest first, the commit last. */
  readonly trail: readonly { readonly view: number; readonly block: BlockId }[]
  /** Above the commit; of two blocks of one view the first is the one to vote on. */
  readonly blocks: ReadonlyMap<BlockId, HeldBlock>
  readonly votes: ReadonlyMap<number, readonly Vote[]>
  readonly certificates: ReadonlyMap<number, readonly Certificate[]>
  readonly own: ReadonlyMap<number, OwnVotes>
  /** The highest view that this voter proposed in. */
  readonly proposed: number
  /** Where this voter may have spoken and does not know it. */
  readonly floor: VoteFloor
  /** Views skipped since the last commit, and timeouts in this view. */
  readonly skips: number
  readonly timeouts: number
  readonly timer: GateTimer | undefined
  /** Blocks that were asked for, or whose facts were. */
  readonly asked: ReadonlySet<BlockId>
  /** Two certificates contradict each other: nothing is voted for or committed any more. */
  readonly frozen: boolean
}

/** How far a node is, for its peers to judge what it lacks. */
export interface GateSummary {
  readonly epoch: number
  readonly slot: number
  readonly view: number
  readonly committedView: number
  readonly committed: BlockId
  /** The first view above the newest notarized block without a skip certificate. */
  readonly missing: number
}

/** What reaches the machine. */
export type GateEvent =
  /** A message whose signatures were checked; also this voter's own, once it is on the disk. */
  | { readonly kind: 'message'; readonly message: GateMessage }
  /** The timer that was asked for last has run out. */
  | { readonly kind: 'timer'; readonly view: number }
  /** Facts, bodies or the time have changed what the rules say. */
  | { readonly kind: 'changed' }
  /** A journaled message, in the order they were kept: only commits and conflicts are said again. */
  | { readonly kind: 'restore'; readonly message: GateMessage }
  /** All is restored. `floor`: where this voter may have spoken and does not know it (SPEC §7.6). */
  | { readonly kind: 'restart'; readonly floor?: VoteFloor }
  /** A peer's summary, at a sync: what this step publishes and serves answers that peer alone. */
  | { readonly kind: 'repair'; readonly have: GateSummary }
  /** Admins go on without the voters (SPEC §7.8): the state in which the epoch of the recovery begins. */
  | { readonly kind: 'recover'; readonly state: GateState }

/** What the node is to do, in this order. */
export type GateEffect =
  /** Sign, keep with fsync, publish, hand back as a message. */
  | { readonly kind: 'propose'; readonly body: BlockBody }
  /** Sign, journal with fsync, then publish and hand back. If it cannot be journaled, stop the node. */
  | { readonly kind: 'vote'; readonly vote: VoteKind; readonly body: VoteBody }
  /** Persist, before any vote that follows it. */
  | { readonly kind: 'keep'; readonly message: GateMessage }
  | { readonly kind: 'publish'; readonly message: GateMessage }
  /** Replaces the timer before it. */
  | { readonly kind: 'timer'; readonly view: number; readonly ms: number }
  | { readonly kind: 'timer-off' }
  /**
   * The next block of the log, exactly once in this machine's life, with what proves it. `tail`: after
   * a reconfig, the empty blocks up to the one that the certificate names; they are proof, not log.
   */
  | {
      readonly kind: 'committed'
      readonly block: Block
      readonly state: GateState
      readonly certificate: Certificate
      readonly tail: readonly Block[]
    }
  /** A new epoch begins at `state`. The machine says nothing in it before a `restart`. */
  | { readonly kind: 'epoch'; readonly state: GateState }
  /** Fetch this block from any peer. Said again at timeouts and syncs until it comes. */
  | { readonly kind: 'want'; readonly block: BlockId }
  /** Fetch what is missing under this block's basis, then say `changed`. Said again likewise. */
  | { readonly kind: 'await'; readonly block: Block; readonly why: string }
  /** Hand this summary to peers, as their `repair` event. */
  | { readonly kind: 'repair'; readonly have: GateSummary }
  /**
   * Answer from the store: the first committed blocks after that place, of views above `above` in
   * `epoch` and then of later epochs, with their certificates.
   */
  | { readonly kind: 'serve'; readonly epoch: number; readonly above: number }
  /** Two signed messages of one voter that exclude each other (SPEC §8: E2, E3, E4). */
  | {
      readonly kind: 'equivocation'
      readonly author: KeyId
      readonly messages: readonly [Uint8Array, Uint8Array]
    }
  /**
   * Proof that more voters lied than the group bears: keep and publish it. The machine is frozen, and
   * so is one that these certificates are restored to.
   */
  | { readonly kind: 'conflict'; readonly certificates: readonly Certificate[] }

/** A machine and what it wants done. */
export interface GateTurn {
  readonly machine: GateMachine
  readonly effects: readonly GateEffect[]
}

/**
 * A machine that stands at `committed`: the genesis state, or a later committed one with the
 * certificate that proves it.
 */
export function newGateMachine(
  config: GateConfig,
  committed: GateState,
  certificate?: Certificate,
): GateMachine {
  const { head: block, view } = committed
  return {
    config,
    view: Math.max(view, certificate?.body.view ?? 0) + 1,
    committed: { block, view, state: committed, certificate },
    trail: [{ view, block }],
    blocks: new Map(),
    votes: new Map(),
    certificates: new Map(),
    own: new Map(),
    proposed: 0,
    floor: NO_FLOOR,
    skips: 0,
    timeouts: 0,
    timer: undefined,
    asked: new Set(),
    frozen: false,
  }
}

/** Nothing was forgotten. */
export const NO_FLOOR: VoteFloor = floorUpTo(0)

/** A floor under which no machine speaks: until the voter knows what it said before (SPEC §7.6). */
export const SILENT: VoteFloor = floorUpTo(Number.MAX_SAFE_INTEGER)

/** No vote of any kind up to `view`. */
export function floorUpTo(view: number): VoteFloor {
  return { notarize: view, skip: view, final: view }
}

/** The leader of `view`: the genesis hash turns the rotation, so groups do not start with the same place. */
export function leaderOf(config: GateConfig, view: number): KeyId | undefined {
  const turn = Number.parseInt(config.genesis.slice(0, 8), 16)
  return config.voters[(view + turn) % config.voters.length]
}

/** Whether this machine may ever speak. */
export function isVoter({ config }: GateMachine): boolean {
  return config.self !== undefined && config.voters.includes(config.self)
}

/** The turn with these parts of its machine replaced, and more effects. */
export function turnWith(
  turn: GateTurn,
  change: Partial<GateMachine>,
  ...effects: readonly GateEffect[]
): GateTurn {
  return {
    machine: { ...turn.machine, ...change },
    effects: effects.length === 0 ? turn.effects : [...turn.effects, ...effects],
  }
}
