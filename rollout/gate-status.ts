/** A rollout in one word, for people (SPEC §7.4): derived from the log and the facts, never stored. */
import type { RolloutId } from '../protocol/index.ts'
import { judgeAdmit, type RejectionCode } from './admit-rules.ts'
import { type Knowledge, sceneOf } from './derive-orders.ts'
import { rolloutRecord } from './fleet-view.ts'
import type { GateRollout } from './gate-state.ts'
import { frozenBy } from './lies.ts'
import { type Stage, stageOf } from './scene.ts'

export type RolloutState =
  | 'proposed'
  | 'rejected'
  | 'admitted'
  | 'wave'
  | 'halted'
  | 'complete'
  | 'reverted'
  | 'superseded'

/** Where a rollout is, as far as this node knows. */
export interface RolloutStatus {
  readonly state: RolloutState
  /** The first wave that is not done, from 0; of a rollout that was started and is open. */
  readonly wave?: number | undefined
  /** Why it can never be admitted any more. */
  readonly rejection?:
    | {
        readonly code: RejectionCode
        readonly why: string
        /** The rollout that holds the hosts, when there is one. */
        readonly winner?: RolloutId | undefined
      }
    | undefined
  /** What a proposed plan waits for. */
  readonly waiting?: string | undefined
}

/**
 * The state of rollout `id`. One of which nothing is known is proposed and waits for its plan.
 *
 * A plan that is not admitted is judged as a voter would, at the committed state and over everything
 * held. `wallMs` is this node's wall clock, for the expiry of keys; without it no key is expired.
 */
export function rolloutStatus(
  knowledge: Knowledge,
  id: RolloutId,
  wallMs: number = 0,
): RolloutStatus {
  const rollout = knowledge.state.rollouts.get(id)
  if (rollout === undefined) return proposalStatus(knowledge, id, wallMs)
  if (rollout.status !== 'open') return { state: closedState(knowledge, rollout) }
  const stage = stageOf(sceneOf(knowledge), id)
  const wave = stage === undefined || rollout.starts.size === 0 ? undefined : openWave(stage)
  const place = wave === undefined ? {} : { wave }
  const stopped =
    stage === undefined
      ? [...rolloutRecord(knowledge.view, id).halts.values()].some(({ body }) => !body.hosts)
      : stage.standing.halted || stage.standing.breached
  if (stopped) return { state: 'halted', ...place }
  return { state: rollout.starts.size === 0 ? 'admitted' : 'wave', ...place }
}

function proposalStatus(knowledge: Knowledge, id: RolloutId, wallMs: number): RolloutStatus {
  const admission = judgeAdmit(sceneOf(knowledge, wallMs), id)
  switch (admission.kind) {
    case 'admissible':
      return {
        state: 'proposed',
        waiting: frozenBy(knowledge.trust, knowledge.view) ?? 'the voters have not decided',
      }
    case 'waiting':
      return { state: 'proposed', waiting: admission.why }
    case 'rejected': {
      const { code, why, winner } = admission
      return { state: 'rejected', rejection: { code, why, winner } }
    }
  }
}

/** An operator may send a rollout back that has closed: then it is not complete any more. */
function closedState(knowledge: Knowledge, { rollout, status }: GateRollout): RolloutState {
  if (status === 'open' || status === 'superseded') return 'superseded'
  const { halts } = rolloutRecord(knowledge.view, rollout)
  const sentBack = [...halts.values()].some(({ body }) => body.revert && body.hosts === undefined)
  return sentBack ? 'reverted' : status
}

function openWave({ rollout, standing }: Stage): number {
  const waves = [...standing.hosts.values()]
    .filter((one) => one.end === undefined)
    .map((one) => one.wave)
  return waves.length === 0 ? rollout.waves.length - 1 : Math.min(...waves)
}
