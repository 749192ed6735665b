/** Store paths and store names: what Nix takes, what it refuses, and the portable ones. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../../protocol/crypto.ts'
import {
  parseStoreName,
  parseStorePath,
  portableStoreName,
  storeHashOf,
  storeNameOf,
  storePathOf,
} from '../../../protocol/store-path.ts'

const HASH = 'cic976bs2lfcgyvvasb5xf0mvlmfr508'
const refused = expect.objectContaining({ code: 'STORE_PATH_MALFORMED', action: 'reject' })

describe('a store path', () => {
  it('is taken apart and put together', () => {
    const path = parseStorePath(`/nix/store/${HASH}-tree-1.0`)
    const name = storeNameOf(path)
    expect(name).toBe(`${HASH}-tree-1.0`)
    expect(storePathOf(name)).toBe(path)
    expect(storeHashOf(name)).toBe(HASH)
  })

  it.each(['a', 'A-Z+0._?=', '.hidden', '...', '..a', '-', 'x'.repeat(211)])(
    'may be named %j',
    (name) => {
      expect(parseStoreName(`${HASH}-${name}`)).toBe(`${HASH}-${name}`)
    },
  )

  it.each(['', '.', '..', '.-a', '..-a', 'a/b', 'a b', 'a\n', 'é', 'a~', 'x'.repeat(212)])(
    'may not be named %j',
    (name) => {
      expect(() => parseStoreName(`${HASH}-${name}`)).toThrow(refused)
      expect(() => parseStorePath(`/nix/store/${HASH}-${name}`)).toThrow(refused)
    },
  )

  it.each([
    ['another directory', `/gnu/store/${HASH}-a`],
    ['a name alone', `${HASH}-a`],
    ['a path inside', `/nix/store/${HASH}-a/bin`],
    ['a step up', `/nix/store/../${HASH}-a`],
    ['a hash with an e', `/nix/store/e${HASH.slice(1)}-a`],
    ['a short hash', `/nix/store/${HASH.slice(1)}-a`],
    ['no dash', `/nix/store/${HASH}_a`],
    ['no name', `/nix/store/${HASH}`],
  ])('is not %s', (_, text) => {
    expect(() => parseStorePath(text)).toThrow(refused)
  })
})

describe('a portable store name', () => {
  const narHash = sha256(new Uint8Array(0))

  it('is fixed for ever, because generations are found by it', () => {
    // From an independent computation: sha256, XOR fold to 20 bytes, little-endian base 32.
    expect(portableStoreName(narHash, 'system-web-01')).toBe(
      'zmaz0hkkqp54s2m0ji4szdiv7wp2fbdh-system-web-01',
    )
  })

  it('is a store name, and another for another hash or another name', () => {
    const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(digest, digest, (one, other) => {
        const name = portableStoreName(one, 'system')
        expect(parseStoreName(name)).toBe(name)
        expect(name === portableStoreName(other, 'system')).toBe(one.join() === other.join())
        expect(storeHashOf(portableStoreName(one, 'systen'))).not.toBe(storeHashOf(name))
      }),
    )
  })

  it('is not made of a bad name or of another hash', () => {
    expect(() => portableStoreName(narHash, '../system')).toThrow(refused)
    expect(() => portableStoreName(narHash.subarray(1), 'system')).toThrow(refused)
  })
})
