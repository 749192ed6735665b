/** NAR writer and reader over random trees, against each other and against the dumb twin. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../../protocol/errors.ts'
import { compareNarNames, type NarNode } from '../../../protocol/nar.ts'
import { indexNar, type NarIndex, narRange } from '../../../protocol/nar-index.ts'
import { anyMutation, anyTree, eventsOf, narOf, type PlainTree, treeOf } from './nar-trees.ts'
import { parseWholeNar } from './nar-twin.ts'

describe('a NAR', () => {
  it('gives back the tree that was written, however it is cut', async () => {
    const cuts = fc.array(fc.nat(40), { minLength: 1, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(anyTree, cuts, async (tree, lengths) => {
        const nar = await narOf(tree)
        const events = await eventsOf(cut(nar, lengths))
        expect(treeOf(events)).toEqual(tree)
        expect(events.at(-1)).toEqual({ kind: 'end', size: nar.length })
        expect(parseWholeNar(nar)).toEqual(tree)
      }),
    )
  })

  it('hands a file on as it arrives, never more at once than came in', async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, async (tree) => {
        for (const event of await eventsOf(cut(await narOf(tree), [3]))) {
          if (event.kind === 'bytes') expect(event.bytes.length).toBeLessThanOrEqual(3)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('with any byte changed is refused, or another tree with the changed bytes as its NAR', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyTree,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (tree, at, xor) => {
          const nar = await narOf(tree)
          const place = at % nar.length
          const changed = Uint8Array.from(nar, (byte, i) => (i === place ? byte ^ xor : byte))
          const read = await readOrRefuse(changed)
          if (!read) return
          expect(read).not.toEqual(tree)
          expect(await narOf(read)).toEqual(changed)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('mutated in blocks is judged by the reader as by the dumb twin', async () => {
    let accepted = 0
    let refused = 0
    await fc.assert(
      fc.asyncProperty(
        anyTree,
        fc.array(anyMutation, { minLength: 1, maxLength: 3 }),
        async (tree, mutations) => {
          const mutated = mutations.reduce((nar, mutate) => mutate(nar), await narOf(tree))
          const read = await readOrRefuse(mutated)
          expect(read).toEqual(twinOrRefuse(mutated))
          if (read) expect(await narOf(read)).toEqual(mutated)
          if (read) accepted++
          else refused++
        },
      ),
      { numRuns: 400 },
    )
    expect(accepted).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  })
})

describe('the index of a NAR', () => {
  it('gives any stretch of the whole, without a look at the contents of any file', async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, fc.nat(), fc.nat(), async (tree, one, two) => {
        const nar = await narOf(tree)
        const index = await indexNar(placesOf(tree), { whose: 'the test tree' })
        expect(index.size).toBe(nar.length)
        const [from, to] = [one % (nar.length + 9), two % (nar.length + 9)].sort((a, b) => a - b)
        expect(stretch(index, from ?? 0, to ?? 0)).toEqual(nar.slice(from, to))
        expect(stretch(index, from ?? 0, index.size)).toEqual(nar.slice(from))
      }),
      { numRuns: 300 },
    )
  })

  it('never opens a file that lies outside of the stretch', async () => {
    const file = (contents: string, size: number): NarNode<string> => ({
      ...{ kind: 'regular', executable: false },
      ...{ contents, size },
    })
    const entries = ['a', 'b', 'c'].map((name) => ({ name, node: file(name, 1000) }))
    const index = await indexNar({ kind: 'directory', entries }, { whose: 'three files' })
    const inB = index.segments.find((segment) => 'contents' in segment && segment.contents === 'b')
    const at = (inB?.at ?? 0) + 10
    expect([...narRange(index, at, at + 5)]).toEqual([
      { kind: 'contents', contents: 'b', from: 10, to: 15 },
    ])
    expect([...narRange(index, at, at)]).toEqual([])
    expect([...narRange(index, index.size, index.size + 1)]).toEqual([])
  })

  it('is refused for whatever the writer refuses', async () => {
    const link: NarNode<string> = { kind: 'symlink', target: 't' }
    const entries = ['b', 'a'].map((name) => ({ name, node: link }))
    const index = indexNar({ kind: 'directory', entries }, { whose: 'it' })
    await expect(index).rejects.toMatchObject({ code: 'NAR_MALFORMED' })
  })
})

/** `tree` with each file's contents named by the bytes themselves, as base64. */
function placesOf(tree: PlainTree): NarNode<string> {
  if (tree.kind === 'symlink') return tree
  if (tree.kind === 'regular') {
    return { ...tree, size: Buffer.from(tree.contents, 'base64').length }
  }
  const entries = tree.entries.map(({ name, node }) => ({ name, node: placesOf(node) }))
  return { kind: 'directory', entries }
}

function stretch(index: NarIndex<string>, from: number, to: number): Uint8Array {
  const parts = [...narRange(index, from, to)].map((part) =>
    part.kind === 'bytes'
      ? part.bytes
      : Buffer.from(part.contents, 'base64').subarray(part.from, part.to),
  )
  return new Uint8Array(Buffer.concat(parts))
}

describe('the order of names', () => {
  it('is that of their UTF-8 bytes', () => {
    const text = fc.string({ unit: 'binary', maxLength: 6 })
    fc.assert(
      fc.property(text, text, (a, b) => {
        const twin = Buffer.compare(Buffer.from(a), Buffer.from(b))
        expect(Math.sign(compareNarNames(a, b))).toBe(twin)
      }),
    )
  })
})

function* cut(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    // A cut of length 0 is an empty chunk, which must change nothing; 1 keeps the loop moving.
    const length = turn < lengths.length ? (lengths[turn] ?? 1) : Math.max(1, lengths[0] ?? 1)
    yield bytes.subarray(at, at + length)
    at += length
  }
}

/** The tree, or undefined when refused; any other error than a refusal is a bug and gets out. */
async function readOrRefuse(nar: Uint8Array): Promise<PlainTree | undefined> {
  try {
    return treeOf(await eventsOf(cut(nar, [7, 0, 64])))
  } catch (error) {
    if (error instanceof ProtocolError && error.action === 'reject') return undefined
    throw error
  }
}

function twinOrRefuse(nar: Uint8Array): PlainTree | undefined {
  try {
    return parseWholeNar(nar)
  } catch {
    return undefined
  }
}
