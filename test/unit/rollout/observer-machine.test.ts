/** The rules of observation one by one: when an observer accuses, abstains, praises or keeps silent. */
import { describe, expect, it } from 'vitest'
import { keyPair, openFact, sealFact } from '../../../protocol/index.ts'
import { answerConfirm, controlSet } from '../../../rollout/observer-judge.ts'
import { stepObserver } from '../../../rollout/observer-machine.ts'
import type { ProbeResult } from '../../../rollout/observer-state.ts'
import type { Duty } from '../../../rollout/orders.ts'
import { dutyFor, NEW, ObserverWorld, OLD, type Published, SILENT, WELL } from './observer-world.ts'

const ON_OLD: ProbeResult = { reachable: true, generation: OLD, boot: 'b0', healthy: true }
const BROKEN: ProbeResult = { ...WELL, failedCheck: 'http' }

describe('an observer of a silent host', () => {
  it('says nothing before the host began or had to begin, and FAILs afterwards', () => {
    const world = watching({ activating: false, beginByMs: 2000 }, () => SILENT)
    world.run(2000)
    expect(world.published).toEqual([])
    world.run(2400)
    expect(verdicts(world)).toEqual(['fail unreachable'])
  })

  it('does not count rounds from before the host began', () => {
    const world = watching({ activating: false }, () => SILENT)
    world.run(900)
    world.feed({ kind: 'duties', duties: [dutyFor()] })
    world.run(1100)
    expect(world.published).toEqual([])
    world.run(1300)
    expect(verdicts(world)).toEqual(['fail unreachable'])
  })

  it('never holds silence against a COMMITTED host, but a failed check', () => {
    const silent = watching({ committed: true }, () => SILENT)
    silent.run(3000)
    expect(silent.published).toEqual([])
    const broken = watching({ committed: true }, () => BROKEN)
    broken.run(3000)
    expect(verdicts(broken)).toEqual(['fail http'])
  })

  it('says nothing of a host that a halt covers', () => {
    const world = watching({ halted: true }, () => BROKEN)
    world.run(3000)
    expect(world.published).toEqual([])
  })

  it('abstains while more than half of the control set is silent too, and FAILs when it is back', () => {
    const world = watching({}, () => SILENT)
    world.control = (now) => (now < 1200 ? { reachable: 3, of: 8 } : { reachable: 4, of: 8 })
    world.run(1199)
    const seen = verdicts(world)
    expect(seen.length).toBeGreaterThan(0)
    expect(new Set(seen)).toEqual(new Set(['abstain control']))
    world.run(1600)
    expect(verdicts(world).at(-1)).toBe('fail unreachable')
  })

  it('FAILs where there is nobody else to ask', () => {
    const world = watching({}, () => SILENT)
    world.control = () => ({ reachable: 0, of: 0 })
    world.run(500)
    expect(verdicts(world)).toEqual(['fail unreachable'])
  })

  it('says nothing while the control set does not answer, and asks again every period', () => {
    const world = watching({}, () => SILENT)
    let asked = 0
    world.control = () => {
      asked++
      return undefined
    }
    world.run(1000)
    expect(world.published).toEqual([])
    expect(asked).toBeGreaterThanOrEqual(7)
  })

  it('asks the control set once for all that fell silent together', () => {
    const world = new ObserverWorld()
    world.answer = () => SILENT
    let asked = 0
    world.control = () => {
      asked++
      return undefined
    }
    const hosts = Array.from({ length: 30 }, (_, i) => `h${i}`)
    world.feed({ kind: 'duties', duties: hosts.map((host) => dutyFor({ host })) })
    world.run(399)
    expect(asked).toBeGreaterThan(0)
    expect(asked).toBeLessThanOrEqual(2)
    world.feed({ kind: 'control', reachable: 5, of: 8 })
    expect(world.published.length).toBeGreaterThan(20)
  })

  it('abstains when its own event loop stood still', () => {
    const world = watching({}, () => SILENT)
    world.run(200)
    world.feed({ kind: 'lag', ms: 501 })
    world.run(450)
    expect(verdicts(world)).toEqual(['abstain lag'])
    world.run(600)
    expect(verdicts(world)).toEqual(['abstain lag', 'fail unreachable'])
  })

  it('is left as it is by a tick at which nothing is due', () => {
    const world = watching({}, () => WELL)
    world.run(950)
    const [asked, said] = [world.probes.length, world.published.length]
    const { state, effects } = stepObserver(world.state, { kind: 'tick' }, world.now)
    expect({ state, effects }).toEqual({ state: world.state, effects: [] })
    world.run(2000)
    expect(world.probes.length).toBeGreaterThan(asked)
    expect(world.published.length).toBeGreaterThan(said)
  })

  it('hears one answer per question', () => {
    const world = watching({}, () => WELL)
    world.run(150)
    const place = { rollout: dutyFor().rollout, round: 0, host: 'web-01' }
    for (let i = 0; i < 10; i++) world.feed({ kind: 'probed', ...place, result: BROKEN })
    expect(verdicts(world)).not.toContain('fail http')
  })
})

describe('an observer of a host that answers', () => {
  it('FAILs a failed check at once, whatever the control set hears', () => {
    const world = watching({}, () => BROKEN)
    world.control = () => ({ reachable: 0, of: 8 })
    world.run(400)
    expect(verdicts(world)).toEqual(['fail http'])
  })

  it('never FAILs while it updates itself, and starts its count anew afterwards', () => {
    const world = watching({}, (now) => (now < 300 ? WELL : BROKEN))
    world.feed({ kind: 'updating', on: true })
    world.run(1000)
    expect(verdicts(world)).toContain('ok')
    expect(verdicts(world)).toContain('abstain updating')
    expect(verdicts(world).filter((said) => said.startsWith('fail'))).toEqual([])
    world.feed({ kind: 'updating', on: false })
    world.run(1199)
    expect(verdicts(world).filter((said) => said.startsWith('fail'))).toEqual([])
    world.run(1400)
    expect(verdicts(world).at(-1)).toBe('fail http')
  })

  it('leaves a failed subject out of the closing attestation, but speaks of it again later', () => {
    const world = watching({}, (now) => (now < 500 ? BROKEN : WELL))
    world.run(3000)
    const fails = world.published.filter((one) => one.verdict === 'fail')
    expect(fails).toHaveLength(1)
    const later = world.published.filter((one) => one.verdict === 'ok')
    expect(later.length).toBeGreaterThan(3)
    expect(later.map((one) => one.window)).not.toContain(fails[0]?.window)
  })

  it('calls nothing OK while the host runs what it ran before, nor bad while it may', () => {
    const world = watching({ activating: false, beginByMs: 5000 }, () => ON_OLD)
    world.run(4900)
    expect(world.published).toEqual([])
  })

  it('FAILs a host that keeps its old generation after its activation must be over', () => {
    const world = watching({}, () => ON_OLD)
    world.run(249)
    expect(world.published).toEqual([])
    world.run(700)
    expect(verdicts(world)).toEqual(['fail generation'])
  })

  it('counts OK time from the new generation on, and from each boot anew', () => {
    const world = watching({ beginByMs: 9000 }, (now) =>
      now < 200 ? ON_OLD : now < 1500 ? WELL : { ...WELL, boot: 'b1' },
    )
    world.run(4000)
    const spans = (boot: string): Published[] => world.published.filter((one) => one.boot === boot)
    const sum = (all: readonly Published[]): number => all.reduce((t, one) => t + one.elapsedMs, 0)
    expect(world.published.every((one) => one.verdict === 'ok' && one.generation === NEW)).toBe(
      true,
    )
    expect(sum(spans('b0'))).toBeLessThanOrEqual(1300)
    expect(sum(spans('b0'))).toBeGreaterThan(700)
    expect(sum(spans('b1'))).toBeLessThanOrEqual(2500)
    expect(sum(spans('b1'))).toBeGreaterThan(1700)
  })

  it('holds a host to its word against itself', () => {
    const world = watching({}, () => ({ ...WELL, healthy: false }))
    world.run(400)
    expect(verdicts(world)).toEqual(['fail self'])
  })

  it('does not count a time in which it asked nothing', () => {
    const world = watching({}, () => WELL)
    world.run(600)
    const before = world.published.reduce((total, one) => total + one.elapsedMs, 0)
    world.now = 60_600
    world.feed({ kind: 'tick' })
    world.run(62_000)
    const after = world.published.reduce((total, one) => total + one.elapsedMs, 0)
    expect(after - before).toBeLessThan(2000)
  })

  it('closes one window with one fact for all, cut to what a fact holds', () => {
    const world = new ObserverWorld()
    const generation = `/nix/store/${'a'.repeat(32)}-nixos-system-a-long-host-name-26.05.20261123.abcdef0`
    world.answer = () => ({ reachable: true, generation, boot: '0'.repeat(36), healthy: true })
    const few = Array.from({ length: 5 }, (_, i) => dutyFor({ host: `few-${i}`, generation }))
    world.feed({ kind: 'duties', duties: few })
    world.run(300)
    expect(world.attestations).toHaveLength(1)
    const many = Array.from({ length: 90 }, (_, i) =>
      dutyFor({ host: `a-long-host-name-${i}`, generation }),
    )
    world.feed({ kind: 'duties', duties: many })
    world.run(600)
    const cut = world.attestations.slice(1)
    expect(cut.flatMap((one) => one.subjects)).toHaveLength(90)
    expect(cut.length).toBeLessThan(10)
    const key = keyPair(new Uint8Array(32).fill(7))
    const fleet = 'f'.repeat(32)
    for (const body of cut) {
      const draft = {
        session: 'a'.repeat(32),
        seq: 2 ** 40,
        prev: 'b'.repeat(64),
        epoch: 2 ** 31,
        ts: 2 ** 45,
      }
      const fact = sealFact({ type: 'obs.attest', body, ...draft }, { fleet, key })
      expect(openFact(fact.bytes, { fleet, whose: 'the observer' }).type).toBe('obs.attest')
    }
  })
})

describe('a confirmation', () => {
  const duty = dutyFor()
  const asked = { generation: NEW, boot: 'b0' }
  it.each<[string | undefined, Duty | undefined, ProbeResult, typeof asked]>([
    [undefined, duty, WELL, asked],
    ['not-my-subject', undefined, WELL, asked],
    ['unreachable', duty, SILENT, asked],
    ['generation', duty, ON_OLD, asked],
    ['generation', duty, ON_OLD, { generation: OLD, boot: 'b0' }],
    ['generation', duty, WELL, { generation: OLD, boot: 'b0' }],
    ['boot', duty, WELL, { generation: NEW, boot: 'b9' }],
    ['http', duty, BROKEN, asked],
    ['self', duty, { ...WELL, healthy: false }, asked],
  ])('is refused for %s', (why, ofDuty, result, request) => {
    const answer = answerConfirm({ duty: ofDuty, asked: request, result })
    expect(answer).toEqual(why === undefined ? { ok: true } : { ok: false, why })
  })
})

describe('the control set', () => {
  const members = Array.from({ length: 12 }, (_, i) => `h${i}`)

  it('has at most eight others, voters first', () => {
    const set = controlSet({ members, voters: ['h9', 'h11'], self: 'h0', subjects: ['h1'] })
    expect(set).toEqual(['h9', 'h11', 'h2', 'h3', 'h4', 'h5', 'h6', 'h7'])
  })

  it('is never swayed by the watched hosts alone', () => {
    const subjects = members.slice(2)
    const set = controlSet({ members, voters: members.slice(0, 4), self: 'h0', subjects })
    expect(set).toEqual(['h1', 'h2'])
    expect(controlSet({ members: ['h0', 'h1'], voters: [], self: 'h0', subjects: ['h1'] })).toEqual(
      [],
    )
  })
})

function watching(changes: Partial<Duty>, answer: (now: number) => ProbeResult): ObserverWorld {
  const world = new ObserverWorld()
  world.answer = (_host, now) => answer(now)
  world.feed({ kind: 'duties', duties: [dutyFor(changes)] })
  return world
}

function verdicts(world: ObserverWorld): string[] {
  return world.published.map(({ verdict, why }) =>
    why === undefined ? verdict : `${verdict} ${why}`,
  )
}
