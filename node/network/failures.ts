/** The errors of a peer, made in one place so that both networks say the same. */
import type { Hash } from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { REFUSAL_CHARS_MAX } from '../limits.ts'
import type { PeerName } from '../ports.ts'

/** Nobody could be spoken to. `found` says what was found instead. */
export function unreachable(peer: PeerName, found: string, cause?: unknown): NodeError {
  return new NodeError(
    'PEER_UNREACHABLE',
    `expected to reach ${peer}, found ${found}`,
    `Check that ${peer} runs, and its addresses in the group configuration.`,
    { cause },
  )
}

/** The peer was silent for `ms`. */
export function timedOut(peer: PeerName, ms: number, cause?: unknown): NodeError {
  return new NodeError(
    'PEER_TIMEOUT',
    `expected an answer of ${peer} within ${ms} ms, found silence`,
    `Look at the load of ${peer} and at the line to it; nixfleet asks again by itself.`,
    { cause },
  )
}

/** The peer answered that it will not answer. */
export function refused(peer: PeerName, why: string): NodeError {
  return new NodeError(
    'PEER_REFUSED',
    `expected an answer of ${peer}, found a refusal: ${why}`,
    `Look at the log of ${peer} for the reason.`,
  )
}

/** The peer does not hold the blob. */
export function blobMissing(peer: PeerName, hash: Hash): NodeError {
  return new NodeError(
    'BLOB_MISSING',
    `expected the blob ${hash} at ${peer}, found that it does not hold it`,
    'Ask another peer.',
  )
}

/** What a peer is told of an error in its answer: one short line. */
export function refusalText(error: unknown): string {
  return textOf(error)
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .slice(0, REFUSAL_CHARS_MAX)
}

/** Words for anything that was thrown: libp2p also throws undefined and DOMExceptions. */
export function textOf(error: unknown): string {
  if (error === undefined || error === null) return 'an error without a word'
  const { message, name } = error as { message?: unknown; name?: unknown }
  return String(message || name || error)
}
