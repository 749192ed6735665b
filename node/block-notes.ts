/** Every committed block with commands gets its line in this node's own log, also after a crash. */
import type { Block } from '../protocol/index.ts'
import type { FactStore } from './fact-store.ts'
import { LOG_START, type LogPlace } from './gate-log.ts'
import type { GateService } from './gate-service.ts'

export class BlockNotes {
  readonly #facts: FactStore
  readonly #gate: GateService
  readonly #told: (block: Block) => void
  /** Blocks up to here have their line, or have nothing to say. */
  #noted: LogPlace = LOG_START
  #head: string | undefined

  /** `told` is called with each block once its line is written. */
  constructor(facts: FactStore, gate: GateService, told: (block: Block) => void) {
    this.#facts = facts
    this.#gate = gate
    this.#told = told
  }

  /** Goes on where the last run ended. Facts must be loaded. */
  load(): void {
    this.#noted = this.#facts.noted
  }

  async write(): Promise<void> {
    const { head } = this.#gate.state
    if (head === this.#head) return
    for await (const { block } of this.#gate.log.committed(this.#noted)) {
      const { epoch, view, commands } = block.body
      if (commands.length > 0) {
        await this.#facts.noteBlock({ epoch, view })
        this.#told(block)
      }
      this.#noted = { epoch, view }
    }
    this.#head = head
  }
}
