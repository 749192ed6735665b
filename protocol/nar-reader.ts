/**
 * Reads a NAR as it arrives: events out, nothing held but one token and one chunk.
 *
 * Strict where Nix is lenient, because the bytes come from a peer and are unpacked before their hash
 * is known: fields in the one order that Nix writes, UTF-8 names, bounds on everything. What
 * `readNar` accepts, `writeNar` writes back byte for byte. Source: thesis of E. Dolstra §5.2.1; Nix
 * manual, "Nix Archive (NAR) format".
 */
import { ByteWindow } from './byte-window.ts'
import { ProtocolError, type ProtocolErrorCode } from './errors.ts'
import { NAR_BYTES_MAX } from './limits.ts'
import {
  compareNarNames,
  NAR_MAGIC,
  type NarBounds,
  type NarStream,
  narNameFault,
  narTargetFault,
} from './nar.ts'
import {
  NAR_DEPTH_MAX,
  NAR_NAME_BYTES_MAX,
  NAR_NODES_MAX,
  NAR_TARGET_BYTES_MAX,
} from './nar-limits.ts'

/**
 * One step through a NAR, in the order of the archive. `name` is '' for the root, else one checked
 * path component. `bytes` are views of the chunks given in: copy what must outlive the next step.
 */
export type NarEvent =
  | { readonly kind: 'directory'; readonly name: string }
  | { readonly kind: 'directory-end' }
  | {
      readonly kind: 'regular'
      readonly name: string
      readonly size: number
      readonly executable: boolean
    }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'regular-end' }
  | { readonly kind: 'symlink'; readonly name: string; readonly target: string }
  /** The NAR was whole and nothing followed it; `size` is its length in bytes (the NarSize). */
  | { readonly kind: 'end'; readonly size: number }

/** How to read. */
export interface NarReadOptions extends NarBounds {
  /** Refuse two names in a directory that differ in case or Unicode form only. Off, as in Nix. */
  readonly refuseCaseTwins?: boolean
}

/**
 * The events of the NAR that `chunks` make up, however they are cut.
 *
 * An unpacked file means nothing before 'end' came and the caller compared the hash of the chunks.
 * Throws NAR_MALFORMED on anything that Nix would not have written and on a NAR that ends early or
 * late; TOO_LARGE above a bound, before the bytes that break it are asked for.
 */
export async function* readNar(
  chunks: NarStream<Uint8Array>,
  options: NarReadOptions,
): AsyncGenerator<NarEvent, void> {
  const window = new ByteWindow()
  const steps = new NarGrammar(window, options).archive()
  for await (const chunk of chunks) {
    window.append(chunk)
    let step = steps.next()
    while (!step.done && step.value.kind !== 'more') {
      yield step.value
      step = steps.next()
    }
  }
  window.end()
  for (const step of steps) if (step.kind !== 'more') yield step
}

/** Fatal: a name that is not UTF-8 has no text. A byte order mark is a character like any other. */
const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Asks for another chunk: the grammar stands still until `readNar` resumes it. */
const MORE = { kind: 'more' } as const
type Reading<T> = Generator<NarEvent | typeof MORE, T, void>

/** The grammar, one method a rule. Generators, so that it reads as if all bytes were there. */
class NarGrammar {
  readonly #window: ByteWindow
  readonly #options: NarReadOptions
  readonly #bytesMax: number
  readonly #nodesMax: number
  #nodes = 0

  constructor(window: ByteWindow, options: NarReadOptions) {
    this.#window = window
    this.#options = options
    this.#bytesMax = options.bytesMax ?? NAR_BYTES_MAX
    this.#nodesMax = options.nodesMax ?? NAR_NODES_MAX
  }

  *archive(): Reading<void> {
    yield* this.#expect(NAR_MAGIC)
    yield* this.#node('', 0)
    const size = this.#window.offset
    while (!this.#window.ended) {
      if (this.#window.length > 0) throw this.#malformed('the end', 'more bytes')
      yield MORE
    }
    yield { kind: 'end', size }
  }

  *#node(name: string, depth: number): Reading<void> {
    this.#nodes++
    if (this.#nodes > this.#nodesMax) throw this.#tooLarge(`${this.#nodesMax} files`)
    if (depth > NAR_DEPTH_MAX) throw this.#tooLarge(`a depth of ${NAR_DEPTH_MAX}`)
    yield* this.#expect('(')
    yield* this.#expect('type')
    const type = yield* this.#expect('regular', 'symlink', 'directory')
    if (type === 'regular') yield* this.#regular(name)
    else if (type === 'symlink') yield* this.#symlink(name)
    else yield* this.#directory(name, depth)
  }

  *#regular(name: string): Reading<void> {
    const executable = (yield* this.#expect('executable', 'contents')) === 'executable'
    if (executable) {
      yield* this.#expect('')
      yield* this.#expect('contents')
    }
    // The 8 bytes of the size itself are still to come out of what is left.
    const left = this.#bytesMax - this.#window.offset - 8
    const size = yield* this.#size(left, 'the rest of the NAR')
    yield { kind: 'regular', name, size, executable }
    yield* this.#contents(size)
    yield* this.#padding(size)
    yield* this.#expect(')')
    yield { kind: 'regular-end' }
  }

  *#contents(size: number): Reading<void> {
    let left = size
    while (left > 0) {
      yield* this.#need(1)
      const bytes = this.#window.take(Math.min(left, this.#window.length))
      left -= bytes.length
      yield { kind: 'bytes', bytes }
    }
  }

  *#symlink(name: string): Reading<void> {
    yield* this.#expect('target')
    const target = yield* this.#string(NAR_TARGET_BYTES_MAX, 'a symlink target')
    const wrong = narTargetFault(target)
    if (wrong !== undefined) throw this.#malformed('a symlink target', wrong)
    yield* this.#expect(')')
    yield { kind: 'symlink', name, target }
  }

  *#directory(name: string, depth: number): Reading<void> {
    yield { kind: 'directory', name }
    const seen = this.#options.refuseCaseTwins ? new Set<string>() : undefined
    let last: string | undefined
    while ((yield* this.#expect('entry', ')')) === 'entry') {
      yield* this.#expect('(')
      yield* this.#expect('name')
      const entry = yield* this.#string(NAR_NAME_BYTES_MAX, 'an entry name')
      this.#assertName(entry, last, seen)
      yield* this.#expect('node')
      yield* this.#node(entry, depth + 1)
      yield* this.#expect(')')
      last = entry
    }
    yield { kind: 'directory-end' }
  }

  #assertName(name: string, last: string | undefined, seen: Set<string> | undefined): void {
    const wrong = narNameFault(name)
    if (wrong !== undefined) throw this.#malformed('an entry name', wrong)
    if (last !== undefined && compareNarNames(last, name) >= 0) {
      throw this.#malformed(`a name after ${quoted(last)} in byte order`, quoted(name))
    }
    if (!seen) return
    const folded = name.normalize('NFC').toLowerCase()
    if (seen.has(folded)) throw this.#malformed('names that differ in more than case', quoted(name))
    seen.add(folded)
  }

  /** One of `tags`, which may not be longer than the longest of them. */
  *#expect<const Tag extends string>(...tags: readonly Tag[]): Reading<Tag> {
    const wanted = tags.map((tag) => `'${tag}'`).join(' or ')
    const longest = Math.max(...tags.map((tag) => tag.length))
    const found = yield* this.#string(longest, wanted, 'NAR_MALFORMED')
    const tag = tags.find((candidate) => candidate === found)
    if (tag === undefined) throw this.#malformed(wanted, quoted(found))
    return tag
  }

  *#string(bytesMax: number, what: string, code: ProtocolErrorCode = 'TOO_LARGE'): Reading<string> {
    const length = yield* this.#size(bytesMax, what, code)
    yield* this.#need(length)
    const bytes = this.#window.take(length)
    const text = this.#decoded(bytes, what)
    yield* this.#padding(length)
    return text
  }

  #decoded(bytes: Uint8Array, what: string): string {
    try {
      return UTF_8.decode(bytes)
    } catch (cause) {
      throw this.#malformed(what, 'bytes that are not UTF-8', cause)
    }
  }

  *#size(max: number, what: string, code: ProtocolErrorCode = 'TOO_LARGE'): Reading<number> {
    yield* this.#need(8)
    const bytes = this.#window.take(8)
    const size = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
    if (size > BigInt(Math.max(max, 0))) {
      throw this.#error(code, `at most ${max} bytes for ${what}`, `a size of ${size}`)
    }
    return Number(size)
  }

  *#padding(length: number): Reading<void> {
    const count = (8 - (length % 8)) % 8
    yield* this.#need(count)
    if (this.#window.take(count).some((byte) => byte !== 0)) {
      throw this.#malformed('padding of zeros', 'other bytes')
    }
  }

  /** Returns when `count` bytes are there to take. */
  *#need(count: number): Reading<void> {
    if (this.#window.offset + count > this.#bytesMax)
      throw this.#tooLarge(`${this.#bytesMax} bytes`)
    while (this.#window.length < count) {
      if (this.#window.ended) throw this.#malformed('more bytes', 'the end')
      yield MORE
    }
  }

  #malformed(expected: string, found: string, cause?: unknown): ProtocolError {
    return this.#error('NAR_MALFORMED', expected, found, cause)
  }

  #tooLarge(bound: string): ProtocolError {
    return this.#error('TOO_LARGE', `at most ${bound}`, 'more')
  }

  #error(code: ProtocolErrorCode, expected: string, found: string, cause?: unknown): ProtocolError {
    const where = `at byte ${this.#window.offset} of the NAR of ${this.#options.whose}`
    const message = `expected ${expected} ${where}, found ${found}`
    return new ProtocolError(code, 'reject', message, { cause })
  }
}

/** A peer chose these characters: no line break or escape of theirs may reach a log as such. */
function quoted(text: string): string {
  return JSON.stringify(text)
}
