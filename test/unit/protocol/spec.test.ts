import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DEMO, PRODUCTION } from '../../../protocol/index.ts'
import * as limits from '../../../protocol/limits.ts'
import { golden, goldenNames } from './golden.ts'

/** Without the blanks that align its tables. */
const spec = readFileSync(new URL('../../../protocol/SPEC.md', import.meta.url), 'utf8').replaceAll(
  / {2,}/g,
  ' ',
)
const thousands = (value: number): string => value.toLocaleString('en-US')

describe('the specification', () => {
  it.each(Object.entries(limits))('gives %s its value', (name, value) => {
    expect(spec).toContain(`| \`${name}\` | ${thousands(value)} |`)
  })

  it('lists every bound once, in order', () => {
    const listed = [...spec.matchAll(/^\| `([A-Z][A-Z_0-9]*)` \| [\d,]+ \|$/gm)].map(
      ([, name]) => name,
    )
    expect(listed).toEqual(Object.keys(limits).sort())
  })

  it('numbers its sections in order, each once', () => {
    const places = [...spec.matchAll(/^##+ (\d+)\.(\d+)? /gm)].map(
      ([, major, minor]) => Number(major) * 100 + Number(minor ?? 0),
    )
    expect(places.length).toBeGreaterThan(20)
    expect(places).toEqual([...new Set(places)].sort((a, b) => a - b))
  })

  it('names no bound that is gone', () => {
    const named = [...spec.matchAll(/`([A-Z][A-Z_]*_(?:MAX|MIN))`/g)].map(([, name]) => name)
    expect(named.length).toBeGreaterThan(Object.keys(limits).length)
    expect(named.filter((name) => !Object.hasOwn(limits, String(name)))).toEqual([])
  })

  it.each(goldenNames(''))('names the vector %s', (name) => {
    expect(spec).toContain(`\`${name}\``)
  })

  it.each(['fact-', 'gate-', 'answer-'].flatMap(goldenNames))('names the type of %s', (name) => {
    const { type } = golden(name)
    expect(name === 'fact-foreign' || spec.includes(`\`${type}\``)).toBe(true)
  })

  it('gives the presets their values', () => {
    for (const key of Object.keys(PRODUCTION) as (keyof typeof PRODUCTION)[]) {
      if (key === 'preset') continue
      const row = `| ${thousands(PRODUCTION[key])} | ${thousands(DEMO[key])} |`
      expect(spec.split('\n').find((line) => line.startsWith(`| \`${key}\` |`))).toContain(row)
    }
  })
})
