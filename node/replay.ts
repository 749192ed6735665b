/**
 * What a node decided, decided again from signed bytes alone: no daemon, no clock, no word of the node.
 *
 * Every envelope is verified, every feed's chain walked, every block applied with the shipped rules
 * under the epoch that it belongs to. What does not verify is reported and left out. The digest of the
 * result is the one that the node itself gives while it has learned no more than this (SPEC §10).
 */
import {
  type Command,
  ED25519,
  type Fact,
  type Hash,
  type RolloutId,
  type Signer,
} from '../protocol/index.ts'
import {
  digestOf,
  EMPTY_VIEW,
  type FleetView,
  foldFacts,
  type GateRollout,
  type GateState,
  isKnownAuthor,
  judgeAccusations,
  recoverEpoch,
  recoveriesOf,
  type Trust,
  trustAt,
  withAuthority,
} from '../rollout/index.ts'
import { BlobStore } from './blob-store.ts'
import type { Store } from './ports.ts'
import { replayBlocks } from './replay-blocks.ts'
import { readFacts } from './replay-facts.ts'
import type { ReplayFinding, ReplaySource } from './replay-source.ts'

/** What became of one rollout. */
export interface ReplayedRollout {
  readonly id: RolloutId
  readonly outcome: GateRollout['status']
}

/** Everything that follows from the bytes. */
export interface Replay {
  readonly digest: Hash
  /** Envelopes that were there. */
  readonly stored: number
  /** Those that verify and stand in their feed. */
  readonly facts: readonly Fact[]
  /** Committed blocks that apply. */
  readonly blocks: number
  /** Their commands, in order. */
  readonly commands: readonly Command[]
  /** Epochs that the log has begun, the first among them. */
  readonly epochs: number
  /** In the order of their admission. */
  readonly rollouts: readonly ReplayedRollout[]
  /** Bodies that facts name and that are not there: where a node holds them, its digest is another. */
  readonly missing: readonly Hash[]
  readonly findings: readonly ReplayFinding[]
}

/** Replays everything in `source`. `trust` is that of the first epoch. Throws NodeError only for a disk that cannot be read. */
export async function replay(
  source: ReplaySource,
  trust: Trust,
  signer: Signer = ED25519,
): Promise<Replay> {
  const findings: ReplayFinding[] = []
  const report = (finding: ReplayFinding): void => void findings.push(finding)
  const signed: Trust = { ...trust, signer }
  const held = await readFacts(source, signed, report)
  let newest = signed
  const bodies = new BlobStore(blobsOf(source), () => newest)
  // Which bodies facts name does not depend on who is a member, so that the first epoch's fold finds them.
  await loadAll(bodies, foldFacts(EMPTY_VIEW, held.facts, signed))
  const log = await replayBlocks(source, { trust: signed, bodies, held }, report)
  const { view, state } = await settled(held.facts, { trust: signed, bodies, state: log.state })
  newest = trustAt(signed, state)
  for (const { author, id } of held.facts) {
    if (isKnownAuthor(newest, author)) continue
    const text = `expected a host, operator, release key or admin, found the key ${author}`
    report({ code: 'AUTHOR', where: `fact ${id}`, text })
  }
  return {
    digest: digestOf({ trust: newest, state, view, bodies }),
    stored: held.stored,
    facts: held.facts,
    blocks: log.blocks,
    commands: log.commands,
    epochs: 1 + state.epochs.length,
    rollouts: [...state.rollouts.values()]
      .sort((a, b) => a.admitted.slot - b.admitted.slot)
      .map(({ rollout, status }) => ({ id: rollout, outcome: status })),
    missing: bodies.wanted(view).map(({ hash }) => hash),
    findings,
  }
}

/**
 * The fold of everything under the last epoch. A recovery at the end of the log is no block: whoever
 * holds it and knows no more of the log has taken it.
 */
async function settled(
  facts: readonly Fact[],
  log: { readonly trust: Trust; readonly bodies: BlobStore; readonly state: GateState },
): Promise<{ readonly view: FleetView; readonly state: GateState }> {
  const { bodies } = log
  for (let { state } = log; ; ) {
    const trust = trustAt(log.trust, state)
    const folded = foldFacts(EMPTY_VIEW, facts, trust)
    await loadAll(bodies, folded)
    const view = withAuthority(judgeAccusations(folded, bodies, trust), trust, state)
    const taken = recoveriesOf({ trust, state, view, bodies }).find(({ kind }) => kind === 'take')
    if (taken === undefined) return { view, state }
    state = recoverEpoch(state, taken)
  }
}

/** One load takes a few proofs of each accuser. */
async function loadAll(bodies: BlobStore, view: FleetView): Promise<void> {
  for (let before = -1; before !== bodies.count; ) {
    before = bodies.count
    await bodies.load(view)
  }
}

/** What a blob store reads from, where nothing is ever written. */
function blobsOf(source: ReplaySource): Store {
  const refuse = (): Promise<never> => Promise.reject(new TypeError('expected to read only'))
  return {
    get: (key) => source.blob(key.slice('blob/'.length)),
    async *range() {},
    write: refuse,
    close: async () => undefined,
  }
}
