/** Two generations that share most of their closure: only the difference travels. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ManifestPath, PIECE_BYTES } from '../../protocol/index.ts'
import { closureOf, type Staged, SwarmPair } from './swarm-pair.ts'

const PATHS = 40
/** Of the paths of the second generation the first has so many: 95 %. */
const SHARED = 38
const PATH_BYTES = PIECE_BYTES + PIECE_BYTES / 2

let pair: SwarmPair
beforeAll(async () => {
  pair = await SwarmPair.create({ seed: 4, downloadRate: 0 })
  await pair.start('seeder')
  await pair.start('getter')
}, 60_000)
afterAll(async () => await pair?.destroy())

function sum(paths: readonly ManifestPath[]): number {
  return paths.reduce((total, { narSize }) => total + narSize, 0)
}

async function stage(paths: readonly ManifestPath[]): Promise<Staged> {
  pair.know('seeder', paths)
  return await new Promise((resolve) => pair.stage(paths, resolve))
}

it('moves no more than 1.05 of what the second generation does not share with the first', async () => {
  const trees = Array.from({ length: PATHS }, () => pair.tree(PATH_BYTES))
  const paths = await pair.add(trees)
  const first = closureOf(paths)
  const once = await stage(first)
  expect(once.outcome).toEqual({ ok: true })

  const before = pair.accepted('getter').length
  const fresh = await pair.add(trees.slice(SHARED).map(() => pair.tree(PATH_BYTES)))
  const second = closureOf([...fresh, ...paths.slice(0, SHARED)])
  const shared = sum(second) - sum(fresh)
  expect(shared / sum(second)).toBeCloseTo(0.95, 3)
  const twice = await stage(second)
  expect(twice.outcome).toEqual({ ok: true })

  const ratio = twice.moved / sum(fresh)
  process.stdout.write(
    `second generation: ${twice.moved} bytes came in for a difference of ${sum(fresh)}: ${ratio.toFixed(4)} of it, at most 1.05; the closure has ${sum(second)}\n`,
  )
  expect(ratio).toBeGreaterThanOrEqual(1)
  expect(ratio).toBeLessThanOrEqual(1.05)
  const again = pair.accepted('getter').slice(before)
  expect(again.length, 'two pieces for each fresh path').toBe(2 * fresh.length)
  const names = new Set(fresh.map(({ narHash }) => narHash))
  expect(again.filter(({ nar }) => !names.has(nar))).toEqual([])
  expect(pair.leftovers('getter')).toEqual([])

  const third = await stage(second)
  expect(third.moved, 'what is held is never asked for').toBe(0)
}, 120_000)
