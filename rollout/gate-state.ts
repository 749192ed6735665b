/**
 * What the gate log says after a block: who claims which host, who was started, what is closed
 * (SPEC §7.4). Pure data; `gate-rules.ts` judges commands, `gate-apply.ts` applies them.
 */
import type {
  BlockId,
  GroupConfig,
  Hash,
  HostName,
  KeyId,
  Outcome,
  RolloutId,
  Root,
  Vector,
} from '../protocol/index.ts'
import { EMPTY_VIEW, type FleetView } from './fleet-view.ts'

/** A block's place in the log. `slot` counts blocks that carry commands or anchor. */
export interface GatePoint {
  readonly block: BlockId
  readonly slot: number
}

export interface GateState {
  readonly head: BlockId
  /** View of `head`; 0 at genesis. */
  readonly view: number
  readonly slot: number
  readonly epoch: number
  /** The epochs after the first that the log has begun, the oldest first; the last is that of `epoch`. */
  readonly epochs: readonly GateEpoch[]
  /** A reconfig that is not committed yet: only empty blocks may stand on it, and none enters the log. */
  readonly next?: GateEpoch | undefined
  readonly rootVersion: number
  /** The roots after the first that the log has brought, the oldest first; the last is in force. */
  readonly roots: readonly RootEra[]
  /** The fold of every fact under `head`'s basis; its vector *is* that basis. */
  readonly evidence: FleetView
  readonly rollouts: ReadonlyMap<RolloutId, GateRollout>
  readonly hosts: ReadonlyMap<HostName, GateHost>
  /** The newest release that was admitted in each channel. */
  readonly channels: ReadonlyMap<string, ChannelMark>
}

/** A root after the first: in force from the block on that brought it. */
export interface RootEra extends GatePoint {
  readonly root: Root
  /** SHA-256 of the signed document. */
  readonly document: Hash
  /** What the log had pinned with that block: these facts were judged under the root before. */
  readonly before: Vector
}

/** An epoch after the first: who belongs and who votes from the slot after `slot` on. */
export interface GateEpoch {
  readonly epoch: number
  readonly config: GroupConfig
  /** SHA-256 of the signed document that brought it. */
  readonly document: Hash
  /** What stands at view 0: the reconfig block, or the configuration's hash after a recovery. */
  readonly genesis: BlockId
  readonly slot: number
}

/** A channel's high-water mark: admitted versions never sink below it, but by `kind: rollback`. */
export interface ChannelMark {
  readonly version: number
  /** No plan of any kind goes below this. */
  readonly minVersion: number
}

export interface GateRollout {
  readonly rollout: RolloutId
  readonly admitted: GatePoint
  /** The root under which it was admitted: whoever could halt it then always can. */
  readonly rootVersion: number
  /** Keys that were revoked when it was admitted: they halt nothing of it. */
  readonly revoked: ReadonlySet<KeyId>
  readonly status: 'open' | Outcome
  readonly closed?: GatePoint | undefined
  /** The budget was breached under the close's basis: later evidence changes nothing. */
  readonly closedBreached?: boolean | undefined
  /** This group's waves, from the plan's body. */
  readonly waves: readonly (readonly HostName[])[]
  /** Started rounds of each host, ascending. */
  readonly starts: ReadonlyMap<HostName, readonly GateStart[]>
  /** Rounds of each host that a skip ended. */
  readonly skips: ReadonlyMap<HostName, readonly number[]>
  /** Hosts that left the group while they were of this rollout: lost to it, also when they come back. */
  readonly gone?: ReadonlySet<HostName> | undefined
}

export interface GateStart extends GatePoint {
  readonly round: number
  readonly wave: number
  /** The epoch that started it: its members are the observers, and only its voters may skip the round. */
  readonly epoch: number
}

export interface GateHost {
  /** The last admit or close that named the host: the base of the next plan. */
  readonly touched: GatePoint
  /** The last rollout that was admitted for it. */
  readonly last: RolloutId
  /** The open rollout that claims it. */
  readonly claimedBy?: RolloutId | undefined
}

/** The state before the first block of the log. */
export function genesisState(genesis: BlockId, rootVersion: number): GateState {
  return {
    head: genesis,
    view: 0,
    slot: 0,
    epoch: 1,
    epochs: [],
    rootVersion,
    roots: [],
    evidence: EMPTY_VIEW,
    rollouts: new Map(),
    hosts: new Map(),
    channels: new Map(),
  }
}

/** Every host of a rollout in this group, wave by wave. */
export function hostsOf(rollout: Pick<GateRollout, 'waves'>): readonly HostName[] {
  return rollout.waves.flat()
}
