/** Where a replay reads from, and what it says of bytes that do not verify. */
import type { Hash } from '../protocol/index.ts'

/** Signed bytes and where they lie, for whoever must name what is wrong. */
export interface StoredBytes {
  readonly where: string
  readonly bytes: Uint8Array
}

/** A committed block and its certificate, each in the form of SPEC §7.2 with its tag. */
export interface StoredBlock {
  readonly where: string
  readonly block: Uint8Array
  readonly certificate: Uint8Array
}

/** Where a replay reads: a node's disk, or a pull. */
export interface ReplaySource {
  /** Envelopes feed by feed, each feed in its order. */
  facts(): AsyncIterable<StoredBytes>
  /** Envelopes that a fork put in doubt: in no feed, but a block may stand on one. */
  strays(): AsyncIterable<StoredBytes>
  /** Committed blocks in their order, through all epochs. */
  blocks(): AsyncIterable<StoredBlock>
  /** Blocks of an epoch that are beside its log: a certificate may be of one of them. */
  loose(epoch: number): Promise<readonly Uint8Array[]>
  /** The body of that hash, if it is there. */
  blob(hash: Hash): Promise<Uint8Array | undefined>
}

/** One thing that does not verify. Codes are part of the contract: add, never rename. */
export interface ReplayFinding {
  readonly code: 'FACT' | 'CHAIN' | 'AUTHOR' | 'BLOCK' | 'CERTIFICATE' | 'RULE'
  readonly where: string
  /** What was expected, what was found, whose. */
  readonly text: string
}
