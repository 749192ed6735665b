/** Selectors: what they take, what they refuse and where they point. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RolloutErrorCode } from '../../../rollout/errors.ts'
import { parsePattern } from '../../../rollout/pattern.ts'
import { matchesSelector, parseSelector } from '../../../rollout/selector.ts'

const HOSTS = [
  { name: 'web-01', tags: ['role=web', 'env=prod'] },
  { name: 'web-02', tags: ['role=web', 'env=test', 'role=canary'] },
  { name: 'db-01', tags: ['role=db', 'env=prod'] },
  { name: 'laptop', tags: [] },
]

describe('a selector', () => {
  it.each([
    ['*', ['web-01', 'web-02', 'db-01', 'laptop']],
    ['role=web', ['web-01', 'web-02']],
    ['role=canary', ['web-02']],
    ['role=web,env!=prod', ['web-02']],
    ['env!=prod', ['web-02', 'laptop']],
    ['name~^web-', ['web-01', 'web-02']],
    ['name~^(web|db)-01$', ['web-01', 'db-01']],
    ['name=db-01', ['db-01']],
    ['role!=', ['web-01', 'web-02', 'db-01', 'laptop']],
    ['role=web,env=prod,name~^.*1', ['web-01']],
    ['env~^[pq]ro', ['web-01', 'db-01']],
    ['color=red', []],
  ])('%s takes %j', (text, names) => {
    expect(take(text)).toEqual(names)
  })

  it.each<[string, RolloutErrorCode, number]>([
    ['', 'SELECTOR_MALFORMED', 0],
    ['role', 'SELECTOR_MALFORMED', 4],
    ['role web', 'SELECTOR_MALFORMED', 4],
    ['role=web,', 'SELECTOR_MALFORMED', 9],
    ['role=web, env=prod', 'SELECTOR_MALFORMED', 9],
    ['role=web,*', 'SELECTOR_MALFORMED', 9],
    ['name=web-*', 'SELECTOR_MALFORMED', 9],
    ['name=', 'SELECTOR_MALFORMED', 5],
    ['Role=web', 'SELECTOR_MALFORMED', 0],
    ['name~web', 'PATTERN_UNSAFE', 5],
    ['name~', 'PATTERN_UNSAFE', 5],
    ['name~^(a+)+$', 'PATTERN_UNSAFE', 10],
    ['name~^(a(b))', 'PATTERN_UNSAFE', 8],
    ['name~^a**', 'PATTERN_UNSAFE', 8],
    ['name~^a|b', 'PATTERN_UNSAFE', 7],
    ['name~^a*b*c*d*', 'PATTERN_UNSAFE', 13],
    ['name~^a{3}', 'PATTERN_UNSAFE', 7],
    ['name~^(a', 'PATTERN_UNSAFE', 8],
    ['name~^(?=a)', 'PATTERN_UNSAFE', 7],
    ['name~^$a', 'PATTERN_UNSAFE', 6],
    ['name~^[z-a]', 'PATTERN_UNSAFE', 5],
    ['name~^(a)(b)(c)', 'PATTERN_UNSAFE', 12],
  ])('%s is refused as %s at %i', (text, code, at) => {
    const result = parseSelector(text)
    expect(result.ok ? 'taken' : { code: result.error.code, at: result.error.at }).toEqual({
      code,
      at,
    })
    if (!result.ok) expect(result.error.message).toContain(`at character ${at + 1} `)
    if (!result.ok) expect(result.error.fix).toMatch(/\.$/)
  })

  it('longer than its bound is refused, and so is such a pattern', () => {
    expect(parseSelector(`name=${'a'.repeat(252)}`).ok).toBe(false)
    expect(parsePattern(`^${'a'.repeat(63)}`).ok).toBe(true)
    expect(parsePattern(`^${'a'.repeat(64)}`).ok).toBe(false)
  })

  it('holds when each of its terms holds', () => {
    const anyTerm = fc.constantFrom(
      'role=web',
      'env!=prod',
      'name~^web-',
      'role=db',
      'env~^p',
      'x!=',
    )
    let taken = 0
    fc.assert(
      fc.property(fc.array(anyTerm, { minLength: 1, maxLength: 4 }), (terms) => {
        const whole = take(terms.join(','))
        const parts = terms.map(take)
        const names = HOSTS.map((host) => host.name)
        expect(whole).toEqual(names.filter((name) => parts.every((part) => part.includes(name))))
        taken += whole.length
      }),
    )
    expect(taken).toBeGreaterThan(0)
  })
})

describe('a pattern that is taken', () => {
  it('never runs away, whatever it is made of', () => {
    const piece = fc.constantFrom(
      'a',
      '.',
      '[a-z]',
      '[^a]',
      '*',
      '+',
      '?',
      '(',
      ')',
      '|',
      '$',
      '\\.',
    )
    let taken = 0
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const pattern = `^${pieces.join('')}`
        if (!parsePattern(pattern).ok) return
        taken++
        const start = performance.now()
        new RegExp(pattern).test(`${'a'.repeat(62)}!`)
        expect(performance.now() - start).toBeLessThan(5000)
      }),
      { numRuns: 3000 },
    )
    expect(taken).toBeGreaterThan(50)
  })

  it('at its worst still ends at once', () => {
    const pattern = '^(a|a|a|a|a|a|a|a|a|a|a|a)(a|a|a|a|a|a|a|a|a|a|a|a).*.*.*x'
    expect(parsePattern(pattern).ok).toBe(true)
    const start = performance.now()
    expect(new RegExp(pattern).test(`${'a'.repeat(62)}.`)).toBe(false)
    expect(performance.now() - start).toBeLessThan(5000)
  })
})

function take(text: string): string[] {
  const selector = parseSelector(text)
  if (!selector.ok) throw selector.error
  return HOSTS.filter((host) => matchesSelector(selector.value, host)).map((host) => host.name)
}
