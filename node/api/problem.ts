/**
 * Errors of the API as RFC 9457 problems: a stable code, what, why, and what to do.
 *
 * The CLI's catalogue explains the same codes offline; a test compares the two.
 */
import { ProtocolError } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import type { Problem } from './schema.ts'

/** Codes that the API answers with. Part of the contract: add, never rename. */
export type ApiErrorCode =
  | 'NF-4001'
  | 'NF-4002'
  | 'NF-4003'
  | 'NF-4004'
  | 'NF-4005'
  | 'NF-4006'
  | 'NF-4007'
  | 'NF-4008'
  | 'NF-4009'
  | 'NF-4010'
  | 'NF-4011'
  | 'NF-4012'
  | 'NF-4013'
  | 'NF-4014'
  | 'NF-4015'
  | 'NF-4021'
  | 'NF-4022'
  | 'NF-4023'

interface Kind {
  readonly status: number
  readonly title: string
}

/** What each code means, with its HTTP status. */
export const API_ERRORS: Readonly<Record<ApiErrorCode, Kind>> = {
  'NF-4001': { status: 404, title: 'not found' },
  'NF-4002': { status: 400, title: 'malformed request' },
  'NF-4003': { status: 413, title: 'too large' },
  'NF-4004': { status: 421, title: 'this host name or origin is not served' },
  'NF-4005': { status: 409, title: 'blob not wanted' },
  'NF-4006': { status: 422, title: 'blob does not match its hash' },
  'NF-4007': { status: 422, title: 'fact refused' },
  'NF-4008': { status: 403, title: 'author unknown to this fleet' },
  'NF-4009': { status: 507, title: 'the store is full' },
  'NF-4010': { status: 503, title: 'the node is not ready' },
  'NF-4011': { status: 429, title: 'too many at once' },
  'NF-4012': { status: 405, title: 'no such operation' },
  'NF-4013': { status: 500, title: 'internal error' },
  'NF-4014': { status: 409, title: 'ambiguous id' },
  'NF-4015': { status: 403, title: 'the key is revoked' },
  'NF-4021': { status: 401, title: 'a read token is needed' },
  'NF-4022': { status: 403, title: 'not for this token' },
  'NF-4023': { status: 429, title: 'asked too often' },
}

/** An expected failure of a request. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: ApiErrorCode
  readonly fix: string
  /** Headers that belong to the refusal. */
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ApiErrorCode,
    message: string,
    fix: string,
    options: ErrorOptions & { readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message, options)
    this.code = code
    this.fix = fix
    this.headers = options.headers ?? (API_ERRORS[code].status === 429 ? RETRY_SOON : {})
  }
}

/** What is bounded by number is free again when somebody else has ended. */
const RETRY_SOON: Readonly<Record<string, string>> = { 'retry-after': '5' }

/** The problem that tells a client of `error`. What was not expected keeps its details to the log. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return problem(error.code, error.message, error.fix)
  if (error instanceof ProtocolError) {
    const code = error.code === 'UNKNOWN_AUTHOR' ? 'NF-4008' : 'NF-4007'
    return problem(code, `${error.code}: ${error.message}`, fixOfProtocol(error))
  }
  if (error instanceof NodeError) {
    return problem(codeOfNode(error), `${error.code}: ${error.message}`, error.fix)
  }
  return problem(
    'NF-4013',
    'the node met an error that it did not expect; its log has the details',
    'try another peer, and report the line in the log of this one',
  )
}

function codeOfNode({ code }: NodeError): ApiErrorCode {
  if (code === 'STORE_FULL') return 'NF-4009'
  if (code === 'BUNDLE_EPOCHS') return 'NF-4012'
  if (code === 'KEY_REVOKED') return 'NF-4015'
  return code === 'PEER_REFUSED' ? 'NF-4007' : 'NF-4013'
}

function problem(code: ApiErrorCode, why: string, fix: string): Problem {
  const { status, title } = API_ERRORS[code]
  return { type: `urn:nixfleet:error:${code}`, title, status, code, why, fix }
}

function fixOfProtocol(error: ProtocolError): string {
  switch (error.code) {
    case 'WRONG_FLEET':
    case 'BAD_SIGNATURE':
      return 'check that the key belongs to this fleet: nixfleet help NF-4007'
    case 'UNKNOWN_AUTHOR':
      return 'have an admin add the key to the root, or use the key that the root names'
    case 'BAD_CHAIN':
      return 'run the command again: each run writes a feed of its own'
    default:
      return 'use a client of the same version as the node: nixfleet version'
  }
}
