/**
 * Proofs that a key contradicted itself, self-contained and checked offline (SPEC §6.7).
 *
 * Two envelopes that verify under one key and exclude each other are all it takes: no witness has to
 * be believed, and nobody can make a proof about a key that it does not hold. Who brings one does not
 * matter; one that does not hold proves nothing.
 */
import { type Blob, blobOf } from './blobs.ts'
import { fromHex, type Hex, toHex } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import { openFact } from './facts.ts'
import { type GatePlace, openGateMessage } from './gate.ts'
import type { FleetId, Hash, KeyId, Session } from './ids.ts'
import { FACT_BYTES_MAX, GATE_BYTES_MAX, LIE_BYTES_MAX, LIE_INLINE_BYTES_MAX } from './limits.ts'
import { bytes, type Schema, shape } from './schema.ts'
import { open, type Signer } from './signed.ts'
import type { Equivocation, LieKind } from './witness-facts.ts'

/** Where a key said two things. */
export type LiePlace =
  | { readonly in: 'feed'; readonly session: Session; readonly seq: number }
  | ({ readonly in: 'view' } & GatePlace)

/** A proven contradiction. `first` and `second` are the ids of the two messages, ascending. */
export interface Lie {
  readonly kind: LieKind
  readonly accused: KeyId
  readonly place: LiePlace
  readonly first: Hex
  readonly second: Hex
}

/** Two envelopes, as received. */
export interface LiePair {
  readonly first: Uint8Array
  readonly second: Uint8Array
}

interface Rules {
  readonly fleet: FleetId
  readonly signer?: Signer | undefined
}

/** What one envelope says, as far as another of the same key may contradict it. */
interface Statement {
  readonly id: Hex
  readonly author: KeyId
  readonly type: 'fact' | 'propose' | 'notarize' | 'skip' | 'final'
  readonly place: LiePlace
}

const PAIR: Schema<LiePair> = shape<LiePair>({
  first: bytes(GATE_BYTES_MAX, 1),
  second: bytes(GATE_BYTES_MAX, 1),
})

/**
 * What the two envelopes prove, or undefined: then they do not contradict each other, are not of one
 * key and fleet, or do not verify. Their order does not matter.
 */
export function lieOf(pair: LiePair, rules: Rules): Lie | undefined {
  const [a, b] = [pair.first, pair.second].map((one) => statementOf(one, rules))
  if (a === undefined || b === undefined) return undefined
  if (a.author !== b.author || a.id === b.id || !isSamePlace(a.place, b.place)) return undefined
  const kind = kindOf(a, b)
  if (kind === undefined) return undefined
  const [first, second] = a.id < b.id ? [a.id, b.id] : [b.id, a.id]
  return { kind, accused: a.author, place: a.place, first, second }
}

/**
 * The body that brings this proof, with its two envelopes in the order of their ids, and the blob to
 * hand out with it where they do not fit into a fact. Undefined for what is no proof.
 */
export function accusationOf(
  pair: LiePair,
  rules: Rules,
): { readonly lie: Lie; readonly body: Equivocation; readonly blob?: Blob } | undefined {
  const lie = lieOf(pair, rules)
  if (lie === undefined) return undefined
  const sorted = statementOf(pair.first, rules)?.id === lie.first ? pair : swapped(pair)
  const { kind, accused } = lie
  if (pair.first.length + pair.second.length <= LIE_INLINE_BYTES_MAX) {
    const [one, other] = [toHex(sorted.first), toHex(sorted.second)]
    const proof = { kind: 'inline', first: one, second: other } as const
    return { lie, body: { kind, accused, proof } }
  }
  const blob = blobOf(encodeCanonical(PAIR.encode(sorted)))
  const proof = { kind: 'blob', hash: blob.hash, bytes: blob.bytes.length } as const
  return { lie, body: { kind, accused, proof }, blob }
}

/**
 * What `body` proves, or undefined while its blob is not given, and for what does not hold: another
 * kind or key than it says, or envelopes in the wrong order. One proof has one form.
 */
export function judgeAccusation(
  body: Equivocation,
  rules: Rules & { readonly pair?: LiePair | undefined },
): Lie | undefined {
  const { proof } = body
  const pair =
    proof.kind === 'inline'
      ? { first: fromHex(proof.first), second: fromHex(proof.second) }
      : rules.pair
  if (pair === undefined) return undefined
  const lie = lieOf(pair, rules)
  if (lie === undefined || lie.kind !== body.kind || lie.accused !== body.accused) return undefined
  return statementOf(pair.first, rules)?.id === lie.first ? lie : undefined
}

/** The envelopes of a proof that is a blob. Throws TOO_LARGE, BAD_BLOB, NOT_CANONICAL, BAD_SHAPE. */
export function openLiePair(source: Uint8Array, hash: Hash): LiePair {
  const value = decodeCanonical(source, LIE_BYTES_MAX, 'proof')
  const found = toHex(sha256(source))
  if (found === hash) return PAIR.decode(value, 'proof')
  throw new ProtocolError(
    'BAD_BLOB',
    'reject',
    `expected a proof with hash ${hash}, found ${found}`,
  )
}

function swapped({ first, second }: LiePair): LiePair {
  return { first: second, second: first }
}

function kindOf(a: Statement, b: Statement): LieKind | undefined {
  if (a.type === b.type) {
    if (a.type === 'fact') return 'feed'
    if (a.type === 'propose') return 'propose'
    return a.type === 'skip' ? undefined : 'ballot'
  }
  const types = [a.type, b.type]
  return types.includes('skip') && types.includes('final') ? 'skip-final' : undefined
}

function isSamePlace(a: LiePlace, b: LiePlace): boolean {
  if (a.in === 'feed') return b.in === 'feed' && a.session === b.session && a.seq === b.seq
  return b.in === 'view' && a.group === b.group && a.epoch === b.epoch && a.view === b.view
}

/** Undefined for whatever no reader would take: a proof from garbage is no proof. */
function statementOf(source: Uint8Array, rules: Rules): Statement | undefined {
  try {
    return readStatement(source, rules)
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

function readStatement(source: Uint8Array, { fleet, signer }: Rules): Statement | undefined {
  const whose = 'a proof'
  const given = { fleet, whose, ...(signer === undefined ? {} : { signer }) }
  const { id, author, payload } = open(source, { ...given, bytesMax: GATE_BYTES_MAX })
  const checked = { fleet, whose, signer: CHECKED }
  if (Object.hasOwn(payload, 'n')) {
    if (source.length > FACT_BYTES_MAX) return undefined
    const { session, seq } = openFact(source, checked)
    return { id, author, type: 'fact', place: { in: 'feed', session, seq } }
  }
  const message = openGateMessage(source, checked)
  if (message.kind === 'certificate') return undefined
  const body = message.kind === 'block' ? message.block.body : message.vote.body
  const { group, epoch, view } = body
  const place = { in: 'view', group, epoch, view } as const
  return { id, author, type: message.kind === 'block' ? 'propose' : message.vote.kind, place }
}

/** For bytes whose signature was checked a line before. */
const CHECKED: Signer = {
  sign: () => {
    throw new TypeError('expected to read only')
  },
  verify: () => true,
}
