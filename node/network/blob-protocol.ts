/**
 * A blob's bytes from an offset, as fast as the reader takes them (SPEC §10): `/nixfleet/blob/1`.
 *
 * The asker sends a frame of the hash (32 bytes) and the offset (8 bytes, big-endian) and ends its
 * side. The server sends one byte that says whether it holds the blob, then the bytes, and ends. The
 * hash is not checked here: `blob-fetch.ts` does, over all peers together.
 */
import type { Stream } from '@libp2p/interface'
import { concatBytes, fromHex, type Hash, toHex } from '../../protocol/index.ts'
import { BLOB_CHUNK_BYTES_MAX, BLOB_READ_AHEAD_BYTES_MAX, BLOB_STALL_MS_MAX } from '../limits.ts'
import type { NetworkHandlers, PeerName } from '../ports.ts'
import { blobMissing, refusalText, refused, timedOut } from './failures.ts'
import type { Quota } from './quota.ts'
import { Silence } from './silence.ts'
import { abandon, readOnlyFrame, readStream, sendChunk, sendOnlyFrame } from './stream-io.ts'

export const BLOB_PROTOCOL = '/nixfleet/blob/1'

const REQUEST_BYTES = 40
const HELD = 0
const MISSING = 1
const BUSY = 2

/**
 * The blob's bytes from `offset`; the stream is gone when the generator ends, whatever happens.
 *
 * Throws NodeError BLOB_MISSING, PEER_REFUSED when the peer is busy, PEER_TIMEOUT after 15 s of
 * silence, and what the stream throws.
 */
export async function* pullOnStream(
  stream: Stream,
  wanted: { peer: PeerName; hash: Hash; offset: number },
): AsyncGenerator<Uint8Array> {
  const { peer, hash, offset } = wanted
  const silence = new Silence(stream)
  try {
    silence.start()
    await sendOnlyFrame(stream, encodeRequest(hash, offset), AbortSignal.timeout(BLOB_STALL_MS_MAX))
    let status: number | undefined
    for await (const chunk of readStream(stream, BLOB_READ_AHEAD_BYTES_MAX)) {
      silence.stop()
      const bytes = status === undefined ? chunk.subarray(1) : chunk
      status ??= chunk[0]
      assertHeld(status, peer, hash)
      if (bytes.length > 0) yield bytes
      silence.start()
    }
    assertHeld(status, peer, hash)
  } catch (error) {
    throw silence.fell ? timedOut(peer, BLOB_STALL_MS_MAX, error) : error
  } finally {
    silence.stop()
    abandon(stream, 'the reader left')
  }
}

/** Serves the blob that is asked for on `stream`. Never throws: a stream that goes wrong is aborted. */
export async function serveOnStream(
  stream: Stream,
  peer: { from: PeerName; quota: Quota; serve: NetworkHandlers['serve'] },
): Promise<void> {
  const { from, quota, serve } = peer
  const placed = quota.take(from)
  const timer = setTimeout(() => abandon(stream, 'no request came'), BLOB_STALL_MS_MAX)
  try {
    const { hash, offset } = decodeRequest(await readOnlyFrame(stream, REQUEST_BYTES))
    clearTimeout(timer)
    const chunks = placed ? await serve(hash, offset) : undefined
    const status = placed ? (chunks === undefined ? MISSING : HELD) : BUSY
    await sendChunk(stream, Uint8Array.of(status), BLOB_STALL_MS_MAX)
    if (chunks !== undefined) await sendAll(stream, chunks)
    await stream.close({ signal: AbortSignal.timeout(BLOB_STALL_MS_MAX) })
  } catch (error) {
    abandon(stream, refusalText(error))
  } finally {
    clearTimeout(timer)
    if (placed) quota.give(from)
  }
}

async function sendAll(stream: Stream, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += BLOB_CHUNK_BYTES_MAX) {
      const piece = chunk.subarray(at, at + BLOB_CHUNK_BYTES_MAX)
      await sendChunk(stream, piece, BLOB_STALL_MS_MAX)
    }
  }
}

function assertHeld(status: number | undefined, peer: PeerName, hash: Hash): void {
  if (status === HELD) return
  if (status === MISSING) throw blobMissing(peer, hash)
  if (status === BUSY) throw refused(peer, 'it sends too many blobs already')
  throw refused(peer, status === undefined ? 'it ended at once' : `an unknown status ${status}`)
}

function encodeRequest(hash: Hash, offset: number): Uint8Array {
  const tail = new Uint8Array(8)
  new DataView(tail.buffer).setBigUint64(0, BigInt(offset))
  return concatBytes(fromHex(hash), tail)
}

function decodeRequest(frame: Uint8Array): { hash: Hash; offset: number } {
  if (frame.length !== REQUEST_BYTES) {
    throw new Error(`expected ${REQUEST_BYTES} bytes, found ${frame.length}`)
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const offset = Number(view.getBigUint64(32))
  if (!Number.isSafeInteger(offset)) throw new Error('expected an offset below 2^53')
  return { hash: toHex(frame.subarray(0, 32)), offset }
}
