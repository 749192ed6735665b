/** The world of one run of the CLI: everything that a command may read or do besides its arguments. */
import type { Client } from './client.ts'
import type { Output } from './output.ts'
import type { Settings } from './settings.ts'
import type { Words } from './words.ts'

export interface Context {
  readonly out: Output
  readonly words: Words
  readonly settings: Settings
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Aborts on Ctrl-C and on SIGTERM. */
  readonly signal: AbortSignal
  /** Wall clock in ms. */
  readonly now: () => number
  /** Resolves after `ms`, or at once when the run is interrupted. */
  readonly sleep: (ms: number) => Promise<void>
  readonly random: (count: number) => Uint8Array
  /** The typed answer, or undefined when there is no terminal to ask on. */
  readonly ask: (question: string) => Promise<string | undefined>
  /** A client of the first peer that answers; the same one for the whole run. Throws NF-1101. */
  readonly connect: () => Promise<Client>
  /** A client of this address alone, closed with the run. */
  readonly connectTo: (address: string) => Client
  /** Addresses of the other nodes of a demo beside `address`. */
  readonly siblings: (address: string) => readonly string[]
}
