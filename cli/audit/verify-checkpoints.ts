/** The cosigned checkpoints of a pull: each the root of so many blocks, and no voter ever going back. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  cosignedAt,
  type GroupConfig,
  gateOrigin,
  openCheckpoint,
  type SignedNote,
  toBase64,
  toHex,
} from '../../protocol/index.ts'
import { cosignersOf } from '../../rollout/index.ts'
import { type KnownTrust, messageOf } from './documents.ts'
import type { Report } from './findings.ts'
import { gateAt, namesIn } from './layout.ts'
import type { GateSummary } from './verify-gate.ts'

/** The newest checkpoint of a group that a quorum cosigned. */
export interface Standing {
  readonly size: number
  readonly by: readonly string[]
  /** Seconds since 1970 that the q-th of them wrote beside it: from then on a quorum stood by it. */
  readonly timeS: number
}

/** What is asked of the log below the checkpoints. */
type Summary = Omit<GateSummary, 'pins'>

/** The sizes of which a pull has checkpoints. */
export function checkpointSizes(pull: string, group: string): ReadonlySet<number> {
  const names = namesIn(join(gateAt(pull, group).folder, 'checkpoints'))
  return new Set(names.filter((name) => /^\d{1,15}$/.test(name)).map(Number))
}

/** Verifies every checkpoint of a gate log. */
export function verifyCheckpoints(
  pull: string,
  { trust, gate, sizes }: { trust: KnownTrust; gate: Summary; sizes: ReadonlySet<number> },
  report: Report,
): Standing | undefined {
  const signed = new Map<string, { size: number; timeS: number }>()
  let standing: Standing | undefined
  for (const size of [...sizes].sort((a, b) => a - b)) {
    const where = `gate/${gate.group}/checkpoints/${size}`
    const note = readNote(pull, { where, size, trust, gate }, report)
    if (note === undefined) continue
    const times = cosignatures(note, { trust, gate, size, where }, report)
    for (const [name, timeS] of times) {
      const before = signed.get(name)
      if (before !== undefined && before.timeS > timeS) {
        const text = `${name} cosigned ${size} leaves at ${iso(timeS)}, after ${before.size} leaves at ${iso(before.timeS)}: the log went back`
        report({ code: 'ROLLBACK', where, text })
      }
      signed.set(name, { size, timeS })
    }
    const timeS = stoodAt(times, configsFrom(trust, gate, size))
    if (timeS !== undefined) standing = { size, by: [...times.keys()], timeS }
  }
  if (gate.due > (standing?.size ?? 0)) {
    const found = standing === undefined ? 'none' : `one of ${standing.size}`
    const text = `expected a checkpoint of at least ${gate.due} blocks with a quorum of cosignatures, because block ${gate.due - 1} is an anchor or a close; found ${found}: it was taken away, rolled back, or is not cosigned yet`
    report({ code: 'CHECKPOINT_BEHIND', where: `gate/${gate.group}/checkpoints`, text })
  }
  return standing
}

interface NotePlace {
  readonly where: string
  readonly size: number
  readonly trust: KnownTrust
  readonly gate: Summary
}

function readNote(pull: string, at: NotePlace, report: Report): SignedNote | undefined {
  const { where, size, trust, gate } = at
  try {
    const { checkpoint, note } = openCheckpoint(readFileSync(join(pull, where), 'utf8'), where)
    const origin = gateOrigin(trust.fleet, gate.group)
    if (checkpoint.origin !== origin || checkpoint.size !== size)
      throw new Error(
        `expected ${size} leaves of ${origin}, found ${checkpoint.size} of ${checkpoint.origin}`,
      )
    if (size > gate.size) throw new Error(`expected at least ${size} blocks, found ${gate.size}`)
    const expected = gate.roots.get(size)?.root
    if (expected !== toHex(checkpoint.root))
      throw new Error(
        `expected the root of the first ${size} blocks here, found ${toBase64(checkpoint.root)}`,
      )
    return note
  } catch (error) {
    report({ code: 'CHECKPOINT', where, text: messageOf(error) })
    return undefined
  }
}

/** Who cosigned, and when. A line of a known voter that does not verify is a finding, a stranger's is not. */
function cosignatures(
  note: SignedNote,
  at: NotePlace,
  report: Report,
): ReadonlyMap<string, number> {
  const { trust, gate, size, where } = at
  const known = configsFrom(trust, gate, size)
  const cosigners = known.flatMap((config) => cosignersOf(trust.fleet, config))
  const times = new Map<string, number>()
  for (const line of note.signatures) {
    const cosigner = cosigners.find(({ key }) => key.name === line.name)
    if (cosigner === undefined) continue
    const timeS = cosignedAt({ ...note, signatures: [line] }, cosigner.key)
    if (timeS !== undefined) times.set(cosigner.host, timeS)
    else
      report({
        code: 'COSIGNATURE',
        where,
        text: `the cosignature of ${cosigner.host} does not verify`,
      })
  }
  return times
}

/** The configuration in force at the last of so many blocks, and all later ones: their voters hold it too. */
function configsFrom(trust: KnownTrust, gate: Summary, size: number): readonly GroupConfig[] {
  const epoch = gate.roots.get(size)?.epoch ?? Number.POSITIVE_INFINITY
  const { group } = gate
  return trust.configs
    .map(({ config }) => config)
    .filter((config) => config.group === group && config.epoch >= epoch)
}

/** When the first of these configurations had a quorum; undefined while none has. */
function stoodAt(
  times: ReadonlyMap<string, number>,
  configs: readonly GroupConfig[],
): number | undefined {
  const each = configs.flatMap(({ voters, quorum }) => {
    const of = [...times].filter(([host]) => voters.includes(host)).map(([, timeS]) => timeS)
    return of.sort((a, b) => a - b)[quorum - 1] ?? []
  })
  return each.length === 0 ? undefined : Math.min(...each)
}

/** A time in UTC, to the second. */
export function iso(timeS: number): string {
  const date = new Date(timeS * 1000)
  return Number.isNaN(date.getTime()) ? `second ${timeS}` : date.toISOString().replace('.000Z', 'Z')
}
