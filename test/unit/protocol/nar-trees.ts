/** Trees for the NAR suites: plain values that compare, random ones, and the way into our own code. */
import fc from 'fast-check'
import {
  compareNarNames,
  type NarNode,
  narNameFault,
  narTargetFault,
} from '../../../protocol/nar.ts'
import { type NarEvent, readNar } from '../../../protocol/nar-reader.ts'
import { writeNar } from '../../../protocol/nar-writer.ts'

/** A tree that is whole in memory. Contents are base64, so that trees compare and lie in JSON. */
export type PlainTree =
  | { readonly kind: 'regular'; readonly executable: boolean; readonly contents: string }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'directory'; readonly entries: readonly PlainEntry[] }

export interface PlainEntry {
  readonly name: string
  readonly node: PlainTree
}

const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))
const base64Of = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** `tree` as the writer takes it. */
export function narNodeOf(tree: PlainTree): NarNode {
  if (tree.kind === 'symlink') return tree
  if (tree.kind === 'regular') {
    const bytes = bytesOf(tree.contents)
    const half = bytes.length >> 1
    const contents = [bytes.subarray(0, half), bytes.subarray(half)]
    return { kind: 'regular', executable: tree.executable, size: bytes.length, contents }
  }
  const entries = tree.entries.map(({ name, node }) => ({ name, node: narNodeOf(node) }))
  return { kind: 'directory', entries }
}

/** The NAR of `tree`, whole. */
export async function narOf(tree: PlainTree): Promise<Uint8Array> {
  return wholeNar(narNodeOf(tree))
}

/** Everything the writer yields for `node`, whole. */
export async function wholeNar(node: NarNode, bounds = {}): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of writeNar(node, { whose: 'the test tree', ...bounds }))
    chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}

/** The events that our reader gives for `chunks`. */
export async function eventsOf(chunks: Iterable<Uint8Array>): Promise<NarEvent[]> {
  const events: NarEvent[] = []
  for await (const event of readNar(chunks, { whose: 'the test NAR' })) events.push(event)
  return events
}

/** The tree that `events` tell, as a node that unpacks would build it. */
export function treeOf(events: readonly NarEvent[]): PlainTree {
  const open: PlainEntry[][] = [[]]
  const names: string[] = []
  let file: { executable: boolean; size: number; chunks: Uint8Array[] } | undefined
  const add = (name: string, node: PlainTree): void => void open.at(-1)?.push({ name, node })
  for (const event of events) {
    if (event.kind === 'directory') open.push([])
    if (event.kind === 'directory' || event.kind === 'regular') names.push(event.name)
    if (event.kind === 'regular') {
      file = { executable: event.executable, size: event.size, chunks: [] }
    }
    if (event.kind === 'bytes') file?.chunks.push(event.bytes)
    if (event.kind === 'symlink') add(event.name, { kind: 'symlink', target: event.target })
    if (event.kind === 'directory-end') {
      const entries = open.pop() ?? []
      add(names.pop() ?? '', { kind: 'directory', entries })
    }
    if (event.kind === 'regular-end' && file) {
      const contents = Buffer.concat(file.chunks)
      if (contents.length !== file.size) throw new Error('the reader gave another size')
      const { executable } = file
      add(names.pop() ?? '', { kind: 'regular', executable, contents: base64Of(contents) })
    }
  }
  const root = open[0]?.[0]
  if (!root || events.at(-1)?.kind !== 'end') throw new Error('the reader gave no whole tree')
  return root.node
}

const name = fc
  .oneof(
    { weight: 3, arbitrary: fc.string({ unit: fc.constantFrom(...'aAbB.-_ é'), maxLength: 4 }) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
    { weight: 1, arbitrary: fc.constantFrom('\ue000', '\u{10000}', '\ufeffbom', 'x'.repeat(255)) },
  )
  .filter((text) => narNameFault(text) === undefined)

const target = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 40 })
  .filter((text) => narTargetFault(text) === undefined)

const { tree } = fc.letrec<{
  tree: PlainTree
  file: PlainTree
  link: PlainTree
  folder: PlainTree
}>((tie) => ({
  tree: fc.oneof({ maxDepth: 6, depthSize: 'small' }, tie('file'), tie('link'), tie('folder')),
  file: fc.record({
    kind: fc.constant('regular' as const),
    executable: fc.boolean(),
    contents: fc.uint8Array({ maxLength: 40 }).map(base64Of),
  }),
  link: fc.record({ kind: fc.constant('symlink' as const), target }),
  folder: fc
    .uniqueArray(fc.record({ name, node: tie('tree') }), { maxLength: 5, selector: (e) => e.name })
    .map((entries) => ({
      kind: 'directory' as const,
      entries: entries.toSorted((a, b) => compareNarNames(a.name, b.name)),
    })),
}))

/** Random trees: symlinks, executables, empty files, Unicode and confusable names, some depth. */
export const anyTree: fc.Arbitrary<PlainTree> = tree

type Mutation = (nar: Uint8Array) => Uint8Array

/** Blocks of 8 bytes are dropped, doubled, swapped or set: tokens stay aligned, so some survive. */
export const anyMutation: fc.Arbitrary<Mutation> = fc
  .record({ kind: fc.nat(4), at: fc.nat(), to: fc.nat(), byte: fc.nat(255), count: fc.nat(4) })
  .map(({ kind, at, to, byte, count }) => (nar: Uint8Array): Uint8Array => {
    if (nar.length < 8) return nar
    const start = (at % (nar.length >> 3)) * 8
    const end = Math.min(nar.length, start + 8 * count)
    const block = nar.subarray(start, end)
    const parts = [
      [nar.subarray(0, start), nar.subarray(end)],
      [nar.subarray(0, end), block, nar.subarray(end)],
      [nar.subarray(0, start + (to % 8)), [byte], nar.subarray(start + (to % 8) + 1)],
      [nar.subarray(0, start)],
      [nar, block],
    ][kind]
    return Uint8Array.from((parts ?? []).flatMap((part) => [...part]))
  })
