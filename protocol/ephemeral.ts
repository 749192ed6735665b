/**
 * Questions between two hosts and their answers: probe, confirm, lease, reach, current (SPEC §9).
 *
 * Never stored as facts and always over a nonce that the asker chose, so that no answer can be
 * played again. Answers are signed by the answerer's fact key.
 */
import { fromHex, type Hex, toHex } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import type { KeyPair } from './identity.ts'
import {
  BLOCK_ID,
  type BlockId,
  BOOT_ID,
  FACT_ID,
  type FleetId,
  HASH,
  type HostName,
  type KeyId,
  LINE,
  NAME,
  type RolloutId,
  SESSION,
  STORE_PATH,
  type StorePath,
} from './ids.ts'
import {
  FACT_BYTES_MAX,
  INCARNATION_MAX,
  POLICY_MS_MAX,
  REACH_RUMOUR_BYTES_MAX,
  REACH_RUMOURS_MAX,
  REACH_SEEN_MAX,
  ROUNDS_MAX,
} from './limits.ts'
import { bool, bytes, list, oneOf, optional, type Schema, shape, uint, written } from './schema.ts'
import { bodyOf, open, type Signer, seal } from './signed.ts'

/** 16 random bytes of the asker, as hex. */
export type Nonce = string

/** What a host answers when it is probed. */
export interface ProbeAnswer {
  readonly nonce: Nonce
  readonly host: HostName
  readonly generation: StorePath
  readonly boot: string
  /** False while the host's own checks fail. */
  readonly healthy: boolean
}

/** A host in probation asks its observers to look at it now. */
export interface ConfirmRequest {
  readonly nonce: Nonce
  readonly rollout: RolloutId
  readonly round: number
  readonly generation: StorePath
  readonly boot: string
}

/** An observer looked from outside and saw the generation run and its checks pass. */
export interface ConfirmAnswer extends ConfirmRequest {
  readonly host: HostName
  readonly ok: boolean
  readonly why?: string | undefined
}

/** A host asks a voter whether its start still stands. `head` is the newest block that it knows. */
export interface LeaseRequest {
  readonly nonce: Nonce
  readonly rollout: RolloutId
  readonly round: number
  readonly have: BlockId
  /** The epoch whose voters the host asks: no voter of another grants. */
  readonly epoch: number
}

/** Why a voter refuses a lease; the host shows it. */
export type LeaseRefusal =
  | 'no-start'
  | 'ended'
  | 'halted'
  | 'breached'
  | 'forbidden-by-vote'
  | 'superseded'
  | 'not-a-voter'
  | 'wrong-peer'

/** A voter's answer: a grant, or the reason for none. */
export interface LeaseAnswer {
  readonly nonce: Nonce
  readonly rollout: RolloutId
  readonly round: number
  readonly host: HostName
  readonly head: BlockId
  readonly ttlMs: number
  readonly granted: boolean
  readonly refusal?: LeaseRefusal | undefined
}

/** How long ago the sender itself heard a member. */
export interface ReachSeen {
  readonly host: HostName
  readonly ageMs: number
}

/** What rides on a reach question and on its answer: news, each in its author's envelope. */
export interface ReachNews {
  /** Envelopes of `reach.suspect` and `reach.refute`, as hex. */
  readonly rumours: readonly Hex[]
  readonly seen: readonly ReachSeen[]
}

/** A host of the group asks another whether it is there. */
export interface ReachRequest extends ReachNews {
  readonly nonce: Nonce
}

/** "I am here", over the asker's nonce, also when a third host carried the question. */
export interface ReachAnswer extends ReachNews {
  readonly nonce: Nonce
  readonly host: HostName
  readonly incarnation: number
}

/** Asks a third host to ask `host` over the nonce, and to bring the answer as it is. */
export interface RelayRequest {
  readonly nonce: Nonce
  readonly host: HostName
}

/** The envelope of `reach.rsp`, or none when the host did not answer the relay either. */
export interface RelayAnswer {
  readonly answer?: Uint8Array | undefined
}

/** The author could not reach `host`, whose newest word had this incarnation. */
export interface Suspicion {
  readonly host: HostName
  readonly incarnation: number
}

/** The author is alive: every suspicion of a lower incarnation is refuted. */
export interface Refutation {
  readonly incarnation: number
}

/** A host asks a voter how far the log goes. `have` is the newest block that it knows. */
export interface CurrentRequest {
  readonly nonce: Nonce
  readonly have: BlockId
}

/** Where a voter's committed log ends, and what it says of the asking host. */
export interface CurrentAnswer {
  readonly nonce: Nonce
  readonly host: HostName
  readonly head: BlockId
  readonly slot: number
  /** The last rollout admitted for the host, and the highest version admitted in its channel. */
  readonly last?: RolloutId | undefined
  readonly version?: number | undefined
}

/** What is signed and not stored, by type. */
export interface EphemeralBodies {
  readonly 'probe.rsp': ProbeAnswer
  readonly 'confirm.rsp': ConfirmAnswer
  readonly 'lease.rsp': LeaseAnswer
  readonly 'reach.rsp': ReachAnswer
  readonly 'reach.suspect': Suspicion
  readonly 'reach.refute': Refutation
  readonly 'current.rsp': CurrentAnswer
}
export type EphemeralType = keyof EphemeralBodies

const ROUND: Schema<number> = uint(ROUNDS_MAX - 1)
const CONFIRM = {
  nonce: SESSION,
  rollout: FACT_ID,
  round: ROUND,
  generation: STORE_PATH,
  boot: BOOT_ID,
}

export const CONFIRM_REQUEST: Schema<ConfirmRequest> = shape<ConfirmRequest>(CONFIRM)
export const LEASE_REQUEST: Schema<LeaseRequest> = shape<LeaseRequest>({
  nonce: SESSION,
  rollout: FACT_ID,
  round: ROUND,
  have: BLOCK_ID,
  epoch: uint(2 ** 32, 1),
})

const INCARNATION: Schema<number> = uint(INCARNATION_MAX)
const RUMOUR_BYTES: Schema<Uint8Array> = bytes(REACH_RUMOUR_BYTES_MAX, 1)
const RUMOUR: Schema<Hex> = {
  decode: (value, path) => toHex(RUMOUR_BYTES.decode(value, path)),
  encode: (value) => fromHex(value),
}
const NEWS = {
  rumours: list(RUMOUR, REACH_RUMOURS_MAX),
  seen: list(shape<ReachSeen>({ host: NAME, ageMs: uint(POLICY_MS_MAX) }), REACH_SEEN_MAX),
}

export const REACH_REQUEST: Schema<ReachRequest> = shape<ReachRequest>({ nonce: SESSION, ...NEWS })
export const RELAY_REQUEST: Schema<RelayRequest> = shape<RelayRequest>({
  nonce: SESSION,
  host: NAME,
})
export const RELAY_ANSWER: Schema<RelayAnswer> = shape<RelayAnswer>({
  answer: optional(bytes(FACT_BYTES_MAX, 1)),
})
export const CURRENT_REQUEST: Schema<CurrentRequest> = shape<CurrentRequest>({
  nonce: SESSION,
  have: BLOCK_ID,
})

const BODIES: { readonly [T in EphemeralType]: Schema<EphemeralBodies[T]> } = {
  'probe.rsp': shape<ProbeAnswer>({
    nonce: SESSION,
    host: NAME,
    generation: STORE_PATH,
    boot: BOOT_ID,
    healthy: bool,
  }),
  'confirm.rsp': shape<ConfirmAnswer>({ ...CONFIRM, host: NAME, ok: bool, why: optional(LINE) }),
  'lease.rsp': shape<LeaseAnswer>({
    nonce: SESSION,
    rollout: FACT_ID,
    round: ROUND,
    host: NAME,
    head: HASH,
    ttlMs: uint(POLICY_MS_MAX),
    granted: bool,
    refusal: optional(
      oneOf(
        'no-start',
        'ended',
        'halted',
        'breached',
        'forbidden-by-vote',
        'superseded',
        'not-a-voter',
        'wrong-peer',
      ),
    ),
  }),
  'reach.rsp': shape<ReachAnswer>({
    nonce: SESSION,
    host: NAME,
    incarnation: INCARNATION,
    ...NEWS,
  }),
  'reach.suspect': shape<Suspicion>({ host: NAME, incarnation: INCARNATION }),
  'reach.refute': shape<Refutation>({ incarnation: INCARNATION }),
  'current.rsp': shape<CurrentAnswer>({
    nonce: SESSION,
    host: NAME,
    head: HASH,
    slot: uint(),
    last: optional(FACT_ID),
    version: optional(uint()),
  }),
}

/** Signs an answer. Throws BAD_SHAPE for a body that no asker would take. */
export function sealAnswer<T extends EphemeralType>(
  type: T,
  body: EphemeralBodies[T],
  author: { fleet: FleetId; key: KeyPair; signer?: Signer },
): Uint8Array {
  const schema: Schema<EphemeralBodies[T]> = BODIES[type]
  const payload = { b: written(schema, body, type).wire }
  return seal({ type, payload, bytesMax: FACT_BYTES_MAX, ...author }).bytes
}

/**
 * Reads a signed answer of `type`; the caller compares author and nonce with what it asked.
 * Throws what `open` throws, and BAD_SHAPE for another type or body.
 */
export function openAnswer<T extends EphemeralType>(
  type: T,
  bytes: Uint8Array,
  options: { fleet: FleetId; whose: string; signer?: Signer },
): { author: KeyId; body: EphemeralBodies[T] } {
  const opened = open(bytes, { ...options, bytesMax: FACT_BYTES_MAX })
  if (opened.type !== type) {
    throw new ProtocolError(
      'BAD_SHAPE',
      'reject',
      `expected ${type} of ${options.whose}, found ${opened.type}`,
    )
  }
  return { author: opened.author, body: BODIES[type].decode(bodyOf(opened), type) }
}

/** What a member says of another, or of itself, and passes on. */
export type OpenedRumour =
  | { readonly type: 'reach.suspect'; readonly author: KeyId; readonly body: Suspicion }
  | { readonly type: 'reach.refute'; readonly author: KeyId; readonly body: Refutation }

/** Reads a rumour of either kind. Throws what `open` throws, and BAD_SHAPE for anything else. */
export function openRumour(
  bytes: Uint8Array,
  options: { fleet: FleetId; whose: string; signer?: Signer },
): OpenedRumour {
  const opened = open(bytes, { ...options, bytesMax: REACH_RUMOUR_BYTES_MAX })
  const { type, author } = opened
  switch (type) {
    case 'reach.suspect':
      return { type, author, body: BODIES[type].decode(bodyOf(opened), type) }
    case 'reach.refute':
      return { type, author, body: BODIES[type].decode(bodyOf(opened), type) }
  }
  throw new ProtocolError(
    'BAD_SHAPE',
    'reject',
    `expected reach.suspect or reach.refute of ${options.whose}, found ${type}`,
  )
}
