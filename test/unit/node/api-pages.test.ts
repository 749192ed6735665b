/** Lists in pages, and ids by their beginnings. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PAGE_BYTES_MAX } from '../../../node/api/limits.ts'
import { pageRows, resolveId } from '../../../node/api/page.ts'
import { ApiError } from '../../../node/api/problem.ts'

describe('pages', () => {
  const keyOf = (row: { key: string }): string => row.key

  it('together are the list, each row once, none above its bounds', () => {
    const row = fc.record({ pad: fc.constantFrom('', 'x'.repeat(40_000)) })
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 30 }),
        fc.integer({ min: 1, max: 7 }),
        (pads, limit) => {
          const rows = pads.map((pad, index) => ({ key: `k${index}`, ...pad }))
          const seen: string[] = []
          let cursor: string | undefined
          for (let guard = 0; guard <= rows.length; guard++) {
            const page = pageRows(rows, keyOf, { cursor, limit })
            expect(page.items.length).toBeLessThanOrEqual(limit)
            if (page.items.length > 1)
              expect(JSON.stringify(page.items).length).toBeLessThan(PAGE_BYTES_MAX + 100)
            seen.push(...page.items.map(keyOf))
            if (page.next === null) break
            cursor = page.next
          }
          expect(seen).toEqual(rows.map(keyOf))
        },
      ),
    )
  })

  it('an id is found by any beginning that no other has', () => {
    const ids = fc.uniqueArray(fc.stringMatching(/^[0-9a-f]{12}$/), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(ids, fc.nat(), fc.integer({ min: 4, max: 12 }), (known, pick, length) => {
        const id = known[pick % known.length] ?? ''
        const given = id.slice(0, length)
        const rivals = known.filter((other) => other.startsWith(given)).length
        if (rivals === 1) expect(resolveId(known, given, 'rollout')).toBe(id)
        else expect(() => resolveId(known, given, 'rollout')).toThrow(ApiError)
      }),
    )
  })
})
