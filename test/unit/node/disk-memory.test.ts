/** A disk that was put back is recognised by what stands beside it, wherever the node died (SPEC §7.6). */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { diskMemoryOp, openCountedStore, readDiskMemory } from '../../../node/disk-memory.ts'
import type { DiskWitness, Logger, Store } from '../../../node/ports.ts'
import { MemoryDisk } from '../../../node/store/memory.ts'
import { openWitness } from '../../../node/witness-file.ts'
import type { DiskMemory } from '../../../rollout/index.ts'

let draws = 0
const random = { bytes: (count: number) => new Uint8Array(count).fill(++draws) }

class Witness implements DiskWitness {
  held: Uint8Array | undefined
  fails = false

  async read(): Promise<Uint8Array | undefined> {
    return this.held
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.fails) throw new Error('no witness')
    this.held = bytes
  }
}

function copyOf(disk: MemoryDisk): MemoryDisk {
  const copy = new MemoryDisk()
  copy.apply(
    disk.slice('', '~').map(([key, value]) => ({ key, value })),
    true,
  )
  return copy
}

async function opened(disk: MemoryDisk, witness: DiskWitness, isNew = false): Promise<Store> {
  disk.crash()
  return await openCountedStore(disk.open(), { witness, random, isNew })
}

async function memoryOf(
  disk: MemoryDisk,
  witness: DiskWitness,
  isNew = false,
): Promise<DiskMemory> {
  return await readDiskMemory(await opened(disk, witness, isNew))
}

async function write(store: Store, key: string): Promise<void> {
  await store.write([{ key, value: Uint8Array.of(1) }], { sync: true })
}

/** A disk that was used and has settled what it was. */
async function used(witness: DiskWitness): Promise<{ disk: MemoryDisk; store: Store }> {
  const disk = new MemoryDisk()
  const store = await opened(disk, witness, true)
  await store.write([diskMemoryOp('kept')], { sync: true })
  await write(store, 'vote/1')
  return { disk, store }
}

describe('a disk', () => {
  it('that is empty is new if somebody says so, and blank otherwise', async () => {
    expect(await memoryOf(new MemoryDisk(), new Witness(), true)).toBe('new')
    expect(await memoryOf(new MemoryDisk(), new Witness())).toBe('blank')
  })

  it('that the node wrote last is whole, also when it died before the witness knew', async () => {
    const witness = new Witness()
    const { disk } = await used(witness)
    expect(await memoryOf(disk, witness)).toBe('kept')
    const again = await opened(disk, witness)
    witness.fails = true
    await expect(write(again, 'vote/2')).rejects.toThrow(/no witness/)
    witness.fails = false
    expect(await memoryOf(disk, witness)).toBe('kept')
  })

  it('is in doubt when the witness forgot, and stays so until that is settled', async () => {
    const witness = new Witness()
    const { disk } = await used(witness)
    witness.held = undefined
    const store = await opened(disk, witness)
    expect(await readDiskMemory(store)).toBe('doubtful')
    expect(await memoryOf(disk, witness)).toBe('doubtful')
    const again = await opened(disk, witness)
    await again.write([diskMemoryOp('kept')], { sync: true })
    expect(await memoryOf(disk, witness)).toBe('kept')
  })

  it('that is emptied is lost, whoever says that it is new', async () => {
    const witness = new Witness()
    await used(witness)
    expect(await memoryOf(new MemoryDisk(), witness, true)).toBe('lost')
  })

  it('that was lost stays lost when the power goes too', async () => {
    const witness = new Witness()
    await used(witness)
    const disk = new MemoryDisk()
    expect(await memoryOf(disk, witness)).toBe('lost')
    witness.held = undefined
    expect(await memoryOf(disk, witness)).toBe('lost')
  })

  it('says nothing that the witness does not know of', async () => {
    const witness = new Witness()
    const { store } = await used(witness)
    witness.fails = true
    await expect(write(store, 'vote/2')).rejects.toThrow(/no witness/)
    witness.fails = false
    await write(store, 'vote/3')
    expect(witness.held?.at(-1)).toBeGreaterThan(3)
  })

  it('is not written to by a start that finds nothing amiss', async () => {
    const witness = new Witness()
    const { disk } = await used(witness)
    const [before, held] = [disk.slice('', '~'), witness.held]
    await opened(disk, witness)
    expect(disk.slice('', '~')).toEqual(before)
    expect(witness.held).toEqual(held)
  })

  it('put back to any moment is lost, unless nothing was written since', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 8 }),
        fc.integer({ min: 0, max: 8 }),
        fc.boolean(),
        async (before, after, restarts) => {
          const witness = new Witness()
          const { disk, store } = await used(witness)
          for (let i = 0; i < before; i++) await write(store, `vote/${i}`)
          const old = copyOf(disk)
          const next = restarts ? await opened(disk, witness) : store
          await Promise.all(Array.from({ length: after }, (_, i) => write(next, `later/${i}`)))
          expect(await memoryOf(copyOf(old), witness)).toBe(after > 0 ? 'lost' : 'kept')
        },
      ),
    )
  })
})

describe('the witness file', () => {
  const folders: string[] = []
  const warned: string[] = []
  const quiet = (): void => undefined
  const log: Logger = {
    ...{ debug: quiet, info: quiet, error: quiet },
    warn: (_, message) => void warned.push(message),
  }
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
    warned.splice(0)
  })

  function folder(parent: string): string {
    const made = mkdtempSync(join(parent, 'nixfleet-witness-'))
    folders.push(made)
    return made
  }

  it('remembers what was written last, across opens, on another file system', async () => {
    const [data, apart] = [folder(tmpdir()), folder('/dev/shm')]
    expect(statSync(data).dev).not.toBe(statSync(apart).dev)
    const place = { data, folders: [join(apart, 'a', 'b')] }
    const one = await openWitness(place, log)
    expect(await one.read()).toBeUndefined()
    await one.write(new Uint8Array(24).fill(1))
    await one.write(new Uint8Array(24).fill(2))
    expect(await (await openWitness(place, log)).read()).toEqual(new Uint8Array(24).fill(2))
    expect(warned).toEqual([])
  })

  it('on the file system of the data folder is none, and the log says so', async () => {
    const data = folder(tmpdir())
    const one = await openWitness({ data, folders: [join(data, 'w')] }, log)
    await one.write(new Uint8Array(24).fill(1))
    expect(await one.read()).toBeUndefined()
    expect(warned).toHaveLength(1)
  })
})
