/** Runs tasks one after the other: what must not interleave within one process. */
export class TaskQueue {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `task` after all tasks before it, whether they failed or not. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task, task)
    this.#last = result.catch(() => undefined)
    return result
  }
}
