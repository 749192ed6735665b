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

/** Findings that are kept: a pull of which nothing is right must not fill the memory. */
const FINDINGS_KEPT_MAX = 1000

/** What was found in one part of a pull: the first findings, and how many there are. */
export interface Found {
  readonly kept: readonly Finding[]
  readonly count: number
}

/**
 * Findings in the order of the parts that they are of, whichever part is done first. Beyond
 * `FINDINGS_KEPT_MAX` only their number grows.
 */
export class Findings {
  #kept: { readonly part: number; readonly finding: Finding }[] = []
  #count = 0

  /** Takes findings of one part as they are made. */
  reporter(part = 0): Report {
    return (finding) => this.take({ kept: [finding], count: 1 }, part)
  }

  /** Takes what was found in one part elsewhere. */
  take({ kept, count }: Found, part: number): void {
    this.#count += count
    if (kept.length === 0) return
    const last = this.#kept.at(-1)
    if (last !== undefined && last.part <= part && this.#kept.length >= FINDINGS_KEPT_MAX) return
    this.#kept.push(...kept.map((finding) => ({ part, finding })))
    if (last !== undefined && last.part > part) this.#kept.sort((a, b) => a.part - b.part)
    this.#kept.length = Math.min(this.#kept.length, FINDINGS_KEPT_MAX)
  }

  get kept(): readonly Finding[] {
    return this.#kept.map(({ finding }) => finding)
  }

  get count(): number {
    return this.#count
  }
}
