import { describe, expect, it } from 'vitest'
import {
  type EphemeralType,
  fromHex,
  INCARNATION_MAX,
  keyPair,
  openAnswer,
  REACH_RUMOUR_BYTES_MAX,
  REACH_RUMOURS_MAX,
  ROUNDS_MAX,
  seal,
  sealAnswer,
  sha256,
  utf8,
  type WireValue,
} from '../../../protocol/index.ts'
import { FLEET, golden, goldenNames, OTHER_FLEET } from './golden.ts'
import { codeOf } from './refusal.ts'

const key = keyPair(sha256(utf8('ephemeral.test')))
const author = { fleet: FLEET, key }
const options = { fleet: FLEET, whose: 'a test' }
const NAMES = goldenNames('answer-')
const TYPES: readonly EphemeralType[] = [
  'probe.rsp',
  'confirm.rsp',
  'lease.rsp',
  'reach.rsp',
  'reach.suspect',
  'reach.refute',
  'current.rsp',
]

describe('answers', () => {
  it.each(NAMES)('%s is read as its own type and as no other', (name) => {
    const { type, bytes } = golden(name)
    for (const asked of TYPES) {
      const code = codeOf(() => openAnswer(asked, fromHex(bytes), options))
      expect(code).toBe(asked === type ? 'accepted' : 'BAD_SHAPE')
    }
  })

  it.each(NAMES)('%s of another fleet is refused', (name) => {
    const { type, input } = golden(name)
    const bytes = sealAnswer(type as EphemeralType, input, { fleet: OTHER_FLEET, key })
    expect(codeOf(() => openAnswer(type as EphemeralType, bytes, options))).toBe('BAD_SIGNATURE')
  })

  it('the author is whoever signed, not whom the body names', () => {
    const { input } = golden('answer-probe-rsp')
    const bytes = sealAnswer('probe.rsp', input, author)
    expect(openAnswer('probe.rsp', bytes, options).author).toBe(key.publicKey)
  })

  it('takes no unknown key beside the body nor in it', () => {
    const wire: Record<string, WireValue> = {
      nonce: new Uint8Array(16),
      host: 'web-1',
      generation: 'g',
      boot: '',
      healthy: true,
    }
    const read = (payload: Record<string, WireValue>, type: string = 'probe.rsp'): string => {
      const { bytes } = seal({ type, payload, ...author })
      return codeOf(() => openAnswer('probe.rsp', bytes, options))
    }
    expect(read({ b: wire })).toBe('accepted')
    expect(read({ b: { ...wire, more: 1 } })).toBe('BAD_SHAPE')
    expect(read({ b: wire, more: 1 })).toBe('BAD_SHAPE')
    expect(read({ b: { ...wire, nonce: new Uint8Array(15) } })).toBe('BAD_SHAPE')
    expect(read({})).toBe('BAD_SHAPE')
    expect(read({ b: wire }, 'later.rsp')).toBe('BAD_SHAPE')
  })

  it.each<[EphemeralType, string, object, object]>([
    ['probe.rsp', 'nonce', { nonce: '00'.repeat(16) }, { nonce: '00'.repeat(15) }],
    ['probe.rsp', 'healthy', { healthy: false }, { healthy: 'yes' }],
    ['confirm.rsp', 'round', { round: ROUNDS_MAX - 1 }, { round: ROUNDS_MAX }],
    ['confirm.rsp', 'why', { why: undefined }, { why: 'a\nb' }],
    ['lease.rsp', 'ttlMs', { ttlMs: 604_800_000 }, { ttlMs: 604_800_001 }],
    ['lease.rsp', 'ttlMs of a fraction', { ttlMs: 0 }, { ttlMs: 0.5 }],
    ['reach.rsp', 'rumours', { rumours: [] }, { rumours: Array(REACH_RUMOURS_MAX + 1).fill('00') }],
    ['reach.rsp', 'a rumour', {}, { rumours: ['00'.repeat(REACH_RUMOUR_BYTES_MAX + 1)] }],
    ['reach.rsp', 'seen', {}, { seen: [{ host: 'web-2', ageMs: -1 }] }],
    ['reach.suspect', 'incarnation', {}, { incarnation: INCARNATION_MAX + 1 }],
    ['reach.refute', 'incarnation', { incarnation: INCARNATION_MAX }, { incarnation: -1 }],
    ['current.rsp', 'last', { last: undefined, version: undefined }, { last: '00' }],
    ['lease.rsp', 'refusal', { granted: false, refusal: 'breached' }, { refusal: 'mood' }],
  ])('%s: %s is bounded', (type, _, inside, outside) => {
    const { input } = golden(`answer-${type.replace('.', '-')}`)
    expect(codeOf(() => sealAnswer(type, { ...input, ...inside }, author))).toBe('accepted')
    expect(codeOf(() => sealAnswer(type, { ...input, ...outside }, author))).toBe('BAD_SHAPE')
  })
})
