/** The one error class of the node: a code for scripts, a reason, and what to do. */
export type NodeErrorCode =
  | 'STORE_FULL'
  | 'STORE_LOCKED'
  | 'STORE_NEWER'
  | 'STORE_FOREIGN'
  | 'STORE_CORRUPT'
  | 'PORT_IN_USE'
  | 'KEY_UNREADABLE'
  | 'KEY_EXPOSED'
  | 'KEY_MALFORMED'
  | 'TRUST_UNREADABLE'
  | 'CONFIG_INVALID'
  | 'PEER_UNREACHABLE'
  | 'PEER_TIMEOUT'
  | 'PEER_REFUSED'
  | 'KEY_REVOKED'
  | 'BLOB_MISSING'
  | 'BLOB_CORRUPT'
  | 'BUNDLE_EPOCHS'
  | 'NOT_A_MEMBER'
  | 'SYSTEM_FAILED'
  | 'GENERATION_MISSING'
  | 'FEED_IN_DOUBT'
  | 'API_UNPROTECTED'
  | 'CERTIFICATE_INVALID'
  | 'TOKENS_FULL'

export class NodeError extends Error {
  override readonly name = 'NodeError'
  readonly code: NodeErrorCode
  /** One sentence that says what to do. */
  readonly fix: string

  constructor(code: NodeErrorCode, message: string, fix: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.fix = fix
  }
}
