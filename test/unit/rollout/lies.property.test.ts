/** S11 with liars: proofs are grow-only sets, and a wrong or repeated one changes nothing. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  accusationOf,
  deriveHostKeys,
  type Equivocation,
  type Fact,
  feedKey,
  type HostName,
  type KeyPair,
  keyPair,
  LIES_PER_KEY_MAX,
  type LiePair,
  NO_FACT,
  openLiePair,
  sealBlock,
  sealFact,
  sealVote,
  sha256,
  toHex,
  utf8,
} from '../../../protocol/index.ts'
import { withAuthority } from '../../../rollout/authority.ts'
import { EMPTY_VIEW, type FleetView } from '../../../rollout/fleet-view.ts'
import { foldFacts } from '../../../rollout/fold.ts'
import { accusedVoters, forkLimit, frozenBy, judgeAccusations } from '../../../rollout/lies.ts'
import { GROUP, session, World } from './world.ts'

const world = new World({ hosts: 6, voters: 3 })
const { fleet } = world.trust
const rules = { fleet }
const id = (label: string): string => toHex(sha256(utf8(label)))
const keyOf = (host: HostName): KeyPair => deriveHostKeys(sha256(utf8(`paper/${host}`))).fact
const nobody = keyPair(sha256(utf8('nobody')))

function votes(host: HostName, view: number, group: string = GROUP): LiePair {
  const [first, second] = ['a', 'b'].map(
    (block) =>
      sealVote('notarize', { group, epoch: 1, view, block: id(block) }, { fleet, key: keyOf(host) })
        .bytes,
  )
  return pairOf(first, second)
}

function blocks(host: HostName): LiePair {
  const basis = Array.from({ length: 30 }, (_, i) => ({
    author: nobody.publicKey,
    session: session(i),
    seq: i,
    head: id(`${i}`),
  }))
  const [first, second] = ['a', 'b'].map((parent) => {
    const body = { group: GROUP, epoch: 1, view: 3, parent: id(parent), commands: [], basis }
    return sealBlock({ ...body, rootVersion: 1 }, { fleet, key: keyOf(host) }).bytes
  })
  return pairOf(first, second)
}

function branches(key: KeyPair, seq: number, feed: string): LiePair {
  const [first, second] = ['a', 'b'].map((why) => {
    const body = { host: 'h01', rollout: id('r'), why }
    const prev = seq === 0 ? NO_FACT : id('prev')
    const draft = { type: 'host.lost', body, session: feed, seq, prev, epoch: 1, ts: 0 } as const
    return sealFact(draft, { fleet, key }).bytes
  })
  return pairOf(first, second)
}

function pairOf(first: Uint8Array | undefined, second: Uint8Array | undefined): LiePair {
  if (first === undefined || second === undefined) throw new Error('expected two envelopes')
  return { first, second }
}

const blobs = new Map<string, LiePair>()

function bodyOf(pair: LiePair): Equivocation {
  const accusation = accusationOf(pair, rules)
  if (accusation === undefined) throw new Error('expected a proof')
  const { blob } = accusation
  if (blob !== undefined) blobs.set(blob.hash, openLiePair(blob.bytes, blob.hash))
  return accusation.body
}

const forked = feedKey(keyOf('h04').publicKey, session(1))
const good: readonly Equivocation[] = [
  ...Array.from({ length: LIES_PER_KEY_MAX + 4 }, (_, i) => bodyOf(votes('h01', i + 1))),
  bodyOf(votes('h05', 2)),
  bodyOf(blocks('h02')),
  ...[7, 4, 9].map((seq) => bodyOf(branches(keyOf('h04'), seq, session(1)))),
  bodyOf(branches(keyOf('h04'), 0, session(2))),
]
const honest = bodyOf(votes('h03', 1))
const wrong: readonly Equivocation[] = [
  { ...honest, kind: 'skip-final' },
  { ...honest, accused: keyOf('h02').publicKey },
  { ...honest, kind: 'root' },
  { ...honest, proof: { kind: 'blob', hash: id('no such blob'), bytes: 9 } },
  bodyOf(votes('h03', 1, 'elsewhere')),
  bodyOf(branches(nobody, 0, session(1))),
]
/** Everything is said twice, by two members, and mixed with proofs that do not hold. */
const facts: readonly Fact[] = [...good, ...good, ...wrong].map(
  (body, i) => world.say(`h0${(i % 5) + 1}`, 'equivocation', body) as Fact,
)

const bodies = {
  plan: () => undefined,
  manifest: () => undefined,
  config: () => undefined,
  proof: (hash: string) => blobs.get(hash),
}

function judged(some: readonly Fact[]): FleetView {
  return judgeAccusations(foldFacts(EMPTY_VIEW, some, world.trust), bodies, world.trust)
}

function proven(view: FleetView): readonly string[] {
  return [...view.forks, ...view.lies]
    .map(([key, { lie, fact }]) => `${key} ${lie.first} ${lie.second} ${fact.id}`)
    .sort()
}

test('proofs are the same in any order, repeated, in any grouping, with blobs early or late', () => {
  const whole = proven(judged(facts))
  expect(whole.length).toBe(LIES_PER_KEY_MAX + 4)
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...facts], { minLength: facts.length }),
      fc.nat(facts.length),
      fc.boolean(),
      (shuffled, cut, early) => {
        const [some, rest] = [shuffled.slice(0, cut), shuffled.slice(cut)]
        const first = foldFacts(EMPTY_VIEW, some, world.trust)
        const between = early ? judgeAccusations(first, bodies, world.trust) : first
        const view = foldFacts(between, [...rest, ...some], world.trust)
        expect(proven(judgeAccusations(view, bodies, world.trust))).toEqual(whole)
      },
    ),
    { numRuns: 30 },
  )
})

test('who stands accused only grows, and a fork only ever moves down', () => {
  let seen = 0
  fc.assert(
    fc.property(fc.subarray([...facts]), fc.subarray([...facts]), (some, more) => {
      const [before, after] = [judged(some), judged([...some, ...more])]
      const accused = accusedVoters(world.trust, after)
      for (const key of accusedVoters(world.trust, before)) expect(accused.has(key)).toBe(true)
      seen += accused.size
      const limit = forkLimit(before.forks, forked, undefined)
      if (limit === undefined) return
      expect(forkLimit(after.forks, forked, undefined) ?? limit + 1).toBeLessThanOrEqual(limit)
    }),
    { numRuns: 50 },
  )
  expect(seen).toBeGreaterThan(20)
})

test('voters are accused by votes and proposals, of this group, and nobody else is', () => {
  const accused = accusedVoters(world.trust, judged(facts))
  expect([...accused].sort()).toEqual([keyOf('h01'), keyOf('h02')].map((k) => k.publicKey).sort())
  expect(accusedVoters(world.trust, judged([])).size).toBe(0)
})

test('one proof against a voter freezes a group that tolerates no liar, and no other', () => {
  const view = judged(facts)
  expect(frozenBy(world.trust, view)).toMatch(/^h01, h02 signed two votes/)
  expect(frozenBy(world.trust, judged([]))).toBeUndefined()
  const byzantine = { ...world.trust.config, faultModel: 'byzantine' } as const
  expect(frozenBy({ ...world.trust, config: byzantine }, view)).toBeUndefined()
})

test('a forked feed counts up to its fork, or as far as the committed basis pins it', () => {
  const { forks } = judged(facts)
  expect(forkLimit(forks, forked, undefined)).toBe(3)
  expect(forkLimit(forks, forked, { seq: 2, id: id('x') })).toBe(3)
  expect(forkLimit(forks, forked, { seq: 8, id: id('x') })).toBe(8)
  expect(forkLimit(forks, feedKey(keyOf('h04').publicKey, session(2)), undefined)).toBe(-1)
  expect(forkLimit(forks, feedKey(keyOf('h03').publicKey, session(1)), undefined)).toBeUndefined()
})

test('a halt counts whoever brings it, and only as its author said it', () => {
  const halt = world.mutter('alice', 'rollout.halt', { rollout: id('r'), revert: true, why: 'x' })
  const relayed = world.say('h03', 'halt.relay', { halt: toHex(halt.bytes) }) as Fact
  const view = foldFacts(EMPTY_VIEW, [relayed], world.trust)
  const direct = foldFacts(EMPTY_VIEW, [halt as Fact], world.trust)
  expect(view.rollouts).toEqual(direct.rollouts)
  expect(view.rollouts.size).toBe(1)
  const forgeries = [
    world.mutter('rita', 'rollout.halt', { rollout: id('r'), revert: true, why: 'x' }).bytes,
    world.mutter('alice', 'rollout.hold', { kind: 'on', rollout: id('r'), why: 'x' }).bytes,
    halt.bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte)),
  ]
  for (const bytes of forgeries) {
    const fact = world.mutter('h03', 'halt.relay', { halt: toHex(bytes) }) as Fact
    const view = foldFacts(EMPTY_VIEW, [fact], world.trust)
    expect(withAuthority(view, world.trust, world.state).rollouts.size).toBe(0)
  }
})
