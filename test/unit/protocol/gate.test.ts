import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  BASIS_FEEDS_MAX,
  type BlockBody,
  basisFeed,
  type Certificate,
  COMMANDS_MAX,
  encodeCanonical,
  encodeCertificate,
  feedKey,
  fromHex,
  GROUP_HOSTS_MAX,
  hashOf,
  keyPair,
  openCertificate,
  openGateMessage,
  seal,
  sealBlock,
  sealVote,
  sha256,
  utf8,
  type VoteBody,
  type VoteKind,
  type WireValue,
} from '../../../protocol/index.ts'
import { FLEET, golden, OTHER_FLEET } from './golden.ts'
import { codeOf } from './refusal.ts'

const keys = [0, 1, 2, 3].map((i) => keyPair(sha256(utf8(`gate.test voter ${i}`))))
const voters = keys.map((key) => key.publicKey)
const stranger = keyPair(sha256(utf8('gate.test stranger')))
const rules = { fleet: FLEET, voters, quorum: 3 }
const options = { fleet: FLEET, whose: 'a test' }
const place = { group: 'berlin', epoch: 1, view: 3 }
const body: VoteBody = { ...place, block: 'ab'.repeat(32) }
const block: BlockBody = golden('gate-propose').input

function author(i: number, fleet: string = FLEET): { fleet: string; key: (typeof keys)[number] } {
  return { fleet, key: keys[i] ?? stranger }
}

/** Votes of the voters with these numbers, sorted as a certificate wants them; -1 is a stranger. */
function votesOf(
  numbers: readonly number[],
  kind: VoteKind = 'notarize',
  on: VoteBody = body,
  fleet: string = FLEET,
): Certificate['votes'] {
  return numbers
    .map((i) => sealVote(kind, on, author(i, fleet)))
    .map(({ voter, signature }) => ({ voter, signature }))
    .sort((a, b) => (a.voter < b.voter ? -1 : 1))
}

const certificateCode = (certificate: Certificate): string =>
  codeOf(() => openCertificate(encodeCertificate(certificate), rules))

describe('a certificate', () => {
  it.each<[VoteKind, VoteBody]>([
    ['notarize', body],
    ['final', body],
    ['skip', place],
  ])('of a quorum holds (%s)', (kind, on) => {
    const certificate = { kind, body: on, votes: votesOf([0, 1, 2], kind, on) }
    expect(openCertificate(encodeCertificate(certificate), rules)).toEqual(certificate)
  })

  it('holds for exactly the sets of at least a quorum of voters and of nobody else', () => {
    const subset = fc.subarray([-1, 0, 1, 2, 3], { minLength: 1 })
    fc.assert(
      fc.property(subset, (numbers) => {
        const enough = numbers.length >= rules.quorum && !numbers.includes(-1)
        const code = certificateCode({ kind: 'notarize', body, votes: votesOf(numbers) })
        expect(code).toBe(enough ? 'accepted' : 'BAD_CERTIFICATE')
      }),
      { numRuns: 60 },
    )
  })

  it('counts a voter once: a vote twice is no certificate', () => {
    const [a, b] = votesOf([0, 1])
    if (a === undefined || b === undefined) throw new Error('expected two votes')
    const wire = (votes: readonly WireValue[]): Uint8Array =>
      encodeCanonical({
        kind: 'notarize',
        body: { ...place, block: fromHex('ab'.repeat(32)) },
        votes,
      })
    const entry = (vote: typeof a): WireValue => ({
      voter: fromHex(vote.voter),
      signature: vote.signature,
    })
    for (const votes of [
      [entry(a), entry(a), entry(b)],
      [entry(a), entry(b), entry(b)],
    ]) {
      expect(codeOf(() => openCertificate(wire(votes), rules))).toBe('BAD_SHAPE')
    }
    expect(codeOf(() => openCertificate(wire([entry(b), entry(a)]), rules))).toBe('BAD_SHAPE')
    expect(codeOf(() => openCertificate(wire([]), rules))).toBe('BAD_SHAPE')
  })

  it.each<[string, VoteBody]>([
    ['block', { ...place, block: 'cd'.repeat(32) }],
    ['view', { ...body, view: 4 }],
    ['epoch', { ...body, epoch: 2 }],
    ['group', { ...body, group: 'paris' }],
  ])('of votes on another %s does not hold', (_, other) => {
    const votes = votesOf([0, 1, 2], 'notarize', other)
    expect(certificateCode({ kind: 'notarize', body, votes })).toBe('BAD_CERTIFICATE')
  })

  it('of votes of another kind or fleet does not hold', () => {
    const final = votesOf([0, 1, 2], 'final')
    expect(certificateCode({ kind: 'notarize', body, votes: final })).toBe('BAD_CERTIFICATE')
    const foreign = votesOf([0, 1, 2], 'notarize', body, OTHER_FLEET)
    expect(certificateCode({ kind: 'notarize', body, votes: foreign })).toBe('BAD_CERTIFICATE')
  })

  it('with one bad vote beside a quorum does not hold, so that nobody counts it later', () => {
    const votes = votesOf([0, 1, 2, 3]).map((vote, i) =>
      i === 2 ? { ...vote, signature: new Uint8Array(64) } : vote,
    )
    expect(certificateCode({ kind: 'notarize', body, votes })).toBe('BAD_CERTIFICATE')
  })

  it('names a block unless it skips, and none when it does', () => {
    const skip = { kind: 'skip', body, votes: votesOf([0, 1, 2]) } as const
    expect(certificateCode(skip)).toBe('BAD_SHAPE')
    const bare = { kind: 'final', body: place, votes: votesOf([0, 1, 2]) } as const
    expect(certificateCode(bare)).toBe('BAD_SHAPE')
  })
})

describe('votes and proposals', () => {
  it.each<VoteKind>(['notarize', 'final'])('a vote to %s names a block', (kind) => {
    expect(codeOf(() => sealVote(kind, place, author(0)))).toBe('BAD_SHAPE')
    const { bytes } = sealVote(kind, body, author(0))
    expect(openGateMessage(bytes, options)).toMatchObject({ kind: 'vote', vote: { kind, body } })
  })

  it('a vote to skip names none', () => {
    expect(codeOf(() => sealVote('skip', body, author(0)))).toBe('BAD_SHAPE')
    const b = { ...place, block: fromHex('ab'.repeat(32)) }
    const { bytes } = seal({ type: 'gate.skip', payload: { b }, ...author(0) })
    expect(codeOf(() => openGateMessage(bytes, options))).toBe('BAD_SHAPE')
  })

  it.each(['gate.cert', 'gate.', 'host.lost', 'gate.propose2'])('%s is no gate message', (type) => {
    const b = { ...place, block: fromHex('ab'.repeat(32)) }
    const { bytes } = seal({ type, payload: { b }, ...author(0) })
    expect(codeOf(() => openGateMessage(bytes, options))).toBe('BAD_SHAPE')
  })

  it('a message takes no unknown key, at any height', () => {
    const b = { ...place, block: fromHex('ab'.repeat(32)) }
    for (const payload of [{ b, c: 1 }, { b: { ...b, c: 1 } }, JSON.parse('{"__proto__": 1}')]) {
      const { bytes } = seal({ type: 'gate.final', payload, ...author(0) })
      expect(codeOf(() => openGateMessage(bytes, options))).toBe('BAD_SHAPE')
    }
  })

  it('a block is given back as its readers see it, with hosts and basis sorted', () => {
    const feeds = ['22', '11'].map((byte) => ({
      author: byte.repeat(32),
      session: '00'.repeat(16),
      seq: 1,
      head: 'ff'.repeat(32),
    }))
    const start = { kind: 'start', rollout: 'ab'.repeat(32), round: 0, hosts: ['b', 'a'] } as const
    const sealed = sealBlock({ ...block, commands: [start], basis: feeds }, author(0))
    expect(sealed.body.commands).toEqual([{ ...start, hosts: ['a', 'b'] }])
    expect(sealed.body.basis.map((feed) => feed.author)).toEqual(['11'.repeat(32), '22'.repeat(32)])
    expect(openGateMessage(sealed.bytes, options)).toEqual({ kind: 'block', block: sealed })
  })

  const rollout = 'ab'.repeat(32)
  const admits = (count: number): BlockBody['commands'] =>
    Array.from({ length: count }, () => ({ kind: 'admit', rollout }) as const)
  const hosts = (count: number): BlockBody['commands'] => [
    { kind: 'start', rollout, round: 0, hosts: Array.from({ length: count }, (_, i) => `h${i}`) },
  ]
  const basis = (count: number): BlockBody['basis'] =>
    Array.from({ length: count }, (_, i) =>
      basisFeed(feedKey(hashOf(i), '00'.repeat(16)), { seq: i, id: hashOf(i) }),
    )
  it.each<[string, Partial<BlockBody>, Partial<BlockBody>]>([
    ['commands', { commands: admits(COMMANDS_MAX) }, { commands: admits(COMMANDS_MAX + 1) }],
    ['hosts', { commands: hosts(GROUP_HOSTS_MAX) }, { commands: hosts(GROUP_HOSTS_MAX + 1) }],
    ['feeds', { basis: basis(BASIS_FEEDS_MAX) }, { basis: basis(BASIS_FEEDS_MAX + 1) }],
    ['view', { view: 1 }, { view: 0 }],
    ['epoch', { epoch: 2 ** 32 }, { epoch: 2 ** 32 + 1 }],
    ['root version', { rootVersion: 1 }, { rootVersion: 0 }],
    ['group', { group: 'a' }, { group: '' }],
    ['a command', {}, { commands: [{ kind: 'reconfig' } as never] }],
  ])('%s of a block are bounded', (_, inside, outside) => {
    expect(codeOf(() => sealBlock({ ...block, ...inside }, author(0)))).toBe('accepted')
    expect(codeOf(() => sealBlock({ ...block, ...outside }, author(0)))).toBe('BAD_SHAPE')
  })

  it('a block too large for the topic is not signed', () => {
    const names = Array.from({ length: GROUP_HOSTS_MAX }, (_, i) => `h${i}`.padEnd(63, 'x'))
    const start = { kind: 'start', rollout, round: 0, hosts: names } as const
    const commands = [start, start, start, start, start]
    expect(codeOf(() => sealBlock({ ...block, commands }, author(0)))).toBe('TOO_LARGE')
  })
})
