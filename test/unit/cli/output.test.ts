/** Data looks the same whoever reads it, and nothing that others wrote can move the cursor. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { csvCell } from '../../../cli/csv-cell.ts'
import { type Column, createOutput, csv, type Format, table } from '../../../cli/output.ts'
import { distance, suggest } from '../../../cli/suggest.ts'
import { createWords, safeText } from '../../../cli/words.ts'
import { HOST_STATES } from '../../../node/api/schema.ts'

interface Row {
  readonly a: string
  readonly b: string
}
const columns: readonly Column<Row>[] = [
  { title: 'A', text: (row) => row.a, value: (row) => row.a },
  { title: 'B', text: (row, paint) => paint.red(row.b), value: (row) => row.b },
]

function printed(format: Format, isTTY: boolean, env: Record<string, string> = {}): string {
  let text = ''
  const stdout = {
    write: (part: string) => {
      text += part
    },
    isTTY,
    columns: 80,
  }
  const out = createOutput({
    stdout,
    stderr: stdout,
    format,
    color: 'auto',
    ascii: false,
    headers: true,
    quiet: false,
    verbose: false,
    env,
  })
  const rows = [{ a: 'x', b: 'y' }]
  out.list({ kind: 'List', items: rows }, rows, columns)
  return text
}

describe('a list', () => {
  it('has colour on a terminal only, and never with NO_COLOR or in data formats', () => {
    const colour = '\u001b['
    expect(printed('table', true)).toContain(colour)
    expect(printed('table', false)).not.toContain(colour)
    expect(printed('table', true, { NO_COLOR: '1' })).not.toContain(colour)
    expect(printed('table', false, { FORCE_COLOR: '1' })).toContain(colour)
    for (const format of ['json', 'ndjson', 'csv'] as const)
      expect(printed(format, true)).not.toContain(colour)
  })

  it('is the whole document as JSON, its rows as NDJSON', () => {
    expect(JSON.parse(printed('json', false))).toEqual({
      kind: 'List',
      items: [{ a: 'x', b: 'y' }],
    })
    expect(printed('ndjson', false)).toBe('{"a":"x","b":"y"}\n')
  })

  it('keeps its columns and has no blanks at line ends', () => {
    const identity = (text: string): string => text
    const paint = { bold: identity, red: identity } as never
    expect(
      table(
        [
          { a: 'long', b: 'z' },
          { a: 'x', b: '' },
        ],
        columns,
        paint,
      ),
    ).toBe('A     B\nlong  z\nx')
  })
})

describe('CSV', () => {
  /** A reader of RFC 4180, the dumb way. */
  function parse(text: string): string[][] {
    const rows: string[][] = [['']]
    let quoted = false
    for (let i = 0; i < text.length; i++) {
      const row = rows.at(-1) ?? []
      const char = text[i] ?? ''
      const add = (part: string): void => {
        row[row.length - 1] += part
      }
      if (quoted) {
        if (char !== '"') add(char)
        else if (text[i + 1] === '"') {
          add('"')
          i++
        } else quoted = false
      } else if (char === '"') quoted = true
      else if (char === ',') row.push('')
      else if (char === '\n') rows.push([''])
      else add(char)
    }
    return rows
  }

  it('gives every cell back, as guarded against spreadsheets', () => {
    const cell = fc.oneof(
      fc.string(),
      fc.constantFrom('=1+1', '-2', '@x', 'a"b', 'a,b', 'a\nb', '+3'),
    )
    fc.assert(
      fc.property(fc.array(fc.record({ a: cell, b: cell })), (rows) => {
        const expected = rows.map((row) =>
          // What is guarded, and where, test/unit/cli/csv-cell.test.ts judges.
          [row.a, row.b].map((text) => parse(csvCell(text))[0]?.[0] ?? text),
        )
        expect(parse(csv(rows, columns))).toEqual([['a', 'b'], ...expected])
      }),
    )
  })
})

describe('words', () => {
  it('show every state as glyph and word, and in ASCII when asked', () => {
    const identity = (text: string): string => text
    const paint = {
      green: identity,
      yellow: identity,
      red: identity,
      cyan: identity,
      dim: identity,
    } as never
    expect(HOST_STATES.length).toBeGreaterThan(10)
    for (const state of HOST_STATES) {
      expect(createWords(paint, false).host(state)).toMatch(new RegExp(`^\\S ${state}$`, 'u'))
      expect(createWords(paint, true).host(state)).toMatch(new RegExp(`^[\\x21-\\x7e] ${state}$`))
    }
  })

  it('let no control character of others through', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
        expect(safeText(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
      }),
    )
  })
})

describe('the edit distance', () => {
  const word = fc.string({ maxLength: 6 })

  it('is that of its recursive definition', () => {
    const slow = (a: string, b: string): number => {
      if (a === '' || b === '') return a.length + b.length
      const [x, y] = [a.slice(0, -1), b.slice(0, -1)]
      const change = a.at(-1) === b.at(-1) ? 0 : 1
      const swapped = a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1)
      const swap = swapped ? slow(a.slice(0, -2), b.slice(0, -2)) + 1 : Number.POSITIVE_INFINITY
      return Math.min(slow(x, b) + 1, slow(a, y) + 1, slow(x, y) + change, swap)
    }
    const short = fc.string({ maxLength: 4 })
    fc.assert(
      fc.property(short, short, (a, b) => {
        expect(distance(a, b)).toBe(slow(a, b))
      }),
    )
  })

  it('suggests a known word or nothing', () => {
    fc.assert(
      fc.property(word, fc.array(word), (text, known) => {
        const near = suggest(text, known)
        if (near !== undefined) expect(known).toContain(near)
        if (known.includes(text)) expect(near).toBe(text)
      }),
    )
  })
})
