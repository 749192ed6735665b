/**
 * Gate messages as bytes: one tag byte, then an envelope or a certificate (SPEC §7.2).
 *
 * The same form travels on the topic, in repair answers, and lies in the journal.
 */
import {
  ASK_BYTES_MAX,
  bool,
  bytes,
  checkCertificate,
  concatBytes,
  decodeCanonical,
  encodeCanonical,
  encodeCertificate,
  type GateMessage,
  HASH,
  type Hash,
  list,
  oneOf,
  openGateMessage,
  ProtocolError,
  readCertificate,
  type Schema,
  type Signer,
  shape,
  tagged,
  uint,
} from '../protocol/index.ts'
import { type GateSummary, type Trust, voterKeys } from '../rollout/index.ts'

const ENVELOPE = 0
const CERTIFICATE = 1

/** Stands before what a voter says to `votes`, unless its own disk is blank: it then knows of nothing. */
export const KNOWS: Uint8Array = Uint8Array.of(2)

/** The bytes of a gate message. */
export function encodeGateMessage(message: GateMessage): Uint8Array {
  switch (message.kind) {
    case 'block':
      return concatBytes(Uint8Array.of(ENVELOPE), message.block.bytes)
    case 'vote':
      return concatBytes(Uint8Array.of(ENVELOPE), message.vote.bytes)
    case 'certificate':
      return concatBytes(Uint8Array.of(CERTIFICATE), encodeCertificate(message.certificate))
  }
}

/**
 * Reads a gate message and checks everything that needs no state: signatures, that voters of this
 * group and epoch speak, that certificates are full. Throws ProtocolError; OtherEpoch, which blames
 * nobody, for a message of another epoch than that of `trust`.
 */
export function decodeGateMessage(
  source: Uint8Array,
  options: { trust: Trust; whose: string; signer: Signer },
): GateMessage {
  const { trust, whose, signer } = options
  const voters = voterKeys(trust)
  const body = source.subarray(1)
  if (source[0] === CERTIFICATE) {
    const certificate = readCertificate(body)
    assertPlace(certificate.body, trust, whose)
    const rules = { fleet: trust.fleet, voters, quorum: trust.config.quorum, signer }
    return { kind: 'certificate', certificate: checkCertificate(certificate, rules) }
  }
  if (source[0] !== ENVELOPE)
    throw new ProtocolError('BAD_SHAPE', 'reject', `expected a gate message from ${whose}`)
  const message = openGateMessage(body, { fleet: trust.fleet, whose, signer })
  if (message.kind === 'certificate') return message
  assertPlace(message.kind === 'block' ? message.block.body : message.vote.body, trust, whose)
  const author = message.kind === 'block' ? message.block.leader : message.vote.voter
  if (!voters.includes(author)) {
    throw new ProtocolError(
      'UNKNOWN_AUTHOR',
      'reject',
      `expected a voter of ${trust.config.group}, found ${author.slice(0, 16)}…`,
    )
  }
  return message
}

/** A message of another epoch: its voters are not known here yet, or any more. */
export class OtherEpoch extends ProtocolError {
  readonly epoch: number

  constructor(epoch: number, message: string) {
    super('BAD_SHAPE', 'ignore', message)
    this.epoch = epoch
  }
}

function assertPlace(place: { group: string; epoch: number }, trust: Trust, whose: string): void {
  const { group, epoch } = trust.config
  if (place.group === group && place.epoch === epoch) return
  const what = `expected group ${group} and epoch ${epoch} from ${whose}, found ${place.group} and ${place.epoch}`
  if (place.group === group) throw new OtherEpoch(place.epoch, what)
  throw new ProtocolError('BAD_SHAPE', 'ignore', what)
}

/** What a node asks a peer about the gate log. */
export type GateQuestion =
  | { readonly kind: 'repair'; readonly have: GateSummary }
  | { readonly kind: 'block'; readonly block: Hash }
  /**
   * Which votes of mine in this epoch do you hold, and how far are you (SPEC §7.6)? `blank`: the
   * asker's disk holds nothing, and nobody told it why.
   */
  | { readonly kind: 'votes'; readonly epoch: number; readonly blank: boolean }

const SUMMARY: Schema<GateSummary> = shape<GateSummary>({
  epoch: uint(2 ** 32, 1),
  slot: uint(),
  view: uint(),
  committedView: uint(),
  committed: HASH,
  missing: uint(),
})
type QuestionOf<K extends GateQuestion['kind']> = GateQuestion & { kind: K }
const QUESTION: Schema<GateQuestion> = tagged<GateQuestion>('kind', {
  repair: shape<QuestionOf<'repair'>>({
    kind: oneOf('repair'),
    have: SUMMARY,
  }) as Schema<GateQuestion>,
  block: shape<QuestionOf<'block'>>({ kind: oneOf('block'), block: HASH }) as Schema<GateQuestion>,
  votes: shape<QuestionOf<'votes'>>({
    kind: oneOf('votes'),
    epoch: uint(2 ** 32, 1),
    blank: bool,
  }) as Schema<GateQuestion>,
})
const MESSAGES: Schema<readonly Uint8Array[]> = list(bytes(ASK_BYTES_MAX), 1024)

export function encodeGateQuestion(question: GateQuestion): Uint8Array {
  return encodeCanonical(QUESTION.encode(question))
}

export function decodeGateQuestion(source: Uint8Array, whose: string): GateQuestion {
  return QUESTION.decode(decodeCanonical(source, ASK_BYTES_MAX, whose), whose)
}

/** Encoded gate messages as one answer; what does not fit is left out, the asker asks again. */
export function encodeGateAnswer(messages: readonly Uint8Array[]): Uint8Array {
  const fitting: Uint8Array[] = []
  let size = 16
  for (const message of messages) {
    size += message.length + 5
    if (size > ASK_BYTES_MAX) break
    fitting.push(message)
  }
  return encodeCanonical(MESSAGES.encode(fitting))
}

export function decodeGateAnswer(source: Uint8Array, whose: string): readonly Uint8Array[] {
  return MESSAGES.decode(decodeCanonical(source, ASK_BYTES_MAX, whose), whose)
}
