/**
 * RFC 6962 Merkle trees over SHA-256: roots, inclusion and consistency proofs (SPEC §15.1).
 *
 * Leaves and inner nodes are hashed under different first bytes, so no leaf can pass for a node.
 * Sizes are plain numbers up to 2^53: halving is by division, never by shifting.
 */
import { concatBytes, equalBytes } from './bytes.ts'
import { sha256 } from './crypto.ts'
import { PROOF_HASHES_MAX } from './limits.ts'

/** The root of a tree without leaves: SHA-256 of nothing. */
export const EMPTY_TREE: Uint8Array = sha256(new Uint8Array(0))

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** The hash of a leaf that holds `entry`. */
export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(concatBytes(LEAF, entry))
}

/** The hash of the node above two subtrees. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concatBytes(NODE, left, right))
}

/** The largest power of two below `size`, which is at least 2: where RFC 6962 splits a tree. */
export function splitOf(size: number): number {
  let half = 1
  while (half * 2 < size) half *= 2
  return half
}

/**
 * A tree that grows. It keeps the hash of every complete subtree, 64 bytes a leaf, and so proves
 * anything about any of its past sizes without hashing its leaves again.
 */
export class MerkleTree {
  readonly #levels: Uint8Array[][] = [[]]

  get size(): number {
    return this.#levels[0]?.length ?? 0
  }

  /** Adds a leaf by its hash. */
  append(hash: Uint8Array): void {
    let carried = hash
    for (let level = 0; ; level++) {
      const row = this.#levels[level] ?? []
      this.#levels[level] = row
      row.push(carried)
      const left = row[row.length - 2]
      if (row.length % 2 === 1 || left === undefined) return
      carried = nodeHash(left, carried)
    }
  }

  /** The hash of the complete subtree of 2^`level` leaves that begins at leaf `index` · 2^`level`. */
  subtree(level: number, index: number): Uint8Array {
    const hash = this.#levels[level]?.[index]
    if (hash !== undefined) return hash
    throw new RangeError(`expected a complete subtree ${index} of height ${level}, found none`)
  }

  /** The root when the tree had `size` leaves. Throws RangeError above its size. */
  root(size: number = this.size): Uint8Array {
    this.#assertSize(size)
    return size === 0 ? EMPTY_TREE : this.#hashOf(0, size)
  }

  /** The path from leaf `index` to the root of the first `size` leaves, the leaf's sibling first. */
  inclusion(index: number, size: number = this.size): readonly Uint8Array[] {
    this.#assertSize(size)
    if (!Number.isSafeInteger(index) || index < 0 || index >= size)
      throw new RangeError(`expected a leaf below ${size}, found ${index}`)
    return this.#path(index, 0, size)
  }

  /** The proof that the first `from` leaves are still the beginning of the first `to`. */
  consistency(from: number, to: number = this.size): readonly Uint8Array[] {
    this.#assertSize(to)
    if (!Number.isSafeInteger(from) || from < 0 || from > to)
      throw new RangeError(`expected a size up to ${to}, found ${from}`)
    return from === 0 || from === to ? [] : this.#subproof({ from, begin: 0, end: to, whole: true })
  }

  #assertSize(size: number): void {
    if (Number.isSafeInteger(size) && size >= 0 && size <= this.size) return
    throw new RangeError(`expected a size up to ${this.size}, found ${size}`)
  }

  #hashOf(begin: number, end: number): Uint8Array {
    const size = end - begin
    const level = Math.log2(size)
    if (Number.isInteger(level) && begin % size === 0) return this.subtree(level, begin / size)
    const middle = begin + splitOf(size)
    return nodeHash(this.#hashOf(begin, middle), this.#hashOf(middle, end))
  }

  #path(index: number, begin: number, end: number): readonly Uint8Array[] {
    if (end - begin === 1) return []
    const middle = begin + splitOf(end - begin)
    return index < middle
      ? [...this.#path(index, begin, middle), this.#hashOf(middle, end)]
      : [...this.#path(index, middle, end), this.#hashOf(begin, middle)]
  }

  /** RFC 6962 §2.1.2. `whole`: the old tree's root is known and need not be said. */
  #subproof(at: {
    from: number
    begin: number
    end: number
    whole: boolean
  }): readonly Uint8Array[] {
    const { from, begin, end, whole } = at
    if (from === end) return whole ? [] : [this.#hashOf(begin, end)]
    const middle = begin + splitOf(end - begin)
    if (from <= middle)
      return [...this.#subproof({ from, begin, end: middle, whole }), this.#hashOf(middle, end)]
    return [
      ...this.#subproof({ from, begin: middle, end, whole: false }),
      this.#hashOf(begin, middle),
    ]
  }
}

/** What is left of a tree that only grows: its size and the roots of its complete subtrees. */
export interface Frontier {
  readonly size: number
  /** Largest first; at most log2 of the size. */
  readonly peaks: readonly Uint8Array[]
}

/** The frontier of the empty tree. */
export const EMPTY_FRONTIER: Frontier = { size: 0, peaks: [] }

/** The frontier with one more leaf. */
export function appendLeaf({ size, peaks }: Frontier, leaf: Uint8Array): Frontier {
  const left = [...peaks]
  let carried = leaf
  for (let rest = size; rest % 2 === 1; rest = (rest - 1) / 2) {
    const peak = left.pop()
    if (peak !== undefined) carried = nodeHash(peak, carried)
  }
  return { size: size + 1, peaks: [...left, carried] }
}

/** The root of the tree that this frontier stands for. */
export function frontierRoot({ peaks }: Frontier): Uint8Array {
  const last = peaks.at(-1)
  if (last === undefined) return EMPTY_TREE
  return peaks.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last)
}

/** Whether `path` leads from `leaf` (a leaf's hash) at `index` to `root` of a tree of `size` leaves. */
export function verifyInclusion(claim: {
  readonly leaf: Uint8Array
  readonly index: number
  readonly size: number
  readonly root: Uint8Array
  readonly path: readonly Uint8Array[]
}): boolean {
  const { leaf, index, size, root, path } = claim
  if (!isSize(size) || !isSize(index) || index >= size || !areHashes([leaf, root, ...path]))
    return false
  let place = index
  let last = size - 1
  let hash = leaf
  for (const sibling of path) {
    if (last === 0) return false
    if (place % 2 === 1 || place === last) {
      hash = nodeHash(sibling, hash)
      while (place % 2 === 0 && place !== 0) [place, last] = [halved(place), halved(last)]
    } else hash = nodeHash(hash, sibling)
    ;[place, last] = [halved(place), halved(last)]
  }
  return last === 0 && equalBytes(hash, root)
}

/** Whether the tree of `from` leaves with `fromRoot` is the beginning of that of `to` with `toRoot`. */
export function verifyConsistency(claim: {
  readonly from: number
  readonly to: number
  readonly fromRoot: Uint8Array
  readonly toRoot: Uint8Array
  readonly proof: readonly Uint8Array[]
}): boolean {
  const { from, to, fromRoot, toRoot, proof } = claim
  if (!isSize(from) || !isSize(to) || from > to || !areHashes([fromRoot, toRoot, ...proof]))
    return false
  if (from === 0) return proof.length === 0 && equalBytes(fromRoot, EMPTY_TREE)
  if (from === to) return proof.length === 0 && equalBytes(fromRoot, toRoot)
  const hashes = isPowerOfTwo(from) ? [fromRoot, ...proof] : proof
  return foldsTo(claim, hashes)
}

/** RFC 9162 §2.1.4.2: one walk up the new tree gives both roots. */
function foldsTo(
  claim: { from: number; to: number; fromRoot: Uint8Array; toRoot: Uint8Array },
  [first, ...rest]: readonly Uint8Array[],
): boolean {
  if (first === undefined) return false
  let place = claim.from - 1
  let last = claim.to - 1
  while (place % 2 === 1) [place, last] = [halved(place), halved(last)]
  let old = first
  let now = first
  for (const hash of rest) {
    if (last === 0) return false
    if (place % 2 === 1 || place === last) {
      old = nodeHash(hash, old)
      now = nodeHash(hash, now)
      while (place % 2 === 0 && place !== 0) [place, last] = [halved(place), halved(last)]
    } else now = nodeHash(now, hash)
    ;[place, last] = [halved(place), halved(last)]
  }
  return last === 0 && equalBytes(old, claim.fromRoot) && equalBytes(now, claim.toRoot)
}

function halved(value: number): number {
  return Math.floor(value / 2)
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value))
}

function areHashes(hashes: readonly Uint8Array[]): boolean {
  return hashes.length <= PROOF_HASHES_MAX + 2 && hashes.every((hash) => hash.length === 32)
}
