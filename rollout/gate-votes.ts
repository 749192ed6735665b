/**
 * Votes and certificates: who may still vote what, when votes make a certificate, and what a
 * certificate moves (SPEC §7.1 R3, R4).
 *
 * One line carries the safety of the log: no voter ever votes both skip and final in one view, so a
 * view with a final certificate has no skip certificate, and every later block descends from it.
 */
import type { BlockId, Certificate, GatePlace, Vote, VoteKind } from '../protocol/index.ts'
import { BALLOTS_MAX, VIEWS_AHEAD_MAX, VOTE_VIEWS_MAX } from './gate-limits.ts'
import {
  type GateMachine,
  type GateTurn,
  isVoter,
  type OwnVotes,
  turnWith,
} from './gate-machine.ts'

const NO_VOTES: OwnVotes = { notarize: undefined, skip: false, final: undefined }

/** The certificate of that kind and view, if it is held; kept above the commit only. */
export function certificateAt(
  machine: GateMachine,
  kind: VoteKind,
  view: number,
): Certificate | undefined {
  return machine.certificates.get(view)?.find((one) => one.kind === kind)
}

/** The block that a quorum stands behind in `view`. A final certificate shows that as well. */
export function notarizedAt(machine: GateMachine, view: number): BlockId | undefined {
  return machine.certificates.get(view)?.find((one) => one.kind !== 'skip')?.body.block
}

/** Views above the commit that have a notarized block, ascending. */
export function notarizedViews(machine: GateMachine): readonly number[] {
  return [...machine.certificates.keys()]
    .filter((view) => notarizedAt(machine, view) !== undefined)
    .sort((a, b) => a - b)
}

/** Whether every view between the two, both excluded, is skipped by a certificate. */
export function allSkipped(
  machine: GateMachine,
  between: { below: number; above: number },
): boolean {
  for (let view = between.below + 1; view < between.above; view++) {
    if (certificateAt(machine, 'skip', view) === undefined) return false
  }
  return true
}

/** Whether this voter may still cast this vote (R2, R3, R4 and the journal's floor). */
export function mayVote(machine: GateMachine, kind: VoteKind, view: number): boolean {
  if (!isVoter(machine) || machine.frozen) return false
  if (view <= machine.floor[kind] || view <= machine.committed.view) return false
  const own = machine.own.get(view) ?? NO_VOTES
  switch (kind) {
    case 'notarize':
      return view === machine.view && own.notarize === undefined
    case 'skip':
      return view === machine.view && !own.skip && own.final === undefined
    case 'final':
      return own.final === undefined && !own.skip
  }
}

/** Casts a vote if it may be cast, and marks it at once: no second one follows whatever happens. */
export function castVote(
  turn: GateTurn,
  kind: VoteKind,
  where: { view: number; block?: BlockId },
): GateTurn {
  const { machine } = turn
  if (!mayVote(machine, kind, where.view)) return turn
  const { group, epoch } = machine.config
  const body = { group, epoch, ...where }
  return turnWith(turn, { own: mark(machine, kind, where) }, { kind: 'vote', vote: kind, body })
}

/** Whether a message belongs to this machine's log. */
export function isOurs(machine: GateMachine, place: GatePlace): boolean {
  return place.group === machine.config.group && place.epoch === machine.config.epoch
}

/** Takes a vote in: counts it, and makes the certificate that it completes. */
export function takeVote(turn: GateTurn, vote: Vote): GateTurn {
  const { machine } = turn
  const { view } = vote.body
  if (!isOurs(machine, vote.body) || !machine.config.voters.includes(vote.voter)) return turn
  if (view <= machine.committed.view || view > machine.view + VIEWS_AHEAD_MAX) return turn
  const own = vote.voter === machine.config.self
  const marked = own ? turnWith(turn, { own: mark(machine, vote.kind, vote.body) }) : turn
  const held = machine.votes.get(view) ?? []
  const rest = held.filter((one) => one.voter === vote.voter)
  const ballots = rest.filter((one) => one.kind === vote.kind)
  if (view < machine.view - VOTE_VIEWS_MAX || ballots.length >= BALLOTS_MAX) return marked
  if (ballots.some((one) => one.body.block === vote.body.block)) return marked
  const votes = new Map(machine.votes).set(view, [...held, vote])
  return formCertificate(accuse(turnWith(marked, { votes }), vote, rest), vote)
}

/** Takes a certificate in, formed here or received, and moves on (R4). */
export function takeCertificate(turn: GateTurn, certificate: Certificate): GateTurn {
  const { machine } = turn
  const { view } = certificate.body
  if (!isOurs(machine, certificate.body) || !isQuorum(machine, certificate)) return turn
  const rival = contradicted(machine, certificate)
  if (rival !== undefined) return freeze(turn, [rival, certificate])
  if (view <= machine.committed.view) return turn
  if (certificateAt(machine, certificate.kind, view) !== undefined) return turn
  const held = machine.certificates.get(view) ?? []
  const certificates = new Map(machine.certificates).set(view, [...held, certificate])
  const kept = turnWith(
    turn,
    { certificates },
    { kind: 'keep', message: { kind: 'certificate', certificate } },
  )
  return view < machine.view ? kept : enterView(kept, view + 1, certificate.kind === 'skip')
}

/** Stops the machine for good and shows the certificates that exclude each other. */
export function freeze(turn: GateTurn, certificates: readonly Certificate[]): GateTurn {
  return turn.machine.frozen
    ? turn
    : turnWith(turn, { frozen: true }, { kind: 'conflict', certificates })
}

function enterView(turn: GateTurn, view: number, skipped: boolean): GateTurn {
  const { machine } = turn
  const votes = new Map([...machine.votes].filter(([one]) => one >= view - VOTE_VIEWS_MAX))
  return turnWith(turn, {
    view,
    votes,
    timeouts: 0,
    skips: skipped ? machine.skips + 1 : machine.skips,
  })
}

function mark(
  machine: GateMachine,
  kind: VoteKind,
  { view, block }: { view: number; block?: BlockId | undefined },
): GateMachine['own'] {
  const own = machine.own.get(view) ?? NO_VOTES
  return new Map(machine.own).set(view, {
    notarize: own.notarize ?? (kind === 'notarize' ? block : undefined),
    skip: own.skip || kind === 'skip',
    final: own.final ?? (kind === 'final' ? block : undefined),
  })
}

function formCertificate(turn: GateTurn, vote: Vote): GateTurn {
  const { machine } = turn
  const { kind, body } = vote
  const votes = (machine.votes.get(body.view) ?? [])
    .filter((one) => one.kind === kind && one.body.block === body.block)
    .map(({ voter, signature }) => ({ voter, signature }))
    .sort((a, b) => (a.voter < b.voter ? -1 : 1))
  if (votes.length < machine.config.quorum) return turn
  const formed = takeCertificate(turn, { kind, body, votes })
  const certificate = certificateAt(formed.machine, kind, body.view)
  if (certificate === undefined || certificate === certificateAt(machine, kind, body.view)) {
    return formed
  }
  return turnWith(formed, {}, { kind: 'publish', message: { kind: 'certificate', certificate } })
}

/** Two different votes of one kind, or skip and final, in one view: the voter lied (E2, E3). */
function accuse(turn: GateTurn, vote: Vote, earlier: readonly Vote[]): GateTurn {
  const excluded = earlier.find(
    (one) => one.kind === vote.kind || (one.kind !== 'notarize' && vote.kind !== 'notarize'),
  )
  if (excluded === undefined) return turn
  return turnWith(
    turn,
    {},
    { kind: 'equivocation', author: vote.voter, messages: [excluded.bytes, vote.bytes] },
  )
}

function isQuorum({ config }: GateMachine, { votes }: Certificate): boolean {
  const voters = votes.map((vote) => vote.voter).filter((voter) => config.voters.includes(voter))
  return new Set(voters).size >= config.quorum
}

/** A held certificate that cannot stand beside this one. */
function contradicted(machine: GateMachine, certificate: Certificate): Certificate | undefined {
  const { view, block } = certificate.body
  const { committed } = machine
  const beside = machine.certificates.get(view)?.find((one) => excludes(one, certificate))
  if (beside !== undefined || committed.certificate === undefined) return beside
  if (excludes(committed.certificate, certificate)) return committed.certificate
  const oldest = machine.trail[0]?.view ?? 0
  if (certificate.kind === 'skip' || view < oldest || view > committed.view) return undefined
  const there = machine.trail.find((place) => place.view === view)
  const agrees = there === undefined ? certificate.kind === 'notarize' : there.block === block
  return agrees ? undefined : committed.certificate
}

/** In one view: two blocks, or a final block and a skip. */
function excludes(a: Certificate, b: Certificate): boolean {
  if (a.body.view !== b.body.view) return false
  if (a.kind === 'skip' || b.kind === 'skip') return a.kind === 'final' || b.kind === 'final'
  return a.body.block !== b.body.block
}
