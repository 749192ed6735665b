/**
 * A node's stored facts and gate log, replayed without a daemon: for whoever must not trust one.
 */
import { join } from 'node:path'
import type { Signer } from '../protocol/index.ts'
import type { Trust } from '../rollout/index.ts'
import { storedBlocks } from './gate-log.ts'
import type { Store } from './ports.ts'
import { type Replay, replay } from './replay.ts'
import type { ReplaySource, StoredBytes } from './replay-source.ts'
import { openLevelStore } from './store/level.ts'

/**
 * Replays the store below a node's data folder. Throws NodeError STORE_LOCKED while its daemon runs,
 * STORE_CORRUPT where the disk cannot be read at all.
 */
export async function replayData(data: string, trust: Trust): Promise<Replay> {
  const store = await openLevelStore(join(data, 'db'))
  try {
    return await replayStore(store, trust)
  } finally {
    await store.close()
  }
}

/** Replays an open store. Nothing is written. */
export async function replayStore(store: Store, trust: Trust, signer?: Signer): Promise<Replay> {
  return await replay(sourceOf(store), trust, signer)
}

function sourceOf(store: Store): ReplaySource {
  const all = (from: string, to: string): AsyncIterable<StoredBytes> => storedIn(store, from, to)
  return {
    facts: () => all('fact/', 'fact0'),
    strays: () => all('stray/', 'stray0'),
    blocks: () => storedBlocks(store),
    loose: async (epoch) => {
      const found: Uint8Array[] = []
      for (const room of ['tail', 'journal']) {
        const prefix = `gate/${room}/${String(epoch).padStart(16, '0')}/`
        for await (const { bytes } of all(prefix, `${prefix}~`)) found.push(bytes)
      }
      return found
    },
    blob: (hash) => store.get(`blob/${hash}`),
  }
}

async function* storedIn(store: Store, from: string, to: string): AsyncGenerator<StoredBytes> {
  for await (const [where, bytes] of store.range(from, to)) yield { where, bytes }
}
