/**
 * kill −9 of whoever gets, whoever gives, and both, at fifty moments of a seeded draw: every download
 * ends whole, no piece is accepted twice or wrong, and nothing half-done is left.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { seededRandom } from '../../node/network/memory-hub.ts'
import { narOfDisk } from '../../node/system/nar-disk.ts'
import { type ManifestPath, PIECE_BYTES, pieceCount, sha256, toHex } from '../../protocol/index.ts'
import { bytesOf } from '../portable-build.ts'
import { pause } from './fleet-processes.ts'
import { closureOf, type PeerName, type Staged, SwarmPair } from './swarm-pair.ts'

const SEED = 20_261
const KILLS = 50
/** A closure of three paths and nine pieces, the last of each path a short one. */
const TREES = [3.5 * PIECE_BYTES, 2.25 * PIECE_BYTES, PIECE_BYTES / 2]
/** Slow enough that a kill finds it under way: a closure takes more than a second. */
const DOWNLOAD_RATE = 5 * PIECE_BYTES
/** The longest wait between a start and the next kill, in ms. */
const KILL_MS_MAX = 900
const VICTIMS: readonly (readonly PeerName[])[] = [['getter'], ['seeder'], ['getter', 'seeder']]

let pair: SwarmPair
const random = seededRandom(SEED)
const pick = (count: number): number => Math.floor(random() * count)

beforeAll(async () => {
  pair = await SwarmPair.create({ seed: SEED, downloadRate: DOWNLOAD_RATE })
  await pair.start('seeder')
  await pair.start('getter')
}, 60_000)
afterAll(async () => await pair?.destroy())

/** One closure on its way to the getter, asked for again in each of its lives. */
interface Download {
  readonly trees: readonly string[]
  readonly paths: readonly ManifestPath[]
  done: Staged | undefined
}

async function begin(): Promise<Download> {
  const trees = TREES.map((bytes) => pair.tree(bytes))
  const download: Download = { trees, paths: closureOf(await pair.add(trees)), done: undefined }
  resume(download)
  return download
}

function resume(download: Download): void {
  pair.know('seeder', download.paths)
  pair.stage(download.paths, (staged) => {
    if (staged.generation === download.paths[0]?.path) download.done = staged
  })
}

/** The hash of each piece of every path, from the trees and not from what the hosts say. */
async function expectedPieces(
  downloads: readonly Download[],
): Promise<ReadonlyMap<string, string>> {
  const expected = new Map<string, string>()
  for (const { trees, paths } of downloads) {
    for (const [i, tree] of trees.entries()) {
      const { narHash = '', narSize = 0 } = paths[i] ?? {}
      const nar = await bytesOf(narOfDisk(tree, tree))
      expect(toHex(sha256(nar))).toBe(narHash)
      for (let piece = 0; piece < pieceCount(narSize); piece++) {
        const from = piece * PIECE_BYTES
        const bytes = nar.subarray(from, from + PIECE_BYTES)
        expected.set(`${narHash} ${from}`, toHex(sha256(bytes)))
      }
    }
  }
  return expected
}

it('ends every download whole, whoever is killed whenever', async () => {
  const startedAt = performance.now()
  const downloads = [await begin()]
  const current = (): Download => downloads.at(-1) as Download
  const hits = { getter: 0, seeder: 0, both: 0, underWay: 0 }
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(pick(KILL_MS_MAX))
    const victims = VICTIMS[kill % VICTIMS.length] ?? []
    if (current().done === undefined) hits.underWay++
    hits[victims.length > 1 ? 'both' : (victims[0] ?? 'getter')]++
    await Promise.all(victims.map((name) => pair.kill(name)))
    await Promise.all(victims.map((name) => pair.start(name)))
    if (current().done === undefined) resume(current())
    else downloads.push(await begin())
  }
  while (current().done === undefined) await pause(20)

  for (const { done } of downloads) expect(done?.outcome).toEqual({ ok: true })
  expect(hits.underWay, 'most kills find a download under way').toBeGreaterThan(KILLS / 2)
  const expected = await expectedPieces(downloads)
  const accepted = pair.accepted('getter')
  const places = accepted.map(({ nar, from }) => `${nar} ${from}`)
  expect(new Set(places).size, 'no piece is accepted twice').toBe(places.length)
  for (const { nar, from, hash } of accepted) expect(hash).toBe(expected.get(`${nar} ${from}`))
  // A getter that dies between its write and its word about it has accepted one more.
  expect(places.length).toBeLessThanOrEqual(expected.size)
  expect(expected.size - places.length).toBeLessThanOrEqual(hits.getter + hits.both)
  for (const { trees, paths } of downloads) {
    for (const [i, tree] of trees.entries()) {
      const stored = join(pair.dataOf('getter'), 'system', 'store', paths[i]?.path ?? '', 'bulk')
      expect(readFileSync(stored).equals(readFileSync(join(tree, 'bulk')))).toBe(true)
    }
  }
  expect({ getter: pair.leftovers('getter'), seeder: pair.leftovers('seeder') }).toEqual({
    getter: [],
    seeder: [],
  })
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
  process.stdout.write(
    `swarm kills: ${KILLS} (getter ${hits.getter}, seeder ${hits.seeder}, both ${hits.both}; ${hits.underWay} under way), ${downloads.length} downloads of ${accepted.length} pieces, ${seconds} s\n`,
  )
}, 300_000)
