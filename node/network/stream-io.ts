/**
 * Reading and writing libp2p 3 streams with back pressure both ways.
 *
 * The library's own means do not hold it: a stream's async iterator takes bytes as fast as they
 * come, whatever the reader does, and loses the rest of a paused stream when the other side closes;
 * `onDrain` resolves once and then, for that stream, always at once.
 */
import type { Stream } from '@libp2p/interface'
import { decode, encode } from 'it-length-prefixed'
import { pipe } from 'it-pipe'

/** Bytes held for a reader before the sender is held back. */
const READ_AHEAD_BYTES = 256 * 1024

type StreamBytes = Uint8Array | { subarray(): Uint8Array }

/**
 * The stream's bytes until the other side ends it.
 *
 * Throws when the stream is reset or aborted. A reader that leaves early should abort the stream.
 */
export async function* readStream(
  stream: Stream,
  aheadBytesMax: number = READ_AHEAD_BYTES,
): AsyncGenerator<Uint8Array> {
  const inbox = new Inbox(stream, aheadBytesMax)
  try {
    for (;;) {
      const chunk = await inbox.next()
      if (chunk === undefined) return
      yield chunk
    }
  } finally {
    inbox.detach()
  }
}

/** Sends one chunk; resolves when the muxer has taken it whole, so that memory holds one chunk. */
export async function sendChunk(stream: Stream, chunk: Uint8Array, stallMs: number): Promise<void> {
  stream.send(chunk)
  if (stream.writeBufferLength === 0) return
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => finish(new Error(`nothing was taken for ${stallMs} ms`)),
      stallMs,
    )
    const onIdle = (): void => finish()
    const onClose = (): void => finish(new Error('the stream was closed'))
    const finish = (error?: Error): void => {
      clearTimeout(timer)
      stream.removeEventListener('idle', onIdle)
      stream.removeEventListener('close', onClose)
      if (error === undefined) resolve()
      else reject(error)
    }
    stream.addEventListener('idle', onIdle)
    stream.addEventListener('close', onClose)
  })
}

/** Sends one length-prefixed frame and ends this side of the stream. */
export async function sendOnlyFrame(
  stream: Stream,
  frame: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  stream.send(encode.single(frame).subarray())
  await stream.close({ signal })
}

/** The one frame that the other side sends before it ends. Throws on none, two, or a larger one. */
export async function readOnlyFrame(stream: Stream, bytesMax: number): Promise<Uint8Array> {
  const frames = await pipe(
    readStream(stream),
    (source) => decode(source, { maxDataLength: bytesMax }),
    async (source) => {
      const found: Uint8Array[] = []
      for await (const frame of source) {
        found.push(plainBytes(frame.subarray()))
        if (found.length > 1) break
      }
      return found
    },
  )
  const [frame] = frames
  if (frame !== undefined && frames.length === 1) return frame
  throw new Error(`expected one frame, found ${frame === undefined ? 'none' : 'more'}`)
}

/**
 * The same bytes as a Uint8Array proper. libp2p hands out Buffers, whose `slice` does not copy and
 * which no comparison takes for the array that they are.
 */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Ends a stream that may be in any state, without waiting and without an error. */
export function abandon(stream: Stream, why: string): void {
  if (stream.status === 'open' || stream.status === 'closing') stream.abort(new Error(why))
}

/** What has arrived on a stream and was not yet taken. */
class Inbox {
  readonly #stream: Stream
  readonly #aheadBytesMax: number
  readonly #chunks: Uint8Array[] = []
  #held = 0
  #ended = false
  #failure: Error | undefined
  #wake: (() => void) | undefined

  readonly #onMessage = (event: { data: StreamBytes }): void => {
    const chunk = plainBytes(event.data.subarray())
    this.#chunks.push(chunk)
    this.#held += chunk.length
    if (this.#held > this.#aheadBytesMax && this.#stream.readStatus === 'readable') {
      this.#stream.pause()
    }
    this.#wake?.()
  }
  readonly #onEnd = (): void => {
    this.#ended = true
    this.#wake?.()
  }
  readonly #onClose = (event: { error?: unknown }): void => {
    if (event.error !== undefined) {
      this.#failure = event.error instanceof Error ? event.error : new Error(String(event.error))
    } else if (this.#stream.readBufferLength === 0) this.#ended = true
    this.#wake?.()
  }

  constructor(stream: Stream, aheadBytesMax: number) {
    this.#stream = stream
    this.#aheadBytesMax = aheadBytesMax
    if (stream.status === 'reset' || stream.status === 'aborted') {
      this.#failure = new Error(`the stream was ${stream.status}`)
    }
    if (stream.readableEnded) this.#ended = true
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('end', this.#onEnd)
    stream.addEventListener('close', this.#onClose)
  }

  /** The next bytes, or undefined at the end. Bytes that arrived before a failure are still given. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) return this.#taken(chunk)
      if (this.#failure !== undefined) throw this.#failure
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }

  detach(): void {
    this.#stream.removeEventListener('message', this.#onMessage)
    this.#stream.removeEventListener('end', this.#onEnd)
    this.#stream.removeEventListener('close', this.#onClose)
  }

  #taken(chunk: Uint8Array): Uint8Array {
    this.#held -= chunk.length
    if (this.#stream.readStatus === 'paused' && this.#held <= this.#aheadBytesMax / 2) {
      this.#stream.resume()
    }
    return chunk
  }
}
