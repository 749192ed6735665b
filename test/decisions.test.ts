/** Pages of decisions are cited by number, so that no two may have the same. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const folder = join(import.meta.dirname, '../docs/decisions')
const pages = readdirSync(folder).sort()

describe('pages of decisions', () => {
  it('have a number each, and no two the same', () => {
    expect(pages.length).toBeGreaterThan(5)
    const numbers = pages.map((name) => Number(/^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1]))
    expect(numbers.filter((number) => !(number > 0))).toEqual([])
    expect(new Set(numbers).size).toBe(numbers.length)
  })

  it.each(pages)('%s begins with its number', (name) => {
    const [heading = ''] = readFileSync(join(folder, name), 'utf8').split('\n')
    expect(heading).toMatch(new RegExp(`^# ${Number(name.slice(0, 4))}\\. \\S`))
  })
})
