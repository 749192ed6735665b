/** A rollout as people see it: all of it, in words, and nothing that was not there. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changeLines, isOver, rolloutTree } from '../../../cli/tree.ts'
import { createWords } from '../../../cli/words.ts'
import type { RolloutStatus, WaveHost } from '../../../node/api/schema.ts'

const plain = (text: string): string => text
const paint = {
  bold: plain,
  dim: plain,
  red: plain,
  green: plain,
  yellow: plain,
  cyan: plain,
} as never
const words = createWords(paint, false)
const ascii = createWords(paint, true)
const operator = { name: 'alice', role: 'operator', key: '9c'.repeat(32) } as const

function host(name: string, phase: string | null, more: Partial<WaveHost> = {}): WaveHost {
  const witnesses = { ok: 0, fail: 0, abstain: 0 }
  return {
    name,
    phase,
    round: 0,
    started: phase !== null,
    why: null,
    detail: null,
    observers: ['a', 'b', 'c'],
    witnesses,
    phaseAgeMs: null,
    closure: null,
    ...more,
  }
}

const status: RolloutStatus = {
  id: '7f3a'.repeat(16),
  release: { id: '1'.repeat(64), name: 'nginx 1.29', channel: 'stable', version: 142 },
  state: 'wave',
  closed: false,
  wave: 1,
  held: false,
  operator,
  strategy: 'canary 1,100%',
  reason: 'CVE',
  ts: 1000,
  kindOfPlan: 'forward',
  waves: [
    { index: 0, state: 'done', waitsFor: null, hosts: [host('web-01', 'COMMITTED')] },
    {
      index: 1,
      state: 'open',
      waitsFor: null,
      hosts: [
        host('web-02', 'ACTIVATING', { phaseAgeMs: 7000 }),
        host('db-01', 'REVERTED', {
          why: 'check',
          detail: 'postgresql failed',
          witnesses: { ok: 0, fail: 3, abstain: 0 },
        }),
      ],
    },
    { index: 2, state: 'waiting', waitsFor: 'waits for wave 2', hosts: [host('edge-9', null)] },
  ],
  policy: {
    soakMs: 1,
    confirmMs: 1,
    startTimeoutMs: 1,
    budget: 1,
    onFailure: 'halt',
    maxInFlight: [],
    holders: 2,
  },
  holds: [],
  halts: [],
  failed: ['db-01'],
  budget: { limit: 1, used: 1, breached: false },
  closures: null,
  supersedes: [],
  missing: [],
}

describe('the closures of a rollout', () => {
  const held = (holders: string[], previousHolders: string[] | null) => ({
    closure: { bytes: 3 << 20, newBytes: 1 << 20, holders, previousHolders, needed: 2 },
  })
  const line = (waves: RolloutStatus['waves'], more: Partial<RolloutStatus> = {}): string => {
    const closures = { bytes: 5 << 20, newBytes: 1 << 20 }
    const tree = rolloutTree({ ...status, closures, waves, ...more }, words, { nowMs: 73_000 })
    return tree.split('\n').find((one) => one.includes('closures')) ?? ''
  }
  const wave = (...hosts: WaveHost[]) =>
    ({ index: 0, state: 'open', waitsFor: null, hosts }) as const

  it('are told by size and by the one that the fewest others hold', () => {
    const hosts = [
      host('a', 'READY', held(['b', 'c', 'd'], ['b', 'c'])),
      host('b', 'READY', held(['a', 'c'], null)),
    ]
    expect(line([wave(...hosts)])).toBe(
      '  5.0 MiB in all closures, 1.0 MiB of it new; each held by 2 others or more, what they come from by 2 (2 needed)',
    )
    expect(line([wave(host('b', 'READY', held([], null)))])).toContain('held by 0 others or more (')
  })

  it('are told by size alone where nobody is asked for, or all is over', () => {
    const size = '  5.0 MiB in all closures, 1.0 MiB of it new'
    const waves = [wave(host('a', 'READY', held(['b'], null)))]
    expect(line(waves, { closed: true })).toBe(size)
    expect(line(waves, { policy: { ...status.policy, holders: 0 } })).toBe(size)
  })
})

describe('the tree', () => {
  it('is this', () => {
    expect(rolloutTree(status, words, { nowMs: 73_000 }).split('\n')).toEqual([
      '◌ wave  7f3a7f3a   release nginx 1.29 (stable 142)   canary 1,100%   by alice (9c9c9c9c…)   1 m ago',
      '  "CVE"',
      '  1 failure of 1 allowed: db-01',
      '├─ ✔ wave 1 done   1/1',
      '├─ ◌ wave 2 open   0/2 ░░░░░░░░░░░░░░░░',
      '│  ├─ ◌ web-02   activating   7 s',
      '│  └─ ↩ db-01    went back: check, postgresql failed   3 of 3 peers see it fail',
      '└─ ◷ wave 3 waiting   0/1   waits for wave 2',
    ])
  })

  it('is ASCII when asked', () => {
    expect(rolloutTree(status, ascii, { nowMs: 73_000 }).replaceAll('…', '')).toMatch(
      /^[\x20-\x7e\n]*$/,
    )
  })

  it('lets nobody write outside their line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const bad = {
          ...status,
          reason: text,
          strategy: text,
          release: { ...status.release, name: text },
        }
        const lines = rolloutTree(bad, words, { nowMs: 73_000 }).split('\n')
        expect(lines.length).toBe(text === '' ? 7 : 8)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
        expect(lines.join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
      }),
    )
  })
})

describe('the lines of a log', () => {
  const phases = ['QUEUED', 'ACTIVATING', 'COMMITTED', 'REVERTED'] as const
  const at = (phase: (typeof phases)[number]): RolloutStatus => ({
    ...status,
    waves: [{ index: 0, state: 'open', waitsFor: null, hosts: [host('web-01', phase)] }],
  })

  it('tell each change once and nothing when nothing changed', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...phases), { minLength: 1 }), (steps) => {
        let before: RolloutStatus | undefined
        let told = 0
        let changes = 0
        for (const phase of steps) {
          const after = at(phase)
          told += changeLines(before, after, words).filter((line) =>
            line.startsWith('web-01'),
          ).length
          if (before?.waves[0]?.hosts[0]?.phase !== phase) changes += 1
          before = after
        }
        expect(told).toBe(changes)
      }),
    )
  })
})

describe('a rollout is over', () => {
  it('when it is closed or rejected, or halted with every host at rest', () => {
    const halted = (...hosts: WaveHost[]): RolloutStatus => ({
      ...status,
      state: 'halted',
      waves: [{ index: 0, state: 'halted', waitsFor: null, hosts }],
    })
    expect(isOver(status)).toBe(false)
    expect(isOver({ ...status, closed: true })).toBe(true)
    expect(isOver({ ...status, state: 'rejected' })).toBe(true)
    expect(isOver(halted(host('a', 'COMMITTED'), host('b', 'REVERTED'), host('c', null)))).toBe(
      true,
    )
    for (const phase of ['ACTIVATING', 'PROBATION', 'CONFIRMED', 'SOAKED', 'REVERTING']) {
      expect(isOver(halted(host('a', phase))), phase).toBe(false)
    }
    expect(isOver(halted(host('a', 'READY')))).toBe(false)
    expect(isOver(halted(host('a', 'READY', { started: false })))).toBe(true)
  })
})
