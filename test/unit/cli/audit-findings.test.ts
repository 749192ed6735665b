/** Findings in one order, whoever is done first; pins that come back as they were given. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Finding, Findings } from '../../../cli/audit/findings.ts'
import { clashes, joinPins, type PinBytes, PinWriter } from '../../../cli/audit/pins.ts'
import { sha256Hex, utf8 } from '../../../protocol/index.ts'

function finding(text: string): Finding {
  return { code: 'FACT', where: 'feeds/x', text }
}

/** What one part found, as its thread hands it over. */
function partOf(part: number, count: number): Findings {
  const findings = new Findings()
  const report = findings.reporter()
  for (let i = 0; i < count; i++) report(finding(`${part}.${i}`))
  return findings
}

describe('findings of several parts', () => {
  it('stand in the order of the parts, in whatever order these are done, and all are counted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1500 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(), { minLength: 6, maxLength: 6 }),
        (counts, turns) => {
          const parts = counts.map((count, part) => ({ part, found: partOf(part, count) }))
          const all = new Findings()
          const inSomeOrder = [...parts].sort((a, b) => (turns[a.part] ?? 0) - (turns[b.part] ?? 0))
          for (const { part, found } of inSomeOrder) all.take(found, part)
          const expected = counts.flatMap((count, part) =>
            Array.from({ length: count }, (_, i) => `${part}.${i}`),
          )
          expect(all.kept.map(({ text }) => text)).toEqual(expected.slice(0, 1000))
          expect(all.count).toBe(expected.length)
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('pins', () => {
  const idOf = (seq: number, turn: number): string => sha256Hex(utf8(`${seq} ${turn}`))
  const SEQS = fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 100 })

  it('clash where two logs have different facts for a place, as in two maps', () => {
    fc.assert(
      fc.property(SEQS, SEQS, SEQS, (one, more, held) => {
        const logs = [one, more, held].map((seqs, log) =>
          seqs.map((seq, turn) => ({ seq, id: idOf(seq, (turn + log) % 3) })),
        )
        const [first, second, own] = logs.map((log) => {
          const writer = new PinWriter()
          for (const { seq, id } of log) writer.add(seq, id)
          return writer.bytes()
        }) as [PinBytes, PinBytes, PinBytes]
        const twin = (list: typeof logs): ReadonlyMap<number, string> =>
          new Map(list.flat().map(({ seq, id }) => [seq, id]))
        const pinned = twin(logs.slice(0, 2))
        const there = twin(logs.slice(2))
        const expected = [...pinned]
          .filter(([seq, id]) => there.has(seq) && there.get(seq) !== id)
          .sort(([a], [b]) => a - b)
          .map(([seq, id]) => ({ seq, pinned: id, held: there.get(seq) }))
        expect([...clashes(joinPins([first, second]) ?? own, own)]).toEqual(expected)
        expect([...(joinPins([first, second])?.seqs ?? [])]).toEqual(
          [...pinned.keys()].sort((a, b) => a - b),
        )
      }),
    )
  })

  it('of a feed that no block names are none', () => {
    expect(joinPins([])).toBeUndefined()
  })
})
