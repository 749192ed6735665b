/** Virtual time and seeded chance: what a storm is made of. */

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seededChance(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What is due first runs first, what is due together in the order it was asked for. */
export class VirtualClock {
  now = 0
  readonly #due = new Map<number, (() => void)[]>()

  after(ms: number, run: () => void): void {
    const at = this.now + Math.max(1, ms)
    this.#due.set(at, [...(this.#due.get(at) ?? []), run])
  }

  runUntil(end: number): void {
    for (; this.now <= end; this.now++) {
      for (const run of this.#due.get(this.now) ?? []) run()
      this.#due.delete(this.now)
    }
  }
}
