/** What a spreadsheet would run begins no cell, however cells are told apart. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { csvCell } from '../../../cli/csv-cell.ts'

describe('a cell', () => {
  it.each([
    ...[
      '=1+1',
      '+1',
      '-1',
      '@a',
      '\t=1',
      ' =1',
      '\r=1',
      '\uff1d1',
      '\ufe66\uff11',
      '\u200b=1',
      '\n@a',
    ],
    ...['\u00a0=1', '\u3000\u2060+1', '\u0001-1', '"=1', '\u22121', '\0=1', '\ttext'],
  ])('%j gets a quote before it', (text) => {
    expect(csvCell(text).replace(/^"/, '')).toMatch(/^'/)
  })

  it.each([
    ['a;=1+1', `"a;'=1+1"`],
    ['a; \u200b@b', `"a;' \u200b@b"`],
    ['a\t+1', `"a\t'+1"`],
    ['a\r\n-1', `"a\r\n'-1"`],
    ['a|=1', `"a|'=1"`],
    ['a;"=1', `"a;'""=1"`],
    ['a;b', '"a;b"'],
    ['a,b', '"a,b"'],
    ['a, -1', '"a, -1"'],
    ['a=1 - 2', 'a=1 - 2'],
    ['a"b', '"a""b"'],
    ['plain', 'plain'],
    ['', ''],
    [7, '7'],
    [-7, '-7'],
    [null, ''],
  ])('%j is written as %s', (value, cell) => {
    expect(csvCell(value)).toBe(cell)
  })

  it('says what it was given, but for the quotes before what would run', () => {
    const characters = fc.constantFrom(...'=+-@;|,"\'\t\r\n a\u3000\uff1d\u200b')
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 12 }), (text) => {
        const cell = csvCell(text)
        const inner = cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell
        expect(inner.replaceAll("'", '')).toBe(text.replaceAll("'", ''))
        for (const part of inner.split(/[;|\t\r\n]/))
          expect(part.replace(/^[\s\u200b"]+/, '')).not.toMatch(/^[=+\-@\uff1d]/)
      }),
    )
  })
})
