/** The state after a command, and after a block (SPEC §7.4). Judged commands only: nothing is checked here. */
import type {
  Block,
  BlockId,
  Command,
  Hash,
  HostName,
  Outcome,
  RolloutId,
} from '../protocol/index.ts'
import type { FleetView } from './fleet-view.ts'
import type { GateHost, GatePoint, GateRollout, GateState } from './gate-state.ts'
import { hostsOf } from './gate-state.ts'
import { revokedKeys } from './revocations.ts'
import { planOf, type Scene, stageOf } from './scene.ts'

/** The state that a block's commands are judged on: its parent's, with the block's own basis and place. */
export function enterBlock(
  parent: GateState,
  block: { id: BlockId; view: number; counts: boolean },
  evidence: FleetView,
): GateState {
  return {
    ...parent,
    head: block.id,
    view: block.view,
    slot: parent.slot + (block.counts ? 1 : 0),
    evidence,
  }
}

/** Whether a block takes a slot: it carries commands, or its basis moved (an anchor). */
export function countsAsSlot(body: Pick<Block['body'], 'commands' | 'basis'>): boolean {
  return body.commands.length > 0 || body.basis.length > 0
}

/**
 * The state after `command`. `scene.state` is that before it, inside the same block.
 * Undefined while a body that the command needs is not held.
 */
export function applyCommand(scene: Scene, command: Command): GateState | undefined {
  const { state } = scene
  const point: GatePoint = { block: state.head, slot: state.slot }
  switch (command.kind) {
    case 'admit':
      return applyAdmit(scene, command.rollout, point)
    case 'start':
      return changeRollout(state, command.rollout, (rollout) => ({
        ...rollout,
        starts: command.hosts.reduce((starts, host) => {
          const wave = rollout.waves.findIndex((one) => one.includes(host))
          const before = rollout.starts.get(host) ?? []
          const { epoch } = state
          return starts.set(host, [...before, { ...point, round: command.round, wave, epoch }])
        }, new Map(rollout.starts)),
      }))
    case 'skip':
      return changeRollout(state, command.rollout, (rollout) => ({
        ...rollout,
        skips: command.hosts.reduce(
          (skips, host) => skips.set(host, [...(rollout.skips.get(host) ?? []), command.round]),
          new Map(rollout.skips),
        ),
      }))
    case 'close':
      return applyClose(scene, command.rollout, command.outcome, point)
    case 'reconfig':
      return applyReconfig(scene, command.config)
    case 'root':
      return applyRoot(scene, command.root, point)
  }
}

/** The stop sign. It becomes the epoch when the block is committed (`openEpoch`). */
function applyReconfig(scene: Scene, document: Hash): GateState | undefined {
  const { state } = scene
  const config = scene.bodies.config(document)?.value
  if (config === undefined) return undefined
  const { epoch } = config
  return { ...state, next: { epoch, config, document, genesis: state.head, slot: state.slot } }
}

/** In force from the next block on; everything that the log holds so far was judged under the one before. */
function applyRoot(scene: Scene, document: Hash, point: GatePoint): GateState | undefined {
  const { state } = scene
  const root = scene.bodies.root?.(document)?.value
  if (root === undefined) return undefined
  const era = { ...point, root, document, before: state.evidence.vector }
  return { ...state, rootVersion: root.version, roots: [...state.roots, era] }
}

function applyAdmit(scene: Scene, id: RolloutId, point: GatePoint): GateState | undefined {
  const plan = planOf(scene, id)
  const release = plan === undefined ? undefined : scene.view.releases.get(plan.release)
  const part = plan?.groups.find((one) => one.group === scene.trust.config.group)
  if (plan === undefined || release === undefined || part === undefined) return undefined
  let state = scene.state
  for (const old of plan.supersedes) {
    if (state.rollouts.get(old)?.status !== 'open') continue
    const closed = applyClose({ ...scene, state }, old, 'superseded', point)
    if (closed === undefined) return undefined
    state = closed
  }
  const rollout: GateRollout = {
    rollout: id,
    admitted: point,
    rootVersion: scene.trust.root.version,
    revoked: revokedKeys(scene.view),
    status: 'open',
    waves: part.waves,
    starts: new Map(),
    skips: new Map(),
  }
  const { channel, version, minVersion } = release.body
  const mark = state.channels.get(channel)
  return {
    ...state,
    rollouts: new Map(state.rollouts).set(id, rollout),
    hosts: touch(state.hosts, hostsOf(rollout), { touched: point, last: id, claimedBy: id }),
    channels: new Map(state.channels).set(channel, {
      version: Math.max(version, mark?.version ?? 0),
      minVersion: Math.max(minVersion, mark?.minVersion ?? 0),
    }),
  }
}

function applyClose(
  scene: Scene,
  id: RolloutId,
  outcome: Outcome,
  point: GatePoint,
): GateState | undefined {
  const stage = stageOf(scene, id)
  if (stage === undefined) return undefined
  const { state } = scene
  const hosts = new Map(state.hosts)
  for (const host of hostsOf(stage.rollout)) {
    const before = hosts.get(host)
    if (before?.claimedBy === id) hosts.set(host, { touched: point, last: before.last })
  }
  const closedBreached = stage.standing.breached
  const closed = changeRollout(state, id, (one) => ({
    ...one,
    status: outcome,
    closed: point,
    closedBreached,
  }))
  return { ...closed, hosts }
}

function changeRollout(
  state: GateState,
  id: RolloutId,
  change: (rollout: GateRollout) => GateRollout,
): GateState {
  const rollout = state.rollouts.get(id)
  if (rollout === undefined) return state
  return { ...state, rollouts: new Map(state.rollouts).set(id, change(rollout)) }
}

function touch(
  hosts: ReadonlyMap<HostName, GateHost>,
  names: readonly HostName[],
  value: GateHost,
): ReadonlyMap<HostName, GateHost> {
  const next = new Map(hosts)
  for (const name of names) next.set(name, value)
  return next
}
