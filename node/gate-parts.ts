/** What the gate service is given by the node. */
import type { Block, KeyPair, Signer } from '../protocol/index.ts'
import type { Bodies, GateRules, GateState, Trust } from '../rollout/index.ts'
import type { Clock, Logger, Network, Random, Store } from './ports.ts'

export interface GateServiceParts {
  /** That of the first epoch; `trust` of the service is that of the present one. */
  readonly trust: Trust
  readonly key: KeyPair
  readonly signer: Signer
  readonly store: Store
  readonly network: Network
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Documents that commands name. */
  readonly bodies: Pick<Bodies, 'root'>
  /** The rules over what is held at the moment of the call. */
  rules(): GateRules
  /** Runs a task in the node's mailbox. */
  post(task: () => Promise<void>): void
  /** Journals what a vote for this block promises. */
  beforeVote(block: Block): Promise<void>
  /** A block is committed and applied. */
  committed(block: Block, state: GateState): void
  /** An epoch begins: whoever reads the configuration reads another one from now on. */
  entered(state: GateState): void
  /** The state in which a recovery goes on that this node may take; usually there is none. */
  recovery(): GateState | undefined
  /** A voter signed two messages that exclude each other; both are on the disk. */
  caught(messages: readonly [Uint8Array, Uint8Array]): void
  /** Facts under this block's basis are missing: fetch them, from its leader first. */
  fetchBasis(block: Block): void
}
