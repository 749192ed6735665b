/** What fails now, by part: said once, not with every try. */
import type { Logger } from './ports.ts'

export class Troubles {
  readonly #log: Logger
  readonly #now = new Map<string, string>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** Runs a task; its failure is said once and tried again by whoever calls. `hushed`: say nothing now. */
  async guard(
    what: string,
    task: () => Promise<void> | void,
    hushed: () => boolean,
  ): Promise<void> {
    try {
      await task()
      this.#now.delete(what)
    } catch (error) {
      if (!hushed()) this.say(what, describe(error))
    }
  }

  /** Says what goes wrong with a part, if that is news. */
  say(what: string, text: string): void {
    if (this.#now.get(what) === text) return
    this.#now.set(what, text)
    this.#log.error({ what, error: text }, 'a part of the node failed: trying again')
  }
}

/** An error as text, with its stack where it has one. */
export function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
