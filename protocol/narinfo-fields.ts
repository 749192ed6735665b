/** The lines of a narinfo, before their values mean anything: keys once, values as text. */
import { ProtocolError } from './errors.ts'
import { NARINFO_SIGNATURES_MAX } from './nar-limits.ts'
import { type NixSignature, parseNixSignature } from './nix-signature.ts'

const KEYS: ReadonlySet<string> = new Set([
  'StorePath',
  'URL',
  'Compression',
  'FileHash',
  'FileSize',
  'NarHash',
  'NarSize',
  'References',
  'Deriver',
  'CA',
])

/**
 * The values of one narinfo by key; its errors name the key and the file.
 *
 * The constructor throws NARINFO_MALFORMED on text that is not UTF-8 lines of `key: value`, and on a
 * known key that stands there twice: which one counts would depend on the reader.
 */
export class NarinfoFields {
  readonly #values = new Map<string, string>()
  readonly #signatures: string[] = []
  readonly #whose: string

  constructor(bytes: Uint8Array, whose: string) {
    this.#whose = whose
    const lines = this.#decoded(bytes).split('\n')
    if (lines.pop() !== '') throw this.#malformed('a line break at the end', 'none')
    for (const line of lines) this.#add(line)
    if (this.#signatures.length > NARINFO_SIGNATURES_MAX) {
      throw this.#malformed(`at most ${NARINFO_SIGNATURES_MAX} Sig`, `${this.#signatures.length}`)
    }
  }

  /** The value of `key` through `parse`. Throws NARINFO_MALFORMED when it lacks or `parse` throws. */
  required<T>(key: string, parse: (text: string) => T): T {
    const text = this.#values.get(key)
    if (text === undefined) throw this.#malformed(key, 'none')
    return this.#parsed(key, text, parse)
  }

  /** As `required`, but undefined when the key lacks. */
  optional<T>(key: string, parse: (text: string) => T): T | undefined {
    const text = this.#values.get(key)
    return text === undefined ? undefined : this.#parsed(key, text, parse)
  }

  /** The signatures, in the order of the file. */
  signatures(): readonly NixSignature[] {
    return this.#signatures.map((text) => this.#parsed('Sig', text, parseNixSignature))
  }

  #add(line: string): void {
    const at = line.indexOf(': ')
    if (at < 1) throw this.#malformed("'key: value'", JSON.stringify(line.slice(0, 80)))
    const key = line.slice(0, at)
    const value = line.slice(at + 2)
    if (key === 'Sig') {
      if (this.#signatures.includes(value)) throw this.#malformed('each Sig once', 'one twice')
      this.#signatures.push(value)
    } else if (KEYS.has(key)) {
      if (this.#values.has(key)) throw this.#malformed(`one ${key}`, 'a second')
      this.#values.set(key, value)
    }
  }

  #decoded(bytes: Uint8Array): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch (cause) {
      throw this.#malformed('UTF-8', 'other bytes', cause)
    }
  }

  #parsed<T>(key: string, text: string, parse: (text: string) => T): T {
    try {
      return parse(text)
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause
      throw new ProtocolError(
        'NARINFO_MALFORMED',
        'reject',
        `${cause.message}, in ${key} of ${this.#whose}`,
        { cause },
      )
    }
  }

  #malformed(expected: string, found: string, cause?: unknown): ProtocolError {
    return malformedNarinfo(`${expected} in ${this.#whose}`, found, cause)
  }
}

/** The error of everything that is wrong inside a narinfo. */
export function malformedNarinfo(expected: string, found: string, cause?: unknown): ProtocolError {
  return new ProtocolError('NARINFO_MALFORMED', 'reject', `expected ${expected}, found ${found}`, {
    cause,
  })
}
