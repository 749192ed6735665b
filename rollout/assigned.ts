/** The observers that a rollout's admission gave each host, and how many of them decide (SPEC §11). */
import type { BlockId, GroupConfig, HostName, KeyId } from '../protocol/index.ts'
import type { GateRollout, GateStart } from './gate-state.ts'
import { drawObservers, type WitnessesNeeded, witnessesNeeded } from './observers.ts'
import { configOfEpoch, type Trust } from './trust.ts'

/** The members who watch one host in one round, with their keys and how many of them decide. */
export interface Panel {
  readonly observers: readonly HostName[]
  /** Their fact keys, in the same order. */
  readonly keys: readonly KeyId[]
  readonly needed: WitnessesNeeded
}

/**
 * Who watches `host` after `start`: drawn by the hash of the block that admitted the rollout, over the
 * members of the epoch that started it. A later epoch changes neither them nor how many of them decide,
 * or else a failure that was proven once would be taken back. Before a start, the members of now.
 */
export function panelOf(
  trust: Trust,
  rollout: Pick<GateRollout, 'admitted'>,
  host: HostName,
  start: Pick<GateStart, 'epoch'> | undefined,
): Panel {
  const config = configOfEpoch(trust, start?.epoch ?? trust.config.epoch) ?? trust.config
  const { block } = rollout.admitted
  const ofBlock = drawsOf(config, block)
  const before = ofBlock.get(host)
  if (before !== undefined) return before
  const observers = drawObservers({ admitBlock: block, host, members: config.hosts })
  const panel: Panel = {
    observers,
    keys: observers.flatMap((name) => config.hosts.find((one) => one.name === name)?.fact ?? []),
    needed: witnessesNeeded({ k: observers.length, faultModel: config.faultModel }),
  }
  ofBlock.set(host, panel)
  return panel
}

type Draws = Map<HostName, Panel>

/** Blocks whose draws are remembered, oldest out: more than are ever asked for in turns. */
const DRAWN_BLOCKS_MAX = 256

/** A draw hashes every member of the group; it never changes, and every new fact asks for it. */
const drawn = new WeakMap<GroupConfig, Map<BlockId, Draws>>()

function drawsOf(config: GroupConfig, block: BlockId): Draws {
  const ofConfig = drawn.get(config) ?? new Map<BlockId, Draws>()
  drawn.set(config, ofConfig)
  const before = ofConfig.get(block)
  if (before !== undefined) return before
  const [oldest] = ofConfig.keys()
  if (ofConfig.size >= DRAWN_BLOCKS_MAX && oldest !== undefined) ofConfig.delete(oldest)
  const draws: Draws = new Map()
  ofConfig.set(block, draws)
  return draws
}
