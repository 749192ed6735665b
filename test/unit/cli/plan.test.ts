/** A plan is what the operator asked for, on the base that the voters will compare. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { waysBack } from '../../../cli/commands/rollback.ts'
import { CliError } from '../../../cli/errors.ts'
import { baseOf, makePlan, type PlanWish } from '../../../cli/plan.ts'
import { duration } from '../../../cli/settings.ts'
import type { PlanBase, ReleaseDetail } from '../../../node/api/schema.ts'
import { openFirstRoot, openGroupConfig, openPlan, planBlob } from '../../../protocol/index.ts'
import { found } from '../../cli/found.ts'

const names = ['db-01', 'web-01', 'web-02', 'web-03']
const founded = found(names)
const root = openFirstRoot(founded.trust.root, founded.trust.rootHash).value
const config = openGroupConfig(founded.trust.config, { root, fleet: founded.fleet }).value
const id = (digit: string): string => digit.repeat(64)

const release: ReleaseDetail = {
  id: id('1'),
  name: 'v1',
  channel: 'stable',
  version: 1,
  minVersion: 0,
  author: { name: 'ci', role: 'release', key: id('2') },
  ts: 0,
  manifest: id('3'),
  system: 'portable',
  hosts: 4,
  generations: names.map((host) => ({ host, generation: 'g', paths: 1, bytes: 1 })),
  paths: 1,
  bytes: 1,
  caches: [],
  notRevertable: [],
}
const wish: PlanWish = { hosts: [], supersede: [], reason: '' }

function baseWith(rows: Partial<PlanBase['hosts'][number]>[] = []): PlanBase {
  const hosts = names.map((host, i) => ({
    host,
    base: null,
    last: null,
    lastHalted: false,
    claimedBy: null,
    ...rows[i],
  }))
  return { group: 'main', epoch: 1, genesis: id('0'), hosts, channels: [] }
}

function codeOf(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    if (error instanceof CliError) return error.code
    throw error
  }
  return 'none'
}

describe('a plan', () => {
  it('has every selected host exactly once and is taken by the wire', () => {
    const hosts = fc.subarray(names, { minLength: 1 })
    const waves = fc.constantFrom(undefined, '1', '1,50%,100%', '25%', '3')
    fc.assert(
      fc.property(hosts, waves, (chosen, sizes) => {
        const { body } = makePlan({
          wish: { ...wish, hosts: chosen, waves: sizes },
          config,
          base: baseWith(),
          release,
        })
        expect(body.groups.flatMap((part) => part.waves.flat()).sort()).toEqual([...chosen].sort())
        const blob = planBlob(body)
        expect(openPlan(blob.bytes, blob.hash)).toEqual(body)
      }),
    )
  })

  it('stands on the newest block that touched any of its hosts, and on genesis before any', () => {
    const slot = fc.option(fc.integer({ min: 1, max: 99 }), { nil: null })
    fc.assert(
      fc.property(
        fc.array(slot, { minLength: 4, maxLength: 4 }),
        fc.subarray(names, { minLength: 1 }),
        (slots, chosen) => {
          const base = baseWith(
            slots.map((at) => ({ base: at === null ? null : { block: `block ${at}`, slot: at } })),
          )
          const touched = slots.filter((at, i) => at !== null && chosen.includes(names[i] ?? ''))
          const newest =
            touched.length === 0 ? id('0') : `block ${Math.max(...touched.map(Number))}`
          expect(baseOf(base, chosen)).toBe(newest)
        },
      ),
    )
  })

  it('leaves out hosts that the release does not have, and says which', () => {
    const part = { ...release, generations: release.generations.slice(0, 2) }
    const { waves, without } = makePlan({ wish, config, base: baseWith(), release: part })
    expect(waves.flat().sort()).toEqual(['db-01', 'web-01'])
    expect(without).toEqual(['web-02', 'web-03'])
  })

  it('replaces no open and no halted rollout that it does not name', () => {
    const open = baseWith([{ last: id('7'), claimedBy: id('7') }])
    const halted = baseWith([{ last: id('8'), lastHalted: true }])
    expect(codeOf(() => makePlan({ wish, config, base: open, release }))).toBe('NF-2108')
    expect(codeOf(() => makePlan({ wish, config, base: halted, release }))).toBe('NF-2108')
    const named = { ...wish, supersede: [id('7')] }
    expect(makePlan({ wish: named, config, base: open, release }).body.supersedes).toEqual([
      id('7'),
    ])
    const elsewhere = { ...wish, hosts: ['web-01'] }
    expect(codeOf(() => makePlan({ wish: elsewhere, config, base: open, release }))).toBe('none')
  })

  it('is refused where it cannot be meant', () => {
    const make = (more: Partial<PlanWish>) =>
      codeOf(() => makePlan({ wish: { ...wish, ...more }, config, base: baseWith(), release }))
    expect(make({ on: 'role=mail' })).toBe('NF-2110')
    expect(make({ hosts: ['nobody'] })).toBe('NF-2110')
    expect(make({ on: 'role' })).toBe('NF-2117')
    expect(make({ strategy: 'yolo' })).toBe('NF-2117')
    expect(make({ maxUnhealthy: '150%' })).toBe('NF-1002')
    expect(make({ onFailure: 'cry' })).toBe('NF-1002')
    expect(make({ maxUnhealthy: '4' })).toBe('none')
    expect(make({ maxUnhealthy: '5' })).toBe('NF-2113')
  })
})

describe('going back', () => {
  it('halts each last rollout once, for the selected hosts only, whole when all of them are', () => {
    const last = fc.option(fc.constantFrom(id('a'), id('b')), { nil: null })
    fc.assert(
      fc.property(
        fc.array(last, { minLength: 4, maxLength: 4 }),
        fc.subarray(names, { minLength: 1 }),
        (lasts, chosen) => {
          const base = baseWith(lasts.map((one) => ({ last: one })))
          const rowsOf = (rollout: string) => names.filter((_, i) => lasts[i] === rollout)
          const expected = [...new Set(lasts)].flatMap((rollout) => {
            const hosts =
              rollout === null ? [] : rowsOf(rollout).filter((host) => chosen.includes(host))
            return rollout === null || hosts.length === 0
              ? []
              : [{ rollout, hosts, whole: hosts.length === rowsOf(rollout).length }]
          })
          if (expected.length === 0) expect(codeOf(() => waysBack(base, chosen))).toBe('NF-2106')
          else expect(waysBack(base, chosen)).toEqual(expected)
        },
      ),
    )
  })
})

describe('a duration', () => {
  it('needs a unit and is never negative', () => {
    expect([
      duration('90s', '-'),
      duration('5m', '-'),
      duration('1.5h', '-'),
      duration('0s', '-'),
    ]).toEqual([90_000, 300_000, 5_400_000, 0])
    for (const text of ['5', '0', '', 'soon', '-5s', '1e999h'])
      expect(
        codeOf(() => duration(text, '--soak')),
        text,
      ).toBe('NF-1002')
  })
})
