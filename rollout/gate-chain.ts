/**
 * Blocks as a tree above the commit: what may stand on what, which branch is newest, and how a
 * final certificate turns a branch into log (SPEC §7.1 R1, R5).
 *
 * States are worked out for certified blocks only, oldest first; a block whose own or whose
 * parents' facts are missing waits, and everything on it waits too.
 */
import type { Block, BlockBody, BlockId, Certificate } from '../protocol/index.ts'
import { nextConfig, openEpoch } from './epochs.ts'
import { BLOCKS_PER_VIEW_MAX, TRAIL_MAX, VIEWS_AHEAD_MAX } from './gate-limits.ts'
import {
  type GateEffect,
  type GateMachine,
  type GateRules,
  type GateTurn,
  type HeldBlock,
  leaderOf,
  newGateMachine,
  SILENT,
  turnWith,
} from './gate-machine.ts'
import type { GateState } from './gate-state.ts'
import {
  allSkipped,
  certificateAt,
  freeze,
  isOurs,
  notarizedAt,
  notarizedViews,
} from './gate-votes.ts'

/** A block that others may stand on, and the state after it. */
export interface Tip {
  readonly block: BlockId
  readonly view: number
  readonly state: GateState
}

/** Whether a block decides anything: commands, or a newer basis. All others only carry the chain. */
export function carriesRequest(body: Pick<BlockBody, 'commands' | 'basis'>): boolean {
  return body.commands.length > 0 || body.basis.length > 0
}

/** The block of `view` that this voter may vote for: the first that came of its leader. */
export function proposalAt(machine: GateMachine, view: number): Block | undefined {
  for (const { block } of machine.blocks.values()) if (block.body.view === view) return block
  return undefined
}

/** The state on which R1 lets `block` stand; undefined while certificates or facts for it are missing. */
export function groundOf(machine: GateMachine, { body }: Block): GateState | undefined {
  const parent = tipAt(machine, body.parent)
  if (parent === undefined || parent.view >= body.view) return undefined
  const notarized =
    parent.view === machine.committed.view || notarizedAt(machine, parent.view) === parent.block
  const between = { below: parent.view, above: body.view }
  return notarized && allSkipped(machine, between) ? parent.state : undefined
}

/** The newest block that a proposal in `view` may stand on (R1), if the certificates for one are held. */
export function parentFor(machine: GateMachine, view: number): Tip | undefined {
  for (let below = view - 1; below > machine.committed.view; below--) {
    const tip = tipAt(machine, notarizedAt(machine, below))
    if (tip !== undefined) return tip
    if (certificateAt(machine, 'skip', below) === undefined) return undefined
  }
  return commitTip(machine)
}

/** The newest notarized block whose state is known; the commit when there is none. */
export function newestTip(machine: GateMachine): Tip {
  const tips = notarizedViews(machine).map((view) => tipAt(machine, notarizedAt(machine, view)))
  return tips.findLast((tip) => tip !== undefined) ?? commitTip(machine)
}

/** Whether something is decided on the branch of `tip` that no final certificate covers yet. */
export function isUnsettled(machine: GateMachine, tip: BlockId): boolean {
  return branchTo(machine, tip).blocks.some(({ block }) => carriesRequest(block.body))
}

/** Takes a block in: from its leader, from a repair, or because it was asked for. */
export function takeBlock(turn: GateTurn, block: Block): GateTurn {
  const { machine } = turn
  const { view } = block.body
  if (!isOurs(machine, block.body) || machine.blocks.has(block.id)) return turn
  if (block.leader !== leaderOf(machine.config, view)) return turn
  const beside = [...machine.blocks.values()].filter((one) => one.block.body.view === view)
  const near = view > machine.committed.view && view <= machine.view + VIEWS_AHEAD_MAX
  const certified = machine.asked.has(block.id) || notarizedAt(machine, view) === block.id
  if (!certified && !(near && beside.length < BLOCKS_PER_VIEW_MAX)) return turn
  const blocks = new Map(machine.blocks).set(block.id, { block, state: undefined })
  const asked = new Set([...machine.asked].filter((id) => id !== block.id))
  const kept = turnWith(
    turn,
    { blocks, asked },
    { kind: 'keep', message: { kind: 'block', block } },
  )
  return noteProposal(accuseLeader(kept, block, beside[0]?.block), block)
}

/** Works out the states of certified blocks, and asks for what is missing to do so. */
export function growChain(turn: GateTurn, rules: GateRules): GateTurn {
  return notarizedViews(turn.machine).reduce((grown, view) => {
    const id = notarizedAt(grown.machine, view)
    return id === undefined ? grown : growBranch(grown, id, rules)
  }, turn)
}

/** Commits what final certificates cover that decide, as far as the states are known (R5). */
export function commitFinal(turn: GateTurn, decides: (one: Certificate) => boolean): GateTurn {
  return notarizedViews(turn.machine).reduce((next, view) => {
    const certificate = certificateAt(next.machine, 'final', view)
    const waits = certificate === undefined || !decides(certificate)
    return waits ? next : commitBranch(next, certificate)
  }, turn)
}

/** The blocks from `tip` down to the commit, excluded, as far as they are held. */
export function branchIds(machine: GateMachine, tip: BlockId): ReadonlySet<BlockId> {
  return new Set(branchTo(machine, tip).blocks.map(({ block }) => block.id))
}

/** Says once that this block's facts, or the block itself, are needed. */
export function askOnce(turn: GateTurn, id: BlockId, effect: GateEffect): GateTurn {
  const { asked } = turn.machine
  return asked.has(id) ? turn : turnWith(turn, { asked: new Set(asked).add(id) }, effect)
}

/** The blocks from the commit, excluded, to `tip`, oldest first, as far as the branch is held. */
interface Branch {
  readonly blocks: readonly HeldBlock[]
  /** Where the way down ended: at the commit, at a block that is not held, or beside the commit. */
  readonly root: 'commit' | 'missing' | 'beside'
  readonly end: BlockId
}

function branchTo(machine: GateMachine, tip: BlockId): Branch {
  const { committed, trail } = machine
  const blocks: HeldBlock[] = []
  let end = tip
  while (end !== committed.block) {
    const held = machine.blocks.get(end)
    const below = held !== undefined && held.block.body.view <= committed.view
    if (below || trail.some((place) => place.block === end)) return { blocks, root: 'beside', end }
    if (held === undefined) return { blocks, root: 'missing', end }
    blocks.unshift(held)
    end = held.block.body.parent
  }
  return { blocks, root: 'commit', end }
}

function growBranch(turn: GateTurn, tip: BlockId, rules: GateRules): GateTurn {
  const branch = branchTo(turn.machine, tip)
  const { end } = branch
  if (branch.root === 'missing') return askOnce(turn, end, { kind: 'want', block: end })
  if (branch.root === 'beside') return turn
  const blocks = new Map(turn.machine.blocks)
  let parent = turn.machine.committed.state
  for (const { block, state: known } of branch.blocks) {
    const state = known ?? rules.apply(block, parent)
    if (state === undefined) {
      const why = 'facts or bodies under the basis of a certified block are not held'
      return askOnce(turnWith(turn, { blocks }), block.id, { kind: 'await', block, why })
    }
    blocks.set(block.id, { block, state })
    parent = state
  }
  return turnWith(turn, { blocks })
}

function commitBranch(turn: GateTurn, certificate: Certificate): GateTurn {
  const { machine } = turn
  const branch = branchTo(machine, certificate.body.block ?? machine.committed.block)
  if (machine.frozen || branch.root === 'missing') return turn
  if (branch.root === 'beside') {
    return freeze(turn, [machine.committed.certificate, certificate].filter(isGiven))
  }
  const ready: { block: Block; state: GateState; tail: readonly Block[] }[] = []
  for (const [i, { block, state }] of branch.blocks.entries()) {
    if (state === undefined) break
    // A reconfig ends the epoch: what stands on it is empty, and never enters the log.
    const ends = state.next !== undefined
    const tail = ends ? branch.blocks.slice(i + 1).map((one) => one.block) : []
    ready.push({ block, state: openEpoch(state), tail })
    if (ends) break
  }
  const last = ready.at(-1)
  if (last === undefined) return turn
  const { id, body } = last.block
  const committed = { block: id, view: body.view, state: last.state, certificate }
  const told = ready.map((one) => ({ kind: 'committed', ...one, certificate }) as const)
  if (last.state.epoch > machine.config.epoch) {
    return enterEpoch(turnWith(turn, {}, ...told), last.state)
  }
  const passed = ready.map(({ block }) => ({ view: block.body.view, block: block.id }))
  return turnWith(
    turn,
    {
      ...pruned(machine, body.view),
      committed,
      trail: [...machine.trail, ...passed].slice(-TRAIL_MAX),
    },
    ...told,
  )
}

/**
 * The machine of the epoch that begins at `state`: every vote, block and certificate of the old one is
 * void. It is silent until a `restart`, because this voter may have been here before (SPEC §7.6).
 */
export function enterEpoch(turn: GateTurn, state: GateState): GateTurn {
  const { config, timer } = turn.machine
  const begun = state.epochs.at(-1)
  if (begun === undefined || begun.epoch <= config.epoch) return turn
  const machine = newGateMachine(nextConfig(config, begun), state)
  const off = timer === undefined ? [] : [{ kind: 'timer-off' } as const]
  const effects = [...turn.effects, ...off, { kind: 'epoch', state } as const]
  return { machine: { ...machine, floor: SILENT }, effects }
}

/** What is left above a commit at `view`; patience starts anew. */
function pruned(machine: GateMachine, view: number): Partial<GateMachine> {
  return {
    blocks: new Map([...machine.blocks].filter(([, held]) => held.block.body.view > view)),
    votes: above(machine.votes, view),
    certificates: above(machine.certificates, view),
    own: above(machine.own, view),
    asked: new Set(),
    skips: 0,
    timeouts: 0,
  }
}

function above<T>(byView: ReadonlyMap<number, T>, view: number): ReadonlyMap<number, T> {
  return new Map([...byView].filter(([one]) => one > view))
}

function tipAt(machine: GateMachine, id: BlockId | undefined): Tip | undefined {
  if (id === machine.committed.block) return commitTip(machine)
  const held = id === undefined ? undefined : machine.blocks.get(id)
  if (held?.state === undefined) return undefined
  return { block: held.block.id, view: held.block.body.view, state: held.state }
}

function commitTip({ committed }: GateMachine): Tip {
  return { block: committed.block, view: committed.view, state: committed.state }
}

/** A restart must not propose twice in a view either: its own block comes back from the journal. */
function noteProposal(turn: GateTurn, block: Block): GateTurn {
  if (block.leader !== turn.machine.config.self) return turn
  return turnWith(turn, { proposed: Math.max(turn.machine.proposed, block.body.view) })
}

/** Two blocks of one leader in one view (E4). */
function accuseLeader(turn: GateTurn, block: Block, earlier: Block | undefined): GateTurn {
  if (earlier === undefined) return turn
  const messages = [earlier.bytes, block.bytes] as const
  return turnWith(turn, {}, { kind: 'equivocation', author: block.leader, messages })
}

function isGiven<T>(value: T | undefined): value is T {
  return value !== undefined
}
