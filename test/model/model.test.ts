/** The Promela models say what they should, and a search that was cut short says nothing. */
import { describe, expect, it } from 'vitest'
import { suiteNeeds } from '../require.ts'
import { RUNS } from './runs.ts'
import { check, missingTool, read } from './spin.ts'

const suite = suiteNeeds('spin and a C compiler', () => {
  const missing = missingTool()
  return missing === undefined ? true : `${missing} is not in PATH`
})

suite('Spin', () => {
  it.each(RUNS.map((run) => [run.name, run] as const))('%s', (_, run) => {
    const result = check(run)
    expect(result.found, result.why).toBe(run.expected)
    expect(result.states).toBeGreaterThan(0)
  })
})

describe('a verdict', () => {
  const whole = 'State-vector 92 byte, depth reached 16, errors: 0\n  235 states, stored\n'

  it('is that a law holds only when every state was seen', () => {
    expect(read(whole)).toMatchObject({ found: 'holds', states: 235 })
  })

  it.each([
    ['no memory', `pan: reached -DMEMLIM bound\n\tout of memory\n${whole}`],
    ['no depth', `error: max search depth too small\n${whole}`],
    ['stopped early', `Warning: Search not completed\n${whole}`],
    ['killed', ''],
    ['another error', whole.replace('errors: 0', 'errors: 1')],
    ['nothing seen', whole.replace('235', '0')],
  ])('is none: %s', (_, output) => {
    expect(read(output).found).toBe('truncated')
  })

  it('is broken when the verifier shows a path', () => {
    expect(read(`pan:1: assertion violated 0 (at depth 9)\n${whole}`).found).toBe('broken')
    expect(read(`pan:1: acceptance cycle (at depth 9)\n${whole}`).found).toBe('broken')
  })
})
