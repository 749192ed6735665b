/**
 * What a proven liar's votes are still worth in a group that bears none (SPEC §7.8).
 *
 * They go on to count towards every certificate, so that no voter is left behind in a view. But with
 * them each of two honest voters could be shown a quorum of its own. So nothing is committed on a basis
 * that shows the proof, and nobody who holds the proof votes to commit, without q votes of others; and
 * whoever holds it keeps all that it decides on one branch. Elsewhere every rule here says yes.
 */
import type { Block, BlockId, Certificate, CertificateVote, KeyId } from '../protocol/index.ts'
import { branchIds } from './gate-chain.ts'
import { type GateMachine, type GateRules, type GateTurn, turnWith } from './gate-machine.ts'
import { certificateAt } from './gate-votes.ts'

/** R5: whether a final certificate commits its block: q votes of voters that its basis does not accuse. */
export function decides(machine: GateMachine, final: Certificate, rules: GateRules): boolean {
  const state = machine.blocks.get(final.body.block ?? '')?.state
  return state === undefined || suffices(machine, final.votes, rules.accused(state).pinned)
}

/**
 * R4: whether this voter may vote to commit what `notarized` is of: its basis shows each proof that it
 * can, q others stand behind it, and no word of this voter's own stands against it.
 */
export function mayDecide(machine: GateMachine, notarized: Certificate, rules: GateRules): boolean {
  const { block = '', view } = notarized.body
  const state = machine.blocks.get(block)?.state
  const { held, owed } = rules.accused(state ?? machine.committed.state)
  if (held.size === 0) return true
  if (state === undefined || owed || !suffices(machine, notarized.votes, held)) return false
  return keepsWord(machine, { view, block }, held) && isBelowLater(machine, { view, block })
}

/** R2: whether this voter may stand behind a proposal: not beside what it voted to commit before. */
export function mayStand(machine: GateMachine, { id, body }: Block, rules: GateRules): boolean {
  const { held } = rules.accused(machine.committed.state)
  return held.size === 0 || keepsWord(machine, { view: body.view, block: id }, held)
}

/**
 * Certificates that hold votes of a liar, with the votes of others that came besides: of the heap, and
 * of `other`, which one of them may be. Whoever has such a one shows it to everybody.
 */
export function strengthen(turn: GateTurn, rules: GateRules, other?: Certificate): GateTurn {
  const { held } = rules.accused(turn.machine.committed.state)
  if (held.size === 0) return turn
  const all = [...turn.machine.certificates.values()].flat()
  return all.reduce((next, certificate) => strengthened(next, { certificate, other, held }), turn)
}

interface Place {
  readonly view: number
  readonly block: BlockId
}

function strengthened(
  turn: GateTurn,
  given: { certificate: Certificate; other: Certificate | undefined; held: ReadonlySet<KeyId> },
): GateTurn {
  const { machine } = turn
  const { certificate, other, held } = given
  if (suffices(machine, certificate.votes, held)) return turn
  const { kind, body } = certificate
  const heap = (machine.votes.get(body.view) ?? []).filter((one) => isSame(one, certificate))
  const more = other !== undefined && isSame(other, certificate) ? other.votes : []
  const votes = new Map(
    [...certificate.votes, ...heap, ...more].map(({ voter, signature }) => [voter, signature]),
  )
  const sorted = [...votes]
    .map(([voter, signature]) => ({ voter, signature }))
    .sort((a, b) => (a.voter < b.voter ? -1 : 1))
  if (!suffices(machine, sorted, held)) return turn
  const whole = { kind, body, votes: sorted }
  const beside = machine.certificates.get(body.view) ?? []
  const certificates = new Map(machine.certificates).set(
    body.view,
    beside.map((one) => (one === certificate ? whole : one)),
  )
  const message = { kind: 'certificate', certificate: whole } as const
  return turnWith(turn, { certificates }, { kind: 'keep', message }, { kind: 'publish', message })
}

function isSame(a: Pick<Certificate, 'kind' | 'body'>, b: Certificate): boolean {
  return a.kind === b.kind && a.body.view === b.body.view && a.body.block === b.body.block
}

/** Whether q of the votes are of others than these. */
function suffices(
  { config }: GateMachine,
  votes: readonly CertificateVote[],
  accused: ReadonlySet<KeyId>,
): boolean {
  const others = votes.filter(({ voter }) => config.voters.includes(voter) && !accused.has(voter))
  return new Set(others.map(({ voter }) => voter)).size >= config.quorum
}

/**
 * Whether a block stands on everything that this voter voted to commit in earlier views. What q others
 * voted to skip binds it no more: nobody can commit that, whatever the liars say.
 */
function keepsWord(machine: GateMachine, at: Place, held: ReadonlySet<KeyId>): boolean {
  const branch = branchIds(machine, at.block)
  return [...machine.own].every(([view, { final }]) => {
    if (view >= at.view || final === undefined) return true
    if (branch.has(final)) return true
    const skipped = certificateAt(machine, 'skip', view)
    return skipped !== undefined && suffices(machine, skipped.votes, held)
  })
}

/** Whether everything that this voter voted for in later views stands on a block: a late vote comes last. */
function isBelowLater(machine: GateMachine, at: Place): boolean {
  return [...machine.own].every(([view, own]) => {
    if (view <= at.view) return true
    const said = [own.notarize, own.final].filter((id) => id !== undefined)
    return said.every((id) => branchIds(machine, id).has(at.block))
  })
}
