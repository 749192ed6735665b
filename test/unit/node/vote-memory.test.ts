/** What a voter gathers from its peers' memories of it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VoteMemory } from '../../../node/vote-memory.ts'
import type { GateMessage, VoteKind } from '../../../protocol/index.ts'
import type { DiskMemory, GateMachine } from '../../../rollout/index.ts'

const SELF = 'a'.repeat(64)
const OAK = 'b'.repeat(64)
const ELM = 'd'.repeat(64)
const BLOCK = 'c'.repeat(64)
const OTHERS = [
  { name: 'oak', key: OAK },
  { name: 'elm', key: ELM },
]

interface Known {
  readonly view?: number
  readonly committed?: number
  readonly own?: GateMachine['own']
  readonly blocks?: ReadonlyMap<string, object>
}

function machine(known: Known): GateMachine {
  const { view = 1, committed = 0, own = new Map(), blocks = new Map() } = known
  return { view, committed: { view: committed }, own, blocks } as unknown as GateMachine
}

function block(view: number, leader: string): GateMessage {
  return { kind: 'block', block: { id: BLOCK, leader, body: { view } } } as unknown as GateMessage
}

/** Of three voters of which none lies. */
function memory(disk: DiskMemory = 'doubtful'): VoteMemory {
  const one = new VoteMemory({ self: SELF, others: OTHERS, sizes: { n: 3, q: 2, f: 0 }, disk })
  one.toAsk(['oak', 'elm'])
  return one
}

function vote(view: number, kind: VoteKind, voter: string = SELF): GateMessage {
  const block = kind === 'skip' ? undefined : BLOCK
  return { kind: 'vote', vote: { kind, voter, body: { view, block } } } as unknown as GateMessage
}

function certificate(view: number, kind: VoteKind = 'skip'): GateMessage {
  return { kind: 'certificate', certificate: { kind, body: { view } } } as unknown as GateMessage
}

function floorOf(one: VoteMemory): unknown {
  const { ruling } = one
  return ruling.kind === 'speak' ? ruling.floor : ruling
}

describe('a voter in doubt', () => {
  it('asks each voter once, others never, and again those who did not answer', () => {
    const one = new VoteMemory({
      ...{ self: SELF, others: OTHERS, sizes: { n: 3, q: 2, f: 0 } },
      disk: 'doubtful',
    })
    expect(one.toAsk(['oak', 'ash'])).toEqual(['oak'])
    expect(one.toAsk(['oak', 'elm'])).toEqual(['elm'])
    one.lost('oak')
    expect(one.toAsk(['oak', 'elm'])).toEqual(['oak'])
    one.take('elm', [], machine({}))
    expect(one.ruling).toEqual({ kind: 'wait', missing: 1 })
    one.take('oak', [], machine({}))
    expect(one.ruling.kind).toBe('speak')
    expect(one.toAsk(['oak', 'elm'])).toEqual([])
  })

  it('counts no answer that it did not ask for, and nobody twice', () => {
    const one = memory()
    one.take('ash', [vote(3, 'notarize')], machine({}))
    one.take('oak', [], machine({}))
    one.take('oak', [], machine({}))
    expect(one.ruling).toEqual({ kind: 'wait', missing: 1 })
  })

  it('decides nothing up to one view above those that it heard of, and repeats its vote for a block', () => {
    const one = memory()
    one.take('oak', [certificate(7), certificate(5, 'final')], machine({}))
    one.take('elm', [certificate(6, 'notarize'), vote(8, 'notarize', ELM)], machine({}))
    expect(floorOf(one)).toEqual({ final: 9, skip: 8, notarize: 0 })
  })

  it('takes no word of one voter for that of another', () => {
    const one = memory()
    one.take('oak', [certificate(7), vote(8, 'notarize', ELM)], machine({}))
    one.take('elm', [], machine({}))
    expect(floorOf(one)).toEqual({ final: 9, skip: 0, notarize: 0 })
  })

  it('asks a blank voter again, and does not count it', () => {
    const one = memory()
    one.takeBlank('oak')
    one.lost('oak')
    one.take('elm', [], machine({}))
    expect(one.ruling).toEqual({ kind: 'wait', missing: 1 })
    expect(one.toAsk(['oak', 'elm'])).toEqual(['oak'])
  })
})

describe('a voter that is shown what its disk does not hold', () => {
  it('has lost it, and casts no vote of any kind there', () => {
    const own = new Map([[7, { notarize: BLOCK, skip: false, final: undefined }]])
    const at = machine({ view: 8, committed: 5, own })
    const one = memory()
    one.take('oak', [certificate(7), vote(9, 'skip'), vote(7, 'notarize')], at)
    one.take('elm', [], at)
    expect(floorOf(one)).toEqual({ final: 9, skip: 0, notarize: 9 })
  })

  it('does not lead a view again in which its disk forgot a proposal', () => {
    const at = machine({ view: 8, committed: 5 })
    const held = machine({ view: 8, committed: 5, blocks: new Map([[BLOCK, {}]]) })
    const cases = [
      [at, 9, SELF, 9],
      [held, 9, SELF, 2],
      [at, 5, SELF, 2],
      [at, 9, OAK, 2],
    ] as const
    for (const [disk, view, leader, final] of cases) {
      const one = memory()
      one.take('oak', [block(view, leader)], disk)
      one.take('elm', [], disk)
      expect(floorOf(one)).toMatchObject({ final })
    }
  })

  it('never stands below any vote that its disk forgot', () => {
    const kinds = fc.constantFrom<VoteKind>('notarize', 'skip', 'final')
    const shown = fc.array(fc.tuple(fc.integer({ min: 6, max: 30 }), kinds), { maxLength: 12 })
    fc.assert(
      fc.property(shown, shown, (journaled, votes) => {
        const own = new Map<number, { notarize?: string; skip: boolean; final?: string }>()
        for (const [view, kind] of journaled) {
          const known = own.get(view) ?? { skip: false }
          own.set(view, { ...known, ...(kind === 'skip' ? { skip: true } : { [kind]: BLOCK }) })
        }
        const at = machine({ view: 31, committed: 5, own: own as unknown as GateMachine['own'] })
        const one = memory()
        one.take(
          'oak',
          votes.map(([view, kind]) => vote(view, kind)),
          at,
        )
        one.take('elm', [], at)
        const forgotten = votes.filter(
          ([view, kind]) => !journaled.some(([v, k]) => v === view && k === kind),
        )
        expect(floorOf(one)).toMatchObject({
          final: Math.max(2, ...forgotten.map(([view]) => view)),
        })
      }),
    )
  })
})
