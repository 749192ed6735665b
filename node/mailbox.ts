/**
 * One thing at a time: every change of the node's state is a task in this queue.
 *
 * The queue is bounded. When it is full, tasks that may be lost (gossip, which sync repairs) are
 * refused; the others wait outside.
 */
import { MAILBOX_TASKS_MAX } from './limits.ts'

export class Mailbox {
  #tail: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #closed = false

  /** Tasks that are queued or running. */
  get depth(): number {
    return this.#waiting
  }

  /** Whether a task that may be lost should be. */
  get full(): boolean {
    return this.#waiting >= MAILBOX_TASKS_MAX
  }

  /** Runs `task` after all before it. Rejects as the task does; after `close` nothing runs any more. */
  run<T>(task: () => Promise<T> | T): Promise<T> {
    this.#waiting++
    const result = this.#tail.then(() => {
      if (this.#closed) throw new Error('the node is stopping')
      return task()
    })
    this.#tail = result.then(
      () => void this.#waiting--,
      () => void this.#waiting--,
    )
    return result
  }

  /** Waits for the running task and refuses the rest. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#tail
  }
}
