/** The gate log from the disk: every committed block applied again, through all epochs (SPEC §7.7). */
import type { Block, BlockId, Certificate } from '../protocol/index.ts'
import {
  type GateEpoch,
  type GateRules,
  type GateState,
  genesisState,
  openEpoch,
  recoverEpoch,
  type Trust,
} from '../rollout/index.ts'
import { type GateLog, LOG_START } from './gate-log.ts'
import type { Logger } from './ports.ts'

export interface ReplayParts {
  readonly gateLog: GateLog
  /** That of the first epoch. */
  readonly trust: Trust
  /** Epochs that the disk knows of, the oldest first. */
  readonly epochs: readonly GateEpoch[]
  readonly rules: GateRules
  readonly log: Logger
  committed(block: Block, state: GateState): void
}

/** The state at the end of the log, and what proves it; nothing proves the first moment of an epoch. */
export async function replayGate(
  parts: ReplayParts,
): Promise<{ state: GateState; proof: Certificate | undefined }> {
  const { trust, rules, log } = parts
  let state = genesisState(trust.genesis, trust.root.version)
  let proof: Certificate | undefined
  for await (const { block, certificate } of parts.gateLog.committed(LOG_START)) {
    const before = recovered(parts.epochs, state, block.body.parent)
    const next = block.body.parent === before.head ? rules.apply(block, before) : undefined
    if (next === undefined) {
      const fields = { view: block.body.view, head: state.head }
      log.error(fields, 'the log on the disk ends early here: the rest comes from the peers')
      return { state, proof }
    }
    state = openEpoch(next)
    proof = state.epoch === block.body.epoch ? certificate : undefined
    parts.committed(block, state)
  }
  const end = recovered(parts.epochs, state, parts.epochs.at(-1)?.genesis ?? '')
  return end === state ? { state, proof } : { state: end, proof: undefined }
}

/** After a recovery no block says that the epoch began: the next one stands on the configuration. */
function recovered(epochs: readonly GateEpoch[], state: GateState, genesis: BlockId): GateState {
  const epoch = epochs.find((one) => one.epoch === state.epoch + 1)
  if (epoch?.config.recover === undefined || epoch.genesis !== genesis) return state
  return epoch.config.recover.head === state.head ? recoverEpoch(state, epoch) : state
}
