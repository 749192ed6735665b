/**
 * One step of the gate machine: a message, a timer or a fact comes in, votes and blocks go out
 * (SPEC §7.1).
 *
 * Every step ends the same way: work out states, commit, vote, propose, set the timer. What a step
 * does depends on nothing but the machine, the event and the rules, so any order of arrival is safe
 * and a restored machine goes on where its journal ends.
 */
import type { Block, BlockId, GateMessage } from '../protocol/index.ts'
import {
  askOnce,
  carriesRequest,
  commitFinal,
  enterEpoch,
  groundOf,
  growChain,
  isUnsettled,
  newestTip,
  parentFor,
  proposalAt,
  type Tip,
  takeBlock,
} from './gate-chain.ts'
import { decides, mayDecide, mayStand, strengthen } from './gate-liars.ts'
import { GRACE_SHARE, VIEW_GROWTH } from './gate-limits.ts'
import {
  type Draft,
  type GateEffect,
  type GateEvent,
  type GateMachine,
  type GateRules,
  type GateTimer,
  type GateTurn,
  isVoter,
  leaderOf,
  NO_FLOOR,
  turnWith,
  type VoteFloor,
} from './gate-machine.ts'
import { answer, sayAgain, summary } from './gate-repair.ts'
import type { GateState } from './gate-state.ts'
import {
  castVote,
  certificateAt,
  notarizedAt,
  notarizedViews,
  takeCertificate,
  takeVote,
} from './gate-votes.ts'

/**
 * The machine after `event`, and what the node has to do, in order.
 *
 * `rules` must answer from what the node holds at this moment; own votes and blocks come back as
 * messages once they are on the disk.
 */
export function stepGate(machine: GateMachine, event: GateEvent, rules: GateRules): GateTurn {
  const start: GateTurn = { machine, effects: [] }
  switch (event.kind) {
    case 'message':
      return settle(takeMessage(start, event.message, rules), rules)
    case 'changed':
      return settle(start, rules)
    case 'timer':
      return settle(takeTimer(start, event.view), rules)
    case 'restore':
      return restore(start, event.message, rules)
    case 'restart':
      return restart(start, event.floor ?? NO_FLOOR, rules)
    case 'repair':
      return askAgain(turnWith(start, {}, ...answer(machine, event.have)), rules)
    case 'recover':
      return enterEpoch(start, event.state)
  }
}

/** The state after the newest notarized block that could be worked out: what the next block stands on. */
export function newestNotarizedTip(machine: GateMachine): GateState {
  return newestTip(machine).state
}

/** The state after the newest committed block. */
export function committedState(machine: GateMachine): GateState {
  return machine.committed.state
}

/**
 * Blocks above the commit that this voter has voted to notarize, by view.
 *
 * A lease is granted only if none of them forbids it (SPEC §7.5). A vote counts from the step that
 * casts it, before it is journaled.
 */
export function votedBlocks(machine: GateMachine): readonly Block[] {
  return [...machine.own.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, own]) => machine.blocks.get(own.notarize ?? '')?.block)
    .filter((block) => block !== undefined)
}

function takeMessage(turn: GateTurn, message: GateMessage, rules: GateRules): GateTurn {
  switch (message.kind) {
    case 'block':
      return takeBlock(turn, message.block)
    case 'vote':
      return strengthen(takeVote(turn, message.vote), rules)
    case 'certificate':
      return strengthen(takeCertificate(turn, message.certificate), rules, message.certificate)
  }
}

/** Takes a journaled message in; what it committed and what froze the machine is said again. */
function restore(turn: GateTurn, message: GateMessage, rules: GateRules): GateTurn {
  const grown = growChain(takeMessage(turn, message, rules), rules)
  const { machine, effects } = commitFinal(grown, (one) => decides(grown.machine, one, rules))
  const told = effects.filter(({ kind }) => TOLD.has(kind))
  return { machine, effects: told }
}

/** What a restored message may bring about; everything else was said in the life before. */
const TOLD: ReadonlySet<GateEffect['kind']> = new Set(['committed', 'conflict', 'epoch'])

function restart(turn: GateTurn, floor: VoteFloor, rules: GateRules): GateTurn {
  const awake = turnWith(turn, { floor, timer: undefined, asked: new Set() })
  const settled = settle(awake, rules)
  const ask = { kind: 'repair', have: summary(settled.machine) } as const
  return turnWith(settled, {}, ...sayAgain(settled.machine), ask)
}

/** A sync is also the moment to ask once more for what did not come. */
function askAgain(turn: GateTurn, rules: GateRules): GateTurn {
  return turn.machine.frozen ? turn : growChain(turnWith(turn, { asked: new Set() }), rules)
}

/** The timeout of the view: vote to skip it (R3), and say and ask again whatever may have been lost. */
function takeTimer(turn: GateTurn, view: number): GateTurn {
  const { machine } = turn
  const { timer } = machine
  if (timer?.view !== view || view !== machine.view || machine.frozen) return turn
  if (timer.stage === 'grace') {
    const ms = Math.ceil(timer.patience * (1 - GRACE_SHARE))
    return turnWith(turn, { timer: { ...timer, stage: 'full' } }, { kind: 'timer', view, ms })
  }
  const again = sayAgain(machine)
  const voted = castVote(turn, 'skip', { view })
  const rest = { timer: undefined, timeouts: machine.timeouts + 1, asked: new Set<BlockId>() }
  return turnWith(voted, rest, ...again, { kind: 'repair', have: summary(machine) })
}

function settle(turn: GateTurn, rules: GateRules): GateTurn {
  if (turn.machine.frozen) return keepTimer(turn, { busy: false, leads: false })
  const grown = growChain(turn, rules)
  const committed = commitFinal(grown, (one) => decides(grown.machine, one, rules))
  if (committed.machine.frozen || !isVoter(committed.machine)) {
    return keepTimer(committed, { busy: false, leads: false })
  }
  const tip = newestTip(committed.machine)
  const wish = rules.draft(tip.state)
  const considered = considerProposal(voteFinal(committed, rules), rules)
  const proposed = propose(considered.turn, { tip, wish }, rules)
  const busy = wish !== undefined || considered.open || isBusy(proposed.machine, tip)
  return keepTimer(proposed, { busy, leads: wish === undefined && mayPropose(proposed.machine) })
}

/** R4: final votes on what is notarized, in every view that this voter did not vote to skip. */
function voteFinal(turn: GateTurn, rules: GateRules): GateTurn {
  return notarizedViews(turn.machine).reduce((next, view) => {
    const certificate = certificateAt(next.machine, 'notarize', view)
    const block = certificate?.body.block
    if (certificate === undefined || block === undefined) return next
    if (!mayDecide(next.machine, certificate, rules)) return next
    return castVote(next, 'final', { view, block })
  }, turn)
}

/** R1, R2: votes for the proposal of this view if it holds; `open` while it holds or may come to. */
function considerProposal(turn: GateTurn, rules: GateRules): { turn: GateTurn; open: boolean } {
  const { machine } = turn
  const { view } = machine
  const block = proposalAt(machine, view)
  if (block === undefined) return { turn, open: false }
  const ground = groundOf(machine, block)
  if (ground === undefined) return { turn, open: carriesRequest(block.body) }
  if (!carriesRequest(block.body) && !mayBeEmpty(machine, block, ground)) {
    return { turn, open: false }
  }
  const judgement = rules.judge(block, ground)
  switch (judgement.kind) {
    case 'invalid':
      return { turn, open: false }
    case 'wait': {
      const effect = { kind: 'await', block, why: judgement.why } as const
      return { turn: askOnce(turn, block.id, effect), open: true }
    }
    case 'valid': {
      if (!mayStand(machine, block, rules)) return { turn, open: true }
      return { turn: castVote(turn, 'notarize', { view, block: block.id }), open: true }
    }
  }
}

/** An empty block changes nothing, and only carries on a branch with something undecided. */
function mayBeEmpty(machine: GateMachine, block: Block, ground: GateState): boolean {
  const { parent, rootVersion, view } = block.body
  // Who is in doubt may not skip this view where others notarized: voting is the only way out of it.
  const inDoubt = view <= machine.floor.final && view > machine.floor.notarize
  return rootVersion === ground.rootVersion && (inDoubt || isUnsettled(machine, parent))
}

/** R1: the leader's one block of the view; an empty one only when the view's grace is over. */
function propose(
  turn: GateTurn,
  newest: { tip: Tip; wish: Draft | undefined },
  rules: GateRules,
): GateTurn {
  const { machine } = turn
  const { config, view, timer } = machine
  const parent = mayPropose(machine) ? parentFor(machine, view) : undefined
  if (parent === undefined) return turn
  const { block, state } = parent
  const wish = block === newest.tip.block ? newest.wish : rules.draft(state)
  const patient = timer?.view !== view || timer.stage === 'grace'
  if (wish === undefined && (patient || !isUnsettled(machine, block))) return turn
  const { group, epoch } = config
  const { commands, rootVersion, basis } = wish ?? emptyOn(state)
  const body = { group, epoch, view, parent: block, commands, rootVersion, basis }
  return turnWith(vouch(turn, parent), { proposed: view }, { kind: 'propose', body })
}

function emptyOn({ rootVersion }: GateState): Draft {
  return { commands: [], rootVersion, basis: [] }
}

function mayPropose({ config, view, proposed, floor }: GateMachine): boolean {
  return leaderOf(config, view) === config.self && proposed < view && floor.final < view
}

/** After skipped views a voter may have missed the parent's certificate: it goes with the proposal. */
function vouch(turn: GateTurn, parent: Tip): GateTurn {
  const { machine } = turn
  const { committed, view } = machine
  const certificate =
    parent.view === committed.view
      ? committed.certificate
      : machine.certificates.get(parent.view)?.find((one) => one.kind !== 'skip')
  if (certificate === undefined || parent.view === view - 1) return turn
  return turnWith(turn, {}, { kind: 'publish', message: { kind: 'certificate', certificate } })
}

/** Something notarized is undecided, or cannot be worked out yet. */
function isBusy(machine: GateMachine, tip: Tip): boolean {
  const newest = notarizedViews(machine).at(-1)
  const unread = newest !== undefined && notarizedAt(machine, newest) !== tip.block
  return unread || isUnsettled(machine, tip.block)
}

/** A timer runs only while there is something to decide: an idle group is silent. */
function keepTimer(turn: GateTurn, { busy, leads }: { busy: boolean; leads: boolean }): GateTurn {
  const { view, timer } = turn.machine
  if (!busy) {
    return timer === undefined ? turn : turnWith(turn, { timer: undefined }, { kind: 'timer-off' })
  }
  const patience = patienceOf(turn.machine)
  if (timer?.view === view && timer.patience <= patience) return turn
  const next: GateTimer = { view, stage: leads ? 'grace' : 'full', patience }
  const ms = leads ? Math.ceil(patience * GRACE_SHARE) : patience
  return turnWith(turn, { timer: next }, { kind: 'timer', view, ms })
}

/** How long this view may last, in ms: longer with every skip in a row and every timeout in it. */
function patienceOf({ config, skips, timeouts }: GateMachine): number {
  const grown = config.viewMs * VIEW_GROWTH ** (skips + timeouts)
  return Math.ceil(Math.min(grown, config.viewMsMax))
}
