/** Memory while bytes pass: larger from the first piece on, spared again soon after the last. */
import { describe, expect, it } from 'vitest'
import { BulkMemory } from '../../../node/bulk-memory.ts'
import { BULK_REST_MS } from '../../../node/limits.ts'
import { VirtualClock } from '../../simulation/virtual-clock.ts'

function watched(): { clock: VirtualClock; memory: BulkMemory; growth: () => string[] } {
  const clock = new VirtualClock()
  const set: string[] = []
  const memory = new BulkMemory(clock, (flag) => set.push(flag))
  const growth = (): string[] => set.filter((flag) => flag.startsWith('--heap-growing-percent='))
  return { clock, memory, growth }
}

const LARGE = '--heap-growing-percent=300'
const SMALL = '--heap-growing-percent=0'

describe('the memory of a daemon', () => {
  it('may grow from the first piece on, and is told so once', () => {
    const { memory, growth } = watched()
    memory.passed()
    memory.passed()
    expect(growth()).toEqual([LARGE])
  })

  it('stays large for as long as pieces come, and is spared after the last', async () => {
    const { clock, memory, growth } = watched()
    for (let i = 0; i < 5; i++) {
      memory.passed()
      await clock.advance(BULK_REST_MS - 1)
    }
    expect(growth()).toEqual([LARGE])
    await clock.advance(2)
    expect(growth()).toEqual([LARGE, SMALL])
  })

  it('grows again with the next download', async () => {
    const { clock, memory, growth } = watched()
    memory.passed()
    await clock.advance(BULK_REST_MS + 1)
    memory.passed()
    await clock.advance(BULK_REST_MS + 1)
    expect(growth()).toEqual([LARGE, SMALL, LARGE, SMALL])
  })
})
