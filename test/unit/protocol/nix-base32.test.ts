/** Nix's texts of bytes: base 32, base64 and the forms of a hash. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromBase64, toBase64 } from '../../../protocol/base64.ts'
import { fromHex } from '../../../protocol/bytes.ts'
import { fromNixBase32, nixBase32Length, toNixBase32 } from '../../../protocol/nix-base32.ts'
import { parseSha256, printSha256 } from '../../../protocol/nix-hash.ts'
import vectors from '../../vectors/nar/hashes.json' with { type: 'json' }

const anyBytes = fc.uint8Array({ maxLength: 64 })
const refused = expect.objectContaining({ code: 'BAD_SHAPE', action: 'reject' })

/** The dumb twin: the bytes as one number, little-endian, written in base 32. */
function twin(bytes: Uint8Array): string {
  let number = bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n)
  let text = ''
  while (text.length < nixBase32Length(bytes.length)) {
    text = '0123456789abcdfghijklmnpqrsvwxyz'.charAt(Number(number % 32n)) + text
    number /= 32n
  }
  return text
}

describe('Nix base 32', () => {
  it.each([...vectors.sha256, ...vectors.bytes20])('spells $hex as Nix does', ({ hex, base32 }) => {
    const bytes = fromHex(hex)
    expect(toNixBase32(bytes)).toBe(base32)
    expect(fromNixBase32(base32, bytes.length)).toEqual(bytes)
  })

  it('gives back what was spelled, and spells as the dumb twin', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(toNixBase32(bytes)).toBe(twin(bytes))
        expect(fromNixBase32(toNixBase32(bytes), bytes.length)).toEqual(bytes)
      }),
    )
  })

  it('has one text for each value: what is read is what would be written', () => {
    const text = fc.string({ unit: fc.constantFrom(...'019azeotuZ'), minLength: 52, maxLength: 52 })
    fc.assert(
      fc.property(text, (text) => {
        try {
          expect(toNixBase32(fromNixBase32(text, 32))).toBe(text)
        } catch (error) {
          expect(error).toEqual(refused)
        }
      }),
    )
  })

  it.each([
    ['a letter outside the alphabet', `${'0'.repeat(51)}e`],
    ['upper case', `${'0'.repeat(51)}A`],
    ['one character too few', '0'.repeat(51)],
    ['one character too many', '0'.repeat(53)],
    ['spare bits that are not zero', `2${'0'.repeat(51)}`],
  ])('refuses %s', (_, text) => {
    expect(() => fromNixBase32(text, 32)).toThrow(refused)
  })
})

describe('base64', () => {
  it('is that of the platform, both ways', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'))
        expect(fromBase64(toBase64(bytes))).toEqual(bytes)
      }),
    )
  })

  it.each(['AA', 'AA=', 'AB==', 'AA==\n', ' AA==', 'A===', 'AA-_', '===='])(
    'refuses %j',
    (text) => {
      expect(() => fromBase64(text)).toThrow(refused)
    },
  )
})

describe('a SHA-256', () => {
  it.each(vectors.sha256)('of $hex reads alike in all of its forms', ({ hex, base32, sri }) => {
    const digest = fromHex(hex)
    const texts = [`sha256:${base32}`, `sha256:${hex}`, sri]
    for (const text of texts) expect(parseSha256(text, 'a vector')).toEqual(digest)
    const forms = ['base32', 'hex', 'sri'] as const
    expect(forms.map((form) => printSha256(digest, form))).toEqual(texts)
  })

  it.each([
    '',
    'sha256',
    'sha256:',
    'sha256-',
    'sha256-AAAA',
    `sha1:${'0'.repeat(32)}`,
    `sha512:${'0'.repeat(52)}`,
    '0'.repeat(52),
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'0'.repeat(60)}`,
  ])('refuses %j', (text) => {
    expect(() => parseSha256(text, 'a test')).toThrow(refused)
  })

  it('is not printed from another number of bytes', () => {
    expect(() => printSha256(new Uint8Array(20), 'sri')).toThrow(refused)
  })
})
