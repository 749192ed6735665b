/** The one error class of this floor: expected outcomes are returned as values, not thrown. */

/** Why something an operator wrote cannot be used. Codes are part of the API: add, never rename. */
export type RolloutErrorCode =
  | 'SELECTOR_MALFORMED'
  | 'PATTERN_UNSAFE'
  | 'STRATEGY_MALFORMED'
  | 'NO_HOSTS'
  | 'HOST_TWICE'
  | 'HOST_UNMATCHED'

/** What was expected, what was found, and what to do. `at` points into the text, from 0. */
export class RolloutError extends Error {
  override readonly name = 'RolloutError'
  readonly code: RolloutErrorCode
  /** One sentence that says what to do. */
  readonly fix: string
  /** Index of the character that is wrong, where the error is about a text. */
  readonly at: number | undefined

  constructor(code: RolloutErrorCode, message: string, fix: string, at?: number) {
    super(message)
    this.code = code
    this.fix = fix
    this.at = at
  }
}

/** A value, or why there is none. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: RolloutError }

/** The value. */
export function good<T>(value: T): Result<T> {
  return { ok: true, value }
}

/** The error. */
export function bad(error: RolloutError): { readonly ok: false; readonly error: RolloutError } {
  return { ok: false, error }
}
