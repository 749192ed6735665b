/** What may happen to a small group: operators, hosts and liars say anything at any time. */
import fc from 'fast-check'
import type { HostName, Phase, RolloutId } from '../../../protocol/index.ts'
import { rolloutRecord } from '../../../rollout/fleet-view.ts'
import { World } from './world.ts'

export const HOSTS = 5
const PHASES: readonly Phase[] = [
  'READY',
  'ACTIVATING',
  'PROBATION',
  'CONFIRMED',
  'SOAKED',
  'COMMITTED',
  'SKIPPED',
  'REVERTED',
  'STUCK',
]

/** What may happen. Numbers are taken modulo what there is. */
export type Happening =
  | {
      readonly kind: 'plan'
      readonly waves: readonly number[]
      readonly budget: number
      readonly limit: number
      readonly supersede: boolean
      readonly version: number
      readonly rollback: boolean
    }
  | {
      readonly kind: 'live'
      readonly host: number
      readonly ends: 'commit' | 'fail' | 'unconfirmed' | 'back'
    }
  | {
      readonly kind: 'say'
      readonly host: number
      readonly round: number
      readonly to: Phase
      readonly why: 'check' | 'unconfirmed' | 'halt' | 'breach'
    }
  | {
      readonly kind: 'attest'
      readonly host: number
      readonly by: number
      readonly round: number
      readonly verdict: 'ok' | 'fail' | 'abstain'
    }
  | { readonly kind: 'halt'; readonly revert: boolean; readonly some: boolean }
  | { readonly kind: 'hold'; readonly on: boolean }
  | { readonly kind: 'lose'; readonly host: number }
  | { readonly kind: 'grant'; readonly host: number }
  | { readonly kind: 'pass'; readonly ms: number }
  /** Every started host goes through its round and commits, or every other one is back and READY. */
  | { readonly kind: 'sweep'; readonly ends: 'commit' | 'back' }

const host = fc.nat(HOSTS - 1)
const round = fc.nat(2)
export const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('plan' as const),
      waves: fc.array(fc.nat(2), { minLength: HOSTS, maxLength: HOSTS }),
      budget: fc.nat(2),
      limit: fc.nat(3),
      supersede: fc.boolean(),
      version: fc.integer({ min: -1, max: 2 }),
      rollback: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('live' as const),
      host,
      ends: fc.constantFrom('commit', 'commit', 'commit', 'fail', 'unconfirmed', 'back'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('say' as const),
      host,
      round,
      to: fc.constantFrom(...PHASES),
      why: fc.constantFrom('check', 'unconfirmed', 'halt', 'breach'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('attest' as const),
      host,
      by: host,
      round,
      verdict: fc.constantFrom('ok', 'fail', 'abstain'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('halt' as const),
      revert: fc.boolean(),
      some: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hold' as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), host }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('grant' as const), host }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.constantFrom(100, 3_500, 5_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('sweep' as const),
      ends: fc.constantFrom('commit', 'back'),
    }),
  },
)

/** A world that remembers what the log forgets. */
export class Remembered extends World {
  readonly skipped = new Set<string>()
  readonly granted = new Set<string>()
  readonly versions = new Map<string, number>()
}

/** The rollout that a host was last admitted for; hosts say most about that one. */
function lastOf(world: World, name: HostName): RolloutId | undefined {
  return world.state.hosts.get(name)?.last
}

export function play(world: Remembered, event: Happening): void {
  const name = 'host' in event ? (world.names[event.host] ?? 'h00') : 'h00'
  const r = lastOf(world, name)
  switch (event.kind) {
    case 'plan': {
      const waves = [0, 1, 2]
        .map((wave) => world.names.filter((_, i) => event.waves[i] === wave))
        .filter((wave) => wave.length > 0)
      const supersedes = event.supersede
        ? [...new Set(waves.flat().flatMap((one) => lastOf(world, one) ?? []))]
        : []
      const maxInFlight = event.limit === 0 ? [] : [{ hosts: [], limit: event.limit }]
      const mark = Math.max(1, ...world.versions.values())
      const release = world.announce({ version: Math.max(1, mark + event.version) })
      world.plan({
        waves,
        supersedes,
        release,
        kind: event.rollback ? 'rollback' : 'forward',
        policy: { budget: { kind: 'count', count: event.budget }, maxInFlight },
      })
      return
    }
    case 'live':
      if (r !== undefined) live(world, name, r, event.ends)
      return
    case 'say':
      if (r !== undefined) world.move(name, r, event.to, { round: event.round, why: event.why })
      return
    case 'attest':
      if (r !== undefined)
        world.attest(world.names[event.by] ?? 'h00', r, name, {
          round: event.round,
          verdict: event.verdict,
        })
      return
    case 'halt':
      if (r !== undefined)
        world.halt(r, { revert: event.revert, ...(event.some ? { hosts: ['h01', 'h02'] } : {}) })
      return
    case 'hold': {
      if (r === undefined) return
      const releases = [...rolloutRecord(world.view, r).holds.keys()].slice(0, 8)
      if (event.on) world.say('bob', 'rollout.hold', { kind: 'on', rollout: r, why: 'x' })
      else if (releases.length > 0)
        world.say('alice', 'rollout.hold', { kind: 'off', rollout: r, releases, why: 'x' })
      return
    }
    case 'lose':
      if (r !== undefined) world.lose(name, r)
      return
    case 'grant': {
      const start = world.state.rollouts
        .get(r ?? '')
        ?.starts.get(name)
        ?.at(-1)
      if (r === undefined || start === undefined) return
      world.grant(r, name, start.round)
      if (!world.skipped.has(`${r}/${name}/${start.round}`))
        world.granted.add(`${r}/${name}/${start.round}`)
      return
    }
    case 'pass':
      world.pass(event.ms)
      return
    case 'sweep':
      for (const one of world.names) {
        const last = lastOf(world, one)
        if (last !== undefined) live(world, one, last, event.ends)
      }
  }
}

/** An honest host that was started takes the next step of its life. */
function live(world: World, name: HostName, r: RolloutId, ends: string): void {
  const one = world.standing(r, name)
  if (one.open && ends === 'commit') {
    world.commitHost(name, r, one.round)
  } else if (one.open && ends === 'fail') {
    world.failHost(name, r, one.round)
  } else if (one.open && ends === 'unconfirmed') {
    world.move(name, r, 'ACTIVATING', { round: one.round })
    world.move(name, r, 'REVERTED', { round: one.round, why: 'unconfirmed' })
  } else if (!one.open && ends === 'back' && one.round < 2) {
    world.move(name, r, 'READY', { round: one.round + 1 })
  }
}
