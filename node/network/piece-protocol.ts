/**
 * Pieces of NARs between hosts (SPEC §8.4): `/nixfleet/piece/1`.
 *
 * One question a stream, whose answer comes as fast as it is taken. What the bytes mean is the swarm's
 * business; here are the limits, the back pressure and the end of what is silent.
 */
import type { Stream } from '@libp2p/interface'
import { PIECE_QUESTION_BYTES_MAX } from '../../protocol/index.ts'
import { BLOB_CHUNK_BYTES_MAX, BLOB_READ_AHEAD_BYTES_MAX, BLOB_STALL_MS_MAX } from '../limits.ts'
import type { NetworkHandlers, PeerName } from '../ports.ts'
import { refusalText, timedOut } from './failures.ts'
import type { Quota } from './quota.ts'
import { Silence } from './silence.ts'
import { abandon, readOnlyFrame, readStream, sendChunk, sendOnlyFrame } from './stream-io.ts'

export const PIECE_PROTOCOL = '/nixfleet/piece/1'

/**
 * The answer to `question`; the stream is gone when the generator ends, whatever happens.
 *
 * Throws PEER_TIMEOUT after 15 s of silence, and what the stream throws.
 */
export async function* askPiecesOnStream(
  stream: Stream,
  asked: { peer: PeerName; question: Uint8Array; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const { peer, question, signal } = asked
  const silence = new Silence(stream)
  const end = (): void => abandon(stream, 'it is of no use any more')
  signal.addEventListener('abort', end, { once: true })
  try {
    signal.throwIfAborted()
    silence.start()
    await sendOnlyFrame(stream, question, AbortSignal.timeout(BLOB_STALL_MS_MAX))
    for await (const chunk of readStream(stream, BLOB_READ_AHEAD_BYTES_MAX)) {
      silence.stop()
      yield chunk
      silence.start()
    }
  } catch (error) {
    throw silence.fell ? timedOut(peer, BLOB_STALL_MS_MAX, error) : error
  } finally {
    silence.stop()
    signal.removeEventListener('abort', end)
    abandon(stream, 'the reader left')
  }
}

/** Answers the question on `stream`. Never throws: a stream that goes wrong is aborted. */
export async function givePiecesOnStream(
  stream: Stream,
  peer: { from: PeerName; quota: Quota; pieces: NonNullable<NetworkHandlers['pieces']> },
): Promise<void> {
  const { from, quota, pieces } = peer
  if (!quota.take(from)) return abandon(stream, 'too many questions for pieces')
  const timer = setTimeout(() => abandon(stream, 'no question came'), BLOB_STALL_MS_MAX)
  try {
    const question = await readOnlyFrame(stream, PIECE_QUESTION_BYTES_MAX)
    clearTimeout(timer)
    for await (const chunk of await pieces(question, from)) {
      for (let at = 0; at < chunk.length; at += BLOB_CHUNK_BYTES_MAX) {
        const part = chunk.subarray(at, at + BLOB_CHUNK_BYTES_MAX)
        await sendChunk(stream, part, BLOB_STALL_MS_MAX)
      }
    }
    await stream.close({ signal: AbortSignal.timeout(BLOB_STALL_MS_MAX) })
  } catch (error) {
    abandon(stream, refusalText(error))
  } finally {
    clearTimeout(timer)
    quota.give(from)
  }
}
