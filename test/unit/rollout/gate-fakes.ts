/**
 * A gate log without commands: requests are opaque ids, a request is drafted until the chain holds it.
 *
 * Signatures are left out, because the machine's caller checks them; ids are hashes of what they name.
 */
import type {
  Block,
  BlockBody,
  Certificate,
  GateMessage,
  GroupConfig,
  KeyId,
  RolloutId,
  Vote,
  VoteBody,
  VoteKind,
} from '../../../protocol/index.ts'
import { DEMO, quorumOf, sha256, toHex, utf8 } from '../../../protocol/index.ts'
import {
  type Accused,
  type GateConfig,
  type GateRules,
  leaderOf,
} from '../../../rollout/gate-machine.ts'
import { type GateRollout, type GateState, genesisState } from '../../../rollout/gate-state.ts'
import { NOBODY } from '../../../rollout/lies.ts'

export const GENESIS: string = '0'.repeat(64)
export const VIEW_MS = 100
export const VIEW_MS_MAX = 400

export function hashed(text: string): string {
  return toHex(sha256(utf8(text)))
}

/** Keys in the order that leaders rotate in: with this genesis the leader of view v is key v mod n. */
export function keys(count: number): readonly KeyId[] {
  return Array.from({ length: count }, (_, i) => i.toString(16).padStart(2, '0').repeat(32))
}

/** The i-th request; ids sort as their numbers do. */
export function request(i: number): RolloutId {
  return `${i.toString(16).padStart(8, '0')}${'e'.repeat(56)}`
}

export function fakeConfig(options: { n: number; quorum?: number; self?: KeyId }): GateConfig {
  const model = options.n >= 4 ? 'byzantine' : 'crash'
  return {
    fleet: 'f'.repeat(32),
    group: 'site',
    epoch: 1,
    genesis: GENESIS,
    voters: keys(options.n),
    quorum: options.quorum ?? quorumOf(options.n, model),
    viewMs: VIEW_MS,
    viewMsMax: VIEW_MS_MAX,
    ...(options.self === undefined ? {} : { self: options.self }),
  }
}

/** Changes of the voters, by the id of the request that asks for each. */
export type Changes = ReadonlyMap<RolloutId, GroupConfig>

/** The configuration of an epoch, as far as a gate machine reads it. */
export function fakeChange(epoch: number, voters: readonly KeyId[], quorum: number): GroupConfig {
  const hosts = voters.map((fact) => {
    return { name: fact, fact, transport: '', cosign: '', addresses: [], tags: [] }
  })
  const timing = { ...DEMO, viewMs: VIEW_MS, viewMsMax: VIEW_MS_MAX }
  const floors = { canaryMin: 0, soakMsMin: 0, wavePercentMax: 100, budgetMax: 250 }
  const known = { fleet: 'f'.repeat(32), group: 'site', floors, timing }
  return { ...known, epoch, hosts, voters, faultModel: 'crash', quorum }
}

export function fakeGenesis(): GateState {
  return genesisState(GENESIS, 1)
}

/** Voters that are proven to lie, by every basis and to everybody. */
export function proven(...liars: readonly KeyId[]): Accused {
  return { pinned: new Set(liars), held: new Set(liars), owed: false }
}

/** The rules of a node that holds these requests; `refused` ones are invalid to it. */
export function fakeRules(
  held: ReadonlySet<RolloutId>,
  refused: ReadonlySet<RolloutId> = new Set(),
  changes: Changes = new Map(),
  accused: Accused = NOBODY,
): GateRules {
  const lacks = (block: Block) => requestsOf(block).some((id) => !held.has(id))
  return {
    accused: () => accused,
    judge(block, parent) {
      const wrong = againstEpoch(block, parent, changes)
      if (wrong !== undefined) return { kind: 'invalid', why: wrong }
      const ids = requestsOf(block)
      const repeated = new Set(ids).size < ids.length || ids.some((id) => parent.rollouts.has(id))
      if (repeated) return { kind: 'invalid', why: 'decided already' }
      if (ids.some((id) => refused.has(id))) return { kind: 'invalid', why: 'refused' }
      if (lacks(block)) return { kind: 'wait', why: 'request not held' }
      return { kind: 'valid', state: stateAfter(block, parent, changes) }
    },
    apply: (block, parent) => (lacks(block) ? undefined : stateAfter(block, parent, changes)),
    draft(parent) {
      if (parent.next !== undefined) return undefined
      const change = [...held].find((id) => changes.get(id)?.epoch === parent.epoch + 1)
      if (change !== undefined) {
        return { commands: [{ kind: 'reconfig', config: change }], rootVersion: 1, basis: [] }
      }
      const open = [...held]
        .filter((id) => !parent.rollouts.has(id) && !refused.has(id) && !changes.has(id))
        .sort()
      if (open.length === 0) return undefined
      const commands = open.slice(0, 2).map((rollout) => ({ kind: 'admit', rollout }) as const)
      return { commands, rootVersion: 1, basis: [] }
    },
  }
}

export function requestsOf(block: Block): readonly RolloutId[] {
  return block.body.commands.map((command) => {
    if (command.kind === 'root') return command.root
    return command.kind === 'reconfig' ? command.config : command.rollout
  })
}

/** A stop sign bears empty blocks alone; a change is of the next epoch, and alone in its block. */
function againstEpoch({ body }: Block, parent: GateState, changes: Changes): string | undefined {
  const ids = body.commands.flatMap((one) => (one.kind === 'reconfig' ? one.config : []))
  if (parent.next !== undefined) return body.commands.length > 0 ? 'a stop sign' : undefined
  if (ids.length === 0) return undefined
  const next = ids.every((id) => changes.get(id)?.epoch === parent.epoch + 1)
  return next && body.commands.length === 1 ? undefined : 'not the next change'
}

function stateAfter(block: Block, parent: GateState, changes: Changes): GateState {
  const [change] = requestsOf(block).filter((id) => changes.has(id))
  const config = changes.get(change ?? '')
  if (change !== undefined && config !== undefined) {
    const place = { head: block.id, view: block.body.view, slot: parent.slot + 1 }
    const { epoch } = config
    const next = { epoch, config, document: change, genesis: block.id, slot: place.slot }
    return { ...parent, ...place, next }
  }
  const ids = requestsOf(block)
  const slot = parent.slot + (ids.length > 0 ? 1 : 0)
  const admitted = ids.map((rollout): [RolloutId, GateRollout] => [
    rollout,
    {
      rollout,
      admitted: { block: block.id, slot },
      rootVersion: 1,
      revoked: new Set(),
      status: 'open',
      waves: [],
      starts: new Map(),
      skips: new Map(),
    },
  ])
  const rollouts = new Map([...parent.rollouts, ...admitted])
  return { ...parent, head: block.id, view: block.body.view, slot, rollouts }
}

export function fakeBlock(body: BlockBody, leader: KeyId): Block {
  const text = JSON.stringify([leader, body])
  return { id: hashed(text), leader, body, bytes: utf8(text) }
}

/** The block of the rightful leader of `view`. */
export function blockAt(
  config: GateConfig,
  place: { view: number; parent?: string; requests?: readonly RolloutId[] },
): Block {
  const { view, parent = GENESIS, requests = [] } = place
  const { group, epoch } = config
  const commands = requests.map((rollout) => ({ kind: 'admit', rollout }) as const)
  const body = { group, epoch, view, parent, commands, rootVersion: 1, basis: [] }
  return fakeBlock(body, leaderOf(config, view) ?? '')
}

export function fakeVote(kind: VoteKind, body: VoteBody, voter: KeyId): Vote {
  const text = JSON.stringify([kind, voter, body.view, body.block ?? ''])
  return { kind, voter, body, signature: utf8(text), bytes: utf8(text) }
}

/** A vote of the i-th voter. */
export function voteOf(config: GateConfig, i: number, kind: VoteKind, on: Block | number): Vote {
  const { group, epoch } = config
  const place = { group, epoch, view: typeof on === 'number' ? on : on.body.view }
  const body = typeof on === 'number' ? place : { ...place, block: on.id }
  return fakeVote(kind, body, config.voters[i] ?? '')
}

/** A certificate of the first voters that suffice. */
export function certificateOf(config: GateConfig, kind: VoteKind, on: Block | number): Certificate {
  const votes = config.voters
    .slice(0, config.quorum)
    .map((_, i) => voteOf(config, i, kind, on))
    .map(({ voter, signature }) => ({ voter, signature }))
  return { kind, body: voteOf(config, 0, kind, on).body, votes }
}

export function asMessage(value: Block | Vote | Certificate): GateMessage {
  if ('leader' in value) return { kind: 'block', block: value }
  if ('voter' in value) return { kind: 'vote', vote: value }
  return { kind: 'certificate', certificate: value }
}
