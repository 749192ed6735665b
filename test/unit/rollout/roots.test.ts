/** A root comes into force through the log, and every word counts under the root of its place (SPEC §7.9, §10). */
import { describe, expect, test } from 'vitest'
import type { Root } from '../../../protocol/index.ts'
import { withAuthority } from '../../../rollout/authority.ts'
import { EMPTY_VIEW, lossOf, rolloutRecord } from '../../../rollout/fleet-view.ts'
import { foldFacts } from '../../../rollout/fold.ts'
import { configStatus } from '../../../rollout/reconfig-rules.ts'
import { rootStatus } from '../../../rollout/root-rules.ts'
import { haltCovers, isHeld } from '../../../rollout/steering.ts'
import { isKnownAuthor } from '../../../rollout/trust.ts'
import { announceRoot, nextRoot, personKey } from './root-steps.ts'
import { World } from './world.ts'

const admin = personKey('admin')
const second = personKey('second admin')

function withoutOperator(world: World, name: string): Partial<Root> {
  return { operators: world.trust.root.operators.filter((one) => one.name !== name) }
}

describe('a root comes into force', () => {
  test('once the voters commit it, and not by being announced', () => {
    const world = new World({ hosts: 3 })
    const { fact, command } = announceRoot(world, nextRoot(world, withoutOperator(world, 'bob')))
    expect(world.trust.root.version).toBe(1)
    expect(rootStatus(world.knowledge(), fact.id)?.state).toBe('pending')
    expect(world.settle()).toEqual([command])
    expect(world.trust.root.version).toBe(2)
    expect(world.state.rootVersion).toBe(2)
    expect(rootStatus(world.knowledge(), fact.id)?.state).toBe('committed')
    expect(world.settle(), 'and it is over').toEqual([])
  })

  test('alone in its block, and the block names the new version', () => {
    const world = new World({ hosts: 3 })
    const { command } = announceRoot(world, nextRoot(world))
    const r = world.plan({ waves: [['h00']] }).id
    expect(world.ruling(command, { kind: 'admit', rollout: r }).kind).toBe('invalid')
    const { basis } = world.block([command]).body
    const kindOf = (rootVersion: number): string =>
      world.judge(world.sealed({ commands: [command], rootVersion, basis })).kind
    expect([1, 2, 3].map(kindOf)).toEqual(['invalid', 'valid', 'invalid'])
  })

  test.each([
    ['an operator who deploys', 'alice'],
    ['a host', 'h01'],
    ['a release key', 'ci'],
  ])('not when %s announces it, however many admins signed', (_, by) => {
    const world = new World({ hosts: 3 })
    const { command } = announceRoot(world, nextRoot(world), { by })
    expect(world.ruling(command).kind).toBe('wait')
    expect(world.settle()).toEqual([])
  })

  test('not before its document is held', () => {
    const world = new World({ hosts: 3 })
    const { command } = announceRoot(world, nextRoot(world), { held: false })
    expect(world.ruling(command).kind).toBe('wait')
    expect(world.settle()).toEqual([])
  })

  test('not with too few signatures, and not out of its turn', () => {
    const world = new World({ hosts: 3 })
    const rotated = { admins: [second.publicKey] }
    for (const [root, keys] of [
      [nextRoot(world, rotated), [admin]],
      [nextRoot(world, rotated), [second]],
      [nextRoot(world, { version: 3 }), [admin]],
      [nextRoot(world, { previous: 'aa'.repeat(32) }), [admin]],
    ] as const) {
      const { fact, command } = announceRoot(world, root, { keys })
      expect(world.ruling(command).kind).toBe('invalid')
      expect(rootStatus(world.knowledge(), fact.id)?.state).toBe('rejected')
    }
    expect(world.settle()).toEqual([])
  })

  test('of two rivals one alone, and the other is told which', () => {
    const world = new World({ hosts: 3 })
    const rivals = ['bob', 'eve'].map((name) =>
      announceRoot(world, nextRoot(world, withoutOperator(world, name))),
    )
    world.settle()
    expect(world.state.roots).toHaveLength(1)
    const states = rivals.map(({ fact }) => rootStatus(world.knowledge(), fact.id))
    expect(states.map((status) => status?.state).toSorted()).toEqual(['committed', 'rejected'])
    const loser = states.find((status) => status?.state === 'rejected')
    expect(loser).toMatchObject({ why: expect.stringContaining('came into force at slot') })
    const [winner] = [...world.view.roots.keys()].toSorted()
    expect(states.findIndex((status) => status?.state === 'committed')).toBe(
      rivals.findIndex(({ fact }) => fact.id === winner),
    )
  })
})

describe('after an admin key was exchanged', () => {
  function rotated(): World {
    const world = new World({ hosts: 3 })
    announceRoot(world, nextRoot(world, { admins: [second.publicKey] }), { keys: [admin, second] })
    world.settle()
    expect(world.trust.root.admins).toEqual([second.publicKey])
    return world
  }

  test('the old one announces nothing, the new one does', () => {
    const world = rotated()
    const byOld = announceRoot(world, nextRoot(world), { keys: [second], by: 'admin' })
    expect(world.ruling(byOld.command).kind).toBe('wait')
    const byNew = announceRoot(world, nextRoot(world), { keys: [second], by: 'second admin' })
    expect(world.ruling(byNew.command).kind).toBe('valid')
  })

  test('a configuration that the old one signed is refused, also one that was under way', () => {
    const world = new World({ hosts: 3 })
    const { fact, document } = world.configure(world.nextConfig({ add: ['h07'] }))
    const { command } = announceRoot(world, nextRoot(world, { admins: [second.publicKey] }), {
      keys: [admin, second],
    })
    world.commit(world.block([command]))
    expect(world.ruling({ kind: 'reconfig', config: document }).kind).toBe('invalid')
    expect(configStatus(world.knowledge(), fact.id)?.state).toBe('rejected')
  })
})

describe('an operator who was removed', () => {
  function removed(world: World, name: string): void {
    announceRoot(world, nextRoot(world, withoutOperator(world, name)))
    world.settle()
  }

  test('plans nothing any more; what was admitted goes on', () => {
    const world = new World({ hosts: 3 })
    const r = world.plan({ waves: [['h00']], by: 'bob' }).id
    world.settle()
    removed(world, 'bob')
    expect(world.state.rollouts.get(r)?.status).toBe('open')
    const late = world.plan({ waves: [['h01']], by: 'bob' }).id
    expect(world.ruling({ kind: 'admit', rollout: late }).kind).toBe('invalid')
    expect(isKnownAuthor(world.trust, personKey('bob').publicKey), 'its feed stays whole').toBe(
      true,
    )
  })

  test('is obeyed where it halts what was admitted while it was one, and nowhere later', () => {
    const world = new World({ hosts: 3 })
    const before = world.plan({ waves: [['h00']] }).id
    world.settle()
    world.halt(before, { by: 'bob' })
    removed(world, 'bob')
    expect(haltCovers(rolloutRecord(world.view, before), 'h00'), 'no stop is taken back').toBe(true)
    const later = world.plan({ waves: [['h01']] }).id
    world.halt(later, { by: 'bob' })
    expect(haltCovers(rolloutRecord(world.view, later), 'h01')).toBe(false)
    world.settle()
    expect(world.state.rollouts.has(later)).toBe(true)
    expect(haltCovers(rolloutRecord(world.view, later), 'h01')).toBe(false)
  })

  test('neither holds, releases nor loses a host later; what the log had pinned stays', () => {
    const world = new World({ hosts: 3 })
    const r = world.plan({ waves: [['h00'], ['h01'], ['h02']] }).id
    world.settle()
    world.lose('h01', r, 'bob')
    const hold = world.say('alice', 'rollout.hold', { kind: 'on', rollout: r, why: 'lunch' })
    removed(world, 'bob')
    world.lose('h02', r, 'bob')
    const off = { kind: 'off', rollout: r, releases: [hold.id], why: 'back' } as const
    world.say('bob', 'rollout.hold', off)
    const record = rolloutRecord(world.view, r)
    expect([lossOf(record, 'h01') !== undefined, lossOf(record, 'h02') !== undefined]).toEqual([
      true,
      false,
    ])
    expect(isHeld(record)).toBe(true)
  })

  test('a role that comes later makes nothing of what was said before', () => {
    const world = new World({ hosts: 3 })
    const r = world.plan({ waves: [['h00'], ['h01']] }).id
    world.settle()
    world.lose('h01', r, 'rita')
    const operators = world.trust.root.operators.map((one) =>
      one.name === 'rita' ? { ...one, role: 'deploy' as const } : one,
    )
    announceRoot(world, nextRoot(world, { operators }))
    world.settle()
    expect(lossOf(rolloutRecord(world.view, r), 'h01')).toBeUndefined()
    world.lose('h01', r, 'rita')
    expect(lossOf(rolloutRecord(world.view, r), 'h01')).toBeDefined()
  })
})

test('releases of a build key that was exchanged stay what they were, and no new one counts', () => {
  const world = new World({ hosts: 3 })
  const early = world.announce({ version: 1 })
  const releaseKeys = world.trust.root.releaseKeys.filter(({ name }) => name !== 'ci')
  announceRoot(world, nextRoot(world, { releaseKeys }))
  world.settle()
  const late = world.announce({ version: 2 })
  expect([...world.view.releases.keys()]).toEqual([early.id])
  const plan = (release: typeof early) => world.plan({ waves: [['h00']], release }).id
  expect(world.ruling({ kind: 'admit', rollout: plan(early) }).kind).toBe('valid')
  expect(world.ruling({ kind: 'admit', rollout: plan(late) }).kind).toBe('wait')
})

test('what counts depends on facts and log alone, not on the order in which a node heard them', () => {
  const world = new World({ hosts: 3 })
  const r = world.plan({ waves: [['h00']] }).id
  world.settle()
  world.halt(r, { by: 'bob' })
  world.lose('h00', r, 'rita')
  announceRoot(world, nextRoot(world, withoutOperator(world, 'bob')))
  world.settle()
  world.announce({ version: 9 })
  for (const facts of [world.facts, world.facts.toReversed()]) {
    const view = foldFacts(EMPTY_VIEW, facts, world.trust)
    const counted = withAuthority(view, world.trust, world.state)
    expect(counted.rollouts).toEqual(world.view.rollouts)
    expect(new Set(counted.releases.keys())).toEqual(new Set(world.view.releases.keys()))
    expect(withAuthority(counted, world.trust, world.state), 'twice is once').toBe(counted)
  }
})
