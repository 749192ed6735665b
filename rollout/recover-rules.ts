/**
 * Recovery of a group whose voters are lost for good (SPEC §7.8): the only change that no quorum makes.
 *
 * Every node decides for itself, and takes a recovery only at the very block that it names: one that
 * knows more of the log refuses, and the admins sign another.
 */
import type { FactId, GroupConfig, Hash } from '../protocol/index.ts'
import { type Knowledge, sceneOf } from './derive-orders.ts'
import { refusedAsNext, refusedBySigners } from './reconfig-rules.ts'

/** A recovery that was announced for the epoch after this one, and what this node does about it. */
export interface RecoveryRuling {
  readonly fact: FactId
  readonly document: Hash
  /** SHA-256 of the configuration: the genesis of the epoch. */
  readonly genesis: Hash
  readonly config: GroupConfig
  /** `take` here and now; `wait` for blocks that it names; `refuse`, because this node knows more. */
  readonly kind: 'take' | 'wait' | 'refuse'
  readonly why: string
}

/** The announced recoveries of the next epoch, by fact id; the first that may be taken is. */
export function recoveriesOf(knowledge: Knowledge): readonly RecoveryRuling[] {
  return [...knowledge.view.configs.keys()].sort().flatMap((fact) => {
    const document = knowledge.view.configs.get(fact)?.body.config ?? ''
    const signed = knowledge.bodies.config(document)
    if (signed?.value.recover === undefined) return []
    const { value: config, hash: genesis } = signed
    if (refusedAsNext(sceneOf(knowledge), config) !== undefined) return []
    if (refusedBySigners(knowledge.trust, signed) !== undefined) return []
    return [{ fact, document, genesis, config, ...rule(knowledge, signed.value.recover) }]
  })
}

function rule(
  { state }: Knowledge,
  { slot, head }: NonNullable<GroupConfig['recover']>,
): Pick<RecoveryRuling, 'kind' | 'why'> {
  if (slot === state.slot && head === state.head) {
    return { kind: 'take', why: 'it goes on from the newest block that is known here' }
  }
  const here = `the log here ends at slot ${state.slot} with ${state.head.slice(0, 12)}`
  const why = `it goes on from slot ${slot} with ${head.slice(0, 12)}, but ${here}`
  return { kind: slot < state.slot ? 'refuse' : 'wait', why }
}
