/** The scripts that lead to what is rare, and the changes of a group that admins may sign in a storm. */
import { describe, expect, it } from 'vitest'
import type { GroupConfig } from '../../protocol/index.ts'
import { quorumOf } from '../../protocol/index.ts'
import { nextChange } from './changes.ts'
import { Dice } from './dice.ts'
import { FAULTS } from './faults/kinds.ts'
import { CHEAP_SIGNER, SimFleet } from './fleet.ts'
import { play } from './play.ts'
import { type ActOf, rolloutOf, type Scenario, scenarioOf } from './scenario.ts'
import { themesOf } from './themes.ts'

const QUIET = { faults: [], liars: [], realSignatures: false, stormMs: 18_000 } as const

describe('the themes', () => {
  it('come round in any row of a dozen seeds, and name nobody who is not there', () => {
    const kinds = new Set<string>()
    for (let seed = 1; seed <= 12; seed++) {
      const acts = themesOf(seed, new Dice(seed), { hosts: 5, voters: 5, liars: [] })
      expect(acts.length).toBeGreaterThan(0)
      for (const act of acts) {
        kinds.add(act.kind)
        expect('host' in act ? act.host : 0).toBeLessThan(5)
      }
    }
    const rare = ['lose-disk', 'tear', 'reconfig', 'trap', 'lost', 'halt', 'hold', 'snapshot']
    expect([...kinds]).toEqual(expect.arrayContaining(rare))
  })

  it('are left out where somebody chooses the faults', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const kinds = scenarioOf(seed, { only: [] }).acts.map((act) => act.kind)
      expect(kinds).not.toContain('tear')
      expect(kinds).not.toContain('reconfig')
    }
  })

  it('every 25th seed has as many liars as the largest group bears, who agree', () => {
    const { hosts, faultModel, liars, faults } = scenarioOf(25)
    expect([hosts, faultModel, liars.length]).toEqual([7, 'byzantine', 2])
    expect(faults).toContain('colluding')
    expect(FAULTS).toEqual(expect.arrayContaining([...faults]))
  })
})

describe('the rollout that speed is measured on', () => {
  it('completes with the soak that deploy plans by default', async () => {
    const { found, counts, simulatedMs } = await play(rolloutOf(1, 2, 'brisk'))
    expect(found).toEqual([])
    expect(counts['close-complete']).toBe(2)
    // A canary and its successor, each for sixty probe periods.
    expect(simulatedMs).toBeGreaterThan(2 * 60 * 500)
  })
})

describe('a change of the group', () => {
  const { config } = new SimFleet({ hosts: 5, voters: 4, signer: CHEAP_SIGNER }).trust
  const act = (how: ActOf<'reconfig'>['how'], host: number): ActOf<'reconfig'> => ({
    ...{ kind: 'reconfig', at: 0, via: 0, how, host },
  })
  const group = (liars: readonly string[] = []): Parameters<typeof nextChange>[1] => ({
    ...{ config, faultModel: 'byzantine', liars: new Map(liars.map((name) => [name, 0])) },
  })
  const votersOf = (change: ReturnType<typeof nextChange>): GroupConfig['voters'] =>
    change?.voters ?? []

  it('gives a voter’s place to a host that has none', () => {
    expect(votersOf(nextChange(act('replace', 1), group()))).toEqual([
      ...['host-01', 'host-03', 'host-04', 'host-05'],
    ])
  })

  it('never takes away what bears a liar, nor the liar who would be counted', () => {
    expect(nextChange(act('remove', 1), group(['host-01']))).toBeUndefined()
    expect(nextChange(act('remove', 0), group(['host-01']))).toBeUndefined()
    expect(votersOf(nextChange(act('remove', 1), group()))).toHaveLength(3)
    expect(nextChange(act('remove', 4), group(['host-01']))?.remove).toEqual(['host-05'])
  })

  it('keeps a quorum that is safe', () => {
    for (const how of ['add', 'remove', 'replace'] as const) {
      const change = nextChange(act(how, 2), group())
      const [n, model] = [votersOf(change).length, change?.faultModel ?? 'crash']
      expect(quorumOf(n, model)).toBeGreaterThan(n / 2)
    }
  })

  it.each(['add', 'remove', 'replace'] as const)(
    'is decided in the middle of a rollout, and the fleet completes the next one (%s)',
    { timeout: 60_000 },
    async (how) => {
      const plan = { release: 'good', older: false, waves: 'canary', budget: 1 } as const
      const scenario: Scenario = {
        ...{ ...QUIET, seed: 3, hosts: 5, voters: 4, faultModel: 'byzantine', pace: 'brisk' },
        acts: [
          { ...plan, kind: 'plan', at: 500, via: 0, onFailure: 'halt', takesOver: true },
          { ...act(how, 1), at: 3_000 },
        ],
      }
      const { found, counts } = await play(scenario)
      expect(found).toEqual([])
      expect(counts.reconfig).toBe(1)
    },
  )
})
