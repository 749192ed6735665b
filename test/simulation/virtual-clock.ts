/**
 * A clock that moves only when it is told to, so that hours of a fleet take seconds and each run of
 * a seed is the same.
 *
 * Between two timers everything that is ready runs to its end: microtasks; the shipped node yields in
 * no other way. Timers of one instant run in the order in which they were set.
 */
import type { Cancel, Clock } from '../../node/ports.ts'

interface Timer {
  readonly at: number
  readonly order: number
  /** Undefined once it is cancelled. */
  run: (() => void) | undefined
}

/** Timers after which the process may look at its signals and timers again. */
const BREATH_TIMERS = 500

export interface VirtualClockOptions {
  /** `bootMs` at the start. */
  readonly bootMs?: number
  /** `wallMs` at the start. */
  readonly wallMs?: number
}

/** One time line; `view` gives hosts clocks of their own on it. */
export class VirtualClock implements Clock {
  #now: number
  #order = 0
  /** A binary heap by (at, order). */
  readonly #timers: Timer[] = []
  readonly #wallAhead: number
  /** Timers that have run. */
  events = 0
  /** Called when a timer has run and nothing is ready any more. */
  settled: (() => void) | undefined

  constructor(options: VirtualClockOptions = {}) {
    this.#now = options.bootMs ?? 1_000_000
    this.#wallAhead = (options.wallMs ?? 1_800_000_000_000) - this.#now
  }

  bootMs(): number {
    return this.#now
  }

  wallMs(): number {
    return this.#now + this.#wallAhead
  }

  after(ms: number, run: () => void): Cancel {
    const timer: Timer = { at: this.#now + Math.max(0, ms), order: this.#order++, run }
    this.#push(timer)
    return () => {
      timer.run = undefined
    }
  }

  /** The same time line for a host that booted at another time or whose wall clock is wrong. */
  view(ahead: { readonly bootMs?: number; readonly wallMs?: number }): Clock {
    return {
      bootMs: () => this.bootMs() + (ahead.bootMs ?? 0),
      wallMs: () => this.wallMs() + (ahead.wallMs ?? 0),
      after: (ms, run) => this.after(ms, run),
    }
  }

  /** Lets `ms` pass; resolves when everything that fell due has run and nothing is ready any more. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (let due = this.#takeDue(end); due !== undefined; due = this.#takeDue(end)) {
      this.#now = due.at
      due.run?.()
      await settle()
      this.events++
      if (this.events % BREATH_TIMERS === 0) await breathe()
      this.settled?.()
    }
    this.#now = end
  }

  /** Advances in steps until `done` holds. Throws after `limitMs` of virtual time. */
  async until(done: () => boolean, limitMs: number, stepMs = 10): Promise<void> {
    const end = this.#now + limitMs
    await settle()
    while (!done()) {
      if (this.#now >= end)
        throw new Error(`expected an end within ${limitMs} virtual ms, found none`)
      await this.advance(Math.min(stepMs, end - this.#now))
    }
  }

  #takeDue(end: number): Timer | undefined {
    for (;;) {
      const first = this.#timers[0]
      if (first === undefined || first.at > end) return undefined
      this.#pop()
      if (first.run !== undefined) return first
    }
  }

  #push(timer: Timer): void {
    const heap = this.#timers
    heap.push(timer)
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1
      if (this.#inOrder(parent, i)) return
      this.#swap(parent, i)
      i = parent
    }
  }

  #pop(): void {
    const heap = this.#timers
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    heap[0] = last
    for (let i = 0; ; ) {
      const left = 2 * i + 1
      const right = left + 1
      let least = i
      if (left < heap.length && !this.#inOrder(least, left)) least = left
      if (right < heap.length && !this.#inOrder(least, right)) least = right
      if (least === i) return
      this.#swap(least, i)
      i = least
    }
  }

  #inOrder(first: number, second: number): boolean {
    const a = this.#timers[first]
    const b = this.#timers[second]
    if (a === undefined || b === undefined) return true
    return a.at === b.at ? a.order < b.order : a.at < b.at
  }

  #swap(i: number, j: number): void {
    const [a, b] = [this.#timers[i], this.#timers[j]]
    if (a === undefined || b === undefined) return
    this.#timers[i] = b
    this.#timers[j] = a
  }
}

/**
 * Resolves when no microtask is left: a tick that is asked for inside one runs after all of them.
 * That costs a tenth of a turn of the event loop, which a simulated fleet would take for every message.
 */
async function settle(): Promise<void> {
  await undefined
  await new Promise<void>((resolve) => process.nextTick(resolve))
}

function breathe(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
