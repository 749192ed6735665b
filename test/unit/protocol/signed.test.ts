import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bodyOf,
  encodeCanonical,
  FACT_BYTES_MAX,
  fromHex,
  keyPair,
  open,
  seal,
  sha256,
  signEd25519,
  signedBytes,
  toHex,
  utf8,
  type WireValue,
} from '../../../protocol/index.ts'
import { FLEET, OTHER_FLEET } from './golden.ts'
import { codeOf } from './refusal.ts'

const key = keyPair(sha256(utf8('signed.test author')))
const other = keyPair(sha256(utf8('signed.test other')))
const whose = 'a test'
const options = { fleet: FLEET, bytesMax: FACT_BYTES_MAX, whose }
const sealed = seal({ type: 'a.type', fleet: FLEET, key, payload: { b: 7 } })

/** Signs any payload at all, as an attacker with a key of his own can. */
function forge(
  payload: WireValue | Uint8Array,
  domain: string = 'a.type',
  extra: WireValue[] = [],
): Uint8Array {
  const bytes = payload instanceof Uint8Array ? payload : encodeCanonical(payload)
  const signature = signEd25519({ seed: key.seed, message: signedBytes(domain, FLEET, bytes) })
  return encodeCanonical([bytes, signature, ...extra])
}
const good = { v: 1, t: 'a.type', a: fromHex(key.publicKey), b: 7 }

describe('an envelope', () => {
  it('gives back what was sealed', () => {
    const opened = open(sealed.bytes, options)
    expect(opened).toMatchObject({ id: sealed.id, author: key.publicKey, type: 'a.type' })
    expect(bodyOf(opened)).toBe(7)
    expect(toHex(forge(good))).toBe(toHex(sealed.bytes))
  })

  it('is refused after any flip of any bit', () => {
    fc.assert(
      fc.property(fc.nat({ max: sealed.bytes.length * 8 - 1 }), (bit) => {
        const bytes = Uint8Array.from(sealed.bytes)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(codeOf(() => open(bytes, options))).not.toBe('accepted')
      }),
      { numRuns: 500 },
    )
  })

  it('of another fleet does not verify, though everything else is the same', () => {
    expect(codeOf(() => open(sealed.bytes, { ...options, fleet: OTHER_FLEET }))).toBe(
      'BAD_SIGNATURE',
    )
  })

  it('cannot be passed off as another type', () => {
    expect(codeOf(() => open(forge(good, 'b.type'), options))).toBe('BAD_SIGNATURE')
    const bytes = forge({ ...good, t: 'b.type' }, 'a.type')
    expect(codeOf(() => open(bytes, options))).toBe('BAD_SIGNATURE')
  })

  it('cannot be passed off as another author', () => {
    const bytes = forge({ ...good, a: fromHex(other.publicKey) })
    expect(codeOf(() => open(bytes, options))).toBe('BAD_SIGNATURE')
  })

  it('has one id whatever its signature: signature bytes are not in it', () => {
    const opened = open(sealed.bytes, {
      ...options,
      signer: { sign: signEd25519, verify: () => true },
    })
    const bytes = Uint8Array.from(sealed.bytes)
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 0x10
    const malleated = open(bytes, { ...options, signer: { sign: signEd25519, verify: () => true } })
    expect(malleated.id).toBe(opened.id)
    expect(codeOf(() => open(bytes, options))).toBe('BAD_SIGNATURE')
  })

  it('whose payload is not canonical is refused even though its signature is good', () => {
    const unsorted = fromHex(
      `a4617601617466612e74797065616207616158 20${key.publicKey}`.replace(' ', ''),
    )
    expect(codeOf(() => open(forge(unsorted), options))).toBe('NOT_CANONICAL')
    const twice = fromHex(`a461615820${key.publicKey}61740061740061 7601`.replace(' ', ''))
    expect(codeOf(() => open(forge(twice), options))).toBe('NOT_CANONICAL')
  })

  it('of a key of small order is refused, though the platform would verify it', () => {
    const identity = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0))
    const payload = encodeCanonical({ ...good, a: identity })
    const signature = Uint8Array.from({ length: 64 }, (_, i) => (i === 0 ? 1 : 0))
    const bytes = encodeCanonical([payload, signature])
    expect(codeOf(() => open(bytes, options))).toBe('BAD_SIGNATURE')
  })

  it.each<[string, WireValue]>([
    ['a list', [1]],
    ['a number', 1],
    ['bytes', encodeCanonical(new Uint8Array(3))],
    ['no version', { t: 'a.type', a: fromHex(key.publicKey) }],
    ['a version of text', { ...good, v: '1' }],
    ['no type', { v: 1, a: fromHex(key.publicKey) }],
    ['an empty type', { ...good, t: '' }],
    ['a type with a zero byte', { ...good, t: 'a\0b' }],
    ['a type with a capital', { ...good, t: 'A' }],
    ['a type of 33 characters', { ...good, t: 'a'.repeat(33) }],
    ['an author of 31 bytes', { ...good, a: new Uint8Array(31) }],
    ['an author as text', { ...good, a: key.publicKey }],
  ])('with %s as payload is refused', (_, payload) => {
    expect(codeOf(() => open(forge(payload), options))).toBe('BAD_SHAPE')
  })

  it.each<[string, WireValue]>([
    ['one part', [new Uint8Array(3)]],
    ['a short signature', [new Uint8Array(3), new Uint8Array(63)]],
    ['a long signature', [new Uint8Array(3), new Uint8Array(65)]],
    ['payload as text', ['abc', new Uint8Array(64)]],
    ['a map', { 0: new Uint8Array(3), 1: new Uint8Array(64) }],
  ])('of %s is refused', (_, value) => {
    expect(codeOf(() => open(encodeCanonical(value), options))).toBe('BAD_SHAPE')
  })

  it('of three parts is refused', () => {
    expect(codeOf(() => open(forge(good, 'a.type', [1]), options))).toBe('BAD_SHAPE')
  })

  it('of a later version is not wanted, and its sender is not to blame', () => {
    const later = (): unknown => open(forge({ ...good, v: 2 }), options)
    expect(codeOf(later)).toBe('UNKNOWN_VERSION')
    expect(later).toThrow(expect.objectContaining({ action: 'ignore' }))
  })

  it('size is judged first', () => {
    expect(codeOf(() => open(sealed.bytes, { ...options, bytesMax: 10 }))).toBe('TOO_LARGE')
    expect(codeOf(() => open(new Uint8Array(FACT_BYTES_MAX + 1), options))).toBe('TOO_LARGE')
  })
})

describe('sealing', () => {
  it('sets version, type and author itself', () => {
    const payload = { v: 9, t: 'x', a: 'y', b: 1 }
    const { bytes } = seal({ type: 'a.type', fleet: FLEET, key, payload })
    expect(open(bytes, options).payload).toEqual({ ...good, b: 1 })
  })

  it('refuses what would be refused', () => {
    const payload = { b: new Uint8Array(5000) }
    const big = (): unknown =>
      seal({ type: 'a', fleet: FLEET, key, payload, bytesMax: FACT_BYTES_MAX })
    expect(codeOf(big)).toBe('TOO_LARGE')
    const fraction = (): unknown => seal({ type: 'a', fleet: FLEET, key, payload: { b: 0.5 } })
    expect(codeOf(fraction)).toBe('NOT_CANONICAL')
  })

  it('a body is alone beside v, t and a', () => {
    const read = (payload: Record<string, WireValue>): WireValue =>
      bodyOf(open(forge({ ...good, ...payload }), options))
    expect(codeOf(() => read({ c: 1 }))).toBe('BAD_SHAPE')
    expect(codeOf(() => read(JSON.parse('{"__proto__": 1}')))).toBe('BAD_SHAPE')
    const { b: _, ...bare } = good
    expect(codeOf(() => bodyOf(open(forge(bare), options)))).toBe('BAD_SHAPE')
  })
})
