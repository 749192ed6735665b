/** Keys that count no more: who may say so, and from where on (SPEC §6.12). */
import { describe, expect, test } from 'vitest'
import { deriveHostKeys, keyPair, sha256, utf8 } from '../../../protocol/index.ts'
import { rolloutRecord } from '../../../rollout/fleet-view.ts'
import { isRevoked, revokedLimit } from '../../../rollout/revocations.ts'
import { haltCovers, isHeld } from '../../../rollout/steering.ts'
import { session, World } from './world.ts'

const keyOf = (name: string): string => {
  const seed = sha256(utf8(`paper/${name}`))
  return name.startsWith('h') ? deriveHostKeys(seed).fact.publicKey : keyPair(seed).publicKey
}
const feedOf = (name: string, n = 0): string => `${keyOf(name)}/${session(n)}`

function revoke(world: World, whom: string, by: string, upTo?: number): void {
  const feeds = upTo === undefined ? [] : [{ session: session(0), seq: upTo }]
  const own = { session: session(5) }
  world.say(by, 'key.revoke', { key: keyOf(whom), feeds, why: 'stolen' }, own)
}

describe('a revocation counts', () => {
  test.each([
    ['an admin revokes an operator', 'admin', 'bob', true],
    ['an admin revokes a release key', 'admin', 'ci', true],
    ['an operator revokes its own key', 'bob', 'bob', true],
    ['an operator revokes another', 'alice', 'bob', false],
    ['a host revokes an operator', 'h01', 'bob', false],
    ['a stranger revokes an operator', 'stranger', 'bob', false],
    ['an admin revokes a host', 'admin', 'h01', false],
    ['a host revokes itself', 'h01', 'h01', false],
    ['an admin revokes an admin', 'admin', 'admin', false],
  ])('when %s: %s of %s, %s', (_, by, whom, counts) => {
    const world = new World({ hosts: 3 })
    revoke(world, whom, by)
    expect(isRevoked(world.view, keyOf(whom))).toBe(counts)
  })
})

test('a revocation of its own key outlives itself, and only as the first fact of its session', () => {
  const world = new World({ hosts: 3 })
  const hold = { kind: 'on', rollout: 'ee'.repeat(32), why: 'x' } as const
  const body = { key: keyOf('bob'), feeds: [], why: 'x' }
  world.say('bob', 'rollout.hold', hold, { session: session(6) })
  world.say('bob', 'key.revoke', body, { session: session(6) })
  expect(isRevoked(world.view, keyOf('bob')), 'not behind another fact').toBe(false)
  world.say('bob', 'key.revoke', body, { session: session(7) })
  expect(isRevoked(world.view, keyOf('bob'))).toBe(true)
  expect(revokedLimit(world.view, feedOf('bob', 7), undefined), 'it stays').toBe(0)
  expect(revokedLimit(world.view, feedOf('bob', 6), undefined)).toBe(-1)
})

test('a plan of a revoked key is never admitted; what was admitted goes on', () => {
  const world = new World({ hosts: 3 })
  const early = world.plan({ waves: [['h00']], by: 'bob' }).id
  world.settle()
  const late = world.plan({ waves: [['h01']], by: 'bob' }).id
  expect(world.ruling({ kind: 'admit', rollout: late }).kind).toBe('valid')
  revoke(world, 'bob', 'admin', 9)
  expect(world.ruling({ kind: 'admit', rollout: late }).kind).toBe('invalid')
  world.settle()
  expect(world.state.rollouts.get(early)?.status).toBe('open')
  expect(world.state.rollouts.has(late)).toBe(false)
})

test('a feed counts up to the sequence that is named, and as far as the log pinned it', () => {
  const world = new World({ hosts: 3 })
  const r = world.plan({ waves: [['h00']] }).id
  const hold = (why: string) => world.say('bob', 'rollout.hold', { kind: 'on', rollout: r, why })
  hold('first')
  hold('second')
  revoke(world, 'bob', 'admin', 0)
  const limit = () => revokedLimit(world.view, feedOf('bob'), undefined)
  expect(limit()).toBe(0)
  expect([...rolloutRecord(world.view, r).holds.values()].map(({ body }) => body.why)).toEqual([
    'first',
  ])
  const pinned = { seq: 1 }
  expect(revokedLimit(world.view, feedOf('bob'), pinned)).toBe(1)
  expect(revokedLimit(world.view, feedOf('bob', 7), undefined), 'another session').toBe(-1)
  expect(revokedLimit(world.view, feedOf('alice'), undefined)).toBeUndefined()
  revoke(world, 'bob', 'bob')
  expect(limit(), 'of two revocations the lower').toBe(-1)
  expect(isHeld(rolloutRecord(world.view, r))).toBe(false)
})

test('no block moves the feed of a revoked key past what counts of it', () => {
  const world = new World({ hosts: 3 })
  const r = world.plan({ waves: [['h00']] }).id
  world.settle()
  const hold = () => world.say('bob', 'rollout.hold', { kind: 'on', rollout: r, why: 'x' })
  hold()
  const upToOne = world.block([])
  hold()
  const upToTwo = world.block([])
  revoke(world, 'bob', 'admin', 0)
  expect(world.judge(upToTwo).kind, 'though its basis does not hold the revocation').toBe('invalid')
  expect(world.judge(upToOne).kind).toBe('valid')
  world.now += 200_000
  world.note()
  const drafted = world.draft()
  expect(drafted?.basis.some(({ author }) => author === keyOf('admin'))).toBe(true)
  expect(drafted?.basis.some(({ author }) => author === keyOf('bob'))).toBe(false)
})

test('a revoked key halts what was admitted before, and nothing that came later', () => {
  const world = new World({ hosts: 3 })
  const before = world.plan({ waves: [['h00']] }).id
  world.settle()
  revoke(world, 'bob', 'admin')
  const later = world.plan({ waves: [['h01']] }).id
  world.halt(before, { by: 'bob' })
  world.halt(later, { by: 'bob' })
  const halted = (r: string, host: string): boolean =>
    haltCovers(rolloutRecord(world.view, r), host)
  expect(halted(before, 'h00'), 'stopping is free, as SPEC §10 says').toBe(true)
  expect(halted(later, 'h01')).toBe(false)
  world.settle()
  expect(world.state.rollouts.has(later), 'a halt by nobody keeps nothing out').toBe(true)
})

test('releases of a stolen build key count up to the sequence that its owner vouches for', () => {
  const world = new World({ hosts: 3 })
  const mine = world.announce({ version: 1 })
  const theirs = world.announce({ version: 2 })
  revoke(world, 'ci', 'admin', 0)
  expect([...world.view.releases.keys()]).toEqual([mine.id])
  const plan = (release: typeof mine) => world.plan({ waves: [['h00']], release }).id
  expect(world.ruling({ kind: 'admit', rollout: plan(theirs) }).kind).not.toBe('valid')
})
