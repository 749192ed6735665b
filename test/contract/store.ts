/** What every store must do, run over each adapter. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Store, StoreOp } from '../../node/ports.ts'
import { claimStore } from '../../node/store/format.ts'

/** One place where a store can be opened again and again. */
export interface StorePlace {
  open(): Promise<Store>
  remove(): Promise<void>
}

const FLEET = 'f0'.repeat(16)
const OTHER_FLEET = '0f'.repeat(16)
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** All entries with `from` <= key < `to`, as they come. */
export async function entriesOf(
  store: Store,
  from = ' ',
  to = '~~',
): Promise<[string, number[]][]> {
  const found: [string, number[]][] = []
  for await (const [key, value] of store.range(from, to)) found.push([key, [...value]])
  return found
}

export function storeContract(adapter: string, makePlace: () => Promise<StorePlace>): void {
  describe(`${adapter} keeps the contract of Store`, () => {
    let place: StorePlace
    let store: Store

    beforeEach(async () => {
      place = await makePlace()
      store = await place.open()
    })
    afterEach(async () => {
      await store.close()
      await place.remove()
    })

    it('gives what was written, and undefined for what was not', async () => {
      await store.write([{ key: 'a', value: bytes(1, 2) }], { sync: false })
      expect([...((await store.get('a')) ?? [])]).toEqual([1, 2])
      expect(await store.get('b')).toBeUndefined()
    })

    it('does not see what the caller does to a value after writing it', async () => {
      const value = bytes(1)
      await store.write([{ key: 'a', value }], { sync: false })
      value[0] = 9
      expect([...((await store.get('a')) ?? [])]).toEqual([1])
    })

    it('ranges ascending, with the first bound and without the last', async () => {
      const keys = ['b', 'a/2', 'a/10', 'c', 'a', 'Z']
      await store.write(
        keys.map((key) => ({ key, value: bytes(key.length) })),
        { sync: true },
      )
      expect((await entriesOf(store, 'a', 'c')).map(([key]) => key)).toEqual([
        'a',
        'a/10',
        'a/2',
        'b',
      ])
      expect(await entriesOf(store, 'x', 'x')).toEqual([])
      expect(await entriesOf(store, 'c', 'a')).toEqual([])
    })

    it('takes the last word of a batch about one key', async () => {
      const ops = [
        { key: 'a', value: bytes(1) },
        { key: 'a' },
        { key: 'b' },
        { key: 'b', value: bytes(2) },
      ]
      await store.write(ops, { sync: true })
      expect(await entriesOf(store)).toEqual([['b', [2]]])
    })

    it('refuses a whole batch for one bad key', async () => {
      const ops = [
        { key: 'good', value: bytes(1) },
        { key: 'bäd', value: bytes(2) },
      ]
      await expect(store.write(ops, { sync: true })).rejects.toThrow(RangeError)
      await expect(store.write([{ key: '' }], { sync: true })).rejects.toThrow(RangeError)
      expect(await entriesOf(store)).toEqual([])
    })

    it('is the map that a twin is, whatever is written, deleted and reopened', async () => {
      const key = fc.constantFrom('a', 'a/', 'a/0', 'a/00', 'a/1', 'b', 'b/~', 'B', '0')
      const op = fc.record({
        key,
        value: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined }),
      })
      const step = fc.record({
        ops: fc.array(op, { maxLength: 6 }),
        sync: fc.boolean(),
        reopen: fc.boolean(),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
          await clear(store)
          const twin = new Map<string, Uint8Array>()
          for (const { ops, sync, reopen } of steps) {
            await store.write(ops, { sync })
            applyTo(twin, ops)
            if (!reopen) continue
            await store.close()
            store = await place.open()
          }
          const expected = [...twin].sort(([a], [b]) => (a < b ? -1 : 1))
          expect(await entriesOf(store)).toEqual(
            expected.map(([name, value]) => [name, [...value]]),
          )
        }),
        { numRuns: 25 },
      )
    })

    it('is refused to a second opener, who is told why and what to do', async () => {
      await expect(place.open()).rejects.toMatchObject({
        code: 'STORE_LOCKED',
        fix: expect.stringMatching(/\w+/),
      })
      await store.write([{ key: 'a', value: bytes(1) }], { sync: true })
      await store.close()
      store = await place.open()
      expect(await entriesOf(store)).toEqual([['a', [1]]])
    })

    it('is claimed by one fleet in one format, for good', async () => {
      await claimStore(store, FLEET)
      await claimStore(store, FLEET)
      const before = await entriesOf(store)
      await expect(claimStore(store, OTHER_FLEET)).rejects.toMatchObject({
        code: 'STORE_FOREIGN',
        fix: expect.stringMatching(/trust root/),
      })
      expect(await entriesOf(store)).toEqual(before)
    })

    it('is left alone when a newer version wrote it, or nobody known', async () => {
      await store.write([{ key: 'stray', value: bytes(1) }], { sync: true })
      await expect(claimStore(store, FLEET)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
      await clear(store)
      await claimStore(store, FLEET)
      await store.write([{ key: 'meta/format', value: new TextEncoder().encode('2') }], {
        sync: true,
      })
      const before = await entriesOf(store)
      await expect(claimStore(store, FLEET)).rejects.toMatchObject({
        code: 'STORE_NEWER',
        fix: expect.stringMatching(/newer nixfleet/),
      })
      await expect(claimStore(store, OTHER_FLEET)).rejects.toMatchObject({ code: 'STORE_NEWER' })
      expect(await entriesOf(store)).toEqual(before)
    })
  })
}

async function clear(store: Store): Promise<void> {
  const keys = (await entriesOf(store)).map(([key]) => ({ key }))
  await store.write(keys, { sync: true })
}

function applyTo(twin: Map<string, Uint8Array>, ops: readonly StoreOp[]): void {
  for (const { key, value } of ops) {
    if (value === undefined) twin.delete(key)
    else twin.set(key, value)
  }
}
