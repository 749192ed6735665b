/** A stream that says nothing while somebody waits for it is as good as gone. */
import type { Stream } from '@libp2p/interface'
import { BLOB_STALL_MS_MAX } from '../limits.ts'
import { abandon } from './stream-io.ts'

/** Aborts a stream that is silent while somebody waits for it; a slow reader is no silence. */
export class Silence {
  readonly #stream: Stream
  #timer: NodeJS.Timeout | undefined
  /** Whether it was the silence that ended the stream. */
  fell = false

  constructor(stream: Stream) {
    this.#stream = stream
  }

  start(): void {
    this.stop()
    this.#timer = setTimeout(() => {
      this.fell = true
      abandon(this.#stream, 'silence')
    }, BLOB_STALL_MS_MAX)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
