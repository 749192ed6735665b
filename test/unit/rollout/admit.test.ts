/** `admit`: which plan owns its hosts, and why another does not (SPEC §7.4). */
import { expect, test } from 'vitest'
import type { RolloutId } from '../../../protocol/index.ts'
import { type Admission, judgeAdmit } from '../../../rollout/admit-rules.ts'
import { type PlanOptions, World } from './world.ts'

function judged(world: World, id: RolloutId): Admission {
  return judgeAdmit(world.scene(), id)
}

function codeOf(world: World, options: PlanOptions): string {
  const admission = judged(world, world.plan(options).id)
  return admission.kind === 'rejected' ? admission.code : admission.kind
}

test('of two plans over one base exactly one wins; the loser is told which and by whom', () => {
  const world = new World({ hosts: 3 })
  const a = world.plan({ waves: [['h00', 'h01']] }).id
  const b = world.plan({ waves: [['h01', 'h02']] }).id
  world.settle()
  const admitted = [a, b].filter((id) => world.state.rollouts.has(id))
  expect(admitted).toHaveLength(1)
  const [winner] = admitted
  const loser = a === winner ? b : a
  expect(judged(world, loser)).toMatchObject({ kind: 'rejected', code: 'conflict', winner })
})

test('once the winner has closed the loser stays out: its base has moved', () => {
  const world = new World({ hosts: 2 })
  const a = world.plan({ waves: [['h00']] })
  const b = world.plan({ waves: [['h00']] })
  const [winner, loser] = [a.id, b.id].toSorted()
  world.settle()
  world.commitHost('h00', winner ?? '')
  world.settle()
  expect(world.state.rollouts.get(winner ?? '')?.status).toBe('complete')
  expect(judged(world, loser ?? '')).toMatchObject({ code: 'stale-base', winner })
})

test('plans over other hosts are admitted side by side', () => {
  const world = new World({ hosts: 4 })
  const a = world.plan({ waves: [['h00', 'h01']] }).id
  const b = world.plan({ waves: [['h02', 'h03']] }).id
  world.settle()
  expect([a, b].every((id) => world.state.rollouts.has(id))).toBe(true)
})

test('supersedes closes the old rollout and takes its claims in one block', () => {
  const world = new World({ hosts: 3 })
  const old = world.plan({ waves: [['h00', 'h01', 'h02']] }).id
  world.step()
  const id = world.plan({ waves: [['h01']], supersedes: [old] }).id
  world.step()
  expect(world.state.rollouts.get(old)?.status).toBe('superseded')
  expect(world.state.hosts.get('h01')).toMatchObject({ claimedBy: id, last: id })
  expect(world.state.hosts.get('h00')).not.toHaveProperty('claimedBy')
  expect(codeOf(world, { waves: [['h00', 'h02']] }), 'the rest is free').toBe('admissible')
})

test('supersedes needs the base too: who supersedes must have seen what he replaces', () => {
  const world = new World({ hosts: 2 })
  const base = world.trust.genesis
  const old = world.plan({ waves: [['h00']] }).id
  world.step()
  expect(codeOf(world, { waves: [['h00']], supersedes: [old], base })).toBe('stale-base')
})

test('nobody redeploys over a halted rollout unawares', () => {
  const world = new World({ hosts: 2 })
  const old = world.plan({ waves: [['h00', 'h01']] }).id
  world.settle()
  for (const host of world.names) world.commitHost(host, old)
  world.settle()
  world.halt(old, { revert: true, hosts: ['h00'] })
  expect(codeOf(world, { waves: [['h00']] })).toBe('halted-before')
  expect(codeOf(world, { waves: [['h01']] }), 'the halt names another').toBe('admissible')
  expect(codeOf(world, { waves: [['h00']], supersedes: [old] })).toBe('admissible')
})

test('nobody redeploys over a breached rollout unawares', () => {
  const world = new World({ hosts: 2 })
  const old = world.plan({ waves: [['h00'], ['h01']] }).id
  world.settle()
  world.failHost('h00', old)
  world.settle()
  expect(world.state.rollouts.get(old)).toMatchObject({ status: 'reverted', closedBreached: true })
  expect(codeOf(world, { waves: [['h01']] })).toBe('halted-before')
  expect(codeOf(world, { waves: [['h01']], supersedes: [old] })).toBe('admissible')
})

test('a plan that was halted before it was admitted never is', () => {
  const world = new World({ hosts: 2 })
  const { id } = world.plan({ waves: [['h00']] })
  world.halt(id, { by: 'rita' })
  expect(judged(world, id).kind).toBe('admissible')
  world.halt(id)
  expect(judged(world, id)).toMatchObject({ code: 'halted' })
})

test.each([
  ['rita', 'scope'],
  ['olga', 'scope'],
  ['edgar', 'scope'],
  ['h00', 'scope'],
  ['ci', 'scope'],
  ['bob', 'admissible'],
])('a plan by %s: %s', (by, code) => {
  expect(codeOf(new World({ hosts: 2 }), { waves: [['h00']], by })).toBe(code)
})

test('an expired operator admits nothing, from the millisecond of the expiry on', () => {
  const world = new World({ hosts: 2 })
  const { id } = world.plan({ waves: [['h00']], by: 'eve' })
  world.wallMs = 999
  expect(judged(world, id).kind).toBe('admissible')
  world.wallMs = 1_000
  expect(judged(world, id)).toMatchObject({ code: 'expired' })
})

test('a plan names hosts of the group that the release knows', () => {
  const world = new World({ hosts: 3 })
  const release = world.announce({ version: 1, hosts: ['h00', 'h01', 'zz'] })
  expect(codeOf(world, { waves: [['zz']], release })).toBe('unknown-host')
  expect(codeOf(world, { waves: [['h02']], release })).toBe('not-in-release')
  expect(codeOf(world, { waves: [['h00']], release })).toBe('admissible')
})

test('a plan waits for its body, its release and its manifest, and is not refused', () => {
  const world = new World({ hosts: 2 })
  expect(judged(world, '99'.repeat(32)).kind).toBe('waiting')
  const { id } = world.plan({ waves: [['h00']], bodyless: true })
  expect(judged(world, id).kind).toBe('waiting')
  expect(world.step()).toBe(false)
  const stranger = world.announce({ version: 9 }, 'alice')
  expect(codeOf(world, { waves: [['h00']], release: stranger })).toBe('waiting')
})

test('no floor is undercut', () => {
  const world = new World({ hosts: 4, floors: { canaryMin: 2, soakMsMin: 500, budgetMax: 1 } })
  const waves = [['h00', 'h01'], ['h02']]
  expect(codeOf(world, { waves })).toBe('admissible')
  expect(codeOf(world, { waves: [['h00'], ['h01']] })).toBe('floor')
  expect(codeOf(world, { waves, policy: { soakMs: 499 } })).toBe('floor')
  expect(codeOf(world, { waves, policy: { budget: { kind: 'count', count: 2 } } })).toBe('floor')
})

/** Admits and completes a one-host plan of this version. */
function ship(
  world: World,
  version: number,
  options: { minVersion?: number; kind?: 'rollback' } = {},
): string {
  const { minVersion = 0, kind = 'forward' } = options
  const release = world.announce({ version, minVersion })
  const code = codeOf(world, { waves: [['h00']], release, kind })
  if (code !== 'admissible') return code
  world.settle()
  const id = world.state.hosts.get('h00')?.last ?? ''
  world.commitHost('h00', id)
  world.settle()
  return world.state.rollouts.get(id)?.status ?? 'gone'
}

test('S14: a channel goes back only by kind rollback, and never below minVersion', () => {
  const world = new World({ hosts: 2 })
  expect(ship(world, 3)).toBe('complete')
  expect(ship(world, 5, { minVersion: 2 })).toBe('complete')
  expect(ship(world, 4)).toBe('downgrade')
  expect(ship(world, 3, { kind: 'rollback' })).toBe('complete')
  expect(ship(world, 4), 'a rollback lowers no mark').toBe('downgrade')
  expect(ship(world, 1, { kind: 'rollback' })).toBe('downgrade')
  expect(ship(world, 5)).toBe('complete')
})

test('S14: a rollback to something newer raises the mark like any other plan', () => {
  const world = new World({ hosts: 2 })
  expect(ship(world, 3)).toBe('complete')
  expect(ship(world, 9, { kind: 'rollback' })).toBe('complete')
  expect(ship(world, 6)).toBe('downgrade')
})
