/** RFC 6962 trees: the published vectors, and a slow twin that only knows the RFC's definitions. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  appendLeaf,
  EMPTY_FRONTIER,
  EMPTY_TREE,
  type Frontier,
  frontierRoot,
  leafHash,
  MerkleTree,
  toHex,
  verifyConsistency,
  verifyInclusion,
} from '../../../protocol/index.ts'

interface Published {
  readonly leaves: readonly string[]
  readonly roots: readonly string[]
  readonly inclusion: Record<
    string,
    {
      leafIdx: number
      treeSize: number
      root: string
      leafHash: string
      proof: readonly string[] | null
      wantErr: boolean
    }
  >
  readonly consistency: Record<
    string,
    {
      size1: number
      size2: number
      root1: string
      root2: string
      proof: readonly string[] | null
      wantErr: boolean
    }
  >
}

const file = readFileSync(new URL('../../vendor/rfc6962-merkle.json', import.meta.url))
const published = JSON.parse(file.toString()) as Published
const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))

function treeOf(entries: readonly Uint8Array[]): MerkleTree {
  const tree = new MerkleTree()
  for (const entry of entries) tree.append(leafHash(entry))
  return tree
}

describe('the published vectors', () => {
  it('hold good ones and bad ones', () => {
    const all = [...Object.values(published.inclusion), ...Object.values(published.consistency)]
    expect(all).toHaveLength(196)
    expect(all.filter((vector) => !vector.wantErr)).toHaveLength(12)
  })

  it('lie as they were taken', () => {
    const note = readFileSync(new URL('../../vendor/rfc6962-merkle.md', import.meta.url), 'utf8')
    expect(note).toContain(createHash('sha256').update(file).digest('hex'))
  })

  it('give every root', () => {
    const tree = treeOf(published.leaves.map((hex) => new Uint8Array(Buffer.from(hex, 'hex'))))
    expect(published.roots).toHaveLength(9)
    expect(published.roots.map((_, size) => toHex(tree.root(size)))).toEqual(published.roots)
  })

  it.each(Object.entries(published.inclusion))('inclusion %s', (_, vector) => {
    const { leafIdx: index, treeSize: size, root, leafHash: leaf, proof, wantErr } = vector
    const path = (proof ?? []).map(bytes)
    const holds = verifyInclusion({ index, size, path, root: bytes(root), leaf: bytes(leaf) })
    expect(holds).toBe(!wantErr)
  })

  it.each(Object.entries(published.consistency))('consistency %s', (_, vector) => {
    const { size1: from, size2: to, root1, root2, proof, wantErr } = vector
    const claim = { from, to, fromRoot: bytes(root1), toRoot: bytes(root2) }
    const holds = verifyConsistency({ ...claim, proof: (proof ?? []).map(bytes) })
    // One good vector stands on a text in place of a hash: whoever only compares takes it, we do not.
    const areHashes = [claim.fromRoot, claim.toRoot].every((root) => root.length === 32)
    expect(holds).toBe(!wantErr && areHashes)
  })
})

/** MTH, PATH and SUBPROOF as RFC 6962 §2.1 writes them, over lists of entries. */
const sha = (...parts: Uint8Array[]): Uint8Array =>
  new Uint8Array(createHash('sha256').update(Buffer.concat(parts)).digest())
function half(count: number): number {
  return 2 ** Math.ceil(Math.log2(count) - 1)
}
function slowRoot(entries: readonly Uint8Array[]): Uint8Array {
  const [first] = entries
  if (first === undefined) return sha()
  if (entries.length === 1) return sha(Uint8Array.of(0), first)
  const k = half(entries.length)
  return sha(Uint8Array.of(1), slowRoot(entries.slice(0, k)), slowRoot(entries.slice(k)))
}
function slowPath(m: number, entries: readonly Uint8Array[]): readonly Uint8Array[] {
  if (entries.length === 1) return []
  const k = half(entries.length)
  return m < k
    ? [...slowPath(m, entries.slice(0, k)), slowRoot(entries.slice(k))]
    : [...slowPath(m - k, entries.slice(k)), slowRoot(entries.slice(0, k))]
}
function slowProof(m: number, entries: readonly Uint8Array[], known = true): Uint8Array[] {
  if (m === entries.length) return known ? [] : [slowRoot(entries)]
  const k = half(entries.length)
  return m <= k
    ? [...slowProof(m, entries.slice(0, k), known), slowRoot(entries.slice(k))]
    : [...slowProof(m - k, entries.slice(k), false), slowRoot(entries.slice(0, k))]
}

const entriesOf = (count: number): readonly Uint8Array[] =>
  Array.from({ length: count }, (_, i) => Uint8Array.of(i & 0xff, i >> 8))

const shape = fc
  .integer({ min: 1, max: 300 })
  .chain((size) => fc.record({ size: fc.constant(size), at: fc.nat(size - 1) }))

describe('against the slow twin', () => {
  it('roots and frontiers agree at every size', () => {
    const entries = entriesOf(70)
    const tree = treeOf(entries)
    let frontier: Frontier = EMPTY_FRONTIER
    expect(frontierRoot(frontier)).toEqual(EMPTY_TREE)
    for (let size = 0; size <= entries.length; size++) {
      expect(toHex(tree.root(size))).toBe(toHex(slowRoot(entries.slice(0, size))))
      expect(toHex(frontierRoot(frontier))).toBe(toHex(tree.root(size)))
      expect(frontier.peaks.length).toBeLessThanOrEqual(7)
      frontier = appendLeaf(frontier, leafHash(entries[size] ?? new Uint8Array(0)))
    }
  })

  it('inclusion proofs agree, hold, and hold for nothing else', () => {
    fc.assert(
      fc.property(shape, fc.nat(), ({ size, at }, flip) => {
        const entries = entriesOf(size)
        const path = treeOf(entries).inclusion(at)
        expect(path.map(toHex)).toEqual(slowPath(at, entries).map(toHex))
        const leaf = leafHash(entries[at] ?? new Uint8Array(0))
        const claim = { leaf, index: at, size, root: slowRoot(entries), path }
        expect(verifyInclusion(claim)).toBe(true)
        expect(verifyInclusion({ ...claim, path: [...path, leaf] })).toBe(false)
        expect(verifyInclusion({ ...claim, root: flipped(claim.root, flip) })).toBe(false)
        expect(verifyInclusion({ ...claim, leaf: flipped(leaf, flip) })).toBe(false)
        expect(verifyInclusion({ ...claim, index: size })).toBe(false)
        if (size > 1) expect(verifyInclusion({ ...claim, index: (at + 1) % size })).toBe(false)
        const bad = path.map((hash, i) => (i === flip % path.length ? flipped(hash, flip) : hash))
        if (path.length > 0) expect(verifyInclusion({ ...claim, path: bad })).toBe(false)
      }),
      { numRuns: 200 },
    )
  })

  it('consistency proofs agree, hold, and hold for nothing else', () => {
    fc.assert(
      fc.property(shape, fc.nat(), ({ size, at }, flip) => {
        const entries = entriesOf(size)
        const from = at + 1
        const proof = treeOf(entries).consistency(from, size)
        expect(proof.map(toHex)).toEqual(slowProof(from, entries).map(toHex))
        const fromRoot = slowRoot(entries.slice(0, from))
        const claim = { from, to: size, fromRoot, toRoot: slowRoot(entries), proof }
        expect(verifyConsistency(claim)).toBe(true)
        expect(verifyConsistency({ ...claim, fromRoot: flipped(fromRoot, flip) })).toBe(false)
        expect(verifyConsistency({ ...claim, toRoot: flipped(claim.toRoot, flip) })).toBe(false)
        expect(verifyConsistency({ ...claim, proof: [...proof, fromRoot] })).toBe(false)
        expect(verifyConsistency({ ...claim, from: size + 1 })).toBe(false)
        const bad = proof.map((hash, i) => (i === flip % proof.length ? flipped(hash, flip) : hash))
        if (proof.length > 0) expect(verifyConsistency({ ...claim, proof: bad })).toBe(false)
      }),
      { numRuns: 200 },
    )
  })

  it('a rewritten past has no consistency proof', () => {
    fc.assert(
      fc.property(shape, ({ size, at }) => {
        const entries = [...entriesOf(size), Uint8Array.of(9)]
        const other = entries.map((entry, i) => (i === at ? Uint8Array.of(7, 7, 7) : entry))
        const claim = { from: size, to: size + 1, toRoot: slowRoot(other) }
        const fromRoot = slowRoot(entries.slice(0, size))
        const proof = treeOf(other).consistency(size)
        expect(verifyConsistency({ ...claim, fromRoot, proof })).toBe(false)
      }),
      { numRuns: 100 },
    )
  })
})

describe('a tree', () => {
  it('says what it was asked that it has not', () => {
    const tree = treeOf(entriesOf(3))
    expect(() => tree.root(4)).toThrow('expected a size up to 3, found 4')
    expect(() => tree.inclusion(3)).toThrow('expected a leaf below 3, found 3')
    expect(() => tree.consistency(4)).toThrow('expected a size up to 3, found 4')
    expect(() => tree.subtree(1, 1)).toThrow('expected a complete subtree 1 of height 1')
    expect(tree.consistency(0)).toEqual([])
  })
})

function flipped(hash: Uint8Array, at: number): Uint8Array {
  return hash.map((byte, i) => (i === at % hash.length ? byte ^ 1 : byte))
}
