/** Proofs of equivocation: what proves a lie, what does not, and a verifier that shares no code. */
import { createHash, createPublicKey, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  accusationOf,
  type BlockBody,
  type Equivocation,
  fromHex,
  GATE_BYTES_MAX,
  judgeAccusation,
  type KeyPair,
  keyPair,
  LIE_BYTES_MAX,
  LIE_INLINE_BYTES_MAX,
  type Lie,
  lieOf,
  NO_FACT,
  openFact,
  openLiePair,
  seal,
  sealAnswer,
  sealBlock,
  sealFact,
  sealVote,
  sha256,
  toHex,
  utf8,
  type VoteKind,
} from '../../../protocol/index.ts'
import { readTwin, type TwinMap } from './cbor-twin.ts'
import { FLEET, golden, OTHER_FLEET } from './golden.ts'
import { codeOf } from './refusal.ts'

const id = (label: string): string => toHex(sha256(utf8(label)))
const [liar, other] = ['liar', 'other'].map((name) => keyPair(sha256(utf8(name)))) as [
  KeyPair,
  KeyPair,
]
const rules = { fleet: FLEET }
const place = { group: 'berlin', epoch: 1, view: 7 }

interface By {
  readonly key?: KeyPair
  readonly fleet?: string
}

function fact(why: string, change: { seq?: number; session?: string } & By = {}): Uint8Array {
  const { seq = 0, session = '11'.repeat(16), key = liar, fleet = FLEET } = change
  const body = { host: 'web-1', rollout: id('rollout'), why }
  const prev = seq === 0 ? NO_FACT : id('prev')
  return sealFact({ type: 'host.lost', body, session, seq, prev, epoch: 1, ts: 0 }, { fleet, key })
    .bytes
}

function vote(kind: VoteKind, block?: string, change: Partial<typeof place> & By = {}): Uint8Array {
  const { key = liar, fleet = FLEET, ...moved } = change
  const body = { ...place, ...moved, ...(block === undefined ? {} : { block: id(block) }) }
  return sealVote(kind, body, { fleet, key }).bytes
}

function block(parent: string, change: Partial<BlockBody> & By = {}): Uint8Array {
  const { key = liar, fleet = FLEET, ...moved } = change
  const body = { ...place, parent: id(parent), commands: [], rootVersion: 1, basis: [], ...moved }
  return sealBlock(body, { fleet, key }).bytes
}

const wide = Array.from({ length: 40 }, (_, i) => ({
  author: liar.publicKey,
  session: id(`session ${i}`).slice(0, 32),
  seq: i,
  head: id(`head ${i}`),
}))

/** Two facts of more than 2 KiB do not fit into one. */
function largeFact(label: string): Uint8Array {
  const hosts = Array.from({ length: 32 }, (_, i) => `${label}-${i}`.padEnd(63, 'a'))
  const body = { rollout: id('rollout'), revert: true, hosts, why: 'x' }
  return sealFact(
    {
      type: 'rollout.halt',
      body,
      session: '11'.repeat(16),
      seq: 0,
      prev: NO_FACT,
      epoch: 1,
      ts: 0,
    },
    { fleet: FLEET, key: liar },
  ).bytes
}

const LIES: readonly [string, Lie['kind'], Uint8Array, Uint8Array][] = [
  ['two facts of one place', 'feed', fact('a'), fact('b')],
  ['two facts with different predecessors', 'feed', fact('a', { seq: 3 }), fact('b', { seq: 3 })],
  ['two facts of different types', 'feed', fact('a'), largeFact('h')],
  ['two notarize votes', 'ballot', vote('notarize', 'a'), vote('notarize', 'b')],
  ['two final votes', 'ballot', vote('final', 'a'), vote('final', 'b')],
  ['skip and final', 'skip-final', vote('skip'), vote('final', 'a')],
  ['two proposals', 'propose', block('a'), block('b')],
  ['two large proposals', 'propose', block('a', { basis: wide }), block('b', { basis: wide })],
  ['two large facts', 'feed', largeFact('a'), largeFact('b')],
]

const TRUTHS: readonly [string, Uint8Array, Uint8Array][] = [
  ['one message twice', vote('notarize', 'a'), vote('notarize', 'a')],
  ['one fact twice', fact('a'), fact('a')],
  ['two keys', vote('notarize', 'a'), vote('notarize', 'b', { key: other })],
  ['two facts of two keys', fact('a'), fact('b', { key: other })],
  ['two views', vote('notarize', 'a'), vote('notarize', 'b', { view: 8 })],
  ['two epochs', vote('final', 'a'), vote('final', 'b', { epoch: 2 })],
  ['two groups', vote('final', 'a'), vote('final', 'b', { group: 'paris' })],
  ['notarize and final of two blocks', vote('notarize', 'a'), vote('final', 'b')],
  ['notarize and skip', vote('notarize', 'a'), vote('skip')],
  ['a vote and a proposal', vote('notarize', 'a'), block('a')],
  ['a fact and a vote', fact('a'), vote('skip')],
  ['two sequences', fact('a', { seq: 1 }), fact('b', { seq: 2 })],
  ['two sessions', fact('a'), fact('b', { session: '22'.repeat(16) })],
  ['two fleets', fact('a'), fact('b', { fleet: OTHER_FLEET })],
  ['another fleet', fact('a', { fleet: OTHER_FLEET }), fact('b', { fleet: OTHER_FLEET })],
  ['two answers', answer('a'), answer('b')],
  ['garbage', Uint8Array.of(1, 2, 3), vote('skip')],
  ['an unreadable fact', fact('a'), unreadable()],
]

function answer(host: string): Uint8Array {
  const body = { nonce: '00'.repeat(16), host, generation: 'g', boot: '', healthy: true }
  return sealAnswer('probe.rsp', body, { fleet: FLEET, key: liar })
}

/** Signed by its key, and refused by every reader: nobody ever held it in a feed. */
function unreadable(): Uint8Array {
  const header = { n: new Uint8Array(16).fill(0x11), s: 0, p: new Uint8Array(32), e: 1, ts: 0 }
  return seal({ type: 'host.lost', payload: { ...header, b: {} }, fleet: FLEET, key: liar }).bytes
}

function accuse(
  first: Uint8Array,
  second: Uint8Array,
): NonNullable<ReturnType<typeof accusationOf>> {
  const accusation = accusationOf({ first, second }, rules)
  if (accusation === undefined) throw new Error('expected a proof')
  return accusation
}

describe('a proof', () => {
  it.each(LIES)('of %s holds in either order and has one form', (_, kind, first, second) => {
    const accusation = accuse(first, second)
    expect(accusation.lie).toMatchObject({ kind, accused: liar.publicKey })
    expect(accusation.lie.first < accusation.lie.second).toBe(true)
    expect(accuse(second, first)).toEqual(accusation)
    const { body, blob } = accusation
    const pair = blob === undefined ? undefined : openLiePair(blob.bytes, blob.hash)
    expect(judgeAccusation(body, { ...rules, pair })).toEqual(accusation.lie)
    const fits = first.length + second.length <= LIE_INLINE_BYTES_MAX
    expect(body.proof.kind).toBe(fits ? 'inline' : 'blob')
    if (!fits) expect(judgeAccusation(body, rules)).toBeUndefined()
  })

  it.each(LIES)('of %s fits into a fact, whoever writes it', (_, __, first, second) => {
    const draft = { type: 'equivocation', body: accuse(first, second).body } as const
    const top = 2 ** 53 - 1
    const header = { session: 'ff'.repeat(16), seq: top, prev: id('p'), epoch: 2 ** 32, ts: top }
    const { bytes } = sealFact({ ...draft, ...header }, { fleet: FLEET, key: other })
    expect(openFact(bytes, { fleet: FLEET, whose: 'a test' }).author).toBe(other.publicKey)
  })

  it.each(TRUTHS)('is not made of %s', (_, first, second) => {
    expect(lieOf({ first, second }, rules)).toBeUndefined()
    expect(lieOf({ first: second, second: first }, rules)).toBeUndefined()
    expect(accusationOf({ first, second }, rules)).toBeUndefined()
  })

  it.each(LIES)('of %s does not survive a change of one signed byte', (_, __, first, second) => {
    for (const at of [10, Math.floor(first.length / 2), first.length - 1]) {
      const changed = Uint8Array.from(first)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(lieOf({ first: changed, second }, rules)).toBeUndefined()
    }
  })

  it('says whom and what it proves, and in its one order', () => {
    const { body } = accuse(vote('final', 'a'), vote('final', 'b'))
    if (body.proof.kind !== 'inline') throw new Error('expected an inline proof')
    const { first, second } = body.proof
    const forged: readonly Equivocation[] = [
      { ...body, accused: other.publicKey },
      { ...body, kind: 'skip-final' },
      { ...body, kind: 'checkpoint' },
      { ...body, kind: 'root' },
      { ...body, proof: { kind: 'inline', first: second, second: first } },
      { ...body, proof: { kind: 'inline', first, second: first } },
    ]
    for (const one of forged) expect(judgeAccusation(one, rules)).toBeUndefined()
    expect(judgeAccusation(body, { fleet: OTHER_FLEET })).toBeUndefined()
  })

  it('as a blob is read back by its hash alone', () => {
    const { blob } = accuse(block('a', { basis: wide }), block('b', { basis: wide }))
    if (blob === undefined) throw new Error('expected a blob')
    expect(codeOf(() => openLiePair(blob.bytes, id('other')))).toBe('BAD_BLOB')
    expect(codeOf(() => openLiePair(new Uint8Array(LIE_BYTES_MAX + 1), blob.hash))).toBe(
      'TOO_LARGE',
    )
    expect(blob.bytes.length).toBeLessThanOrEqual(2 * GATE_BYTES_MAX + 64)
  })

  it('reads as its vectors say', () => {
    const vector = golden<GoldenProof>('blob-proof')
    const pair = openLiePair(fromHex(vector.bytes), vector.hash)
    expect(toHex(pair.first)).toBe(vector.input.first)
    expect(toHex(pair.second)).toBe(vector.input.second)
    expect(judgeAccusation(vector.body, { fleet: vector.fleet, pair })).toEqual(vector.lie)
    const again = accusationOf(pair, { fleet: vector.fleet })
    expect(again?.blob?.bytes).toEqual(fromHex(vector.bytes))
    expect(again?.body).toEqual(vector.body)
    const { input } = golden('fact-equivocation')
    expect(judgeAccusation(input.body, rules)?.kind).toBe('ballot')
  })
})

interface GoldenProof {
  readonly fleet: string
  readonly input: { readonly first: string; readonly second: string }
  readonly body: Equivocation
  readonly lie: Lie
  readonly bytes: string
  readonly hash: string
}

/** Slow and literal: reads with the CBOR twin, compares fields by hand, knows no code of the product. */
function twin(first: Uint8Array, second: Uint8Array): string | undefined {
  const [a, b] = [readByHand(first), readByHand(second)]
  if (a === undefined || b === undefined) return undefined
  if (a.get('a') !== b.get('a') || a.get('id') === b.get('id')) return undefined
  const same = (...keys: string[]): boolean => keys.every((key) => a.get(key) === b.get(key))
  const [t, u] = [String(a.get('t')), String(b.get('t'))]
  const votes = t.startsWith('gate.') && u.startsWith('gate.')
  if (!votes) {
    const facts = !t.startsWith('gate.') && !u.startsWith('gate.')
    return facts && a.get('n') !== undefined && same('n', 's') ? 'feed' : undefined
  }
  if (!same('group', 'epoch', 'view')) return undefined
  if (t === u) return t === 'gate.propose' ? 'propose' : t === 'gate.skip' ? undefined : 'ballot'
  return t !== 'gate.notarize' &&
    u !== 'gate.notarize' &&
    t !== 'gate.propose' &&
    u !== 'gate.propose'
    ? 'skip-final'
    : undefined
}

function readByHand(source: Uint8Array): Map<string, string | number> | undefined {
  let payload: Uint8Array
  let signature: Uint8Array
  try {
    const [one, two] = readTwin(source) as [Uint8Array, Uint8Array]
    payload = one
    signature = two
  } catch {
    return undefined
  }
  const fields = readTwin(payload) as TwinMap
  const head = utf8(`nixfleet/v1/${fields.get('t')}`)
  const signed = Buffer.concat([head, Buffer.alloc(1), Buffer.from(FLEET, 'hex'), payload])
  const author = Buffer.from(fields.get('a') as Uint8Array)
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), author])
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  if (!verify(null, signed, key, signature)) return undefined
  const flat = new Map<string, string | number>()
  const body = fields.get('b') as TwinMap
  for (const map of [fields, String(fields.get('t')).startsWith('gate.') ? body : new Map()]) {
    for (const [name, value] of map) {
      if (value instanceof Uint8Array) flat.set(name, Buffer.from(value).toString('hex'))
      else if (typeof value === 'string' || typeof value === 'number') flat.set(name, value)
    }
  }
  return flat.set('id', createHash('sha256').update(signed).digest('hex'))
}

/** Every pair of every message above. */
describe('the verifier and its dumb twin', () => {
  const messages = [...LIES, ...TRUTHS]
    .filter(([name]) => name !== 'an unreadable fact')
    .flatMap((one) => one.slice(-2) as Uint8Array[])

  it('agree on every pair of messages', () => {
    let proven = 0
    for (const first of messages) {
      for (const second of messages) {
        const found = lieOf({ first, second }, rules)?.kind
        expect(found).toBe(twin(first, second))
        if (found !== undefined) proven++
      }
    }
    expect(messages.length).toBeGreaterThan(40)
    expect(proven).toBeGreaterThan(100)
  })
})
