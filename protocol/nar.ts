/**
 * NAR, the archive whose SHA-256 says what a store path contains: the tree that it holds.
 *
 * A NAR keeps what matters to a program and nothing else: names, contents, the executable bit and
 * symlink targets; no owner, no times. One tree has exactly one NAR. Every token is a string: its
 * length as 64 bits little-endian, its bytes, zeros up to a multiple of 8. Source: thesis of
 * E. Dolstra §5.2.1 and figure 5.2; Nix manual, "Nix Archive (NAR) format".
 */
import { utf8 } from './bytes.ts'
import { NAR_NAME_BYTES_MAX, NAR_TARGET_BYTES_MAX } from './nar-limits.ts'

/** What may come piece by piece: from memory, or from a disk that is read while we write. */
export type NarStream<T> = Iterable<T> | AsyncIterable<T>

/**
 * A file. As a stream, `contents` must yield exactly `size` bytes and is read once, when its turn
 * comes; an index takes whatever else says where the bytes lie.
 */
export interface NarRegular<Contents = NarStream<Uint8Array>> {
  readonly kind: 'regular'
  readonly executable: boolean
  readonly size: number
  readonly contents: Contents
}

/** A symlink. Its target is text that nobody follows here: it may point anywhere. */
export interface NarSymlink {
  readonly kind: 'symlink'
  readonly target: string
}

/** A directory. `entries` must come in the order of `compareNarNames`. */
export interface NarDirectory<Contents = NarStream<Uint8Array>> {
  readonly kind: 'directory'
  readonly entries: NarStream<NarEntry<Contents>>
}

/** One entry of a directory. */
export interface NarEntry<Contents = NarStream<Uint8Array>> {
  readonly name: string
  readonly node: NarNode<Contents>
}

/** What a store path, or any path below it, may be. */
export type NarNode<Contents = NarStream<Uint8Array>> =
  | NarRegular<Contents>
  | NarSymlink
  | NarDirectory<Contents>

/** Whose NAR is read or written, and how much of it is too much. */
export interface NarBounds {
  /** Names the NAR in errors: its store path. */
  readonly whose: string
  /** Most bytes of the whole NAR, `NAR_BYTES_MAX` by default; a reader gives the signed NarSize. */
  readonly bytesMax?: number
  /** Most files, symlinks and directories, `NAR_NODES_MAX` by default. */
  readonly nodesMax?: number
}

/** The first token of every NAR; the number is the format's version and has never changed. */
export const NAR_MAGIC = 'nix-archive-1'

/** The order of names in a directory: by their UTF-8 bytes, which is not JavaScript's own order. */
export function compareNarNames(left: string, right: string): number {
  const a = utf8(left)
  const b = utf8(right)
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** What is wrong with `name` as an entry's name, or undefined. Both reader and writer ask here. */
export function narNameFault(name: string): string | undefined {
  if (name === '') return 'an empty name'
  if (name === '.' || name === '..') return `the name '${name}'`
  if (name.includes('/')) return 'a name with a slash'
  return textFault(name, NAR_NAME_BYTES_MAX)
}

/** What is wrong with `target` as a symlink's target, or undefined. Linux has no empty target. */
export function narTargetFault(target: string): string | undefined {
  return target === '' ? 'an empty target' : textFault(target, NAR_TARGET_BYTES_MAX)
}

function textFault(text: string, bytesMax: number): string | undefined {
  if (text.includes('\0')) return 'text with a NUL'
  // A lone surrogate has no UTF-8: it would be written as another character than it is.
  if (/\p{Surrogate}/u.test(text)) return 'text that has no UTF-8'
  const length = utf8(text).length
  return length > bytesMax ? `text of ${length} bytes, above ${bytesMax}` : undefined
}
