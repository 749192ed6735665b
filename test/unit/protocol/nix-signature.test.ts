/** Nix keys and signatures: against Nix's own, and each malformed text. */
import { describe, expect, it } from 'vitest'
import { fromBase64, toBase64 } from '../../../protocol/base64.ts'
import { fromHex } from '../../../protocol/bytes.ts'
import {
  nixFingerprint,
  nixPublicKeyOf,
  parseNixSignature,
  parseTrustedNixKeys,
  printNixSignature,
  type SignedPathInfo,
  signPathInfo,
  verifyPathInfo,
} from '../../../protocol/nix-signature.ts'
import { parseStoreName, parseStorePath } from '../../../protocol/store-path.ts'
import vectors from '../../vectors/nar/narinfos.json' with { type: 'json' }

const { publicKey, secretKey } = vectors
const trusted = parseTrustedNixKeys([publicKey])
const refused = expect.objectContaining({ code: 'NIX_SIGNATURE_MALFORMED', action: 'reject' })
const info: SignedPathInfo = {
  storePath: parseStorePath(`/nix/store/${'a'.repeat(32)}-one`),
  narHash: fromHex('00'.repeat(32)),
  narSize: 120,
  references: [parseStoreName(`${'c'.repeat(32)}-c`), parseStoreName(`${'b'.repeat(32)}-b`)],
}

describe('what is signed', () => {
  it('is path, hash, size and the sorted references, as full paths', () => {
    expect(nixFingerprint(info)).toBe(
      `1;/nix/store/${'a'.repeat(32)}-one;sha256:${'0'.repeat(52)};120;` +
        `/nix/store/${'b'.repeat(32)}-b,/nix/store/${'c'.repeat(32)}-c`,
    )
  })

  it('ends with a semicolon where nothing is referenced', () => {
    expect(nixFingerprint({ ...info, references: [] })).toMatch(/;120;$/)
  })

  it.each([0, -1, 1.5, Number.NaN])('is nothing for a size of %s', (narSize) => {
    expect(() => nixFingerprint({ ...info, narSize })).toThrow(refused)
  })
})

describe('a signature', () => {
  const ours = signPathInfo(info, secretKey)

  it('by our hand verifies, and no other path does with it', () => {
    expect(verifyPathInfo(info, ours, trusted)).toBe(true)
    expect(verifyPathInfo({ ...info, narSize: 121 }, ours, trusted)).toBe(false)
  })

  it('of an unknown name is not good, whatever its bytes', () => {
    expect(verifyPathInfo(info, { ...ours, keyName: 'vector-2' }, trusted)).toBe(false)
  })

  it('with any bit changed is not good', () => {
    for (let bit = 0; bit < 512; bit += 7) {
      const signature = Uint8Array.from(ours.signature)
      signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(verifyPathInfo(info, { ...ours, signature }, trusted)).toBe(false)
    }
  })

  it('has one text', () => {
    const text = printNixSignature(ours)
    expect(printNixSignature(parseNixSignature(text))).toBe(text)
    expect(text).toMatch(/^vector-1:[A-Za-z0-9+/]{86}==$/)
  })
})

describe('a key', () => {
  const [name = '', base64 = ''] = secretKey.split(':')
  const bytes = fromBase64(base64)

  it('has the public half that Nix prints', () => {
    expect(nixPublicKeyOf(secretKey)).toBe(publicKey)
  })

  it('with halves that do not belong together signs nothing', () => {
    const mixed = Uint8Array.from(bytes, (byte, i) => (i === 40 ? byte ^ 1 : byte))
    expect(() => signPathInfo(info, `${name}:${toBase64(mixed)}`)).toThrow(refused)
  })

  it('is trusted once for each name', () => {
    expect(() => parseTrustedNixKeys([publicKey, publicKey])).toThrow(refused)
    expect(parseTrustedNixKeys([publicKey, publicKey.replace('-1', '-2')]).size).toBe(2)
  })

  it.each<[string, string]>([
    ['no colon', base64],
    ['no name', `:${base64}`],
    ['a space in its name', `a b:${base64}`],
    ['a line break in its name', `a\nb:${base64}`],
    ['a long name', `${'x'.repeat(256)}:${base64}`],
    ['too few bytes', `${name}:${toBase64(bytes.subarray(1))}`],
    ['a line break at its end', `${secretKey}\n`],
    ['other base64', `${name}:${base64.replace(/=+$/, '')}`],
  ])('is refused with %s, and the error does not show it', (_, text) => {
    expect(() => nixPublicKeyOf(text)).toThrow(refused)
    expect(() => parseTrustedNixKeys([text])).toThrow(refused)
    try {
      nixPublicKeyOf(text)
    } catch (error) {
      expect(String(error)).not.toContain(base64.slice(0, 10))
    }
  })
})
