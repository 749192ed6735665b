/** Back is a list filter, and the order in which facts arrive does not matter in the end (S18). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { generationsBack, topOf, withEntry, withoutEntry } from '../../../rollout/host-back.ts'
import { STACK_ENTRIES_MAX } from '../../../rollout/host-limits.ts'
import {
  ENROLMENT,
  type HostRollout,
  type HostState,
  initialHost,
  type StackEntry,
} from '../../../rollout/host-state.ts'
import type { RolloutOrders } from '../../../rollout/orders.ts'
import { OLD, ordersFor, rolloutId, started } from './host-setting.ts'
import { World } from './host-world.ts'

const bottom: StackEntry = { rollout: ENROLMENT, generation: OLD, barred: false }

function entry(n: number): StackEntry {
  return { rollout: rolloutId(n), generation: `gen-${n % 4}`, barred: false }
}

describe('the stack', () => {
  it('is what was pushed and not taken off, whatever the order of the removals', () => {
    const moves = fc.array(fc.record({ push: fc.boolean(), n: fc.integer({ min: 1, max: 12 }) }), {
      maxLength: 40,
    })
    fc.assert(
      fc.property(moves, (steps) => {
        let stack: readonly StackEntry[] = [bottom]
        let twin: number[] = []
        for (const { push, n } of steps) {
          stack = push ? withEntry(stack, entry(n)) : withoutEntry(stack, rolloutId(n))
          twin = twin.filter((one) => one !== n)
          if (push) twin.push(n)
        }
        expect(stack).toEqual([bottom, ...twin.map(entry)])
        expect(topOf(stack)).toEqual(twin.length === 0 ? bottom : entry(twin.at(-1) ?? 0))
      }),
    )
  })

  it('keeps its enrolment and its newest entries at the bound', () => {
    let stack: readonly StackEntry[] = [bottom]
    for (let n = 1; n <= STACK_ENTRIES_MAX + 10; n++) stack = withEntry(stack, entry(n))
    expect(stack).toHaveLength(STACK_ENTRIES_MAX + 1)
    expect(stack[0]).toEqual(bottom)
    expect(topOf(stack)).toEqual(entry(STACK_ENTRIES_MAX + 10))
    expect(withoutEntry(stack, ENROLMENT)).toEqual(stack)
  })

  it('names at most five distinct generations, the newest first', () => {
    const stack = [1, 2, 3, 2, 4, 5, 6].map((n) => ({ ...entry(n), generation: `gen-${n}` }))
    expect(generationsBack(stack)).toEqual(['gen-6', 'gen-5', 'gen-4', 'gen-2', 'gen-3'])
  })
})

const HISTORY = 4

/** A host that committed four rollouts, two of them the same generation. */
function veteran(): HostState {
  const fresh = initialHost({ generation: OLD, boot: 'boot-1' })
  const rollouts = Array.from(
    { length: HISTORY },
    (_, i): HostRollout => ({
      rollout: rolloutId(i + 1),
      round: 0,
      phase: 'COMMITTED',
      signed: ['COMMITTED'],
      generation: `gen-${(i + 1) % 3}`,
      halted: false,
      ran: true,
    }),
  )
  const entries = rollouts.map(({ rollout, generation = '' }) => ({
    rollout,
    generation,
    barred: false,
  }))
  return { ...fresh, rollouts, stack: [...fresh.stack, ...entries] }
}

/** A fact: which rollout it is about and what it says. */
interface Fact {
  readonly n: number
  readonly says: Partial<RolloutOrders>
}

/** Orders under the facts that have arrived. The rollout 5 is admitted once anything of it is known. */
function under(facts: readonly Fact[]): RolloutOrders[] {
  const admitted = facts.some((fact) => fact.n === HISTORY + 1)
  const count = admitted ? HISTORY + 1 : HISTORY
  return Array.from({ length: count }, (_, i) => {
    const n = i + 1
    const said = facts.filter((fact) => fact.n === n).map((fact) => fact.says)
    const past = n <= HISTORY ? { ...started(), status: 'complete' as const } : {}
    return ordersFor(
      n,
      Object.assign({ generation: `gen-${n % 3}`, last: n === count, ...past }, ...said),
    )
  })
}

const REVERT: Partial<RolloutOrders> = { halted: true, revert: true, revertWhy: 'halt' }
const FUTURES: readonly (readonly Fact[])[] = [
  [],
  [
    { n: 5, says: started() },
    { n: 5, says: { soaked: [0] } },
  ],
  [
    { n: 5, says: started() },
    { n: 5, says: { failed: [0] } },
  ],
  [
    { n: 5, says: started() },
    { n: 5, says: { soaked: [0] } },
    { n: 5, says: REVERT },
  ],
]

describe('S18: the same history and the same facts', () => {
  it('rest on the same generation, whatever the order of arrival and wherever the daemon dies', () => {
    const rests = new Set<string>()
    const input = fc.record({
      reverted: fc.subarray([1, 2, 3, 4]),
      future: fc.constantFrom(...FUTURES),
      pauses: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 16, maxLength: 16 }),
      crashAt: fc.integer({ min: 0, max: 7 }),
    })
    const shuffled = input.chain(({ reverted, future, pauses, crashAt }) => {
      const facts = [...reverted.map((n) => ({ n, says: REVERT })), ...future]
      const order = fc.shuffledSubarray(facts, { minLength: facts.length })
      return fc.record({
        one: order,
        other: order,
        pauses: fc.constant(pauses),
        crashAt: fc.constant(crashAt),
      })
    })
    fc.assert(
      fc.property(shuffled, ({ one, other, pauses, crashAt }) => {
        const first = settled(one, pauses, crashAt)
        const second = settled(other, [...pauses].reverse(), -1)
        expect(first).toEqual(second)
        rests.add(first.running)
      }),
      { numRuns: 100 },
    )
    expect(rests.size).toBeGreaterThan(2)
  })
})

function settled(
  facts: readonly Fact[],
  pauses: readonly number[],
  crashAt: number,
): { running: string; stack: readonly StackEntry[] } {
  const world = new World([], veteran())
  facts.forEach((_, i) => {
    world.orders(...under(facts.slice(0, i + 1)))
    for (let step = 0; step < (pauses[i] ?? 0); step++) {
      if (!world.perform() && !world.deliver()) world.tick()
    }
    if (i !== crashAt) return
    world.crash()
    world.restart()
  })
  world.orders(...under(facts))
  world.rest(90_000, 5_000)
  expect([world.running, world.bootDefault]).toEqual([world.top, world.top])
  return { running: world.running, stack: world.state.stack }
}
