/**
 * The laws of the gate log, judged from outside: by what was sent and what hosts were told, never by
 * what a machine believes of itself.
 */
import type { BlockId, KeyId } from '../../protocol/index.ts'
import { newGateMachine } from '../../rollout/gate-machine.ts'
import { stepGate } from '../../rollout/gate-step.ts'
import { asMessage, fakeGenesis, fakeRules, fakeVote, GENESIS } from '../unit/rollout/gate-fakes.ts'
import { type Ballot, voterAt } from './catalogue.ts'
import type { GateCase, GatePool, GateSetting, Voter } from './gate-setting.ts'
import type { Finding } from './search.ts'

/** S1 of all that is or can be committed, S12 of each voter, and S13 where S1 is broken. */
export function judgePool(
  voters: readonly Voter[],
  pool: GatePool,
  setting: GateSetting,
): readonly Finding[] {
  // Where nobody is asked for long enough, a voter that lost its disk is held to S1 alone, like a liar.
  const { memory, disk } = setting.options
  const knows = memory === 'taken' && disk !== 'new'
  const own = voters.filter((voter) => knows || !voter.loses).flatMap((voter) => voter.life.faults)
  const conflict = conflictOf(voters, pool, setting)
  if (conflict === undefined) return own
  const needed = 2 * setting.config.quorum - setting.config.voters.length
  const proven = accused(pool, setting).size
  const what = `two logs: ${conflict.map((id) => setting.catalogue.nameOf(id)).join(' and ')}`
  const found: Finding[] = [...own, { invariant: 'S1', what }]
  if (proven >= needed) return found
  return [...found, { invariant: 'S13', what: `${proven} voters are proven liars, of ${needed}` }]
}

/** S1 where it begins: in one view two certificates for two blocks, or a final and a skip certificate. */
export function rivalCertificates(
  pool: Pick<GatePool, 'counts'>,
  {
    catalogue,
    config,
    options,
  }: Pick<GateSetting, 'catalogue' | 'config'> & { options: Pick<GateCase, 'liars'> },
): readonly Finding[] {
  const seen = new Map<number, Ballot>()
  for (const [number, count] of pool.counts.entries()) {
    if (count + options.liars.length < config.quorum) continue
    const ballot = catalogue.ballot(number)
    for (const other of seen.values()) {
      if (!excludes(ballot, other)) continue
      const what = `view ${ballot.view} of epoch ${ballot.epoch} has certificates to ${other.kind} and to ${ballot.kind} that exclude each other`
      return [{ invariant: 'S1', what }]
    }
    seen.set(number, ballot)
  }
  return []
}

function excludes(a: Ballot, b: Ballot): boolean {
  if (a.epoch !== b.epoch || a.view !== b.view) return false
  if (a.kind === 'skip' || b.kind === 'skip') return a.kind === 'final' || b.kind === 'final'
  return a.block !== b.block
}

/** Two blocks that are committed, or can be by any node that takes all votes out of the pool. */
function conflictOf(
  voters: readonly Voter[],
  pool: GatePool,
  { catalogue, config, options }: GateSetting,
): readonly [BlockId, BlockId] | undefined {
  const heads = new Set<BlockId>()
  for (const { life } of voters) if (life.told !== GENESIS) heads.add(life.told)
  const helpers = options.proven === true ? 0 : options.liars.length
  for (const [number, count] of pool.counts.entries()) {
    if (count + helpers < config.quorum) continue
    const { kind, block } = catalogue.ballot(number)
    if (kind === 'final' && block !== undefined) heads.add(block)
  }
  if (heads.size < 2) return undefined
  const all = [...heads]
  for (const [i, a] of all.entries()) {
    const b = all.slice(i + 1).find((one) => !catalogue.onOneChain(a, one))
    if (b !== undefined) return [a, b]
  }
  return undefined
}

/** Whom a node with the whole pool, running the shipped machine, holds proof against. */
function accused(pool: GatePool, setting: GateSetting): ReadonlySet<KeyId> {
  const { catalogue, config, honest, options } = setting
  const rules = fakeRules(new Set())
  const found = new Set<KeyId>()
  let machine = newGateMachine(config, fakeGenesis())
  for (const [number, count] of pool.counts.entries()) {
    const { kind, ...where } = catalogue.ballot(number)
    const body = { group: config.group, ...where }
    for (const place of [...options.liars, ...honest.slice(0, count)]) {
      const message = asMessage(fakeVote(kind, body, voterAt(config, place)))
      const turn = stepGate(machine, { kind: 'message', message }, rules)
      machine = turn.machine
      for (const effect of turn.effects) {
        if (effect.kind === 'equivocation') found.add(effect.author)
      }
    }
  }
  return new Set([...found].filter((key) => options.liars.some((i) => voterAt(config, i) === key)))
}
