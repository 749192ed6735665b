import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ATTEST_SUBJECTS_MAX,
  CHECKS_MAX,
  concatBytes,
  encodeCanonical,
  entryOf,
  FACT_BYTES_MAX,
  type FactDraft,
  type FactType,
  fromHex,
  HALT_HOSTS_MAX,
  HOLD_RELEASES_MAX,
  isFactType,
  type LogEntry,
  MANIFEST_BYTES_MAX,
  NO_FACT,
  NOT_REVERTABLE_MAX,
  openFact,
  openLoggedFact,
  PHASES,
  PLAN_BYTES_MAX,
  phaseRank,
  ROUNDS_MAX,
  seal,
  sealFact,
  signEd25519,
  signedBytes,
  type WireValue,
} from '../../../protocol/index.ts'
import { FLEET, golden, goldenKey, goldenNames, OTHER_FLEET } from './golden.ts'
import { codeOf } from './refusal.ts'

const options = { fleet: FLEET, whose: 'a test' }
const key = goldenKey(golden('fact-host-lost').seed)
const author = { fleet: FLEET, key }
const TYPES = goldenNames('fact-')
  .map((name) => golden(name).type)
  .filter(isFactType)

/** A valid draft of each type; `change` alters its body. */
function draft(type: FactType, change: object = {}): FactDraft<FactType> {
  const { input } = golden(`fact-${type.replace('.', '-')}`)
  return { ...input, body: { ...input.body, ...change } }
}

/** Signs the payload as it is given, right or wrong, and reads it as a fact. */
function readForged(type: string, change: object): string {
  const payload = { ...headerOf(), ...change } as Record<string, WireValue>
  return codeOf(() => openFact(seal({ type, payload, ...author }).bytes, options))
}
function headerOf(): Record<string, WireValue> {
  const wire = { host: 'web-3', rollout: fromHex('ab'.repeat(32)), why: '' }
  return { n: new Uint8Array(16), s: 1, p: fromHex('cd'.repeat(32)), e: 1, ts: 0, b: wire }
}

describe('a fact', () => {
  it.each(TYPES)('%s is what its author wrote, sorted as its readers see it', (type) => {
    const sealed = sealFact(draft(type), author)
    expect(openFact(sealed.bytes, options)).toEqual(sealed)
  })

  it.each(TYPES)('%s is the same out of a log as out of its envelope', (type) => {
    const { bytes } = sealFact(draft(type), author)
    const stored = entryOf(bytes, type, FLEET)
    expect(openLoggedFact(stored, options)).toEqual(openFact(bytes, options))
    const { entry, signature } = stored
    const refused: readonly (readonly [Partial<LogEntry>, string])[] = [
      [{ signature: signature.map((byte, i) => (i === 9 ? byte ^ 1 : byte)) }, 'BAD_SIGNATURE'],
      [{ signature: signature.subarray(1) }, 'BAD_SHAPE'],
      [{ entry: entry.with(entry.length - 1, (entry.at(-1) ?? 0) ^ 1) }, 'BAD_SIGNATURE'],
      [{ entry: entry.subarray(1) }, 'BAD_SHAPE'],
      [{ entry: entry.with('nixfleet/v1/'.length, 'x'.charCodeAt(0)) }, 'BAD_SHAPE'],
      [{ entry: concatBytes(entry, new Uint8Array(FACT_BYTES_MAX)) }, 'TOO_LARGE'],
    ]
    for (const [change, code] of refused)
      expect(
        codeOf(() => openLoggedFact({ ...stored, ...change }, options)),
        code,
      ).toMatch(code === 'BAD_SIGNATURE' ? /BAD_SIGNATURE|NOT_CANONICAL|BAD_SHAPE/ : code)
    expect(codeOf(() => openLoggedFact(stored, { ...options, fleet: OTHER_FLEET }))).toBe(
      'WRONG_FLEET',
    )
  })

  it('of another fleet is refused', () => {
    const { bytes } = sealFact(draft('host.lost'), { fleet: OTHER_FLEET, key })
    expect(codeOf(() => openFact(bytes, options))).toBe('BAD_SIGNATURE')
  })

  it('the header takes its own keys, each of its own kind, and no other', () => {
    expect(readForged('host.lost', {})).toBe('accepted')
    for (const change of [
      { n: new Uint8Array(15) },
      { s: -1 },
      { p: new Uint8Array(31) },
      { e: 'one' },
      { ts: true },
      { extra: 1 },
      { q: new Uint8Array(64) },
      JSON.parse('{"__proto__": {"n": 1}}'),
      { constructor: 1 },
    ]) {
      expect(readForged('host.lost', change)).toBe('BAD_SHAPE')
    }
    for (const missing of ['n', 's', 'p', 'e', 'ts', 'b']) {
      const payload = Object.fromEntries(
        Object.entries(headerOf()).filter(([name]) => name !== missing),
      )
      const { bytes } = seal({ type: 'host.lost', payload, ...author })
      expect(codeOf(() => openFact(bytes, options))).toBe('BAD_SHAPE')
    }
  })

  it('begins its feed without a predecessor and goes on with one', () => {
    expect(readForged('host.lost', { s: 0 })).toBe('BAD_CHAIN')
    expect(readForged('host.lost', { s: 0, p: fromHex(NO_FACT) })).toBe('accepted')
    expect(readForged('host.lost', { p: fromHex(NO_FACT) })).toBe('BAD_CHAIN')
  })

  it('of an unknown type is carried with its header and not read', () => {
    const { bytes } = seal({ type: 'later.thing', payload: headerOf(), ...author })
    const fact = openFact(bytes, options)
    expect(fact).toMatchObject({ type: 'foreign', foreignType: 'later.thing', seq: 1 })
    expect(readForged('later.thing', { stray: 1 })).toBe('BAD_SHAPE')
  })

  it.each(['constructor', 'tostring', 'gate.notarize', 'foreign'])(
    'of the type %s is foreign like any other',
    (type) => {
      const { bytes } = seal({ type, payload: headerOf(), ...author })
      expect(openFact(bytes, options)).toMatchObject({ type: 'foreign', foreignType: type })
    },
  )

  it('a vote is no fact', () => {
    const { bytes } = golden('gate-notarize')
    expect(codeOf(() => openFact(fromHex(bytes), options))).toBe('BAD_SHAPE')
  })

  it('is at most 4 KiB, to the byte, whether written or read', () => {
    const padded = (size: number): Uint8Array => {
      const payload = encodeCanonical({
        ...headerOf(),
        v: 1,
        t: 'later.thing',
        a: fromHex(key.publicKey),
        b: new Uint8Array(size),
      })
      const message = signedBytes('later.thing', FLEET, payload)
      return encodeCanonical([payload, signEd25519({ seed: key.seed, message })])
    }
    const free = FACT_BYTES_MAX - padded(1000).length + 1000
    expect(padded(free)).toHaveLength(FACT_BYTES_MAX)
    expect(codeOf(() => openFact(padded(free), options))).toBe('accepted')
    expect(codeOf(() => openFact(padded(free + 1), options))).toBe('TOO_LARGE')
  })

  it('that no reader would take is not signed', () => {
    const subject = draft('obs.attest').body as unknown as { subjects: object[] }
    const subjects = Array.from({ length: ATTEST_SUBJECTS_MAX }, () => ({
      ...subject.subjects[0],
      why: 'x'.repeat(256),
    }))
    expect(codeOf(() => sealFact(draft('obs.attest', { subjects }), author))).toBe('TOO_LARGE')
    const late = { ...draft('host.lost'), ts: 0.5 }
    expect(codeOf(() => sealFact(late, author))).toBe('BAD_SHAPE')
  })

  it('survives no change of one byte', () => {
    const bytes = fromHex(golden('fact-obs-attest').bytes)
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const mutated = Uint8Array.from(bytes)
        mutated[at] = (mutated[at] ?? 0) ^ by
        expect(codeOf(() => openFact(mutated, options))).not.toBe('accepted')
      }),
      { numRuns: 300 },
    )
  })
})

const name = 'a'.repeat(63)
const line = 'x'.repeat(256)
const path = `/nix/store/${'p'.repeat(244)}`
const many = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item)
const id = 'ab'.repeat(32)
const subject = (change: object): object => ({
  subjects: [
    {
      host: 'web-1',
      round: 0,
      window: 0,
      verdict: 'ok',
      ok: 0,
      ko: 0,
      elapsedMs: 0,
      generation: 'g',
      boot: '',
      ...change,
    },
  ],
})

/** Each bound from both sides: the last body that is taken, and the first that is not. */
const BOUNDS: readonly [FactType, string, object, object][] = [
  ['release.announce', 'name', { name: line }, { name: `${line}x` }],
  ['release.announce', 'channel', { channel: name }, { channel: `${name}a` }],
  ['release.announce', 'channel form', { channel: 'a-b' }, { channel: 'a/b' }],
  ['release.announce', 'version', { version: 2 ** 53 - 1 }, { version: -1 }],
  ['release.announce', 'minVersion', { minVersion: 0 }, { minVersion: 1.5 }],
  ['release.announce', 'manifest', { manifest: id }, { manifest: id.slice(2) }],
  [
    'release.announce',
    'manifestBytes',
    { manifestBytes: MANIFEST_BYTES_MAX },
    { manifestBytes: MANIFEST_BYTES_MAX + 1 },
  ],
  ['release.announce', 'revision', { revision: undefined }, { revision: 'a\nb' }],
  ['release.announce', 'lock', { lock: undefined }, { lock: 'ab' }],
  [
    'release.announce',
    'notRevertable',
    { notRevertable: many(NOT_REVERTABLE_MAX, path) },
    { notRevertable: many(NOT_REVERTABLE_MAX + 1, 'p') },
  ],
  ['release.announce', 'a path', { notRevertable: [path] }, { notRevertable: [`${path}p`] }],
  ['release.announce', 'a path without blanks', { notRevertable: [] }, { notRevertable: ['a b'] }],
  ['rollout.plan', 'planBytes', { planBytes: PLAN_BYTES_MAX }, { planBytes: PLAN_BYTES_MAX + 1 }],
  ['rollout.plan', 'groups', { groups: ['a'] }, { groups: [] }],
  ['rollout.plan', 'groups once', { groups: ['a', 'b'] }, { groups: ['a', 'a'] }],
  [
    'rollout.plan',
    'groups count',
    { groups: many(64, 0).map((_, i) => `g${i}`) },
    { groups: many(65, 0).map((_, i) => `g${i}`) },
  ],
  [
    'rollout.halt',
    'hosts',
    { hosts: many(HALT_HOSTS_MAX, name) },
    { hosts: many(HALT_HOSTS_MAX + 1, 'a') },
  ],
  ['rollout.halt', 'no hosts', { hosts: undefined }, { hosts: [] }],
  ['rollout.halt', 'why', { why: '' }, { why: '\u{1b}[2J' }],
  ['rollout.halt', 'revert', { revert: false }, { revert: 0 }],
  [
    'rollout.hold',
    'releases',
    { releases: many(HOLD_RELEASES_MAX, id) },
    { releases: many(HOLD_RELEASES_MAX + 1, id) },
  ],
  ['rollout.hold', 'a release', { releases: [id] }, { releases: [] }],
  ['rollout.hold', 'kind', {}, { kind: 'paused' }],
  ['host.lost', 'host', { host: name }, { host: `${name}a` }],
  ['host.lost', 'rollout', { rollout: id }, { rollout: `${id}00` }],
  ['host.transition', 'round', { round: ROUNDS_MAX - 1 }, { round: ROUNDS_MAX }],
  ['host.transition', 'from', { from: 'QUEUED' }, { from: 'DONE' }],
  ['host.transition', 'to', { to: 'REVERTED' }, { to: 'toString' }],
  ['host.transition', 'why', { why: 'missing' }, { why: 'because' }],
  ['host.transition', 'detail', { detail: line }, { detail: `${line}x` }],
  ['host.transition', 'boot', { boot: 'b'.repeat(64) }, { boot: 'b'.repeat(65) }],
  ['host.transition', 'generation', { generation: path }, { generation: '' }],
  [
    'health.change',
    'checks',
    { checks: many(CHECKS_MAX, { name: 'a', ok: true }) },
    { checks: many(CHECKS_MAX + 1, { name: 'a', ok: true }) },
  ],
  ['health.change', 'state', { state: 'drifted' }, { state: 'fine' }],
  ['health.change', 'a check', { checks: [] }, { checks: [{ name: 'A', ok: true }] }],
  ['obs.attest', 'subjects', subject({}), { subjects: [] }],
  ['obs.attest', 'verdict', subject({ verdict: 'abstain' }), subject({ verdict: 'maybe' })],
  ['obs.attest', 'round', subject({ round: ROUNDS_MAX - 1 }), subject({ round: ROUNDS_MAX })],
  ['obs.attest', 'window', subject({ window: 2 ** 53 - 1 }), subject({ window: -1 })],
  ['obs.attest', 'why', subject({ why: line }), subject({ why: ''.padEnd(257, 'x') })],
]

describe('every bound of every body', () => {
  it.each(BOUNDS)('%s: %s', (type, _, inside, outside) => {
    expect(codeOf(() => sealFact(draft(type, inside), author))).toBe('accepted')
    expect(codeOf(() => sealFact(draft(type, outside), author))).toBe('BAD_SHAPE')
  })

  it.each(TYPES)('%s takes no unknown key in its body', (type) => {
    const { payload, seed } = golden(`fact-${type.replace('.', '-')}`)
    expect(payload.length).toBeGreaterThan(0)
    const wire = JSON.parse('{"__proto__": 1}')
    const sealing = { fleet: FLEET, key: goldenKey(seed) }
    const { bytes } = seal({ type, payload: { ...headerOf(), b: wire }, ...sealing })
    expect(codeOf(() => openFact(bytes, options))).toBe('BAD_SHAPE')
  })

  it('attestations name at most the bounded number of subjects', () => {
    const one = (subject({}) as { subjects: object[] }).subjects[0]
    const body = (count: number): object => ({ subjects: many(count, one) })
    expect(codeOf(() => sealFact(draft('obs.attest', body(ATTEST_SUBJECTS_MAX)), author))).toBe(
      'accepted',
    )
    expect(codeOf(() => sealFact(draft('obs.attest', body(ATTEST_SUBJECTS_MAX + 1)), author))).toBe(
      'BAD_SHAPE',
    )
  })
})

describe('phases', () => {
  it('have distinct ranks, and going back outranks everything but having been back', () => {
    expect(new Set(PHASES.map(phaseRank)).size).toBe(PHASES.length)
    expect(PHASES.map(phaseRank).every((rank) => rank >= 0)).toBe(true)
    expect(phaseRank('REVERTED')).toBeGreaterThan(phaseRank('STUCK'))
    expect(phaseRank('STUCK')).toBeGreaterThan(phaseRank('REVERTING'))
    expect(phaseRank('REVERTING')).toBeGreaterThan(phaseRank('COMMITTED'))
  })
})
