/** Errors that people read: a code, what, why, and what to do (`catalogue.ts` has the pages). */
import { CATALOGUE } from './catalogue.ts'
import {
  EXIT_BAD_CONFIG,
  EXIT_BUG,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_IO,
  EXIT_NO_INPUT,
  EXIT_NO_PEER,
  EXIT_NOT_PERMITTED,
  EXIT_TRY_AGAIN,
} from './exit-codes.ts'

/** This build of the program does not hold what was asked for; nothing was done or printed. */
export class HandOver extends Error {
  override readonly name = 'HandOver'
}

/** An expected failure. `why` and `fix` are lines; without them the catalogue's are shown. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly code: string
  readonly exit: number
  readonly why: readonly string[]
  readonly fix: readonly string[]

  constructor(
    code: string,
    message: string,
    details: {
      why?: readonly string[]
      fix?: readonly string[]
      exit?: number
      cause?: unknown
    } = {},
  ) {
    super(message, { cause: details.cause })
    const page = CATALOGUE[code]
    this.code = code
    this.exit = details.exit ?? page?.exit ?? EXIT_FAILED
    this.why = details.why ?? (page ? [page.why] : [])
    this.fix = details.fix ?? (page ? [page.fix] : [])
  }
}

/** The user left with Ctrl-C; `message` says what goes on without them. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly exit: number = EXIT_INTERRUPTED
}

const NODE_EXITS: Readonly<Record<string, number>> = {
  CONFIG_INVALID: EXIT_BAD_CONFIG,
  TRUST_UNREADABLE: EXIT_BAD_CONFIG,
  KEY_UNREADABLE: EXIT_BAD_CONFIG,
  KEY_MALFORMED: EXIT_BAD_CONFIG,
  KEY_EXPOSED: EXIT_NOT_PERMITTED,
  NOT_A_MEMBER: EXIT_NOT_PERMITTED,
  PORT_IN_USE: EXIT_TRY_AGAIN,
  STORE_LOCKED: EXIT_TRY_AGAIN,
  STORE_FOREIGN: EXIT_BAD_CONFIG,
  STORE_NEWER: EXIT_BAD_CONFIG,
  API_UNPROTECTED: EXIT_BAD_CONFIG,
  CERTIFICATE_INVALID: EXIT_BAD_CONFIG,
  TOKENS_FULL: EXIT_TRY_AGAIN,
  STORE_FULL: EXIT_IO,
  STORE_CORRUPT: EXIT_IO,
  GENERATION_MISSING: EXIT_NO_INPUT,
  PEER_UNREACHABLE: EXIT_NO_PEER,
  PEER_TIMEOUT: EXIT_NO_PEER,
}

/**
 * Any thrown thing as a CliError. The node's and the protocol's errors are known by their names, because
 * loading their classes would load the node.
 */
export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error
  if (!(error instanceof Error)) return new CliError('NF-5001', String(error), { exit: EXIT_BUG })
  const { code, fix } = error as { code?: unknown; fix?: unknown }
  if (error.name === 'NodeError' && typeof code === 'string') {
    return new CliError('NF-5002', `${code}: ${error.message}`, {
      why: [],
      fix: [String(fix ?? '')],
      exit: NODE_EXITS[code] ?? EXIT_FAILED,
      cause: error,
    })
  }
  if (error.name === 'ProtocolError') {
    return new CliError('NF-1004', `${String(code)}: ${error.message}`, { cause: error })
  }
  if (typeof code === 'string' && 'syscall' in error) {
    return new CliError('NF-1008', error.message, { why: [], fix: [], cause: error })
  }
  return new CliError('NF-5001', error.message, { exit: EXIT_BUG, cause: error })
}

/** Wrong usage of a command (64). */
export function usage(message: string, ...fix: readonly string[]): CliError {
  return new CliError('NF-1002', message, { why: [], fix })
}
