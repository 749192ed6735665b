/** One answer that should bring a piece: its head, then exactly the bytes that the piece has. */
import { concatBytes, decodePieceHead, type PieceHave } from '../../protocol/index.ts'

/** What came of a question for a piece. */
export type Received =
  | { readonly kind: 'piece'; readonly choice: number; readonly bytes: Uint8Array }
  | { readonly kind: 'none' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'broken' }

export interface PieceTaker {
  /** The peer sends offer number `choice`: how many bytes that is, or undefined to take none. */
  begun(choice: number, have: PieceHave): number | undefined
  /** Resolves when this many bytes may be taken: the bound on what comes in. */
  pass(bytes: number): Promise<void>
}

/** Reads `chunks` to the end of the piece. Throws what `chunks` throws, and BAD_SHAPE on a head that is none. */
export async function receivePiece(
  chunks: AsyncIterable<Uint8Array>,
  taker: PieceTaker,
): Promise<Received> {
  let before: Uint8Array = new Uint8Array(0)
  let piece: { readonly choice: number; readonly bytes: Uint8Array; filled: number } | undefined
  for await (const chunk of chunks) {
    await taker.pass(chunk.length)
    let bytes = chunk
    if (piece === undefined) {
      before = concatBytes(before, chunk)
      const found = decodePieceHead(before)
      if (found === undefined) continue
      if (found.head.kind !== 'piece') return { kind: found.head.kind }
      const { choice, have } = found.head
      const size = taker.begun(choice, have)
      if (size === undefined) return { kind: 'broken' }
      piece = { choice, bytes: new Uint8Array(size), filled: 0 }
      bytes = before.subarray(found.length)
    }
    // More than the piece has cannot be right; its hash will say so.
    const fitting = bytes.subarray(0, piece.bytes.length - piece.filled)
    piece.bytes.set(fitting, piece.filled)
    piece.filled += fitting.length
    if (piece.filled === piece.bytes.length) {
      return { kind: 'piece', choice: piece.choice, bytes: piece.bytes }
    }
  }
  return { kind: 'broken' }
}
