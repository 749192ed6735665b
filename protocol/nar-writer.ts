/**
 * Writes a tree as a NAR, streaming: what `nix-store --dump` prints, byte for byte.
 *
 * Source: thesis of E. Dolstra §5.2.1 and figure 5.2; Nix manual, "Nix Archive (NAR) format".
 */
import { concatBytes, utf8 } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import { NAR_BYTES_MAX } from './limits.ts'
import {
  compareNarNames,
  NAR_MAGIC,
  type NarBounds,
  type NarDirectory,
  type NarNode,
  type NarRegular,
  type NarSymlink,
  narNameFault,
  narTargetFault,
} from './nar.ts'
import { NAR_DEPTH_MAX, NAR_NODES_MAX } from './nar-limits.ts'

/** A stretch of a NAR: bytes that the format gives, or the contents of one file. */
export type NarPart<Contents> =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** `path` is that of the file below the root, '' for the root itself. */
  | { readonly kind: 'contents'; readonly file: NarRegular<Contents>; readonly path: string }

/**
 * The NAR of `root`, chunk by chunk, never holding more than one chunk of a file.
 *
 * Throws NAR_MALFORMED (ignore: the fault is ours, not a peer's)
 * when a file yields another number of bytes than its size, as one does that changes while it is
 * read, when names are unsorted, twice there or not allowed; TOO_LARGE above the bounds that
 * `readNar` keeps, so that nothing is written that a peer would refuse.
 */
export async function* writeNar(
  root: NarNode,
  bounds: NarBounds,
): AsyncGenerator<Uint8Array, void> {
  for await (const part of narParts(root, bounds)) {
    if (part.kind === 'bytes') yield part.bytes
    else yield* contentsOf(part.file, `${JSON.stringify(part.path || '/')} of ${bounds.whose}`)
  }
}

/**
 * The stretches of the NAR of `root` in their order, without a look at any file's contents.
 *
 * Throws as `writeNar`, but for what only the contents can tell.
 */
export async function* narParts<Contents>(
  root: NarNode<Contents>,
  bounds: NarBounds,
): AsyncGenerator<NarPart<Contents>, void> {
  const { whose, bytesMax = NAR_BYTES_MAX, nodesMax = NAR_NODES_MAX } = bounds
  const total = { nodes: 0, bytes: 0 }
  const place: Place = { whose, bytesMax, nodesMax, path: '', depth: 0, total }
  yield counted(bytesPart(tokens(NAR_MAGIC)), place)
  for await (const part of writeNode(root, place)) yield counted(part, place)
}

async function* contentsOf(node: NarRegular, where: string): AsyncGenerator<Uint8Array, void> {
  let written = 0
  for await (const bytes of node.contents) {
    written += bytes.length
    if (written > node.size) throw faultAt(where, `${node.size} bytes`, `at least ${written}`)
    if (bytes.length > 0) yield bytes
  }
  if (written < node.size) throw faultAt(where, `${node.size} bytes`, `${written}`)
}

// The texts between names and contents, spelled once: a NAR of small files is mostly these.
const FILE_START = tokens('(', 'type', 'regular', 'contents')
const EXECUTABLE_START = tokens('(', 'type', 'regular', 'executable', '', 'contents')
const ENTRY_START = tokens('entry', '(', 'name')
const ENTRY_NODE = tokens('node')
const END = tokens(')')

/** Where in the tree the writer stands, and what it has counted so far (shared by all places). */
interface Place extends Required<NarBounds> {
  readonly path: string
  readonly depth: number
  readonly total: { nodes: number; bytes: number }
}

type Parts<Contents> = AsyncGenerator<NarPart<Contents>, void>

async function* writeNode<Contents>(node: NarNode<Contents>, place: Place): Parts<Contents> {
  place.total.nodes++
  if (place.total.nodes > place.nodesMax) throw tooLarge(place, `${place.nodesMax} files`)
  if (place.depth > NAR_DEPTH_MAX) throw tooLarge(place, `a depth of ${NAR_DEPTH_MAX}`)
  switch (node.kind) {
    case 'regular':
      return yield* writeRegular(node, place)
    case 'symlink':
      return yield bytesPart(writeSymlink(node, place))
    case 'directory':
      return yield* writeDirectory(node, place)
  }
}

async function* writeRegular<Contents>(node: NarRegular<Contents>, place: Place): Parts<Contents> {
  if (!Number.isSafeInteger(node.size) || node.size < 0)
    throw fault(place, 'a size', `${node.size}`)
  // Looked at here too, so that a file which cannot fit is not opened.
  if (place.total.bytes + node.size > place.bytesMax)
    throw tooLarge(place, `${place.bytesMax} bytes`)
  yield bytesPart(
    concatBytes(node.executable ? EXECUTABLE_START : FILE_START, unsigned64(node.size)),
  )
  yield { kind: 'contents', file: node, path: place.path }
  yield bytesPart(concatBytes(padding(node.size), END))
}

function writeSymlink(node: NarSymlink, place: Place): Uint8Array {
  const wrong = narTargetFault(node.target)
  if (wrong !== undefined) throw fault(place, 'a symlink target', wrong)
  return tokens('(', 'type', 'symlink', 'target', node.target, ')')
}

async function* writeDirectory<Contents>(
  node: NarDirectory<Contents>,
  place: Place,
): Parts<Contents> {
  yield bytesPart(tokens('(', 'type', 'directory'))
  let last: string | undefined
  for await (const { name, node: child } of node.entries) {
    const wrong = narNameFault(name)
    if (wrong !== undefined) throw fault(place, 'an entry name', wrong)
    if (last !== undefined && compareNarNames(last, name) >= 0) {
      throw fault(place, `a name after ${JSON.stringify(last)} in byte order`, JSON.stringify(name))
    }
    last = name
    yield bytesPart(concatBytes(ENTRY_START, tokens(name), ENTRY_NODE))
    yield* writeNode(child, { ...place, path: `${place.path}/${name}`, depth: place.depth + 1 })
    yield bytesPart(END.slice())
  }
  yield bytesPart(END.slice())
}

function bytesPart(bytes: Uint8Array): NarPart<never> {
  return { kind: 'bytes', bytes }
}

function counted<Contents>(part: NarPart<Contents>, place: Place): NarPart<Contents> {
  place.total.bytes += part.kind === 'bytes' ? part.bytes.length : part.file.size
  if (place.total.bytes > place.bytesMax) throw tooLarge(place, `${place.bytesMax} bytes`)
  return part
}

function tokens(...texts: readonly string[]): Uint8Array {
  return concatBytes(...texts.flatMap((text) => token(utf8(text))))
}

function token(bytes: Uint8Array): readonly Uint8Array[] {
  return [unsigned64(bytes.length), bytes, padding(bytes.length)]
}

function padding(length: number): Uint8Array {
  return new Uint8Array((8 - (length % 8)) % 8)
}

function unsigned64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true)
  return bytes
}

function fault(place: Place, expected: string, found: string): ProtocolError {
  return faultAt(`${JSON.stringify(place.path || '/')} of ${place.whose}`, expected, found)
}

function faultAt(where: string, expected: string, found: string): ProtocolError {
  return new ProtocolError(
    'NAR_MALFORMED',
    'ignore',
    `expected ${expected} for ${where}, found ${found}`,
  )
}

function tooLarge(place: Place, bound: string): ProtocolError {
  const where = JSON.stringify(place.path || '/')
  return new ProtocolError(
    'TOO_LARGE',
    'ignore',
    `expected at most ${bound} for ${place.whose}, found more at ${where}`,
  )
}
