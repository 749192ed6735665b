import { encode, rfc8949EncodeOptions } from 'cborg'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DEPTH_MAX,
  decodeCanonical,
  encodeCanonical,
  fromHex,
  ITEMS_MAX,
  toHex,
  type WireValue,
} from '../../../protocol/index.ts'
import { readTwin, type Twin } from './cbor-twin.ts'
import { golden, goldenNames } from './golden.ts'
import { codeOf } from './refusal.ts'

const read = (bytes: Uint8Array, max = 1 << 20): WireValue => decodeCanonical(bytes, max, 'a test')

const text = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .filter((value) => !value.startsWith('\u{feff}'))
const { wire } = fc.letrec<{ wire: WireValue }>((tie) => ({
  wire: fc.oneof(
    { maxDepth: DEPTH_MAX - 1, depthIdentifier: 'wire' },
    fc.maxSafeInteger(),
    fc.integer({ min: -300, max: 300 }).map((value) => value + 0),
    fc.boolean(),
    text,
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('wire'), { maxLength: 30, depthIdentifier: 'wire' }),
    fc.dictionary(
      fc.oneof(text, fc.constant('__proto__'), fc.constant('constructor')),
      tie('wire'),
      {
        maxKeys: 30,
        depthIdentifier: 'wire',
      },
    ),
  ),
}))

describe('round trips', () => {
  it('decoding gives back what was encoded', () => {
    fc.assert(
      fc.property(wire, (value) => {
        expect(plain(read(encodeCanonical(value)))).toEqual(plain(value))
      }),
    )
  })

  it('the twin reads the same value from the same bytes', () => {
    fc.assert(
      fc.property(wire, (value) => {
        expect(plainTwin(readTwin(encodeCanonical(value)))).toEqual(plain(value))
      }),
    )
  })

  it('our writer writes what the library writes, to the byte', () => {
    fc.assert(
      fc.property(wire, (value) => {
        expect(toHex(encodeCanonical(value))).toBe(toHex(encode(value, rfc8949EncodeOptions)))
      }),
      { numRuns: 1000 },
    )
  })

  it('numbers and lengths at the edge of each head have the form that the library gives them', () => {
    const edges = [23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]
    const values = edges.flatMap((edge) => [edge, -edge])
    const texts = edges.slice(0, 6).flatMap((size) => ['a'.repeat(size), 'ä'.repeat(size)])
    for (const value of [...values, ...texts, new Uint8Array(70_000).fill(7)]) {
      expect(toHex(encodeCanonical(value))).toBe(toHex(encode(value, rfc8949EncodeOptions)))
    }
  })

  it('keys are sorted by their bytes, also where UTF-16 sorts otherwise', () => {
    const value = { '\u{ff5e}': 1, '\u{1f600}': 2, z: 3, aa: 4, '\u{e9}': 5 }
    expect(toHex(encodeCanonical(value))).toBe(toHex(encode(value, rfc8949EncodeOptions)))
  })

  it('what was refused leaves nothing behind in what is written next', () => {
    expect(codeOf(() => encodeCanonical(['some text', 1.5]))).toBe('NOT_CANONICAL')
    expect(toHex(encodeCanonical([1]))).toBe('8101')
  })

  it('what is written is plain bytes in memory of their own', () => {
    const bytes = encodeCanonical(Array.from({ length: 300 }, (_, i) => `item ${i}`))
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
    expect(bytes.buffer.byteLength).toBe(bytes.length)
  })

  it('the order in which keys were written does not show', () => {
    fc.assert(
      fc.property(fc.dictionary(text, fc.nat()), (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse())
        expect(encodeCanonical(turned)).toEqual(encodeCanonical(value))
      }),
    )
  })
})

/** Whole messages of every type: what hostile bytes are mostly made of. */
const SAMPLES = ['fact-', 'gate-', 'answer-', 'certificate-', 'root', 'blob-']
  .flatMap(goldenNames)
  .map((name) => {
    const { payload, bytes } = golden(name)
    return fromHex(payload ?? bytes)
  })

describe('hostile bytes', () => {
  it('what is accepted encodes to the very same bytes, and the twin agrees on what is accepted', () => {
    let accepted = 0
    const sample = fc.constantFrom(...SAMPLES)
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 2 })
    fc.assert(
      fc.property(sample, flips, (bytes, changes) => {
        const mutated = Uint8Array.from(bytes)
        for (const [at, byte] of changes) mutated[at % mutated.length] = byte
        accepted += compareWithTwin(mutated)
      }),
      { numRuns: 2000 },
    )
    expect(accepted).toBeGreaterThan(100)
    expect(accepted).toBeLessThan(1900)
  })

  it('any short bytes at all are judged as the twin judges them', () => {
    const head = fc.constantFrom(0xa0, 0xa1, 0xa2, 0x80, 0x81, 0x82, 0x18, 0x19, 0x61, 0x62, 0x41)
    const bytes = fc.array(fc.oneof(head, fc.nat({ max: 255 })), { maxLength: 8 })
    fc.assert(
      fc.property(bytes, (list) => void compareWithTwin(Uint8Array.from(list))),
      { numRuns: 5000 },
    )
  })

  it.each([
    ['unsorted keys', 'a2616201616101'],
    ['a longer key before a shorter', 'a262616101616201'],
    ['a key twice', 'a2616101616102'],
    ['__proto__ twice', 'a2695f5f70726f746f5f5fa0695f5f70726f746f5f5fa0'],
    ['a long integer', '1801'],
    ['a long length', '580101'],
    ['an integer above 2^53', '1b0020000000000000'],
    ['the negative integer -2^53', '3b001fffffffffffff'],
    ['a half float', 'f93c00'],
    ['a double float', 'fb3ff8000000000000'],
    ['negative zero', 'f98000'],
    ['NaN', 'f97e00'],
    ['infinity', 'f97c00'],
    ['a tag', 'c001'],
    ['null', 'f6'],
    ['undefined', 'f7'],
    ['a simple value', 'e0'],
    ['an indefinite list', '9f01ff'],
    ['an indefinite map', 'bf616101ff'],
    ['indefinite text', '7f6161ff'],
    ['indefinite bytes', '5f4161ff'],
    ['a break', 'ff'],
    ['a number as key', 'a10102'],
    ['bytes as key', 'a1416101'],
    ['broken UTF-8', '61ff'],
    ['overlong UTF-8', '62c080'],
    ['an encoded surrogate', '63eda080'],
    ['a byte-order mark', '63efbbbf'],
    ['a byte-order mark in a key', 'a163efbbbf01'],
    ['bytes after the value', '0000'],
    ['no bytes', ''],
    ['a list cut short', '8201'],
    ['a list that claims 2^53 items', '9b001fffffffffffff'],
    ['text that claims 4 GiB', '7affffffff61'],
  ])('%s is not canonical', (_, hex) => {
    expect(codeOf(() => read(fromHex(hex)))).toBe('NOT_CANONICAL')
    expect(() => readTwin(fromHex(hex))).toThrow()
  })

  it('nesting is counted from the outermost value', () => {
    const nested = (depth: number): Uint8Array => fromHex(`${'81'.repeat(depth)}00`)
    expect(toHex(encodeCanonical(read(nested(DEPTH_MAX))))).toBe(toHex(nested(DEPTH_MAX)))
    expect(codeOf(() => read(nested(DEPTH_MAX + 1)))).toBe('NOT_CANONICAL')
    const maps = fromHex(`${'a16161'.repeat(DEPTH_MAX + 1)}00`)
    expect(codeOf(() => read(maps))).toBe('NOT_CANONICAL')
  })

  it('siblings do not add to the nesting', () => {
    const row = `88${'81a0'.repeat(8)}`
    expect(codeOf(() => read(fromHex(`88${row.repeat(8)}`)))).toBe('accepted')
  })

  it('a megabyte of opening brackets is refused by depth, before the stack feels it', () => {
    const bytes = new Uint8Array(1 << 20).fill(0x81)
    expect(() => read(bytes)).toThrow(`nesting deeper than ${DEPTH_MAX}`)
  })

  it('a list of too many empty lists is refused before it is built', () => {
    const head = fromHex('9a00100000')
    const bytes = new Uint8Array(head.length + 2 ** 20).fill(0x80)
    bytes.set(head)
    expect(() => read(bytes, 1 << 21)).toThrow(`more than ${ITEMS_MAX} items`)
  })

  it('size is judged before form', () => {
    expect(codeOf(() => read(fromHex('ffff'), 1))).toBe('TOO_LARGE')
    expect(codeOf(() => read(fromHex('00'), 1))).toBe('accepted')
  })

  it('a key named __proto__ stays a key and reaches no prototype', () => {
    const value = read(fromHex('a1695f5f70726f746f5f5fa1617801')) as Record<string, WireValue>
    expect(Object.hasOwn(value, '__proto__')).toBe(true)
    expect(value['x']).toBeUndefined()
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })
})

describe('what has no form on the wire is not written', () => {
  it.each([
    ['a fraction', 1.5],
    ['NaN', Number.NaN],
    ['negative zero', -0],
    ['an unsafe integer', 2 ** 53],
    ['null', null],
    ['undefined in a map', { a: undefined }],
    ['a lone surrogate', '\u{d800}'],
    ['a byte-order mark', '\u{feff}x'],
    ['a lone surrogate in a key', { '\u{dc00}': 1 }],
    ['too deep a list', [[[[[[[[1]]]]]]]]],
  ])('%s', (_, value) => {
    expect(codeOf(() => encodeCanonical(value as WireValue))).toBe('NOT_CANONICAL')
  })
})

/** 1 if both accept `bytes`, 0 if both refuse; fails where they differ. */
function compareWithTwin(bytes: Uint8Array): number {
  let ours: WireValue | undefined
  let theirs: Twin | undefined
  try {
    theirs = readTwin(bytes)
  } catch {}
  const code = codeOf(() => {
    ours = read(bytes)
  })
  expect(code).toBe(theirs === undefined ? 'NOT_CANONICAL' : 'accepted')
  if (ours === undefined || theirs === undefined) return 0
  expect(plain(ours)).toEqual(plainTwin(theirs))
  expect(toHex(encodeCanonical(ours))).toBe(toHex(bytes))
  return 1
}

/** One comparable form: maps as lists of entries, so that no key is special; bytes as hex. */
function plain(value: WireValue): unknown {
  if (value instanceof Uint8Array) return `bytes ${toHex(value)}`
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object') return value
  const entries = Object.entries(value).map(([key, item]) => [`key ${key}`, plain(item)])
  return entries.sort(byKey)
}

function plainTwin(value: Twin): unknown {
  if (value instanceof Uint8Array) return `bytes ${toHex(value)}`
  if (Array.isArray(value)) return value.map(plainTwin)
  if (!(value instanceof Map)) return value
  return [...value].map(([key, item]) => [`key ${key}`, plainTwin(item)]).sort(byKey)
}

function byKey(a: unknown[], b: unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1
}
