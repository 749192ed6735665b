/** What is wrong with a pull. Codes are part of the contract: add, never rename. */

export type FindingCode =
  | 'ROOT'
  | 'CONFIG'
  | 'HEAD'
  | 'TILE'
  | 'BUNDLE'
  | 'FACT'
  | 'FACT_MISSING'
  | 'FACT_ORDER'
  | 'AUTHOR'
  | 'BLOCK'
  | 'BLOCK_ORDER'
  | 'CERTIFICATE'
  | 'BASIS'
  | 'CHECKPOINT'
  | 'CHECKPOINT_BEHIND'
  | 'COSIGNATURE'
  | 'ROLLBACK'
  | 'SPLIT_VIEW'

/** One thing that is wrong, and where. */
export interface Finding {
  readonly code: FindingCode
  /** The file or log of the pull. */
  readonly where: string
  /** What was expected, what was found, whose. */
  readonly text: string
  /** Bytes that prove it to anybody with the fleet's documents, as base64 or text. */
  readonly proof?: readonly string[] | undefined
}

/** Takes findings as they are made. */
export type Report = (finding: Finding) => void
