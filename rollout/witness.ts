/**
 * When a voter cosigns a checkpoint of its gate log (SPEC §15.4, S15).
 *
 * Two things must hold: the root is that of the log which this voter itself committed, and the tree
 * grew out of the one that it cosigned last. The second does not follow from the first: a disk that
 * was restored from an old copy forgets what it committed, and so would its voter.
 */
import {
  type BlockBody,
  type Checkpoint,
  type Cosigner,
  cosignedAt,
  cosignerOf,
  EMPTY_TREE,
  equalBytes,
  type FleetId,
  type GroupConfig,
  type SignedNote,
  type Signer,
  verifyConsistency,
} from '../protocol/index.ts'

/** What a voter signed last of one log; the empty tree before its first time. */
export interface WitnessMemory {
  readonly size: number
  readonly root: Uint8Array
  /** Seconds since 1970 that it wrote beside it: these never go back. */
  readonly timeS: number
}

/** A voter that has cosigned nothing. */
export const NOTHING_SIGNED: WitnessMemory = { size: 0, root: EMPTY_TREE, timeS: 0 }

/** What to do about a checkpoint. `sign` means: first keep `memory`, then sign at its time. */
export type WitnessRuling =
  | { readonly kind: 'sign'; readonly memory: WitnessMemory }
  | { readonly kind: 'conflict'; readonly size: number }
  | { readonly kind: 'behind' }
  | { readonly kind: 'refused'; readonly why: string }

/** Whether a voter may cosign `asked`. `ownRoot` is its own log's at that size, undefined if shorter. */
export function judgeCheckpoint(input: {
  readonly memory: WitnessMemory
  readonly origin: string
  readonly asked: Checkpoint
  readonly from: number
  readonly proof: readonly Uint8Array[]
  readonly ownRoot: Uint8Array | undefined
  readonly nowS: number
}): WitnessRuling {
  const { memory, origin, asked, from, proof, ownRoot, nowS } = input
  const { size, root } = asked
  if (asked.origin !== origin)
    return { kind: 'refused', why: `expected the log ${origin}, found another` }
  if (size < 1) return { kind: 'refused', why: 'expected a tree with leaves' }
  if (from !== memory.size || size < memory.size) return { kind: 'conflict', size: memory.size }
  if (ownRoot === undefined) return { kind: 'behind' }
  if (!equalBytes(ownRoot, root))
    return { kind: 'refused', why: `expected the root of the own log at ${size}, found another` }
  const claim = { from, to: size, fromRoot: memory.root, toRoot: root, proof }
  if (!verifyConsistency(claim))
    return { kind: 'refused', why: `expected a proof that ${size} grew out of ${from}, found none` }
  return { kind: 'sign', memory: { size, root, timeS: Math.max(nowS, memory.timeS) } }
}

/** Whether the log after this block gets a checkpoint: an anchor, or the end of a rollout. */
export function callsForCheckpoint({
  commands,
  basis,
}: Pick<BlockBody, 'commands' | 'basis'>): boolean {
  const anchors = commands.length === 0 && basis.length > 0
  return anchors || commands.some((command) => command.kind === 'close')
}

/** The cosigners of a configuration: its voters. */
export function cosignersOf(fleet: FleetId, config: GroupConfig): readonly Cosigner[] {
  return config.voters.flatMap((voter) => {
    const host = config.hosts.find(({ name }) => name === voter)
    return host === undefined ? [] : [{ host: voter, key: cosignerOf(fleet, host) }]
  })
}

/** Whether a quorum of the configuration's voters cosigned the note, and who did. */
export function standingOf(
  note: SignedNote,
  rules: {
    readonly fleet: FleetId
    readonly config: GroupConfig
    readonly signer?: Signer | undefined
  },
): { readonly stands: boolean; readonly by: readonly string[] } {
  const { fleet, config, signer } = rules
  const by = cosignersOf(fleet, config)
    .filter(({ key }) => cosignedAt(note, key, signer) !== undefined)
    .map(({ host }) => host)
  return { stands: by.length >= config.quorum, by }
}
