/** The bytes of a stream that have arrived and are not yet used. For parsers that read as bytes come. */

const NONE = new Uint8Array(0)

/** A queue of bytes: chunks go in, views come out. Copies only what a chunk's border cuts. */
export class ByteWindow {
  #bytes: Uint8Array = NONE
  #offset = 0
  #ended = false

  /** Bytes waiting to be taken. */
  get length(): number {
    return this.#bytes.length
  }

  /** Bytes taken so far: where in the stream the reader stands. */
  get offset(): number {
    return this.#offset
  }

  /** Whether the stream will bring no more. */
  get ended(): boolean {
    return this.#ended
  }

  /** Adds what has arrived. `chunk` must not change while views of it are in use. */
  append(chunk: Uint8Array): void {
    if (this.#bytes.length === 0) {
      this.#bytes = chunk
      return
    }
    const joined = new Uint8Array(this.#bytes.length + chunk.length)
    joined.set(this.#bytes)
    joined.set(chunk, this.#bytes.length)
    this.#bytes = joined
  }

  /** Says that the stream is over. */
  end(): void {
    this.#ended = true
  }

  /** The next `count` bytes, of which the caller knows that they are there. */
  take(count: number): Uint8Array {
    const taken = this.#bytes.subarray(0, count)
    this.#bytes = this.#bytes.subarray(count)
    this.#offset += count
    return taken
  }
}
