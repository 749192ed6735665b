/**
 * A host that is killed in the middle: what lies on its disk at that moment, read without the daemon.
 *
 * The store is opened as a copy, so that the daemon itself meets what the kill left.
 */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { FactStore } from '../../node/fact-store.ts'
import { HOST_STATE_BYTES_MAX } from '../../node/limits.ts'
import { openLevelStore } from '../../node/store/level.ts'
import { decodeCanonical, ED25519, type FleetId } from '../../protocol/index.ts'
import { HOST_STATE, type HostState } from '../../rollout/index.ts'
import type { FleetHost } from './fleet-processes.ts'

/** What the system's folder says. */
export interface SystemOnDisk {
  readonly running: string
  readonly bootDefault: string
  readonly deadman: 'idle' | 'armed' | 'going back' | 'back'
  /** The number of the deadman's newest marker; renewals raise it. */
  readonly mark: number
}

export function systemOf(host: FleetHost): SystemOnDisk {
  const system = join(host.data, 'system')
  const link = readlinkSync(join(system, 'profiles', 'system'))
  return {
    running: basename(readlinkSync(join(system, 'running'))),
    bootDefault: basename(readlinkSync(join(system, 'profiles', link))),
    ...deadmanOf(host),
  }
}

function deadmanOf(host: FleetHost): Pick<SystemOnDisk, 'deadman' | 'mark'> {
  const folder = join(host.data, 'system', 'deadman')
  const names = existsSync(folder) ? readdirSync(folder) : []
  const marks = names.flatMap((name) => {
    const [, kind, number] = /^(armed|disarmed|fired)\.(\d+)$/.exec(name) ?? []
    return kind === undefined ? [] : [{ kind, number: Number(number) }]
  })
  const newest = marks.sort((a, b) => a.number - b.number).at(-1)
  if (newest === undefined) return { deadman: 'idle', mark: 0 }
  const mark = newest.number
  if (newest.kind === 'disarmed') return { deadman: 'idle', mark }
  if (newest.kind === 'armed') return { deadman: 'armed', mark }
  const done = names.some((name) => /^done\.(ok|failed)\./.test(name) && name.endsWith(`.${mark}`))
  return { deadman: done ? 'back' : 'going back', mark }
}

/** Whether the deadman's script lives. */
export function deadmanWatches(host: FleetHost): boolean {
  const file = join(host.data, 'system', 'deadman', 'watcher')
  if (!existsSync(file)) return false
  const [pid] = readFileSync(file, 'utf8').split(' ')
  const words = `/proc/${pid}/cmdline`
  return existsSync(words) && readFileSync(words, 'utf8').includes(host.data)
}

/** The journal of a host whose daemon is dead. Every fact of the store is verified on the way. */
export async function journalOf(
  host: FleetHost,
  fleet: FleetId,
): Promise<{ state: HostState; facts: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'nf-autopsy-'))
  cpSync(join(host.data, 'db'), folder, { recursive: true })
  const store = await openLevelStore(folder)
  try {
    const bytes = await store.get('host/state')
    if (bytes === undefined) throw new Error(`${host.name} has no journal`)
    const state = HOST_STATE.decode(
      decodeCanonical(bytes, HOST_STATE_BYTES_MAX, 'journal'),
      'journal',
    )
    let facts = 0
    for await (const fact of new FactStore(store, fleet, ED25519).load())
      facts += fact.seq >= 0 ? 1 : 0
    return { state, facts }
  } finally {
    await store.close()
    rmSync(folder, { recursive: true })
  }
}
