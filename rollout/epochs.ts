/**
 * Epochs of the gate log: how one ends, how the next begins, and whom a state trusts (SPEC §7.7).
 *
 * A reconfig that is not committed is a stop sign in the state (`next`); its commit opens the epoch.
 * Everything that reads a configuration reads that of the state it looks at: `trustAt`.
 */
import type { GroupConfig, Hash, HostName, KeyId, Root } from '../protocol/index.ts'
import type { GateConfig } from './gate-machine.ts'
import {
  type GateEpoch,
  type GateRollout,
  type GateState,
  hostsOf,
  type RootEra,
} from './gate-state.ts'
import type { Trust } from './trust.ts'

/** What of a state says whom it trusts. */
type Trusted = Pick<GateState, 'epochs' | 'roots'>

/** States share their lists, so that the trust of an epoch and a root is one object as long as they last. */
const known = new WeakMap<readonly GateEpoch[], WeakMap<readonly RootEra[], WeakMap<Root, Trust>>>()

/**
 * The trust at `state`: whoever belongs and votes in its epoch, and whoever has a role under its root.
 * `trust` is that of any state of this log.
 */
export function trustAt(trust: Trust, state: Trusted): Trust {
  const { epochs, roots } = state
  const first = firstTrust(trust)
  if (epochs.length === 0 && roots.length === 0) return first
  const ofEpochs = entry(known, epochs, () => new WeakMap())
  const ofRoots = entry(ofEpochs, roots, () => new WeakMap<Root, Trust>())
  return entry(ofRoots, first.root, () => ({
    ...first,
    ...withConfigs(first.config, epochs),
    ...withRoots(first.root, roots),
  }))
}

function withConfigs(
  first: GroupConfig,
  epochs: readonly GateEpoch[],
): Pick<Trust, 'config' | 'past'> {
  if (epochs.length === 0) return { config: first }
  const configs = [first, ...epochs.map((epoch) => epoch.config)]
  return { config: configs.at(-1) ?? first, past: configs.slice(0, -1) }
}

function withRoots(first: Root, eras: readonly RootEra[]): Pick<Trust, 'root' | 'pastRoots'> {
  if (eras.length === 0) return { root: first }
  const roots = [first, ...eras.map((era) => era.root)]
  const pastRoots = eras.map(({ before }, i) => ({ root: roots[i] ?? first, until: before }))
  return { root: roots.at(-1) ?? first, pastRoots }
}

function firstTrust(trust: Trust): Trust {
  if (trust.past === undefined && trust.pastRoots === undefined) return trust
  const { past, pastRoots, ...rest } = trust
  return { ...rest, config: past?.[0] ?? trust.config, root: pastRoots?.[0]?.root ?? trust.root }
}

function entry<K extends object, V>(map: WeakMap<K, V>, key: K, make: () => V): V {
  const before = map.get(key)
  if (before !== undefined) return before
  const made = make()
  map.set(key, made)
  return made
}

/** The state in which the next epoch begins, at view 0 of it. The state itself, where no reconfig stands. */
export function openEpoch(state: GateState): GateState {
  const { next } = state
  if (next === undefined) return state
  return begin({ ...state, next: undefined }, next)
}

/**
 * The state in which the epoch of a recovery begins: the log as far as it was found, under the new
 * configuration. No block says so; the configuration's own hash is the genesis.
 */
export function recoverEpoch(
  state: GateState,
  signed: { readonly config: GroupConfig; readonly genesis: Hash; readonly document: Hash },
): GateState {
  const { config, genesis, document } = signed
  const { epoch } = config
  return begin(
    { ...state, next: undefined },
    { epoch, config, document, genesis, slot: state.slot },
  )
}

/** Starts that have not ended carry over; whoever left is lost to every rollout it was in. */
function begin(state: GateState, epoch: GateEpoch): GateState {
  const members = new Set(epoch.config.hosts.map((host) => host.name))
  const rollouts = new Map(state.rollouts)
  for (const [id, rollout] of rollouts) {
    const gone = hostsOf(rollout).filter((host) => !members.has(host))
    if (gone.length > 0) rollouts.set(id, withGone(rollout, gone))
  }
  return {
    ...state,
    head: epoch.genesis,
    view: 0,
    epoch: epoch.epoch,
    epochs: [...state.epochs, epoch],
    rollouts,
  }
}

function withGone(rollout: GateRollout, hosts: readonly HostName[]): GateRollout {
  const before = rollout.gone ?? new Set<HostName>()
  if (hosts.every((host) => before.has(host))) return rollout
  return { ...rollout, gone: new Set([...before, ...hosts]) }
}

/** What the gate machine of the state's epoch is made of, at the node whose fact key is `self`. */
export function gateConfigAt(trust: Trust, state: Trusted, self: KeyId | undefined): GateConfig {
  const { fleet, genesis, config } = trustAt(trust, state)
  const begun = state.epochs.at(-1) ?? { epoch: config.epoch, config, genesis }
  return nextConfig({ fleet, self }, begun)
}

/** What the machine of an epoch is made of: nothing but fleet and own key outlives the one before. */
export function nextConfig(
  before: Pick<GateConfig, 'fleet' | 'self'>,
  { config, genesis }: Pick<GateEpoch, 'config' | 'genesis'>,
): GateConfig {
  const { group, epoch, voters, quorum, timing } = config
  const keys = new Map(config.hosts.map((host) => [host.name, host.fact]))
  return {
    fleet: before.fleet,
    group,
    epoch,
    genesis,
    voters: voters.map((name) => keys.get(name) ?? ''),
    quorum,
    self: before.self,
    viewMs: timing.viewMs,
    viewMsMax: timing.viewMsMax,
  }
}
