/** R1 against its own words: where a block may stand, over random trees of blocks and certificates. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Block } from '../../../protocol/index.ts'
import { groundOf, parentFor } from '../../../rollout/gate-chain.ts'
import { type GateMachine, newGateMachine } from '../../../rollout/gate-machine.ts'
import { summary } from '../../../rollout/gate-repair.ts'
import { stepGate } from '../../../rollout/gate-step.ts'
import {
  asMessage,
  blockAt,
  certificateOf,
  fakeConfig,
  fakeGenesis,
  fakeRules,
  GENESIS,
} from './gate-fakes.ts'

const VIEWS = 9
const config = fakeConfig({ n: 4 })

/** What happened in one view; `parent` picks among the blocks of earlier views and genesis. */
interface View {
  readonly block: boolean
  readonly parent: number
  readonly notarized: boolean
  readonly skipped: boolean
}

interface Tree {
  readonly machine: GateMachine
  readonly blocks: readonly Block[]
  readonly notarized: ReadonlySet<string>
  readonly skipped: ReadonlySet<number>
}

const views: fc.Arbitrary<readonly View[]> = fc.array(
  fc.record({
    block: fc.boolean(),
    parent: fc.nat(VIEWS),
    notarized: fc.boolean(),
    skipped: fc.boolean(),
  }),
  { minLength: VIEWS, maxLength: VIEWS },
)

function grow(views: readonly View[]): Tree {
  const blocks: Block[] = []
  const notarized = new Set<string>()
  const skipped = new Set<number>()
  const parts = views.flatMap((one, i) => {
    const view = i + 1
    const certificates = one.skipped ? [certificateOf(config, 'skip', view)] : []
    if (one.skipped) skipped.add(view)
    if (!one.block) return certificates
    const parent = [GENESIS, ...blocks.map(({ id }) => id)][one.parent % (blocks.length + 1)]
    const block = blockAt(config, { view, ...(parent === undefined ? {} : { parent }) })
    blocks.push(block)
    if (!one.notarized) return [...certificates, block]
    notarized.add(block.id)
    return [...certificates, block, certificateOf(config, 'notarize', block)]
  })
  const start = newGateMachine(config, fakeGenesis())
  const machine = parts.reduce(
    (at, part) =>
      stepGate(at, { kind: 'message', message: asMessage(part) }, fakeRules(new Set())).machine,
    start,
  )
  return { machine, blocks, notarized, skipped }
}

/** R1 word by word: cert(notarize, u), and cert(skip, j) for every u < j < v. Genesis is notarized. */
function mayStand(tree: Tree, parent: string, view: number): boolean {
  const below = tree.blocks.find(({ id }) => id === parent)?.body.view ?? 0
  const between = Array.from({ length: VIEWS }, (_, i) => i + 1).filter(
    (j) => below < j && j < view,
  )
  const certified = parent === GENESIS || tree.notarized.has(parent)
  return below < view && certified && between.every((j) => tree.skipped.has(j))
}

describe('R1', () => {
  it('a block has ground exactly where the rule lets it stand', () => {
    let stood = 0
    fc.assert(
      fc.property(views, fc.integer({ min: 1, max: VIEWS + 1 }), (given, view) => {
        const tree = grow(given)
        for (const parent of [GENESIS, ...tree.blocks.map(({ id }) => id)]) {
          const allowed = mayStand(tree, parent, view)
          if (allowed) stood++
          const ground = groundOf(tree.machine, blockAt(config, { view, parent }))
          expect(ground?.head).toBe(allowed ? parent : undefined)
        }
      }),
    )
    expect(stood).toBeGreaterThan(0)
  })

  it('a leader stands on the newest block that the rule allows', () => {
    fc.assert(
      fc.property(views, fc.integer({ min: 1, max: VIEWS + 1 }), (given, view) => {
        const tree = grow(given)
        const allowed = [GENESIS, ...tree.blocks.map(({ id }) => id)].filter((parent) =>
          mayStand(tree, parent, view),
        )
        expect(parentFor(tree.machine, view)?.block).toBe(allowed.at(-1))
      }),
    )
  })
})

describe('a summary', () => {
  it('names the first view above the newest notarized block that is not skipped', () => {
    fc.assert(
      fc.property(views, (given) => {
        const { machine, blocks, notarized, skipped } = grow(given)
        const newest = blocks.findLast(({ id }) => notarized.has(id))?.body.view ?? 0
        const open = Array.from({ length: VIEWS + 1 }, (_, i) => newest + 1 + i)
        expect(summary(machine).missing).toBe(open.find((view) => !skipped.has(view)))
      }),
    )
  })
})
