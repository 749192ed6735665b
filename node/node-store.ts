/** The daemon's store, counted beside a witness on another file system (SPEC §7.6). */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FleetId } from '../protocol/index.ts'
import type { NodeConfig } from './config.ts'
import { openCountedStore } from './disk-memory.ts'
import type { Logger, Random, Store } from './ports.ts'
import { openWitness } from './witness-file.ts'

/** The file in a data folder that `node init` made and that no node has written to yet. */
const NEW_DATA = 'new'

/**
 * Counts what `store` is given. The mark of a new data folder is gone when this resolves: it must not be
 * found twice.
 */
export async function countNodeStore(
  store: Store,
  parts: {
    readonly config: NodeConfig
    readonly fleet: FleetId
    readonly random: Random
    readonly log: Logger
  },
): Promise<Store> {
  const { config, fleet, random, log } = parts
  const own = `${config.name}-${fleet.slice(0, 8)}`
  const folders =
    config.witness === undefined
      ? ['/run/nixfleet', `/dev/shm/nixfleet-${process.getuid?.() ?? 0}`]
      : [config.witness]
  const place = { data: config.data, folders: folders.map((folder) => join(folder, own)) }
  const mark = join(config.data, NEW_DATA)
  const isNew = existsSync(mark)
  const witness = await openWitness(place, log)
  const counted = await openCountedStore(store, { witness, random, isNew })
  await rm(mark, { force: true })
  return counted
}
