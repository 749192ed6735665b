/**
 * The messages of the gate log, a group's only consensus (SPEC §7.2): proposals and votes.
 *
 * A block is its leader's proposal and is named by the hash of its signed bytes. What a quorum of
 * votes makes stands in `certificate.ts`.
 */
import type { Hex } from './bytes.ts'
import { encodeCanonical, type WireValue } from './codec.ts'
import { sha256Hex } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import { type FeedHead, type FeedKey, splitFeedKey } from './feed.ts'
import type { KeyPair } from './identity.ts'
import {
  BLOCK_ID,
  type BlockId,
  FACT_ID,
  type FactId,
  type FleetId,
  type GroupName,
  HASH,
  type Hash,
  type HostName,
  KEY_ID,
  type KeyId,
  NAME,
  type RolloutId,
  SESSION,
  type Session,
} from './ids.ts'
import {
  BASIS_FEEDS_MAX,
  COMMANDS_MAX,
  GATE_BYTES_MAX,
  GROUP_HOSTS_MAX,
  ROUNDS_MAX,
} from './limits.ts'
import {
  list,
  oneOf,
  optional,
  type Schema,
  shape,
  sortedList,
  tagged,
  uint,
  written,
} from './schema.ts'
import { bodyOf, open, type Signer, seal } from './signed.ts'

export type Outcome = 'complete' | 'halted' | 'reverted' | 'superseded'

/** What the gate log can decide. `reconfig` and `root` name a signed document by its hash. */
export type Command =
  | { readonly kind: 'admit'; readonly rollout: RolloutId }
  | {
      readonly kind: 'start'
      readonly rollout: RolloutId
      readonly round: number
      readonly hosts: readonly HostName[]
    }
  | {
      readonly kind: 'skip'
      readonly rollout: RolloutId
      readonly round: number
      readonly hosts: readonly HostName[]
    }
  | { readonly kind: 'close'; readonly rollout: RolloutId; readonly outcome: Outcome }
  | { readonly kind: 'reconfig'; readonly config: Hash }
  | { readonly kind: 'root'; readonly root: Hash }

/** One feed as far as a block has seen it. */
export interface BasisFeed {
  readonly author: KeyId
  readonly session: Session
  readonly seq: number
  readonly head: FactId
}

/** Where a block or a vote belongs. */
export interface GatePlace {
  readonly group: GroupName
  readonly epoch: number
  readonly view: number
}

/** Body of `gate.propose`. `basis` lists only the feeds that moved since the parent. */
export interface BlockBody extends GatePlace {
  readonly parent: BlockId
  readonly commands: readonly Command[]
  readonly rootVersion: number
  readonly basis: readonly BasisFeed[]
}

/** A verified proposal. */
export interface Block {
  readonly id: BlockId
  readonly leader: KeyId
  readonly body: BlockBody
  readonly bytes: Uint8Array
}

export type VoteKind = 'notarize' | 'skip' | 'final'
/** Every kind of vote. */
export const VOTE_KINDS: readonly VoteKind[] = ['notarize', 'skip', 'final']

/** Body of a vote; `block` is absent in a vote to skip. */
export interface VoteBody extends GatePlace {
  readonly block?: BlockId | undefined
}

/** A verified vote. */
export interface Vote {
  readonly kind: VoteKind
  readonly voter: KeyId
  readonly body: VoteBody
  readonly signature: Uint8Array
  readonly bytes: Uint8Array
}

/** A quorum's votes of one kind on one payload. */
export interface Certificate {
  readonly kind: VoteKind
  readonly body: VoteBody
  readonly votes: readonly CertificateVote[]
}
export interface CertificateVote {
  readonly voter: KeyId
  readonly signature: Uint8Array
}

const EPOCH: Schema<number> = uint(2 ** 32, 1)
const HOSTS: Schema<readonly HostName[]> = sortedList(NAME, (name) => name, GROUP_HOSTS_MAX, 1)
const ROUND: Schema<number> = uint(ROUNDS_MAX - 1)
type CommandOf<K extends Command['kind']> = Command & { kind: K }

const COMMAND: Schema<Command> = tagged<Command>('kind', {
  admit: shape<CommandOf<'admit'>>({ kind: oneOf('admit'), rollout: FACT_ID }) as Schema<Command>,
  start: shape<CommandOf<'start'>>({
    kind: oneOf('start'),
    rollout: FACT_ID,
    round: ROUND,
    hosts: HOSTS,
  }) as Schema<Command>,
  skip: shape<CommandOf<'skip'>>({
    kind: oneOf('skip'),
    rollout: FACT_ID,
    round: ROUND,
    hosts: HOSTS,
  }) as Schema<Command>,
  close: shape<CommandOf<'close'>>({
    kind: oneOf('close'),
    rollout: FACT_ID,
    outcome: oneOf('complete', 'halted', 'reverted', 'superseded'),
  }) as Schema<Command>,
  reconfig: shape<CommandOf<'reconfig'>>({
    kind: oneOf('reconfig'),
    config: HASH,
  }) as Schema<Command>,
  root: shape<CommandOf<'root'>>({ kind: oneOf('root'), root: HASH }) as Schema<Command>,
})

export const BLOCK_BODY: Schema<BlockBody> = shape<BlockBody>({
  group: NAME,
  epoch: EPOCH,
  view: uint(Number.MAX_SAFE_INTEGER, 1),
  parent: BLOCK_ID,
  commands: list(COMMAND, COMMANDS_MAX),
  rootVersion: uint(2 ** 32, 1),
  basis: sortedList(
    shape<BasisFeed>({ author: KEY_ID, session: SESSION, seq: uint(), head: FACT_ID }),
    (feed) => `${feed.author}/${feed.session}`,
    BASIS_FEEDS_MAX,
  ),
})

export const VOTE_BODY: Schema<VoteBody> = shape<VoteBody>({
  group: NAME,
  epoch: EPOCH,
  view: uint(Number.MAX_SAFE_INTEGER, 1),
  block: optional(BLOCK_ID),
})

/** Signs a proposal. Throws BAD_SHAPE and TOO_LARGE for one that nobody would take. */
export function sealBlock(
  body: BlockBody,
  author: { fleet: FleetId; key: KeyPair; signer?: Signer },
): Block {
  const { wire, value } = written(BLOCK_BODY, body, 'block')
  const sealed = seal({
    type: 'gate.propose',
    payload: { b: wire },
    bytesMax: GATE_BYTES_MAX,
    ...author,
  })
  return { id: sealed.id, leader: author.key.publicKey, body: value, bytes: sealed.bytes }
}

/** Signs a vote. Throws BAD_SHAPE for one that nobody would take. */
export function sealVote(
  kind: VoteKind,
  body: VoteBody,
  author: { fleet: FleetId; key: KeyPair; signer?: Signer },
): Vote {
  const { wire, value } = written(VOTE_BODY, body, kind)
  assertVote(kind, value)
  const { bytes, signature } = seal({ type: `gate.${kind}`, payload: { b: wire }, ...author })
  return { kind, voter: author.key.publicKey, body: value, signature, bytes }
}

/** A gate message as it travels on the topic. */
export type GateMessage =
  | { readonly kind: 'block'; readonly block: Block }
  | { readonly kind: 'vote'; readonly vote: Vote }
  | { readonly kind: 'certificate'; readonly certificate: Certificate }

/** Reads a proposal or a vote. Throws what `open` throws, and BAD_SHAPE. */
export function openGateMessage(
  source: Uint8Array,
  options: { fleet: FleetId; whose: string; signer?: Signer },
): GateMessage {
  const opened = open(source, { ...options, bytesMax: GATE_BYTES_MAX })
  const wire = bodyOf(opened)
  if (opened.type === 'gate.propose') {
    const body = BLOCK_BODY.decode(wire, 'block')
    const block = { id: opened.id, leader: opened.author, body, bytes: source }
    return { kind: 'block', block }
  }
  const kind = VOTE_KINDS.find((candidate) => opened.type === `gate.${candidate}`)
  if (kind === undefined) throw badShape('a gate message', opened.type)
  const body = VOTE_BODY.decode(wire, kind)
  assertVote(kind, body)
  const { author: voter, signature } = opened
  return { kind: 'vote', vote: { kind, voter, body, signature, bytes: source } }
}

/** A basis entry for a feed and its head. */
export function basisFeed(key: FeedKey, head: FeedHead): BasisFeed {
  return { ...splitFeedKey(key), seq: head.seq, head: head.id }
}

/** SHA-256 of canonical CBOR: used wherever the protocol draws by hash. */
export function hashOf(value: WireValue): Hex {
  return sha256Hex(encodeCanonical(value))
}

function assertVote(kind: VoteKind, body: VoteBody): void {
  if ((kind === 'skip') === (body.block === undefined)) return
  throw badShape('a block in every vote but skip', kind)
}

function badShape(expected: string, found: string): ProtocolError {
  return new ProtocolError('BAD_SHAPE', 'reject', `expected ${expected}, found ${found}`)
}
