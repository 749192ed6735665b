/** Chance that depends on a seed alone. */
import { seededRandom } from '../../node/network/memory-hub.ts'

/** Throws of one seed, in their order. */
export class Dice {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = seededRandom(Math.imul(seed, 2654435761) ^ 0x9e3779b9)
  }

  below(bound: number): number {
    return Math.floor(this.#random() * bound)
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  chance(share: number): boolean {
    return this.#random() < share
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0]
  }
}
