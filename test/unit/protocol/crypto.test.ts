import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  assertPublicKey,
  createSha256,
  deriveSeed,
  fromHex,
  publicKeyOf,
  sha256,
  sha256Hex,
  signEd25519,
  toHex,
  utf8,
  verifyEd25519,
} from '../../../protocol/index.ts'
import { codeOf } from './refusal.ts'

interface Vector {
  readonly seed: string
  readonly publicKey: string
  readonly message: string
  readonly signature: string
}
const vendor = new URL('../../vendor/ed25519-rfc8032.json', import.meta.url)
const file = readFileSync(vendor)
const { ed25519, hkdfSha256 } = JSON.parse(file.toString()) as {
  ed25519: readonly Vector[]
  hkdfSha256: { ikm: string; okmFirst32: string }
}

/** The order of the base point, as RFC 8032 §5.1 gives it. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

describe('the vendored vectors', () => {
  it('are those whose digest stands beside them', () => {
    const note = readFileSync(new URL('./ed25519-rfc8032.md', vendor), 'utf8')
    expect(note).toContain(createHash('sha256').update(file).digest('hex'))
    expect(ed25519).toHaveLength(3)
  })

  it.each(ed25519)('$publicKey signs and verifies as in RFC 8032', (vector) => {
    const [seed, message] = [fromHex(vector.seed), fromHex(vector.message)]
    expect(toHex(publicKeyOf(seed))).toBe(vector.publicKey)
    expect(toHex(signEd25519({ seed, message }))).toBe(vector.signature)
    expect(verifies(vector)).toBe(true)
    expect(verifies({ ...vector, message: `${vector.message}00` })).toBe(false)
  })

  it.each([0, 1, 55, 56, 64, 1000])('SHA-256 of %i bytes is that of the piecewise one', (size) => {
    const bytes = new Uint8Array(size).fill(size)
    const pieces = createSha256()
    pieces.update(bytes)
    expect(sha256(bytes)).toEqual(pieces.digest())
    expect(sha256Hex(bytes)).toBe(toHex(sha256(bytes)))
  })

  it('HKDF gives the output of RFC 5869', () => {
    expect(toHex(deriveSeed(fromHex(hkdfSha256.ikm), ''))).toBe(hkdfSha256.okmFirst32)
  })
})

describe('signatures', () => {
  it.each(ed25519)('a signature with S + L is refused ($publicKey)', (vector) => {
    const scalar = littleEndian(vector.signature.slice(64)) + ORDER
    const malleated = vector.signature.slice(0, 64) + toLittleEndian(scalar)
    expect(verifies({ ...vector, signature: malleated })).toBe(false)
  })

  it('keys and signatures of another length are false, not errors', () => {
    const message = utf8('x')
    const [key, signature] = [new Uint8Array(32).fill(9), new Uint8Array(64)]
    expect(verifyEd25519({ publicKey: key.subarray(1), message, signature })).toBe(false)
    expect(verifyEd25519({ publicKey: key, message, signature: signature.subarray(1) })).toBe(false)
  })

  it('a seed that is not 32 bytes is refused', () => {
    expect(codeOf(() => publicKeyOf(new Uint8Array(31)))).toBe('BAD_KEY')
    const signed = (): unknown => signEd25519({ seed: new Uint8Array(33), message: utf8('') })
    expect(codeOf(signed)).toBe('BAD_KEY')
  })
})

/** y of the points whose order divides 8, and the encodings of y + p that fit 255 bits. */
const SMALL = [
  `00${'00'.repeat(31)}`,
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]
const BOTH_SIGNS = SMALL.flatMap((key) => [
  key,
  key.slice(0, 62) + (Number.parseInt(key.slice(62), 16) | 0x80).toString(16).padStart(2, '0'),
])

describe('keys of small order', () => {
  it.each(BOTH_SIGNS)('%s is refused', (key) => {
    expect(codeOf(() => assertPublicKey(key, 'a test'))).toBe('BAD_KEY')
  })

  it('the identity signs for everybody in the platform, and for nobody here', () => {
    const publicKey = fromHex(`01${'00'.repeat(31)}`)
    const signature = fromHex(`01${'00'.repeat(63)}`)
    expect(verifyEd25519({ publicKey, message: utf8('anything'), signature })).toBe(false)
  })

  it('an honest key passes; a cut or shouted one does not', () => {
    const key = ed25519[0]?.publicKey ?? ''
    expect(codeOf(() => assertPublicKey(key, 'a test'))).toBe('accepted')
    expect(codeOf(() => assertPublicKey(key.toUpperCase(), 'a test'))).toBe('BAD_KEY')
    expect(codeOf(() => assertPublicKey(key.slice(2), 'a test'))).toBe('BAD_KEY')
    expect(codeOf(() => assertPublicKey(`${key}00`, 'a test'))).toBe('BAD_KEY')
  })
})

describe('SHA-256', () => {
  it('piece by piece gives what the whole gives', () => {
    const hash = createSha256()
    for (const piece of ['a', '', 'bc']) hash.update(utf8(piece))
    expect(toHex(hash.digest())).toBe(toHex(sha256(utf8('abc'))))
    expect(toHex(sha256(utf8('abc')))).toMatch(/^ba7816bf8f01cfea/)
  })
})

function verifies(vector: Omit<Vector, 'seed'>): boolean {
  return verifyEd25519({
    publicKey: fromHex(vector.publicKey),
    message: fromHex(vector.message),
    signature: fromHex(vector.signature),
  })
}

function littleEndian(hex: string): bigint {
  return BigInt(`0x${toHex(fromHex(hex).reverse())}`)
}

function toLittleEndian(value: bigint): string {
  return toHex(fromHex(value.toString(16).padStart(64, '0')).reverse())
}
