/**
 * A process that writes synced batches of two equal keys and says each number once it is on the disk.
 * The store suite kills it in the middle.
 */
import { writeSync } from 'node:fs'
import { openLevelStore } from '../../node/store/level.ts'

const store = await openLevelStore(process.argv[2] ?? '')
for (let n = 0; ; n++) {
  const value = new TextEncoder().encode(String(n))
  const name = String(n).padStart(8, '0')
  await store.write(
    [
      { key: `left/${name}`, value },
      { key: `right/${name}`, value },
      { key: 'last', value },
    ],
    { sync: true },
  )
  writeSync(1, `${n}\n`)
}
