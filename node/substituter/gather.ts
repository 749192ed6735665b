/** Puts small questions that come at about the same time together into one large one. */
import type { Clock } from '../ports.ts'

interface Waiting<Answer> {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/** How questions are gathered. */
export interface GatherOptions<Key, Answer> {
  readonly clock: Pick<Clock, 'after'>
  readonly waitMs: number
  /** Questions of one batch at most. */
  readonly most: number
  /** The answers to distinct `keys`, in their order. */
  ask(keys: readonly Key[]): Promise<readonly Answer[]>
}

/** Answers one key at a time, asks for many at once. */
export class Gather<Key extends string, Answer> {
  readonly #options: GatherOptions<Key, Answer>
  #waiting = new Map<Key, Waiting<Answer>[]>()

  constructor(options: GatherOptions<Key, Answer>) {
    this.#options = options
  }

  /** The answer for `key`. Rejects as the batch does that it is part of. */
  ask(key: Key): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { clock, waitMs, most } = this.#options
      if (this.#waiting.size === 0) clock.after(waitMs, () => this.#flush())
      const others = this.#waiting.get(key) ?? []
      others.push({ resolve, reject })
      this.#waiting.set(key, others)
      if (this.#waiting.size >= most) this.#flush()
    })
  }

  #flush(): void {
    const batch = this.#waiting
    if (batch.size === 0) return
    this.#waiting = new Map()
    this.#options.ask([...batch.keys()]).then(
      (answers) => {
        for (const [i, waiting] of [...batch.values()].entries()) {
          const answer = answers[i]
          for (const one of waiting) {
            if (answer === undefined) one.reject(new Error('a question was not answered'))
            else one.resolve(answer)
          }
        }
      },
      (error: unknown) => {
        for (const one of [...batch.values()].flat()) one.reject(error)
      },
    )
  }
}
