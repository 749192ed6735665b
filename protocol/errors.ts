/**
 * The one error class of this floor.
 *
 * Codes are part of the audit log: add, never rename. `reject` means that the bytes can never become
 * good and lowers the sender's score; `ignore` means that they are merely not wanted now.
 */
export type ProtocolErrorCode =
  | 'TOO_LARGE'
  | 'NOT_CANONICAL'
  | 'BAD_SHAPE'
  | 'BAD_SIGNATURE'
  | 'BAD_KEY'
  | 'WRONG_FLEET'
  | 'UNKNOWN_VERSION'
  | 'UNKNOWN_AUTHOR'
  | 'BAD_ROOT'
  | 'BAD_CHAIN'
  | 'BAD_CERTIFICATE'
  | 'BAD_BLOB'
  | 'BAD_BUNDLE'
  | 'BAD_TICKET'
  | 'NAR_MALFORMED'
  | 'NARINFO_MALFORMED'
  | 'STORE_PATH_MALFORMED'
  | 'NIX_SIGNATURE_MALFORMED'

export type ProtocolErrorAction = 'ignore' | 'reject'

/** Why bytes were refused. The message says what was expected, what was found, and whose it was. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ProtocolErrorCode
  readonly action: ProtocolErrorAction

  constructor(
    code: ProtocolErrorCode,
    action: ProtocolErrorAction,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.code = code
    this.action = action
  }
}
