/**
 * What the holder of a ticket may ask (SPEC §16.3): `/nixfleet/enroll/1`. One frame each way, both sides
 * bounded in bytes and in time.
 */
import type { Stream } from '@libp2p/interface'
import {
  ENROLL_ANSWER_BYTES_MAX,
  ENROLL_QUESTION_BYTES_MAX,
  type KeyId,
} from '../../protocol/index.ts'
import { ENROLL_CONNECTION_MS_MAX } from '../limits.ts'
import type { NetworkHandlers } from '../ports.ts'
import { refusalText } from './failures.ts'
import type { Quota } from './quota.ts'
import { abandon, readOnlyFrame, sendOnlyFrame } from './stream-io.ts'

export const ENROLL_PROTOCOL = '/nixfleet/enroll/1'

/** Asks on a fresh stream, which is gone when this settles. Throws what the stream throws. */
export async function askEnrollOnStream(
  stream: Stream,
  question: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const onAbort = (): void => abandon(stream, 'the asker gave up')
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    if (signal.aborted) throw new Error('the asker gave up')
    await sendOnlyFrame(stream, question, signal)
    return await readOnlyFrame(stream, ENROLL_ANSWER_BYTES_MAX)
  } finally {
    signal.removeEventListener('abort', onAbort)
    abandon(stream, 'the question is over')
  }
}

/** Answers the question on `stream`. Never throws: a stream that goes wrong is aborted. */
export async function answerEnrollOnStream(
  stream: Stream,
  peer: { ticket: KeyId; quota: Quota; answer: NonNullable<NetworkHandlers['enroll']> },
): Promise<void> {
  const { ticket, quota, answer } = peer
  const placed = quota.take(ticket)
  const timer = setTimeout(() => abandon(stream, 'it takes too long'), ENROLL_CONNECTION_MS_MAX)
  try {
    if (!placed) throw new Error('too many ask to be let in')
    const question = await readOnlyFrame(stream, ENROLL_QUESTION_BYTES_MAX)
    const reply = await answer(question, ticket)
    await sendOnlyFrame(stream, reply, AbortSignal.timeout(ENROLL_CONNECTION_MS_MAX))
  } catch (error) {
    abandon(stream, refusalText(error))
  } finally {
    clearTimeout(timer)
    if (placed) quota.give(ticket)
  }
}
