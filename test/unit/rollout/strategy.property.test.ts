/** Strategies: every host in exactly one wave, in an order that anybody can compute again. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEMO, type Policy, type PolicyFloors } from '../../../protocol/index.ts'
import { budgetCount, checkFloors, orderHosts, resolveWaves } from '../../../rollout/strategy.ts'
import {
  describeStrategy,
  parseStrategy,
  type Strategy,
  type StrategyText,
} from '../../../rollout/strategy-text.ts'

const MANIFEST = 'ab'.repeat(32)
const anyHosts = fc
  .array(fc.constantFrom('web', 'db', 'canary'), { minLength: 1, maxLength: 60 })
  .map((roles) => roles.map((role, i) => ({ name: `h${i}`, tags: [`role=${role}`] })))
const anySize = fc.oneof(
  fc.integer({ min: 1, max: 250 }).map((n) => `${n}`),
  fc.integer({ min: 1, max: 100 }).map((n) => `${n}%`),
)
const anyText: fc.Arbitrary<StrategyText> = fc.oneof(
  fc.constant({}),
  fc.constant({ strategy: 'canary' }),
  fc.constant({ strategy: 'all-at-once' }),
  anySize.map((waves) => ({ strategy: 'canary', waves })),
  fc.array(anySize, { minLength: 1, maxLength: 5 }).map((sizes) => ({ waves: sizes.join(',') })),
  fc
    .constantFrom('role=canary;role=web;*', '*', 'role=db;role=db;*')
    .map((wavesBy) => ({ wavesBy })),
)

describe('a strategy', () => {
  it('puts every host into exactly one wave and leaves no wave empty', () => {
    fc.assert(
      fc.property(anyText, anyHosts, (text, hosts) => {
        const waves = wavesOf(text, hosts)
        expect([...waves.flat()].sort()).toEqual(hosts.map((host) => host.name).sort())
        expect(waves.every((wave) => wave.length > 0)).toBe(true)
      }),
    )
  })

  it('gives the same waves whatever the order of the hosts', () => {
    fc.assert(
      fc.property(anyText, anyHosts, (text, hosts) => {
        expect(wavesOf(text, [...hosts].reverse())).toEqual(wavesOf(text, hosts))
      }),
    )
  })

  it('orders hosts by the hash of manifest and name', () => {
    const hosts = Array.from({ length: 40 }, (_, i) => ({ name: `h${i}`, tags: [] }))
    const rank = (name: string): string =>
      createHash('sha256').update(MANIFEST, 'hex').update(name).digest('hex')
    const twin = hosts.map((host) => host.name).sort((a, b) => rank(a).localeCompare(rank(b)))
    expect(orderHosts(hosts, MANIFEST).map((host) => host.name)).toEqual(twin)
    expect(orderHosts(hosts, 'cd'.repeat(32)).map((host) => host.name)).not.toEqual(twin)
  })

  it.each<[StrategyText, number[]]>([
    [{}, [1, 9]],
    [{ strategy: 'canary' }, [1, 9]],
    [{ strategy: 'canary', waves: '20%' }, [2, 8]],
    [{ strategy: 'staged' }, [1, 3, 6]],
    [{ strategy: 'staged', waves: '1,50%,100%' }, [1, 5, 4]],
    [{ waves: '25%,100%' }, [3, 7]],
    [{ waves: '1,3' }, [1, 3, 3, 3]],
    [{ waves: '50%' }, [5, 3, 1, 1]],
    [{ strategy: 'all-at-once' }, [10]],
  ])('%j cuts ten hosts into %j', (text, sizes) => {
    const hosts = Array.from({ length: 10 }, (_, i) => ({ name: `h${i}`, tags: [] }))
    expect(wavesOf(text, hosts).map((wave) => wave.length)).toEqual(sizes)
  })

  it('by selectors gives a host to the first that takes it', () => {
    const hosts = [
      { name: 'a', tags: ['role=web', 'role=canary'] },
      { name: 'b', tags: ['role=web'] },
      { name: 'c', tags: [] },
    ]
    expect(wavesOf({ wavesBy: 'role=canary;role=web;env=none;*' }, hosts)).toEqual([
      ['a'],
      ['b'],
      ['c'],
    ])
  })

  it('is told to people as it was meant', () => {
    expect(describeStrategy(strategyOf({}))).toBe('canary 1,100%')
    expect(describeStrategy(strategyOf({ wavesBy: 'role=web;*' }))).toBe('waves by role=web;*')
  })

  it.each<[StrategyText, string, number | undefined]>([
    [{ strategy: 'rolling' }, 'STRATEGY_MALFORMED', undefined],
    [{ strategy: 'all-at-once', waves: '1' }, 'STRATEGY_MALFORMED', undefined],
    [{ strategy: 'canary', waves: '1,2' }, 'STRATEGY_MALFORMED', undefined],
    [{ strategy: 'canary', wavesBy: '*' }, 'STRATEGY_MALFORMED', undefined],
    [{ waves: '1,0' }, 'STRATEGY_MALFORMED', 2],
    [{ waves: '1,101%' }, 'STRATEGY_MALFORMED', 2],
    [{ waves: '1,' }, 'STRATEGY_MALFORMED', 2],
    [{ waves: '251' }, 'STRATEGY_MALFORMED', 0],
    [{ wavesBy: 'role=web;role' }, 'SELECTOR_MALFORMED', 13],
  ])('%j is refused as %s at %s', (text, code, at) => {
    const result = parseStrategy(text)
    expect(result.ok ? 'taken' : { code: result.error.code, at: result.error.at }).toEqual({
      code,
      at,
    })
  })

  it('refuses no hosts, a host named twice, and a host that no wave takes', () => {
    const a = { name: 'a', tags: [] }
    const code = (hosts: readonly (typeof a)[], text: StrategyText): string => {
      const waves = resolveWaves({ strategy: strategyOf(text), hosts, manifest: MANIFEST })
      return waves.ok ? 'taken' : waves.error.code
    }
    expect(code([], {})).toBe('NO_HOSTS')
    expect(code([a, a], {})).toBe('HOST_TWICE')
    expect(code([a], { wavesBy: 'role=web' })).toBe('HOST_UNMATCHED')
  })
})

describe('the floors', () => {
  const floors: PolicyFloors = { canaryMin: 2, soakMsMin: 1000, wavePercentMax: 50, budgetMax: 1 }
  const policy: Policy = {
    soakMs: 1000,
    confirmMs: DEMO.leaseMs,
    startTimeoutMs: DEMO.leaseMs,
    budget: { kind: 'count', count: 1 },
    onFailure: 'halt',
    maxInFlight: [],
  }
  const check = (sizes: number[], changes: Partial<Policy> = {}, groupSize = 10): object[] => {
    let next = 0
    const waves = sizes.map((size) => Array.from({ length: size }, () => `h${next++}`))
    return [...checkFloors({ waves, policy: { ...policy, ...changes }, floors, groupSize })]
  }

  it('say nothing of a plan that respects them', () => {
    expect(check([2, 5, 3])).toEqual([])
  })

  it('ask for a canary of a least size, or for the whole of a smaller plan', () => {
    expect(check([1, 5])).toEqual([{ floor: 'canaryMin', expected: 2, found: 1, wave: 0 }])
    expect(check([1])).toEqual([])
  })

  it('bound every wave by its share of the group, the first too', () => {
    expect(check([2, 6, 2])).toEqual([{ floor: 'wavePercentMax', expected: 5, found: 6, wave: 1 }])
    expect(check([10])).toEqual([{ floor: 'wavePercentMax', expected: 5, found: 10, wave: 0 }])
  })

  it('let a small group have the canary that they ask for', () => {
    expect(check([2, 1], {}, 3)).toEqual([])
    expect(check([2], {}, 2)).toEqual([])
  })

  it('bound soak and budget', () => {
    expect(check([2, 5], { soakMs: 999 })).toEqual([
      { floor: 'soakMsMin', expected: 1000, found: 999 },
    ])
    const budget = { kind: 'percent', percent: 30 } as const
    expect(check([2, 5], { budget })).toEqual([{ floor: 'budgetMax', expected: 1, found: 2 }])
  })
})

describe('a budget', () => {
  it('in percent is breached exactly when more than that share has failed', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.integer({ min: 1, max: 250 }), (percent, hosts) => {
        const count = budgetCount({ kind: 'percent', percent }, hosts)
        expect(count * 100).toBeLessThanOrEqual(hosts * percent)
        expect((count + 1) * 100).toBeGreaterThan(hosts * percent)
      }),
    )
    expect(budgetCount({ kind: 'count', count: 7 }, 3)).toBe(7)
  })
})

function strategyOf(text: StrategyText): Strategy {
  const strategy = parseStrategy(text)
  if (!strategy.ok) throw strategy.error
  return strategy.value
}

function wavesOf(
  text: StrategyText,
  hosts: readonly { name: string; tags: string[] }[],
): readonly (readonly string[])[] {
  const waves = resolveWaves({ strategy: strategyOf(text), hosts, manifest: MANIFEST })
  if (!waves.ok) throw waves.error
  return waves.value
}
