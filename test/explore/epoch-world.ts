/**
 * Where voters change (SPEC §7.7): a log in which nothing is decided yet, an announced configuration,
 * plans that wait, and the shipped rules over all of it. The next epoch has the same voters, so that
 * nothing but the epoch keeps their old votes out of it.
 */
import type { Block, BlockId, Command, VoteKind } from '../../protocol/index.ts'
import { nextConfig } from '../../rollout/epochs.ts'
import { gateRules } from '../../rollout/gate-judge.ts'
import { type GateConfig, type GateRules, leaderOf } from '../../rollout/gate-machine.ts'
import type { GateState } from '../../rollout/gate-state.ts'
import { voterKeys } from '../../rollout/trust.ts'
import { fakeBlock } from '../unit/rollout/gate-fakes.ts'
import { World } from '../unit/rollout/world.ts'
import { Catalogue } from './catalogue.ts'

const VIEWS = 2
const KINDS: readonly VoteKind[] = ['notarize', 'final']

export interface EpochWorld {
  /** Of the first epoch. */
  readonly config: GateConfig
  readonly state: GateState
  readonly rules: GateRules
  /** Every block there is, and a number for every ballot. */
  readonly catalogue: Catalogue
}

/** What there is: rivals of the change and on it, or what is decided first in the next epoch. */
export type EpochPart = 'stop sign' | 'next epoch'

export function epochWorld(options: { n: number; quorum: number; part: EpochPart }): EpochWorld {
  const { n, quorum, part } = options
  const world = new World({ hosts: n, voters: n, faultModel: n >= 4 ? 'byzantine' : 'crash' })
  const [one, two] = [['h01'], ['h02']].map((wave) => {
    return { kind: 'admit', rollout: world.plan({ waves: [wave] }).id } as const
  })
  const { document } = world.configure(world.nextConfig({}))
  if (one === undefined || two === undefined) throw new Error('expected two plans')
  const { fleet, genesis } = world.trust
  const { group, epoch, timing } = world.trust.config
  const config: GateConfig = {
    ...{ fleet, group, epoch, genesis, quorum, voters: voterKeys(world.trust) },
    ...{ viewMs: timing.viewMs, viewMsMax: timing.viewMsMax },
  }
  const { basis } = world.block([one]).body
  const block = (
    of: GateConfig,
    place: { view: number; parent: BlockId },
    what: Command[],
  ): Block => {
    const full = place.parent === genesis
    const rest = { commands: what, rootVersion: 1, basis: full ? basis : [] }
    const body = { group, epoch: of.epoch, ...place, ...rest }
    return fakeBlock(body, leaderOf(of, place.view) ?? '')
  }
  const change = block(config, { view: 1, parent: genesis }, [
    { kind: 'reconfig', config: document },
  ])
  const rival = block(config, { view: 1, parent: genesis }, [one])
  const begun = { epoch: epoch + 1, config: world.nextConfig({}), genesis: change.id }
  const next: GateConfig = { ...nextConfig(config, begun), quorum }
  // On the stop sign: an empty block, which carries its certificate, and one that may not be.
  const empty = block(config, { view: 2, parent: change.id }, [])
  const refused = block(config, { view: 2, parent: change.id }, [two])
  const later = block(config, { view: 2, parent: rival.id }, [two])
  const first = block(next, { view: 1, parent: change.id }, [one])
  const blocks = {
    'stop sign': [change, rival, empty, refused, later],
    'next epoch': [change, empty, first],
  }[part]
  const catalogue = new Catalogue(config, [])
  for (const made of blocks) catalogue.give(made)
  for (const { id, body } of blocks) {
    for (const kind of KINDS) {
      catalogue.numberOfBallot({ kind, epoch: body.epoch, view: body.view, block: id })
    }
  }
  for (const of of [epoch, epoch + 1]) {
    for (let view = 1; view <= VIEWS; view++) {
      catalogue.numberOfBallot({ kind: 'skip', epoch: of, view })
    }
  }
  return { config, state: world.state, rules: gateRules(world.held()), catalogue }
}

/** Views of each epoch that have blocks and timers. */
export const EPOCH_VIEWS: number = VIEWS
