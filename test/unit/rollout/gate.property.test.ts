/**
 * Random lives of a small group: the log decides, and after every block the invariants of the design
 * hold (S2, S6, S10, S14, S16, S17; SPEC §14), each checked another way than the rules compute it.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Block,
  crashesSurvived,
  type HostName,
  type RolloutId,
} from '../../../protocol/index.ts'
import { digestOf } from '../../../rollout/digest.ts'
import { EMPTY_VIEW, rolloutRecord, roundRecord } from '../../../rollout/fleet-view.ts'
import { foldFacts } from '../../../rollout/fold.ts'
import { gateRules } from '../../../rollout/gate-judge.ts'
import { genesisState, hostsOf } from '../../../rollout/gate-state.ts'
import { type Scene, stageOf } from '../../../rollout/scene.ts'
import { HOSTS, happening, play, Remembered } from './gate-life.ts'
import { World } from './world.ts'

/** A world with what the checks have to remember. */
class Life extends Remembered {
  readonly seen = { admit: 0, start: 0, skip: 0, close: 0, returns: 0 }
  override commit(block: Block): void {
    const scene: Scene = { ...this.scene() }
    const before = this.state
    super.commit(block)
    const applied = gateRules(this.held()).apply(block, before)
    expect(applied, 'applying a valid block gives what judging it gave').toEqual(this.state)
    expect(this.state.evidence.vector, 'a basis never exceeds what is held').toEqual(
      foldFacts(EMPTY_VIEW, this.facts, this.trust).vector,
    )
    for (const command of block.body.commands) {
      if (command.kind !== 'reconfig' && command.kind !== 'root') this.seen[command.kind]++
      if (command.kind === 'start' && command.round > 0) this.seen.returns++
      if (command.kind === 'skip')
        for (const one of command.hosts)
          this.skipped.add(`${command.rollout}/${one}/${command.round}`)
      if (command.kind === 'admit') checkVersion(this, command.rollout)
      if (command.kind === 'start') checkWaves(this, command.rollout, command.hosts)
    }
    checkClaims(this)
    if (block.body.commands.some(({ kind }) => kind === 'start')) checkPermits(this)
    expect(scene.state).toBe(before)
  }
}

/** S2: no two open rollouts claim one host, and claims say so. */
function checkClaims(world: World): void {
  const claims = new Map<HostName, RolloutId>()
  for (const rollout of world.state.rollouts.values()) {
    if (rollout.status !== 'open') continue
    for (const name of hostsOf(rollout)) {
      expect(claims.get(name), `${name} is claimed twice`).toBeUndefined()
      claims.set(name, rollout.rollout)
    }
  }
  for (const [name, { claimedBy }] of world.state.hosts) expect(claimedBy).toBe(claims.get(name))
}

/** S10, counted another way: from the starts of the log and the words of the hosts. */
function checkPermits(world: World): void {
  const open = new Set<HostName>()
  for (const rollout of world.state.rollouts.values()) {
    for (const [name, starts] of rollout.starts) {
      const at = starts.at(-1)?.round ?? 0
      const { transitions } = roundRecord(rolloutRecord(world.view, rollout.rollout), name, at)
      const said = (
        ['CONFIRMED', 'SOAKED', 'COMMITTED', 'SKIPPED', 'REVERTED', 'STUCK'] as const
      ).some((phase) => transitions.has(phase))
      const skipped = rollout.skips.get(name)?.includes(at)
      const one = world.standing(rollout.rollout, name)
      if (said || skipped || one.end === 'failed' || one.end === 'lost') continue
      expect(open.has(name), `${name} is started twice`).toBe(false)
      open.add(name)
    }
  }
  for (const rollout of world.state.rollouts.values()) {
    if (rollout.status !== 'open' || rollout.starts.size === 0) continue
    const stage = stageOf(world.scene(), rollout.rollout)
    const newest = [...rollout.starts].filter(
      ([, starts]) => starts.at(-1)?.slot === world.state.slot,
    )
    for (const { limit } of newest.length > 0 ? (stage?.plan.policy.maxInFlight ?? []) : [])
      expect(open.size).toBeLessThanOrEqual(limit)
  }
  const { voters, quorum } = world.trust.config
  const away = voters.filter((voter) => open.has(voter)).length
  expect(away).toBeLessThanOrEqual(Math.max(1, crashesSurvived({ n: voters.length, q: quorum })))
}

/** S6: what the basis shows when a wave starts. */
function checkWaves(world: World, r: RolloutId, hosts: readonly HostName[]): void {
  const scene = { ...world.scene(world.state.evidence) }
  const stage = stageOf(scene, r)
  if (stage === undefined) throw new Error('started without a plan')
  const { standing, rollout } = stage
  const record = rolloutRecord(world.state.evidence, r)
  const wave = rollout.waves.findIndex((one) => one.includes(hosts[0] ?? ''))
  expect(hosts.every((one) => rollout.waves[wave]?.includes(one))).toBe(true)
  for (const one of hosts)
    expect([...record.halts.values()].some(({ body }) => body.hosts?.includes(one) ?? true)).toBe(
      false,
    )
  if (rollout.status !== 'open') return
  expect(standing.failures).toBeLessThanOrEqual(standing.budget)
  for (const earlier of rollout.waves.slice(0, wave).flat())
    expect(standing.hosts.get(earlier)?.end, `${earlier} is done`).toBeDefined()
}

/** S14. */
function checkVersion(world: Life, r: RolloutId): void {
  const fact = world.view.plans.get(r)
  const release = world.view.releases.get(fact?.body.release ?? '')
  const plan = fact && world.scene().bodies.plan(fact.body.plan)
  if (release === undefined || plan === undefined) throw new Error('admitted without a release')
  const { channel, version } = release.body
  if (plan.kind === 'forward')
    expect(version).toBeGreaterThanOrEqual(world.versions.get(channel) ?? 0)
  world.versions.set(channel, Math.max(version, world.versions.get(channel) ?? 0))
}

test('whatever is said, the log stays within its invariants and falls silent', () => {
  const seen = { admit: 0, start: 0, skip: 0, close: 0, returns: 0 }
  fc.assert(
    fc.property(
      fc.constantFrom(1, 3, 5),
      fc.array(happening, { minLength: 10, maxLength: 40, size: 'max' }),
      (voters, events) => {
        const world = new Life({ hosts: HOSTS, voters })
        for (const event of events) {
          play(world, event)
          world.settle()
        }
        for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += world.seen[key]
        for (const place of world.granted) expect(world.skipped.has(place), 'S17').toBe(false)
        const again = new World({ hosts: HOSTS, voters })
        const state = world.blocks.reduce(
          (before, block) => {
            const next = gateRules(world.held()).apply(block, before)
            if (next === undefined) throw new Error('a committed block does not apply')
            return next
          },
          genesisState(again.trust.genesis, 1),
        )
        const view = foldFacts(EMPTY_VIEW, world.facts.toReversed(), world.trust)
        expect(digestOf({ ...world.knowledge(), state, view }), 'S16').toBe(
          digestOf(world.knowledge()),
        )
      },
    ),
    { numRuns: 80 },
  )
  for (const [kind, count] of Object.entries(seen)) expect(count, `some ${kind}`).toBeGreaterThan(5)
}, 60_000)
