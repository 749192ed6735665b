import { describe, expect, it } from 'vitest'
import { createOutput, type Sink } from '../../../cli/output.ts'
import { barText, progressBar } from '../../../cli/progress.ts'

function outputTo(isTTY: boolean, quiet = false) {
  const written: string[] = []
  const sink: Sink = { write: (text) => void written.push(text), isTTY, columns: 80 }
  const look = { format: 'table', color: 'never', ascii: true, headers: true } as const
  const out = createOutput({
    ...{ ...look, stdout: sink, stderr: sink },
    ...{ quiet, verbose: false, env: {} },
  })
  return { out, written }
}

describe('a progress bar', () => {
  it('shows what goes on and how far, within its bounds', () => {
    expect(barText('facts', 0.5, true)).toBe(`facts      ${'#'.repeat(12)}${'.'.repeat(12)} 50 %`)
    expect(barText('facts', 2, true)).toContain('100 %')
    expect(barText('facts', Number.NEGATIVE_INFINITY, false)).toContain('░ 0 %')
  })

  it('paints ten times a second at most, and takes itself away', () => {
    const { out, written } = outputTo(true)
    let now = 0
    const bar = progressBar(out, () => now)
    for (; now < 1000; now += 10) bar.show('facts', now / 2000)
    bar.done()
    expect(written).toHaveLength(11)
    expect(written.at(-1)).toBe('\r\u001b[K')
  })

  it('is silent where no terminal is, and with --quiet', () => {
    for (const { out, written } of [outputTo(false), outputTo(true, true)]) {
      const bar = progressBar(out, () => 0)
      bar.show('facts', 1)
      bar.done()
      expect(written).toEqual([])
    }
  })
})
