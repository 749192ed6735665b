/** A disk that refuses is known, said once, tried again, and known to be well. */
import { expect, it } from 'vitest'
import { MemoryDisk } from '../../../node/store/memory.ts'
import { WatchedStore } from '../../../node/store-watch.ts'
import { VirtualClock } from '../../simulation/virtual-clock.ts'
import { recorder } from './fakes.ts'

const OP = { key: 'a', value: Uint8Array.of(1) }

function watched(): {
  disk: MemoryDisk
  clock: VirtualClock
  store: WatchedStore
  lines: string[]
} {
  const disk = new MemoryDisk()
  const clock = new VirtualClock()
  const log = recorder()
  return { disk, clock, lines: log.lines, store: new WatchedStore(disk.open(), { clock, log }) }
}

it('knows since when, and says so once', async () => {
  const { disk, clock, store, lines } = watched()
  disk.full = true
  for (let i = 0; i < 5; i++) {
    await expect(store.write([OP], { sync: true })).rejects.toMatchObject({ code: 'STORE_FULL' })
    await clock.advance(1_000)
  }
  expect(store.trouble).toMatchObject({ code: 'STORE_FULL', since: clock.bootMs() - 5_000 })
  expect(lines).toHaveLength(1)
})

it('finds out by itself that there is room again, and looks no oftener than needed', async () => {
  const { disk, clock, store, lines } = watched()
  disk.full = true
  await store.write([OP], { sync: true }).catch(() => undefined)
  let writes = 0
  const apply = disk.apply.bind(disk)
  disk.apply = (ops, sync) => {
    writes++
    apply(ops, sync)
  }
  for (let i = 0; i < 600; i++) {
    await store.probe()
    await clock.advance(100)
  }
  expect(writes).toBeGreaterThan(5)
  expect(writes).toBeLessThan(30)
  disk.full = false
  await clock.advance(10_000)
  await store.probe()
  expect(store.trouble).toBeUndefined()
  expect(lines.at(-1)).toBe('info: the disk takes writes again')
})

it('writes nothing of its own to a disk that is well', async () => {
  const { disk, clock, store } = watched()
  await store.write([OP], { sync: true })
  for (let i = 0; i < 20; i++) {
    await clock.advance(10_000)
    await store.probe()
  }
  expect(disk.slice(' ', '~').map(([key]) => key)).toEqual(['a'])
})
