/**
 * Where each byte of a NAR lies, from a look at its directories alone: the way to read any part of a
 * store path's NAR without writing the whole.
 *
 * A NAR is the bytes that the format gives, with the contents of files between them. The index holds
 * the former and says where the latter lie; `narRange` cuts any stretch out of it.
 */
import { concatBytes } from './bytes.ts'
import type { NarBounds, NarNode } from './nar.ts'
import { narParts } from './nar-writer.ts'

/** A stretch of a NAR at byte `at` of it: bytes held here, or a file whose bytes lie elsewhere. */
type NarSegment<Contents> =
  | { readonly at: number; readonly size: number; readonly bytes: Uint8Array }
  | { readonly at: number; readonly size: number; readonly contents: Contents }

/** The layout of one NAR: segments without gaps from byte 0 to `size`. */
export interface NarIndex<Contents> {
  /** Length of the NAR in bytes (the NarSize). */
  readonly size: number
  /** Bytes that the index itself holds; about 150 for each file. */
  readonly held: number
  readonly segments: readonly NarSegment<Contents>[]
}

/** A piece of a range: bytes as they are, or bytes `from` to `to` (excluded) of a file's contents. */
export type NarRangePart<Contents> =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'contents'
      readonly contents: Contents
      readonly from: number
      readonly to: number
    }

/**
 * The layout of the NAR of `root`, whose files' contents may be anything that says where they lie.
 *
 * Throws as `narParts`: what `writeNar` would not write has no index.
 */
export async function indexNar<Contents>(
  root: NarNode<Contents>,
  bounds: NarBounds,
): Promise<NarIndex<Contents>> {
  const segments: NarSegment<Contents>[] = []
  let size = 0
  let held = 0
  let between: Uint8Array[] = []
  const close = (): void => {
    const bytes = concatBytes(...between)
    between = []
    if (bytes.length === 0) return
    segments.push({ at: size, size: bytes.length, bytes })
    size += bytes.length
    held += bytes.length
  }
  for await (const part of narParts(root, bounds)) {
    if (part.kind === 'bytes') between.push(part.bytes)
    else if (part.file.size > 0) {
      close()
      segments.push({ at: size, size: part.file.size, contents: part.file.contents })
      size += part.file.size
    }
  }
  close()
  return { size, held, segments }
}

/** What makes up bytes `from` to `to` (excluded) of the NAR, cut to its end, in order. */
export function* narRange<Contents>(
  index: NarIndex<Contents>,
  from: number,
  to: number,
): Generator<NarRangePart<Contents>, void> {
  const { segments } = index
  for (let at = segmentAt(index, from); at < segments.length; at++) {
    const segment = segments[at]
    if (segment === undefined || segment.at >= to) return
    const start = Math.max(from, segment.at) - segment.at
    const end = Math.min(to, segment.at + segment.size) - segment.at
    if (start >= end) continue
    if ('bytes' in segment) yield { kind: 'bytes', bytes: segment.bytes.subarray(start, end) }
    else yield { kind: 'contents', contents: segment.contents, from: start, to: end }
  }
}

/** The segment that holds byte `offset`, by halving; the one after the last when none does. */
function segmentAt(index: NarIndex<unknown>, offset: number): number {
  let low = 0
  let high = index.segments.length
  while (low < high) {
    const middle = (low + high) >> 1
    const segment = index.segments[middle]
    if (segment !== undefined && segment.at + segment.size <= offset) low = middle + 1
    else high = middle
  }
  return low
}
