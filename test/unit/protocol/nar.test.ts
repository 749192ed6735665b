/** NAR: what Nix 2.8 wrote, and each thing that is refused, one at a time. */
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../../protocol/crypto.ts'
import type { NarNode } from '../../../protocol/nar.ts'
import { readNar } from '../../../protocol/nar-reader.ts'
import { printSha256 } from '../../../protocol/nix-hash.ts'
import vectors from '../../vectors/nar/trees.json' with { type: 'json' }
import { eventsOf, narOf, type PlainTree, treeOf, wholeNar } from './nar-trees.ts'

describe('the NAR that Nix wrote', () => {
  it.each(vectors.cases)('of $name is what we write and read', async (vector) => {
    const tree = vector.tree as PlainTree
    const nar = new Uint8Array(Buffer.from(vector.nar, 'base64'))
    expect(await narOf(tree)).toEqual(nar)
    expect(treeOf(await eventsOf([nar]))).toEqual(tree)
    expect(nar.length).toBe(vector.narSize)
    expect(printSha256(sha256(nar), 'base32')).toBe(vector.narHash)
  })
})

/** Tokens as a NAR spells them; a number is a bare length, a byte array is padding or contents. */
function spell(...parts: readonly (string | bigint | Uint8Array)[]): Uint8Array {
  const chunks = parts.flatMap((part) => {
    if (part instanceof Uint8Array) return [part]
    const length = Buffer.alloc(8)
    if (typeof part === 'bigint') {
      length.writeBigUInt64LE(part)
      return [length]
    }
    // Latin-1, so that a test can spell bytes that are not UTF-8.
    const bytes = Buffer.from(part, 'latin1')
    length.writeBigUInt64LE(BigInt(bytes.length))
    return [length, bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]
  })
  return new Uint8Array(Buffer.concat(chunks))
}

const magic = 'nix-archive-1'
const file = ['(', 'type', 'regular', 'contents', 'x', ')']
const entry = (name: string): string[] => ['entry', '(', 'name', name, 'node', ...file, ')']
const folder = (...parts: string[]): Uint8Array =>
  spell(magic, '(', 'type', 'directory', ...parts, ')')
const nested = (depth: number): Uint8Array =>
  spell(
    magic,
    ...Array.from({ length: depth }, () =>
      '( type directory entry ( name d node'.split(' '),
    ).flat(),
    ...file,
    ...Array.from({ length: depth }, () => [')', ')']).flat(),
  )

async function refusal(nar: Uint8Array, options = {}): Promise<unknown> {
  try {
    for await (const _ of readNar([nar], { whose: 'web-01', ...options }));
    return 'accepted'
  } catch (error) {
    return error
  }
}

describe('the reader', () => {
  const link = (target: string): Uint8Array =>
    spell(magic, '(', 'type', 'symlink', 'target', target, ')')

  const padded = (bytes: string, ...tags: string[]): Uint8Array =>
    spell(magic, '(', 'type', ...tags, 1n, Buffer.from(bytes), ')')

  it.each<[string, Uint8Array]>([
    ['an empty name', folder(...entry(''))],
    ['the name .', folder(...entry('.'))],
    ['the name ..', folder(...entry('..'))],
    ['a name with a slash', folder(...entry('a/b'))],
    ['a name with a NUL', folder(...entry('a\0'))],
    ['a name that is not UTF-8', folder(...entry('\xff'))],
    ['a name twice', folder(...entry('a'), ...entry('a'))],
    ['names out of order', folder(...entry('b'), ...entry('a'))],
    ['an empty symlink target', link('')],
    ['a symlink target with a NUL', link('a\0b')],
    ['another magic', spell('nix-archive-2', ...file)],
    ['a tag with other case', spell(magic, '(', 'Type', 'regular', 'contents', 'x', ')')],
    ['an unknown type', spell(magic, '(', 'type', 'fifo', ')')],
    ['a file without contents', spell(magic, '(', 'type', 'regular', ')')],
    ['contents twice', spell(magic, ...file.slice(0, -1), 'contents', 'x', ')')],
    [
      'an executable mark with a value',
      spell(magic, '(', 'type', 'regular', 'executable', 'x', 'contents', 'x', ')'),
    ],
    ['a node before its name', folder('entry', '(', 'node', ...file, 'name', 'a', ')')],
    ['an entry without a node', folder('entry', '(', 'name', 'a', ')')],
    ['padding of contents that is not zero', padded('x\0\0\0\0\0\0\x01', 'regular', 'contents')],
    ['padding of text that is not zero', padded('x\0\0\0\0\0\x01\0', 'symlink', 'target')],
    ['bytes after the end', spell(magic, ...file, '')],
    ['one byte after the end', new Uint8Array([...spell(magic, ...file), 0])],
    ['nothing at all', new Uint8Array(0)],
    ['a NAR without its last byte', spell(magic, ...file).subarray(0, -1)],
  ])('refuses %s', async (_, nar) => {
    expect(await refusal(nar)).toMatchObject({ code: 'NAR_MALFORMED', action: 'reject' })
  })

  it.each<[string, Uint8Array]>([
    ['a name of 256 bytes', folder(...entry('x'.repeat(256)))],
    ['a symlink target of 4096 bytes', link('x'.repeat(4096))],
    ['a depth of 65', nested(65)],
    ['a file of 2^64 - 1 bytes', spell(magic, '(', 'type', 'regular', 'contents', 2n ** 64n - 1n)],
    [
      'a name of 2^63 bytes',
      spell(magic, ...'( type directory entry ( name'.split(' '), 2n ** 63n),
    ],
  ])('refuses %s as too large', async (_, nar) => {
    expect(await refusal(nar)).toMatchObject({ code: 'TOO_LARGE', action: 'reject' })
  })

  it.each<[string, Uint8Array]>([
    ['a name of 255 bytes', folder(...entry('x'.repeat(255)))],
    ['a symlink target of 4095 bytes', link('x'.repeat(4095))],
    ['a depth of 64', nested(64)],
    ['case twins, as Nix does', folder(...entry('A'), ...entry('a'))],
  ])('takes %s', async (_, nar) => {
    expect(await refusal(nar)).toBe('accepted')
  })

  it('refuses case twins where asked to', async () => {
    const nar = folder(...entry('A'), ...entry('a'))
    expect(await refusal(nar, { refuseCaseTwins: true })).toMatchObject({ code: 'NAR_MALFORMED' })
  })

  it('stops at the size that was signed, before it reads further', async () => {
    const nar = spell(magic, ...file)
    expect(await refusal(nar, { bytesMax: nar.length })).toBe('accepted')
    expect(await refusal(nar, { bytesMax: nar.length - 1 })).toMatchObject({ code: 'TOO_LARGE' })
  })

  it('refuses a file that cannot fit before it is announced', async () => {
    const start = spell(magic, '(', 'type', 'regular', 'contents', 100n)
    const events = readNar([start], { whose: 'web-01', bytesMax: start.length + 99 })
    await expect(events.next()).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('counts every file, symlink and directory', async () => {
    const nar = folder(...entry('a'), ...entry('b'))
    expect(await refusal(nar, { nodesMax: 3 })).toBe('accepted')
    expect(await refusal(nar, { nodesMax: 2 })).toMatchObject({ code: 'TOO_LARGE' })
  })

  it('says where, what and whose', async () => {
    expect(await refusal(spell(magic, '(', 'type', 'fifo', ')'))).toMatchObject({
      message:
        "expected 'regular' or 'symlink' or 'directory' at byte 72 of the NAR of web-01, " +
        'found "fifo"',
    })
  })

  it('closes its source when it refuses', async () => {
    let closed = false
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        yield spell('nix-archive-2')
        yield spell('more')
      } finally {
        closed = true
      }
    }
    await expect(readNar(source(), { whose: 'web-01' }).next()).rejects.toThrow('nix-archive-1')
    expect(closed).toBe(true)
  })
})

describe('the writer', () => {
  const contents = (size: number, ...chunks: string[]): NarNode => {
    const bytes = chunks.map((chunk) => new Uint8Array(Buffer.from(chunk)))
    return { kind: 'regular', executable: false, size, contents: bytes }
  }
  const named = (...names: string[]): NarNode => ({
    kind: 'directory',
    entries: names.map((name) => ({ name, node: contents(0) })),
  })

  it('takes contents and entries that come from elsewhere, piece by piece', async () => {
    async function* later<T>(...items: readonly T[]): AsyncGenerator<T> {
      for (const item of items) yield item
    }
    const now = contents(3, 'a', '', 'bc')
    const entries = [{ name: 'f', node: now }]
    const file = { ...now, contents: later(...[Buffer.from('ab'), Buffer.from('c')]) } as NarNode
    const streamed: NarNode = { kind: 'directory', entries: later({ name: 'f', node: file }) }
    expect(await wholeNar(streamed)).toEqual(await wholeNar({ kind: 'directory', entries }))
  })

  it.each<[string, NarNode]>([
    ['a file that grew', contents(2, 'ab', 'c')],
    ['a file that shrank', contents(2, 'a')],
    ['a size that is no number of bytes', contents(1.5, 'a')],
    ['a negative size', contents(-1)],
    ['names out of order', named('b', 'a')],
    ['a name twice', named('a', 'a')],
    ['names in UTF-16 order', named('\u{10000}', '\ue000')],
    ['the name ..', named('..')],
    ['a name with a slash', named('a/b')],
    ['a name that has no UTF-8', named('\ud800')],
    ['an empty symlink target', { kind: 'symlink', target: '' }],
  ])('refuses %s', async (_, node) => {
    await expect(wholeNar(node)).rejects.toMatchObject({ code: 'NAR_MALFORMED', action: 'ignore' })
  })

  it('refuses a file above the bound before it opens it', async () => {
    const contents: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => expect.unreachable('the file was opened'),
    }
    const node = { kind: 'regular', executable: false, size: 2 ** 40, contents } as const
    await expect(wholeNar(node)).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('keeps to the bounds that a reader keeps to', async () => {
    const tooLarge = { code: 'TOO_LARGE', action: 'ignore' }
    const nar = await wholeNar(named('a', 'b'))
    expect(await wholeNar(named('a', 'b'), { bytesMax: nar.length, nodesMax: 3 })).toEqual(nar)
    const short = wholeNar(named('a', 'b'), { bytesMax: nar.length - 1 })
    await expect(short).rejects.toMatchObject(tooLarge)
    await expect(wholeNar(named('a', 'b'), { nodesMax: 2 })).rejects.toMatchObject(tooLarge)
  })

  it('refuses a tree that is deeper than a reader takes', async () => {
    let node: NarNode = contents(0)
    for (let depth = 0; depth < 65; depth++) {
      node = { kind: 'directory', entries: [{ name: 'd', node }] }
    }
    await expect(wholeNar(node)).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })
})
