/** The root chain: who may follow whom (SPEC §4.1). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addSignatures,
  fleetIdOf,
  followRoot,
  type KeyPair,
  keyPair,
  openFirstRoot,
  type Root,
  readRoot,
  rootHashOf,
  rootSigners,
  sha256,
  signRoot,
  utf8,
} from '../../../protocol/index.ts'
import { codeOf } from './refusal.ts'

const admin = (name: string): KeyPair => keyPair(sha256(utf8(`root chain ${name}`)))
const [ann, ben, cem, dee] = ['ann', 'ben', 'cem', 'dee'].map(admin) as [
  KeyPair,
  KeyPair,
  KeyPair,
  KeyPair,
]
const FIRST = rootOf([ann, ben, cem], 2)
const FLEET = fleetIdOf(rootHashOf(FIRST))

function rootOf(admins: readonly KeyPair[], threshold: number, more: Partial<Root> = {}): Root {
  return {
    version: 1,
    name: 'fleet',
    admins: admins.map((key) => key.publicKey).sort(),
    threshold,
    operators: [],
    releaseKeys: [],
    groups: ['main'],
    ...more,
  }
}

function next(admins: readonly KeyPair[], threshold: number, more: Partial<Root> = {}): Root {
  return rootOf(admins, threshold, { version: 2, previous: rootHashOf(FIRST), ...more })
}

function follows(root: Root, keys: readonly KeyPair[], fleet: string = FLEET): string {
  return codeOf(() => followRoot(readRoot(signRoot(root, keys, fleet).bytes), FIRST, FLEET))
}

describe('a root follows another', () => {
  it('when enough admins of both versions signed it', () => {
    expect(follows(next([ann, ben, dee], 2), [ann, ben])).toBe('accepted')
    expect(follows(next([cem, dee], 2), [ann, cem, dee])).toBe('accepted')
  })

  it.each([
    ['too few of the version before', next([ann, dee], 2), [ann, dee]],
    ['too few of its own', next([ben, cem, dee], 3), [ann, ben, cem]],
    ['its own admins alone', next([dee], 1), [dee]],
    ['nobody', next([ann, ben, cem], 2), []],
  ])('but not when %s signed', (_, root, keys) => {
    expect(follows(root, keys)).toBe('BAD_ROOT')
  })

  it.each([
    ['another number', { version: 3 }],
    ['another root before it', { previous: 'aa'.repeat(32) }],
    ['another name of the fleet', { name: 'other' }],
  ])('but not with %s', (_, change) => {
    expect(follows({ ...next([ann, ben, cem], 2), ...change }, [ann, ben])).toBe('BAD_ROOT')
  })

  it('but not with signatures that were made for another fleet', () => {
    expect(follows(next([ann, ben, cem], 2), [ann, ben], 'ff'.repeat(16))).toBe('BAD_ROOT')
  })

  it('only with the hash of the one before, and the first only without', () => {
    const { previous: _, ...bare } = next([ann, ben, cem], 2)
    expect(codeOf(() => signRoot(bare, [ann, ben], FLEET))).toBe('BAD_SHAPE')
    expect(codeOf(() => signRoot({ ...FIRST, previous: 'aa'.repeat(32) }, [ann]))).toBe('BAD_SHAPE')
  })
})

it('a later root is never taken for the first, whatever is pinned', () => {
  const second = signRoot(next([ann, ben, cem], 2), [ann, ben], FLEET)
  expect(codeOf(() => openFirstRoot(second.bytes, second.hash))).toBe('BAD_ROOT')
})

it('signatures that are added one by one count like those made at once, and strangers not at all', () => {
  const keys = [ann, ben, cem, dee]
  const root = next([ben, cem, dee], 2)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 8 }), (order) => {
      const domain = { type: 'root', fleet: FLEET } as const
      let bytes = signRoot(root, [], FLEET).bytes
      for (const i of order) bytes = addSignatures(bytes, domain, [keys[i] ?? ann])
      const signed = new Set(order.map((i) => keys[i]?.publicKey ?? ''))
      const count = (admins: readonly string[]): number =>
        admins.filter((one) => signed.has(one)).length
      const found = rootSigners(readRoot(bytes), FIRST, FLEET)
      expect(found.before).toBe(count(FIRST.admins))
      expect(found.after).toBe(count(root.admins))
    }),
  )
})
