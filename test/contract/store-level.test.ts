/** The store contract over LevelDB, a writer that is killed, and a disk that runs full. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Store } from '../../node/ports.ts'
import { openLevelStore } from '../../node/store/level.ts'
import { suiteNeeds } from '../require.ts'
import { entriesOf, storeContract } from './store.ts'

const WRITER = fileURLToPath(new URL('./store-writer.ts', import.meta.url))
const KILL_AFTER_ACKS = [1, 40, 300]

function makeDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'nixfleet-store-'))
}

storeContract('the level store', async () => {
  const directory = makeDirectory()
  return {
    open: () => openLevelStore(join(directory, 'db')),
    remove: async () => rmSync(directory, { recursive: true }),
  }
})

describe('the level store', () => {
  it.each(KILL_AFTER_ACKS)(
    'loses no acknowledged synced batch to kill -9 after %i',
    async (acks) => {
      const directory = makeDirectory()
      const last = await writeAndKill(directory, acks)
      expect(last).toBeGreaterThanOrEqual(acks - 1)

      const store = await openLevelStore(directory)
      const left = await entriesOf(store, 'left/', 'left0')
      const right = await entriesOf(store, 'right/', 'right0')
      await store.close()
      rmSync(directory, { recursive: true })
      expect(left.length).toBeGreaterThan(last)
      expect(right.map(([, value]) => value)).toEqual(left.map(([, value]) => value))
    },
  )

  it('says what is wrong when the directory cannot be one', async () => {
    const directory = makeDirectory()
    writeFileSync(join(directory, 'db'), 'a file')
    await expect(openLevelStore(join(directory, 'db'))).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
    })
    rmSync(directory, { recursive: true })
  })
})

/** Runs the writer until it has said `acks` numbers, kills it, and gives the last number it said. */
async function writeAndKill(directory: string, acks: number): Promise<number> {
  const child = spawn(process.execPath, ['--import', 'tsx', WRITER, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (said.split('\n').length > acks) child.kill('SIGKILL')
  })
  const signal = await new Promise((resolve) => child.once('close', (_code, name) => resolve(name)))
  expect(signal).toBe('SIGKILL')
  return Number(said.trimEnd().split('\n').at(-1))
}

const TMPFS_BYTES = 24 * 1024 * 1024

const onSmallDisk = suiteNeeds('a small tmpfs, which takes root', () => {
  if (process.getuid?.() !== 0) return 'not root'
  const directory = makeDirectory()
  const mounted = mountSmall(directory)
  if (mounted) spawnSync('umount', [directory])
  rmSync(directory, { recursive: true })
  return mounted || 'mount of a tmpfs failed'
})

function mountSmall(directory: string): boolean {
  const options = ['-t', 'tmpfs', '-o', `size=${TMPFS_BYTES}`, 'nixfleet-test', directory]
  return spawnSync('mount', options).status === 0
}

onSmallDisk('the level store on a full disk', () => {
  let directory: string
  let store: Store

  beforeEach(async () => {
    directory = makeDirectory()
    expect(mountSmall(directory)).toBe(true)
    store = await openLevelStore(join(directory, 'db'))
  })
  afterEach(async () => {
    await store.close()
    spawnSync('umount', [directory])
    rmSync(directory, { recursive: true })
  })

  it('says STORE_FULL, still reads, and goes on by itself once there is room', async () => {
    const ballast = join(directory, 'ballast')
    writeFileSync(ballast, new Uint8Array(20 * 1024 * 1024))
    const written = await fill(store)
    expect(written.length).toBeGreaterThan(0)
    expect([...((await store.get(written[0] ?? '')) ?? [])].length).toBe(64 * 1024)
    const late = { key: 'late', value: Uint8Array.of(1) }
    await expect(store.write([late], { sync: true })).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(await store.get('late')).toBeUndefined()

    rmSync(ballast)
    await Promise.all([
      store.write([late], { sync: true }),
      store.write([{ key: 'later', value: Uint8Array.of(2) }], { sync: true }),
    ])
    await store.close()
    store = await openLevelStore(join(directory, 'db'))
    const keys = (await entriesOf(store)).map(([key]) => key)
    expect(keys).toEqual(expect.arrayContaining([...written, 'late', 'later']))
  })
})

/** Writes synced batches until the disk is full; the keys of those that were acknowledged. */
async function fill(store: Store): Promise<string[]> {
  const written: string[] = []
  for (let n = 0; n < 10_000; n++) {
    const key = `fill/${String(n).padStart(5, '0')}`
    const value = Uint8Array.from({ length: 64 * 1024 }, (_, i) => (n * 31 + i * 7) % 251)
    try {
      await store.write([{ key, value }], { sync: true })
    } catch (error) {
      expect(error).toMatchObject({ code: 'STORE_FULL', fix: expect.stringMatching(/Free space/) })
      return written
    }
    written.push(key)
  }
  throw new Error('expected the disk to run full, and it did not')
}
