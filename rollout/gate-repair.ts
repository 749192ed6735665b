/**
 * Mending what the network lost: summaries, answers, and own votes sent again (SPEC §7.5).
 *
 * Gossip may lose anything. At each sync and each timeout nodes hand each other a summary, and the
 * one that holds more answers: committed blocks from its store (`serve`), the rest from here.
 */
import type { Block, GateMessage } from '../protocol/index.ts'
import { newestTip } from './gate-chain.ts'
import { REPAIR_BLOCKS_MAX, REPAIR_CERTIFICATES_MAX } from './gate-limits.ts'
import type { GateEffect, GateMachine, GateSummary } from './gate-machine.ts'
import { allSkipped, certificateAt, notarizedViews } from './gate-votes.ts'

/** How far this machine is, for a peer to answer. */
export function summary(machine: GateMachine): GateSummary {
  const { committed, view } = machine
  const notarized = notarizedViews(machine).at(-1) ?? committed.view
  let missing = notarized + 1
  while (missing < view && allSkipped(machine, { below: missing - 1, above: missing + 1 }))
    missing++
  return {
    epoch: machine.config.epoch,
    slot: committed.state.slot,
    view,
    committedView: committed.view,
    committed: committed.block,
    missing,
  }
}

/** What a peer with this summary lacks; bounded, and the next exchange goes on where this one ended. */
export function answer(machine: GateMachine, have: GateSummary): readonly GateEffect[] {
  const { epoch, view, committedView } = have
  const serve: GateEffect = { kind: 'serve', epoch, above: committedView }
  if (epoch !== machine.config.epoch) return epoch < machine.config.epoch ? [serve] : []
  const deep = committedView < machine.committed.view ? [serve] : []
  const messages = [...branches(machine, have), ...skips(machine, have)]
  const votes = view <= machine.view ? ownVotes(machine) : []
  return [...deep, ...[...messages, ...votes].map(publish)]
}

/** What this voter says again when nothing moves: its votes on what is open, and its proposal. */
export function sayAgain(machine: GateMachine): readonly GateEffect[] {
  const own = proposals(machine).filter((block) => block.leader === machine.config.self)
  return [...own.map(asMessage), ...ownVotes(machine)].map(publish)
}

/** Own votes on the newest notarized block and above it, byte for byte as they were journaled. */
function ownVotes(machine: GateMachine): readonly GateMessage[] {
  const from = newestTip(machine).view
  return [...machine.votes]
    .filter(([view]) => view >= from)
    .flatMap(([, votes]) => votes.filter((vote) => vote.voter === machine.config.self))
    .map((vote) => ({ kind: 'vote', vote }))
}

/** The newest notarized blocks with their certificates, and the proposals of the current view. */
function branches(machine: GateMachine, have: GateSummary): readonly GateMessage[] {
  const notarized = notarizedViews(machine)
    .filter((view) => view > have.committedView)
    .slice(-REPAIR_BLOCKS_MAX)
    .flatMap((view) => {
      const certificates =
        machine.certificates.get(view)?.filter((one) => one.kind !== 'skip') ?? []
      const ids = new Set(certificates.map((one) => one.body.block))
      const blocks = [...machine.blocks.values()].filter(({ block }) => ids.has(block.id))
      return [
        ...blocks.map(({ block }) => asMessage(block)),
        ...certificates.map((certificate) => ({ kind: 'certificate', certificate }) as const),
      ]
    })
  return [...notarized, ...proposals(machine).map(asMessage)]
}

/** Skip certificates above both sides' newest notarized block, from the first that the peer lacks. */
function skips(machine: GateMachine, have: GateSummary): readonly GateMessage[] {
  const from = Math.max(
    have.missing,
    (notarizedViews(machine).at(-1) ?? machine.committed.view) + 1,
  )
  const messages: GateMessage[] = []
  for (let view = from; view < machine.view && messages.length < REPAIR_CERTIFICATES_MAX; view++) {
    const certificate = certificateAt(machine, 'skip', view)
    if (certificate !== undefined) messages.push({ kind: 'certificate', certificate })
  }
  return messages
}

function proposals(machine: GateMachine): readonly Block[] {
  return [...machine.blocks.values()]
    .map((held) => held.block)
    .filter((block) => block.body.view === machine.view)
}

function asMessage(block: Block): GateMessage {
  return { kind: 'block', block }
}

function publish(message: GateMessage): GateEffect {
  return { kind: 'publish', message }
}
