/**
 * One question, one answer, one stream (SPEC §10): `/nixfleet/ask/1`.
 *
 * The asker sends a length-prefixed frame of one byte for the kind and the question, and ends its
 * side; the answerer sends a frame of one byte for the outcome and the answer, and ends its own.
 */
import type { Stream } from '@libp2p/interface'
import { ASK_BYTES_MAX, concatBytes, utf8 } from '../../protocol/index.ts'
import { ASK_ANSWER_MS_MAX, ASK_READ_MS_MAX } from '../limits.ts'
import type { Ask, NetworkHandlers, PeerName } from '../ports.ts'
import { refusalText, refused } from './failures.ts'
import { isOperator } from './membership.ts'
import type { Quota } from './quota.ts'
import { assertAskSize } from './sizes.ts'
import { abandon, readOnlyFrame, sendOnlyFrame } from './stream-io.ts'

export const ASK_PROTOCOL = '/nixfleet/ask/1'

/** The kinds in the order of their bytes, from 1. Append only. */
const KINDS: readonly Ask[] = [
  'probe',
  'confirm',
  'lease',
  'sync',
  'gate',
  'api',
  'cosign',
  'reach',
  'relay',
  'current',
]
const ANSWERED = 0
const REFUSED = 1

/**
 * Asks on a fresh stream, which is gone when this settles, whatever happens.
 *
 * Throws NodeError PEER_REFUSED with the peer's reason, and what the stream throws.
 */
export async function askOnStream(
  stream: Stream,
  question: { peer: PeerName; kind: Ask; bytes: Uint8Array; signal: AbortSignal },
): Promise<Uint8Array> {
  const { kind, bytes, signal } = question
  const onAbort = (): void => abandon(stream, 'the asker gave up')
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    if (signal.aborted) throw new Error('the asker gave up')
    const frame = concatBytes(Uint8Array.of(KINDS.indexOf(kind) + 1), bytes)
    await sendOnlyFrame(stream, frame, signal)
    const reply = await readOnlyFrame(stream, ASK_BYTES_MAX + 1)
    if (reply[0] === ANSWERED) return reply.slice(1)
    throw refused(question.peer, new TextDecoder().decode(reply.subarray(1)))
  } finally {
    signal.removeEventListener('abort', onAbort)
    abandon(stream, 'the question is over')
  }
}

/** Answers the question on `stream`. Never throws: a stream that goes wrong is aborted. */
export async function answerOnStream(
  stream: Stream,
  peer: { from: PeerName; quota: Quota; answer: NetworkHandlers['answer'] },
): Promise<void> {
  const { from, quota } = peer
  const placed = quota.take(from)
  let timer = setTimeout(() => abandon(stream, 'no question came'), ASK_READ_MS_MAX)
  try {
    const frame = await readOnlyFrame(stream, ASK_BYTES_MAX + 1)
    clearTimeout(timer)
    timer = setTimeout(() => abandon(stream, 'no answer came'), ASK_ANSWER_MS_MAX)
    const reply = placed
      ? await replyTo(frame, peer)
      : refusal('too many questions of yours are under way')
    await sendOnlyFrame(stream, reply, AbortSignal.timeout(ASK_READ_MS_MAX))
  } catch (error) {
    abandon(stream, refusalText(error))
  } finally {
    clearTimeout(timer)
    if (placed) quota.give(from)
  }
}

async function replyTo(
  frame: Uint8Array,
  peer: { from: PeerName; answer: NetworkHandlers['answer'] },
): Promise<Uint8Array> {
  const kind = KINDS[(frame[0] ?? 0) - 1]
  if (kind === undefined) return refusal(`unknown kind ${frame[0]}`)
  if (isOperator(peer.from) && kind !== 'api') return refusal('an operator asks the API only')
  try {
    const answer = await peer.answer(kind, frame.slice(1), peer.from)
    assertAskSize(answer)
    return concatBytes(Uint8Array.of(ANSWERED), answer)
  } catch (error) {
    return refusal(refusalText(error))
  }
}

function refusal(why: string): Uint8Array {
  return concatBytes(Uint8Array.of(REFUSED), utf8(why))
}
