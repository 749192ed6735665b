import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bool,
  bytes,
  hex,
  LINE,
  list,
  NAME,
  oneOf,
  optional,
  type Schema,
  shape,
  sortedList,
  tagged,
  text,
  uint,
  where,
  written,
} from '../../../protocol/index.ts'
import { codeOf } from './refusal.ts'

const judge = <T>(schema: Schema<T>, value: unknown): string =>
  codeOf(() => schema.decode(value, 'value'))

interface Point {
  readonly x: number
  readonly note?: string | undefined
}
const POINT: Schema<Point> = shape<Point>({ x: uint(9), note: optional(text(5)) })

type Figure = { readonly kind: 'dot' } | { readonly kind: 'line'; readonly length: number }
const FIGURE: Schema<Figure> = tagged<Figure>('kind', {
  dot: shape<Figure & { kind: 'dot' }>({ kind: oneOf('dot') }) as Schema<Figure>,
  line: shape<Figure & { kind: 'line' }>({ kind: oneOf('line'), length: uint() }) as Schema<Figure>,
})

describe('leaves', () => {
  it.each<[string, Schema<unknown>, unknown[], unknown[]]>([
    ['uint', uint(9, 2), [2, 9], [1, 10, 2.5, '2', Number.NaN, 2n, true, null, undefined, [2]]],
    [
      'text',
      text(3, /^[a-z]*$/, 1),
      ['a', 'abc'],
      ['', 'abcd', 'A', 'ab\n', 1, ['a'], new Uint8Array(2)],
    ],
    ['bool', bool, [true, false], [0, 1, 'true', null, undefined]],
    [
      'hex',
      hex(2),
      [Uint8Array.of(0, 255)],
      [Uint8Array.of(1), Uint8Array.of(1, 2, 3), '00ff', [0, 1]],
    ],
    ['bytes', bytes(2, 1), [Uint8Array.of(1)], [new Uint8Array(0), new Uint8Array(3), 'a', [1]]],
    ['oneOf', oneOf('a', 'b'), ['a', 'b'], ['c', '', 'toString', 0, null]],
  ])('%s takes what is inside its bounds and nothing else', (_, schema, good, bad) => {
    for (const value of good) {
      expect(judge(schema, value)).toBe('accepted')
      expect(schema.encode(schema.decode(value, 'value'))).toEqual(value)
    }
    for (const value of bad) expect(judge(schema, value)).toBe('BAD_SHAPE')
  })

  it('a refusal says where, what was expected and what was found', () => {
    const points = list(POINT, 3)
    expect(() => points.decode([{ x: 1 }, { x: 10 }], 'points')).toThrow(
      'expected a whole number from 0 to 9 at points[1].x, found 10',
    )
  })
})

describe('lines', () => {
  it.each(['', 'plain', 'Grüße, 漢字, 👩‍🚀', 'a	tab'.replace('\t', ' ')])(
    '%j is a line',
    (value) => {
      expect(judge(LINE, value)).toBe('accepted')
    },
  )

  it.each([
    ['a line feed', '\n'],
    ['a tab', '\t'],
    ['an escape', '\u{1b}'],
    ['a zero', '\0'],
    ['a delete', '\u{7f}'],
    ['a C1 control', '\u{9b}'],
    ['a line separator', '\u{2028}'],
    ['a paragraph separator', '\u{2029}'],
    ['a right-to-left override', '\u{202e}'],
    ['an isolate', '\u{2066}'],
    ['a lone surrogate', '\u{d800}'],
  ])('%s is refused', (_, character) => {
    expect(judge(LINE, `a${character}b`)).toBe('BAD_SHAPE')
  })

  it('every printable ASCII character may stand in a line, and no control character', () => {
    for (let code = 0; code < 0x80; code++) {
      const printable = code >= 0x20 && code < 0x7f
      expect(judge(LINE, String.fromCharCode(code))).toBe(printable ? 'accepted' : 'BAD_SHAPE')
    }
  })

  it.each(['a', 'web-1', '0', 'a'.repeat(63)])('%s is a name', (value) => {
    expect(judge(NAME, value)).toBe('accepted')
  })
  it.each(['', '-a', 'a-', 'A', 'a.b', 'a_b', 'a\n', 'a'.repeat(64), 'ä'])(
    '%j is no name',
    (value) => {
      expect(judge(NAME, value)).toBe('BAD_SHAPE')
    },
  )
})

describe('lists', () => {
  it('count is bounded on both sides', () => {
    const some = list(uint(), 3, 1)
    expect([[], [1], [1, 2, 3], [1, 2, 3, 4]].map((value) => judge(some, value))).toEqual([
      'BAD_SHAPE',
      'accepted',
      'accepted',
      'BAD_SHAPE',
    ])
    for (const value of [{ length: 1, 0: 1 }, 'a', Uint8Array.of(1), null]) {
      expect(judge(some, value)).toBe('BAD_SHAPE')
    }
  })

  it('a set has one form: encoding sorts it, decoding takes it sorted and without repeats only', () => {
    const set = sortedList(text(3), (value) => value, 20)
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ maxLength: 3 }), { maxLength: 20 }), (values) => {
        const ascending = [...values].sort((a, b) => (a < b ? -1 : 1))
        expect(set.decode(set.encode(values), 'set')).toEqual(ascending)
        const inOrder = values.every((value, i) => value === ascending[i])
        expect(judge(set, values)).toBe(inOrder ? 'accepted' : 'BAD_SHAPE')
      }),
    )
    expect(judge(set, ['a', 'a'])).toBe('BAD_SHAPE')
  })
})

describe('shapes', () => {
  it('decode and encode are inverses', () => {
    const note = fc.string({ maxLength: 5 })
    fc.assert(
      fc.property(fc.record({ x: fc.nat({ max: 9 }), note }, { requiredKeys: ['x'] }), (value) => {
        expect(POINT.decode(POINT.encode(value), 'point')).toEqual(value)
      }),
    )
  })

  it('an absent optional key stays absent', () => {
    expect(Object.keys(POINT.decode({ x: 1 }, 'point'))).toEqual(['x'])
    expect(Object.keys(POINT.encode({ x: 1, note: undefined }) as object)).toEqual(['x'])
  })

  it.each([
    ['an unknown key', { x: 1, y: 1 }],
    ['a missing key', { note: 'a' }],
    ['an inherited key', Object.create({ x: 1 })],
    ['a present key of undefined', { x: 1, note: undefined }],
    ['a list', [1]],
    ['bytes', Uint8Array.of(1)],
    ['null', null],
    ['text', 'x'],
    ['a key named __proto__', JSON.parse('{"x":1,"__proto__":{"note":"a"}}')],
    ['a key named constructor', { x: 1, constructor: 1 }],
  ])('%s is refused', (_, value) => {
    expect(judge(POINT, value)).toBe('BAD_SHAPE')
  })

  it('the tag alone chooses the variant', () => {
    expect(judge(FIGURE, { kind: 'dot' })).toBe('accepted')
    expect(judge(FIGURE, { kind: 'line', length: 3 })).toBe('accepted')
    for (const value of [
      { kind: 'dot', length: 3 },
      { kind: 'line' },
      { kind: 'constructor' },
      { kind: '__proto__' },
      Object.create({ kind: 'dot' }),
      { kind: 1 },
      {},
      'dot',
    ]) {
      expect(judge(FIGURE, value)).toBe('BAD_SHAPE')
    }
    const stray = { kind: 'toString' } as unknown as Figure
    expect(codeOf(() => FIGURE.encode(stray))).toBe('BAD_SHAPE')
  })

  it('a rule refuses the whole value and says what it expected', () => {
    const even = where(uint(), (value) => (value % 2 === 0 ? undefined : 'an even number'))
    expect(even.decode(2, 'value')).toBe(2)
    expect(() => even.decode(3, 'value')).toThrow('expected an even number at value, found 3')
  })

  it('what is written is what readers will see, or it is refused', () => {
    const set = sortedList(text(3), (value) => value, 3)
    expect(written(set, ['b', 'a'], 'set')).toEqual({ wire: ['a', 'b'], value: ['a', 'b'] })
    expect(codeOf(() => written(set, ['a', 'a'], 'set'))).toBe('BAD_SHAPE')
    expect(codeOf(() => written(POINT, { x: 10 }, 'point'))).toBe('BAD_SHAPE')
    expect(codeOf(() => written(POINT, { x: 1.5 }, 'point'))).toBe('BAD_SHAPE')
  })
})
