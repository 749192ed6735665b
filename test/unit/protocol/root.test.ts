import { describe, expect, it } from 'vitest'
import {
  encodeCanonical,
  type FleetId,
  fleetIdOf,
  fromHex,
  type GroupConfig,
  type KeyPair,
  keyPair,
  openFirstRoot,
  openGroupConfig,
  packDocument,
  ROOT,
  type Root,
  sha256,
  signEd25519,
  signedBytes,
  signGroupConfig,
  signRoot,
  toHex,
  unpackDocument,
  utf8,
  type WireValue,
} from '../../../protocol/index.ts'
import { golden, OTHER_FLEET } from './golden.ts'
import { codeOf } from './refusal.ts'

const admins = ['admin-1', 'admin-2', 'admin-3'].map((name) =>
  keyPair(sha256(utf8(`golden vector seed: ${name}`))),
)
const [first, second] = admins as [KeyPair, KeyPair, KeyPair]
const stranger = keyPair(sha256(utf8('a stranger')))
const { input: root, hash: pinned, fleet } = golden<Golden<Root>>('root')
const { input: config } = golden<Golden<GroupConfig>>('group-config')
const SMALL_KEY = `01${'00'.repeat(31)}`

interface Golden<T> {
  readonly input: T
  readonly hash: string
  readonly fleet: FleetId
}

const rootCode = (change: Partial<Root>, keys: readonly KeyPair[] = [first, second]): string =>
  codeOf(() => {
    const { bytes, hash } = signRoot({ ...root, ...change }, keys)
    return openFirstRoot(bytes, hash)
  })

/** A root document with any signatures at all. */
function rootWith(signatures: WireValue): Uint8Array {
  return encodeCanonical([encodeCanonical(ROOT.encode(root)), signatures])
}
function signature(key: KeyPair, type: string = 'root'): Uint8Array {
  const message = signedBytes(type, fleet, encodeCanonical(ROOT.encode(root)))
  return signEd25519({ seed: key.seed, message })
}
const entry = (key: KeyPair, type?: string): WireValue => [
  fromHex(key.publicKey),
  signature(key, type),
]

describe('the first root', () => {
  it('is believed when its hash is the pinned one and its threshold signed', () => {
    const opened = openFirstRoot(rootWith([entry(first), entry(second)]), pinned)
    expect(opened.value).toEqual(root)
    expect(opened.hash).toBe(pinned)
    expect(fleetIdOf(pinned)).toBe(fleet)
  })

  it('of another hash is refused, whoever signed it', () => {
    const { bytes } = signRoot({ ...root, name: 'another' }, admins)
    expect(codeOf(() => openFirstRoot(bytes, pinned))).toBe('BAD_ROOT')
  })

  it.each<[string, WireValue]>([
    ['nobody', []],
    ['one admin', [entry(first)]],
    ['one admin twice', [entry(first), entry(first)]],
    ['one admin and a stranger', [entry(first), entry(stranger)]],
    ['one admin, and one over another domain', [entry(first), entry(second, 'group-config')]],
    [
      'one admin under the name of another',
      [entry(first), [fromHex(second.publicKey), signature(first)]],
    ],
  ])('signed by %s is refused', (_, signatures) => {
    expect(codeOf(() => openFirstRoot(rootWith(signatures), pinned))).toBe('BAD_ROOT')
  })

  it('is believed with signatures of strangers beside enough admins', () => {
    const signatures = [entry(stranger), entry(first), entry(second)]
    expect(codeOf(() => openFirstRoot(rootWith(signatures), pinned))).toBe('accepted')
  })

  it.each<[string, WireValue]>([
    ['a map', {}],
    ['a short key', [[new Uint8Array(31), new Uint8Array(64)]]],
    ['a short signature', [[new Uint8Array(32), new Uint8Array(63)]]],
    ['a triple', [[new Uint8Array(32), new Uint8Array(64), 1]]],
    ['65 of them', Array.from({ length: 65 }, () => entry(first))],
  ])('with signatures in the form of %s is refused', (_, signatures) => {
    expect(codeOf(() => openFirstRoot(rootWith(signatures), pinned))).toBe('BAD_SHAPE')
  })

  it('with a key twice in its payload is refused though hash and signatures hold', () => {
    const honest = encodeCanonical(ROOT.encode(root))
    const key = encodeCanonical('threshold')
    const at = toHex(honest).indexOf(toHex(key)) / 2
    const pair = honest.subarray(at, at + key.length + 1)
    const twice = new Uint8Array([...honest.subarray(0, at), ...pair, ...honest.subarray(at)])
    twice[0] = (twice[0] ?? 0) + 1
    const hash = toHex(sha256(twice))
    const bytes = packDocument({ type: 'root', fleet: fleetIdOf(hash) }, twice, [first, second])
    expect(codeOf(() => openFirstRoot(bytes, hash))).toBe('NOT_CANONICAL')
  })

  it('is refused after a cut, with a third part, and when too large', () => {
    const bytes = rootWith([entry(first), entry(second)])
    expect(codeOf(() => openFirstRoot(bytes.subarray(0, -1), pinned))).toBe('NOT_CANONICAL')
    const three = encodeCanonical([new Uint8Array(1), [], 1])
    expect(codeOf(() => openFirstRoot(three, pinned))).toBe('BAD_SHAPE')
    expect(codeOf(() => openFirstRoot(new Uint8Array(256 * 1024 + 1), pinned))).toBe('TOO_LARGE')
  })

  it.each<[string, Partial<Root>]>([
    [
      'a threshold of half of the admins',
      { admins: admins.slice(0, 2).map(publicOf).sort(), threshold: 1 },
    ],
    ['a threshold above the admins', { threshold: 4 }],
    ['a threshold of zero', { threshold: 0 }],
    ['an admin twice', { admins: [first.publicKey, first.publicKey] }],
    ['no admin', { admins: [] }],
    ['no group', { groups: [] }],
    [
      'an operator who is also the release key',
      { releaseKeys: [{ name: 'ci', key: root.operators[0]?.key ?? '', channels: [] }] },
    ],
    ['version 0', { version: 0 }],
  ])('with %s is refused', (_, change) => {
    expect(rootCode(change)).toBe('BAD_SHAPE')
  })

  it('is version 1', () => {
    expect(rootCode({ version: 2, previous: 'aa'.repeat(32) })).toBe('BAD_ROOT')
  })

  it('names no key of small order', () => {
    const alice = root.operators[0]
    if (alice === undefined) throw new Error('expected an operator in the vector')
    expect(rootCode({ operators: [{ ...alice, key: SMALL_KEY }] })).toBe('BAD_KEY')
    expect(rootCode({ releaseKeys: [{ name: 'ci', key: SMALL_KEY, channels: [] }] })).toBe(
      'BAD_KEY',
    )
    expect(rootCode({ admins: [SMALL_KEY, first.publicKey, second.publicKey].sort() })).toBe(
      'BAD_KEY',
    )
  })

  it("is given back sorted, as its readers see it, whatever its writer's order", () => {
    const unsorted = { ...root, groups: ['zurich', 'berlin'] }
    const signed = signRoot(unsorted, [first, second])
    expect(signed.value.groups).toEqual(['berlin', 'zurich'])
    expect(openFirstRoot(signed.bytes, signed.hash).value).toEqual(signed.value)
  })
})

const groupCode = (
  change: Partial<GroupConfig>,
  trust: { root: Root; fleet: FleetId } = { root, fleet },
  keys: readonly KeyPair[] = [first, second],
): string =>
  codeOf(() => openGroupConfig(signGroupConfig({ ...config, ...change }, keys).bytes, trust))

describe('a group configuration', () => {
  it('is believed when the admins of the root signed it', () => {
    expect(groupCode({})).toBe('accepted')
  })

  it.each<[string, readonly KeyPair[]]>([
    ['nobody', []],
    ['one admin', [first]],
    ['one admin twice', [first, first]],
    ['one admin and a stranger', [first, stranger]],
  ])('signed by %s is refused', (_, keys) => {
    expect(groupCode({}, { root, fleet }, keys)).toBe('BAD_ROOT')
  })

  it('of another fleet is refused', () => {
    expect(groupCode({}, { root, fleet: OTHER_FLEET })).toBe('WRONG_FLEET')
    expect(groupCode({ fleet: OTHER_FLEET })).toBe('WRONG_FLEET')
  })

  it('whose payload names this fleet but whose signatures are of another is refused', () => {
    const { payload } = unpackDocument(signGroupConfig(config, [first]).bytes, 'a test')
    const domain = { type: 'group-config', fleet: OTHER_FLEET } as const
    const bytes = packDocument(domain, payload, [first, second])
    expect(codeOf(() => openGroupConfig(bytes, { root, fleet }))).toBe('BAD_ROOT')
  })

  it('signed as a root does not count', () => {
    const { payload } = unpackDocument(signGroupConfig(config, [first]).bytes, 'a test')
    const bytes = packDocument({ type: 'root', fleet }, payload, [first, second])
    expect(codeOf(() => openGroupConfig(bytes, { root, fleet }))).toBe('BAD_ROOT')
  })

  it('of a group that the root does not name is refused', () => {
    expect(groupCode({ group: 'paris' })).toBe('BAD_ROOT')
  })

  it.each<[string, Partial<GroupConfig>]>([
    ['two of four votes', { quorum: 2 }],
    ['all of four votes, one of which may lie', { quorum: 4 }],
    ['two of four votes that only crash', { quorum: 2, faultModel: 'crash' }],
    ['no voter', { voters: [] }],
    ['a voter twice', { voters: ['web-1', 'web-1'], quorum: 2, faultModel: 'crash' }],
    ['a voter who is no host', { voters: ['web-9'], quorum: 1, faultModel: 'crash' }],
    ['no host', { hosts: [], voters: [] }],
    ['epoch 0', { epoch: 0 }],
    ['a first timeout above the last', { timing: { ...config.timing, viewMs: 9000 } }],
  ])('with %s is refused', (_, change) => {
    expect(groupCode(change)).toBe('BAD_SHAPE')
  })

  it('has three keys for each host that nobody shares', () => {
    const [a, b, ...rest] = config.hosts
    if (a === undefined || b === undefined) throw new Error('expected hosts in the vector')
    expect(groupCode({ hosts: [a, { ...b, fact: a.fact }, ...rest] })).toBe('BAD_SHAPE')
    expect(groupCode({ hosts: [a, { ...b, cosign: b.transport }, ...rest] })).toBe('BAD_SHAPE')
    expect(groupCode({ hosts: [a, { ...b, fact: SMALL_KEY }, ...rest] })).toBe('BAD_KEY')
  })

  it("is given back sorted, so that its author's leaders are everybody's", () => {
    const turned = {
      ...config,
      voters: [...config.voters].reverse(),
      hosts: [...config.hosts].reverse(),
    }
    const signed = signGroupConfig(turned, [first, second])
    expect(signed.value).toEqual(config)
    expect(openGroupConfig(signed.bytes, { root, fleet }).value).toEqual(signed.value)
  })
})

function publicOf(key: KeyPair): string {
  return key.publicKey
}
