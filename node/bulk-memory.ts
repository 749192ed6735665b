/**
 * How this process uses memory while bytes of closures pass through it.
 *
 * A daemon is told to stay small (`cli/daemon-memory.ts`), and a download makes buffers by the hundred
 * MB: V8 then collects for every few pieces, which takes more processor time than moving them. So
 * garbage may grow while pieces pass, and is as before soon after the last.
 */
import { setFlagsFromString } from 'node:v8'
import { BULK_REST_MS } from './limits.ts'
import type { Clock } from './ports.ts'

/** Dead objects and buffers may come to three times of what lives, some 60 MB; the young generation grows. */
const PASSING = ['--heap-growing-percent=300', '--semi-space-growth-factor=2'] as const
/** V8 decides, the young generation keeps its size: what a daemon starts with. */
const RESTING = ['--heap-growing-percent=0', '--semi-space-growth-factor=1'] as const

export class BulkMemory {
  readonly #clock: Clock
  readonly #set: (flag: string) => void
  /** When bytes passed last, in bootMs; undefined while none have for long. */
  #lastMs: number | undefined

  constructor(clock: Clock, set: (flag: string) => void = setFlagsFromString) {
    this.#clock = clock
    this.#set = set
  }

  /** Bytes of a closure came or left. Bound to its object, to be handed on. */
  readonly passed = (): void => {
    const isFirst = this.#lastMs === undefined
    this.#lastMs = this.#clock.bootMs()
    if (!isFirst) return
    for (const flag of PASSING) this.#set(flag)
    this.#lookAfter(BULK_REST_MS)
  }

  #lookAfter(ms: number): void {
    this.#clock.after(ms, () => {
      const restsAt = (this.#lastMs ?? 0) + BULK_REST_MS
      const left = restsAt - this.#clock.bootMs()
      if (left > 0) return this.#lookAfter(left)
      this.#lastMs = undefined
      for (const flag of RESTING) this.#set(flag)
    })
  }
}
