/** S11: the fold is a union. Order, repetition and grouping do not matter, and proofs only grow. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import {
  type Fact,
  feedOf,
  type HostName,
  type Phase,
  type RolloutId,
} from '../../../protocol/index.ts'
import { digestOf } from '../../../rollout/digest.ts'
import { EMPTY_VIEW, type FleetView } from '../../../rollout/fleet-view.ts'
import { foldFacts } from '../../../rollout/fold.ts'
import { manifestOf, planOf } from '../../../rollout/scene.ts'
import { standRollout } from '../../../rollout/standing.ts'
import { session, World } from './world.ts'

const HOSTS = 4
const world = new World({ hosts: HOSTS })
let rollout: RolloutId

/** Facts of an honest, a lying and a split author, over one started rollout; signed once. */
beforeAll(() => {
  rollout = world.plan({ waves: [world.names], policy: { budget: { kind: 'count', count: 1 } } }).id
  world.settle()
  const said: Array<() => void> = []
  const phases: readonly Phase[] = [
    'READY',
    'ACTIVATING',
    'PROBATION',
    'CONFIRMED',
    'COMMITTED',
    'REVERTED',
  ]
  for (const host of world.names) {
    for (const to of phases) {
      for (const why of ['halt', 'unconfirmed', 'check'] as const) {
        for (const feed of [0, 1]) {
          said.push(() =>
            world.move(host, rollout, to, { why, session: session(feed), round: feed }),
          )
          said.push(() =>
            world.move(host, rollout, to, { why, session: session(1 - feed), round: 0 }),
          )
        }
      }
    }
    for (const observer of world.names) {
      for (const verdict of ['ok', 'abstain', 'fail'] as const) {
        for (const window of [0, 1])
          said.push(() =>
            world.attest(observer, rollout, host, { verdict, window, elapsedMs: 400 }),
          )
      }
    }
    said.push(() =>
      world.say(
        host,
        'health.change',
        { generation: 'g', boot: 'b', state: 'healthy', checks: [] },
        { ts: 5, session: session(0) },
      ),
    )
    said.push(() =>
      world.say(
        host,
        'health.change',
        { generation: 'g', boot: 'c', state: 'drifted', checks: [] },
        { ts: 3, session: session(1) },
      ),
    )
    said.push(() =>
      world.say(
        host,
        'health.change',
        { generation: 'g', boot: 'd', state: 'healthy', checks: [] },
        { ts: 1, session: session(0) },
      ),
    )
    said.push(() => world.lose(host, rollout, 'alice'))
    said.push(() => world.lose(host, rollout, 'bob'))
  }
  for (const by of ['alice', 'bob', 'rita']) {
    said.push(() => world.halt(rollout, { by, hosts: ['h01'] }))
    said.push(() => world.say(by, 'rollout.hold', { kind: 'on', rollout, why: 'x' }))
  }
  const [seed] = fc.sample(fc.shuffledSubarray(said, { minLength: said.length }), {
    numRuns: 1,
    seed: 7,
  })
  for (const say of seed ?? []) say()
})

/** Every fact, in a random order, some of them twice: not even feeds are kept in order. */
const anyOrder = fc
  .constant(null)
  .chain(() =>
    fc.tuple(
      fc.shuffledSubarray(world.facts, { minLength: world.facts.length }),
      fc.subarray(world.facts),
      fc.array(fc.nat(world.facts.length), { maxLength: 4 }),
    ),
  )

function flat(value: unknown): unknown {
  if (value instanceof Map) return [...value].map(([key, one]) => [key, flat(one)]).sort()
  if (value instanceof Uint8Array) return 'bytes'
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, flat(one)]))
  }
  return value
}

test('the same facts give the same view and digest in any order, repeated, in any grouping', () => {
  const whole = foldFacts(EMPTY_VIEW, world.facts, world.trust)
  const digest = digestOf({ ...world.knowledge(), view: whole })
  expect(world.facts.length).toBeGreaterThan(300)
  fc.assert(
    fc.property(anyOrder, ([shuffled, again, cuts]) => {
      const facts = [...shuffled, ...again]
      const places = [0, ...cuts.toSorted((a, b) => a - b), facts.length]
      const view = places
        .slice(1)
        .reduce<FleetView>(
          (before, end, i) => foldFacts(before, facts.slice(places[i], end), world.trust),
          EMPTY_VIEW,
        )
      expect(flat(view)).toEqual(flat(whole))
      expect(digestOf({ ...world.knowledge(), view })).toBe(digest)
    }),
    { numRuns: 30 },
  )
})

test('a fold changes no view that was handed out', () => {
  const [first = [], second = []] = [world.facts.slice(0, 100), world.facts.slice(100)]
  const before = foldFacts(EMPTY_VIEW, first, world.trust)
  const image = JSON.stringify(flat(before))
  foldFacts(before, second, world.trust)
  expect(JSON.stringify(flat(before))).toBe(image)
})

/** Facts that a node may hold: of each feed a beginning. */
const prefixes = fc.constant(null).chain(() => {
  const feeds = new Map<string, Fact[]>()
  for (const fact of world.facts)
    feeds.set(feedOf(fact), [...(feeds.get(feedOf(fact)) ?? []), fact])
  return fc.tuple(
    ...[...feeds.values()].map((facts) => fc.nat(facts.length).map((n) => facts.slice(0, n))),
  )
})

test('what is proven stays proven: failures, breach, halts, losses and ends only grow', () => {
  const proofs = (facts: readonly Fact[]): ReadonlySet<string> => {
    const always = world.facts.filter(
      (fact) => fact.type === 'rollout.plan' || fact.type === 'release.announce',
    )
    const view = foldFacts(EMPTY_VIEW, [...always, ...facts], world.trust)
    const plan = planOf({ ...world.scene(), view }, rollout)
    const gate = world.state.rollouts.get(rollout)
    if (plan === undefined || gate === undefined) throw new Error('the rollout is not admitted')
    const standing = standRollout({
      trust: world.trust,
      view,
      rollout: gate,
      plan,
      manifest: manifestOf({ ...world.scene(), view }, plan),
    })
    const proven = new Set<string>()
    if (standing.breached) proven.add('breached')
    if (standing.halted) proven.add('halted')
    for (const one of standing.hosts.values()) prove(proven, one.host, one)
    return proven
  }
  let seen = 0
  fc.assert(
    fc.property(prefixes, prefixes, (some, others) => {
      const more = some.map((facts, i) =>
        facts.length > (others[i]?.length ?? 0) ? facts : (others[i] ?? []),
      )
      const before = proofs(some.flat())
      const after = proofs(more.flat())
      seen += before.size
      for (const proof of before) expect([...after]).toContain(proof)
    }),
    { numRuns: 100 },
  )
  expect(seen).toBeGreaterThan(100)
})

function prove(
  proven: Set<string>,
  host: HostName,
  one: { failure: boolean; end: unknown; open: boolean; start: unknown },
): void {
  if (one.failure) proven.add(`${host} failed`)
  if (one.end !== undefined) proven.add(`${host} ended`)
  if (one.start !== undefined && !one.open) proven.add(`${host} gave its permit back`)
}
