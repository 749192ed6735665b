/** The store contract over memory, and what a power loss leaves of it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryDisk } from '../../node/store/memory.ts'
import { entriesOf, storeContract } from './store.ts'

storeContract('the memory store', async () => {
  const disk = new MemoryDisk()
  return { open: async () => disk.open(), remove: async () => undefined }
})

describe('a memory disk that loses power', () => {
  it('keeps what was synced, and of the later batches exactly the asked prefix', async () => {
    const batch = fc.record({
      ops: fc.array(
        fc.record({
          key: fc.constantFrom('a', 'b', 'c', 'd'),
          value: fc.option(fc.uint8Array({ minLength: 1, maxLength: 2 }), { nil: undefined }),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      sync: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { maxLength: 10 }), fc.nat(4), async (batches, kept) => {
        const disk = new MemoryDisk()
        const store = disk.open()
        for (const { ops, sync } of batches) await store.write(ops, { sync })
        const lastSynced = batches.findLastIndex(({ sync }) => sync)
        expect(disk.unsynced).toBe(batches.length - lastSynced - 1)
        disk.crash(kept)

        const twin = new MemoryDisk().open()
        for (const { ops } of batches.slice(0, lastSynced + 1 + kept)) {
          await twin.write(ops, { sync: true })
        }
        expect(await entriesOf(disk.open())).toEqual(await entriesOf(twin))
      }),
    )
  })

  it('kills the store that was open on it', async () => {
    const disk = new MemoryDisk()
    const store = disk.open()
    disk.crash()
    await expect(store.get('a')).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    await expect(store.write([], { sync: true })).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    await store.close()
    disk.open()
    await store.close()
    expect(() => disk.open()).toThrow(/open elsewhere/)
  })

  it('refuses a batch whole while it is full, and goes on afterwards', async () => {
    const disk = new MemoryDisk()
    const store = disk.open()
    await store.write([{ key: 'a', value: Uint8Array.of(1) }], { sync: true })
    disk.full = true
    const ops = [{ key: 'a' }, { key: 'b', value: Uint8Array.of(2) }]
    await expect(store.write(ops, { sync: true })).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(await entriesOf(store)).toEqual([['a', [1]]])
    disk.full = false
    await store.write(ops, { sync: true })
    expect(await entriesOf(store)).toEqual([['b', [2]]])
  })
})
