/**
 * Two pulls side by side: what one key signed differently for two of them is a split view, and both
 * signatures together prove it to anybody who has the fleet's documents.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { entryId, equalBytes } from '../../protocol/index.ts'
import type { Report } from './findings.ts'
import { feedAt, feedsIn, gateAt, gatesIn, type LogPlace } from './layout.ts'
import { readBundles, readHead, type StoredEntry } from './log-files.ts'
import { checkpointSizes } from './verify-checkpoints.ts'

/** Reports every log that the two pulls tell differently. */
export function comparePulls(one: string, other: string, report: Report): void {
  for (const { author, session } of feedsIn(one)) {
    const places = [feedAt(one, author, session), feedAt(other, author, session)] as const
    const at = firstDifference(places, false)
    if (at === undefined) continue
    const text = `${author.slice(0, 16)}… signed two facts for place ${at.index} of session ${session.slice(0, 8)}: ${idsOf(at)}`
    report({ code: 'SPLIT_VIEW', where: places[0].name, text, proof: proofOf(at) })
  }
  for (const group of gatesIn(one)) {
    const places = [gateAt(one, group), gateAt(other, group)] as const
    const at = firstDifference(places, true)
    if (at !== undefined) {
      const text = `the two pulls hold different blocks ${at.index} of ${group}, each with its certificate: ${idsOf(at)}`
      report({ code: 'SPLIT_VIEW', where: places[0].name, text, proof: proofOf(at) })
    }
    compareCheckpoints(one, other, group, report)
  }
}

/** Equal sizes must have equal roots. Whoever cosigned both of two that differ has lied. */
function compareCheckpoints(one: string, other: string, group: string, report: Report): void {
  const theirs = checkpointSizes(other, group)
  for (const size of checkpointSizes(one, group)) {
    if (!theirs.has(size)) continue
    const where = `gate/${group}/checkpoints/${size}`
    const notes = [one, other].map((pull) => readFileSync(join(pull, where), 'utf8'))
    const [a = '', b = ''] = notes.map((note) => note.split('\n').slice(0, 3).join('\n'))
    if (a === b) continue
    const both = cosigners(notes[0]).filter((name) => cosigners(notes[1]).includes(name))
    const who = both.length === 0 ? 'nobody signed both' : `signed by ${both.join(', ')} both times`
    const text = `two checkpoints of ${size} blocks have different roots, ${who}`
    report({ code: 'SPLIT_VIEW', where, text, proof: notes })
  }
}

function cosigners(note: string = ''): readonly string[] {
  return [...note.matchAll(/^— (\S+) /gm)].map(([, name]) => name?.split('/').at(-1) ?? '')
}

interface Difference {
  readonly index: number
  readonly entries: readonly [StoredEntry, StoredEntry]
}

/** The first entry that both hold and that is not the same. A shorter log is older, not different. */
function firstDifference(
  places: readonly [LogPlace, LogPlace],
  certified: boolean,
): Difference | undefined {
  const [ours, theirs] = places.map((place) => entriesOf(place, certified))
  if (ours === undefined || theirs === undefined) return undefined
  for (let index = 0; ; index++) {
    const a = ours.next()
    const b = theirs.next()
    if (a.done || b.done) return undefined
    if (!equalBytes(a.value.entry, b.value.entry)) return { index, entries: [a.value, b.value] }
  }
}

function* entriesOf(place: LogPlace, certified: boolean): Generator<StoredEntry> {
  const size = readHead(place)?.size ?? 0
  for (const bundle of readBundles(place, size, certified)) {
    if (bundle.problems.length > 0) return
    yield* bundle.entries
  }
}

function idsOf({ entries }: Difference): string {
  return entries.map((one) => `${entryId(one.entry).slice(0, 16)}…`).join(' and ')
}

function proofOf({ entries }: Difference): readonly string[] {
  return entries.flatMap((one) =>
    [one.entry, one.signature, one.certificate ?? new Uint8Array(0)].map((bytes) =>
      Buffer.from(bytes).toString('base64'),
    ),
  )
}
