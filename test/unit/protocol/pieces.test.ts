/** Piece lists and piece messages, against their vectors, a twin over the whole NAR, and junk. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodePieceHaves,
  decodePieceHead,
  decodePieceQuestion,
  encodePieceHaves,
  encodePieceHead,
  encodePieceQuestion,
  fromHex,
  holdsPiece,
  type Manifest,
  manifestBlob,
  NAR_BYTES_MAX,
  openManifest,
  openPieceList,
  PIECE_BYTES,
  PIECE_NARS_MAX,
  PIECE_OFFERS_MAX,
  type PieceHave,
  PieceLister,
  ProtocolError,
  pieceCount,
  pieceHaveOf,
  pieceRoot,
  pieceSpan,
  soleList,
  toHex,
} from '../../../protocol/index.ts'
import { golden } from './golden.ts'
import { codeOf } from './refusal.ts'

const sha = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
const hash = (i: number): string => i.toString(16).padStart(64, '0')
const BITS = Uint8Array.of(0b1010_0000, 0b0000_1000)

/** The dumb twin: the whole NAR in memory. */
function listTwin(nar: Uint8Array): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at < nar.length; at += PIECE_BYTES) {
    pieces.push(sha(nar.subarray(at, at + PIECE_BYTES)))
  }
  return Buffer.concat(pieces)
}

function listOf(chunks: Iterable<Uint8Array>): Uint8Array {
  const lister = new PieceLister()
  for (const chunk of chunks) lister.update(chunk)
  return lister.list()
}

describe('a piece list', () => {
  const vector = golden<{ input: { narSize: number }; bytes: string; hash: string }>('piece-list')

  it('is that of its vector', () => {
    const { narSize } = vector.input
    const nar = Uint8Array.from({ length: narSize }, (_, i) => i * 31 + (i >> 16))
    expect(toHex(listOf([nar]))).toBe(vector.bytes)
    expect(listTwin(nar).toString('hex')).toBe(vector.bytes)
    expect(sha(fromHex(vector.bytes)).toString('hex')).toBe(vector.hash)
    const hashes = openPieceList(fromHex(vector.bytes), vector.hash, narSize)
    expect(hashes.join('')).toBe(vector.bytes)
  })

  it('is that of the twin, wherever the NAR is cut', () => {
    const sizes = fc.constantFrom(1, 96, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2.5e6)
    const cuts = fc.array(fc.nat(2.5e6), { maxLength: 6 })
    fc.assert(
      fc.property(sizes, cuts, fc.nat(255), (size, places, byte) => {
        const nar = new Uint8Array(size).fill(byte)
        const borders = [0, ...places.map((place) => place % size).sort((a, b) => a - b), size]
        const chunks = borders.map((from, i) => nar.subarray(from, borders[i + 1] ?? size))
        expect(Buffer.from(listOf(chunks))).toEqual(listTwin(nar))
      }),
      { numRuns: 40 },
    )
  })

  it('of a NAR of one piece is its NAR hash', () => {
    const nar = { narHash: hash(1), narSize: PIECE_BYTES }
    expect(soleList(nar)).toEqual([nar.narHash])
    expect(soleList({ ...nar, narSize: PIECE_BYTES + 1 })).toBe(undefined)
    const small = new Uint8Array(1000).fill(3)
    expect(toHex(listOf([small]))).toBe(sha(small).toString('hex'))
  })

  it('is refused where it hashes to another root, or has another number of pieces', () => {
    const list = fromHex(vector.bytes)
    const { narSize } = vector.input
    expect(codeOf(() => openPieceList(list, hash(1), narSize))).toBe('BAD_BLOB')
    for (const size of [narSize + PIECE_BYTES, narSize - PIECE_BYTES]) {
      expect(codeOf(() => openPieceList(list, vector.hash, size))).toBe('BAD_SHAPE')
    }
    const longer = Buffer.concat([list, Buffer.of(0)])
    expect(codeOf(() => openPieceList(longer, pieceRoot(longer), narSize))).toBe('BAD_SHAPE')
  })

  it('covers every byte once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: NAR_BYTES_MAX }), (size) => {
        const count = pieceCount(size)
        expect(pieceSpan(0, size).from).toBe(0)
        expect(pieceSpan(count - 1, size).to).toBe(size)
        for (const index of [1, count >> 1, count - 1].filter((i) => i > 0 && i < count)) {
          expect(pieceSpan(index, size).from).toBe(pieceSpan(index - 1, size).to)
        }
      }),
    )
  })
})

describe('a manifest with pieces', () => {
  it('is that of its vector, and one without keeps its bytes', () => {
    const vector = golden<{ input: Manifest; bytes: string; hash: string }>('blob-manifest-pieces')
    expect(openManifest(fromHex(vector.bytes), vector.hash)).toEqual(vector.input)
    expect(toHex(manifestBlob(vector.input).bytes)).toBe(vector.bytes)
    expect(vector.input.paths[0]?.pieces).toMatch(/^[0-9a-f]{64}$/)
    const without = vector.input.paths.map(({ pieces: _, ...path }) => path)
    const { hash: plain } = golden<{ hash: string }>('blob-manifest')
    expect(manifestBlob({ ...vector.input, paths: without }).hash).toBe(plain)
  })
})

describe('messages about pieces', () => {
  it('are those of their vectors', () => {
    const have = golden<{ question: string; answer: string; input: { nars: string[] } }>(
      'piece-have',
    )
    const asked = { kind: 'have', nars: have.input.nars } as const
    expect(decodePieceQuestion(fromHex(have.question))).toEqual(asked)
    expect(toHex(encodePieceQuestion(asked))).toBe(have.question)
    const haves = [{ kind: 'none' }, { kind: 'all' }, { kind: 'some', bits: BITS }] as const
    expect(decodePieceHaves(fromHex(have.answer), 3)).toEqual(haves)
    expect(toHex(encodePieceHaves(haves))).toBe(have.answer)
    expect([0, 1, 2, 11, 12].map((i) => holdsPiece(haves[2], i))).toEqual([
      ...[true, false, true, false, true],
    ])

    const piece = golden<{ question: string; heads: string[]; input: { offers: object[] } }>(
      'piece-piece',
    )
    const question = decodePieceQuestion(fromHex(piece.question))
    expect(question).toEqual({ kind: 'piece', offers: piece.input.offers })
    expect(toHex(encodePieceQuestion(question))).toBe(piece.question)
    const heads = piece.heads.map((text) => decodePieceHead(fromHex(text))?.head)
    expect(heads).toEqual([
      { kind: 'none' },
      { kind: 'busy' },
      { kind: 'piece', choice: 1, have: haves[2] },
    ])
    expect(heads.map((head) => head && toHex(encodePieceHead(head)))).toEqual(piece.heads)
  })

  it('say of every set of pieces what it holds', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 4096 }), (held) => {
        const have = pieceHaveOf(held.length, (i) => held[i] === true)
        const [read] = decodePieceHaves(encodePieceHaves([have]), 1)
        expect(held.map((_, i) => holdsPiece(read as PieceHave, i))).toEqual(held)
      }),
    )
  })

  it('need their whole head, and leave what follows', () => {
    const head = { kind: 'piece', choice: 2, have: { kind: 'all' } } as const
    const bytes = Buffer.concat([encodePieceHead(head), Buffer.from('a piece')])
    const { length } = encodePieceHead(head)
    for (let cut = 0; cut < length; cut++) {
      expect(decodePieceHead(bytes.subarray(0, cut))).toBe(undefined)
    }
    expect(decodePieceHead(bytes)).toEqual({ head, length })
  })

  it('are refused where they ask for nothing, for too much, or for a piece that no NAR has', () => {
    const nars = (count: number): string[] => Array.from({ length: count }, (_, i) => hash(i))
    const have = (count: number): string =>
      codeOf(() => encodePieceQuestion({ kind: 'have', nars: nars(count) }))
    expect([0, 1, PIECE_NARS_MAX, PIECE_NARS_MAX + 1].map(have)).toEqual([
      ...['BAD_SHAPE', 'accepted', 'accepted', 'BAD_SHAPE'],
    ])
    const piece = (count: number, index: number): string =>
      codeOf(() => {
        const offers = nars(count).map((nar) => ({ nar, index }))
        decodePieceQuestion(encodePieceQuestion({ kind: 'piece', offers }))
      })
    expect(piece(PIECE_OFFERS_MAX, 4095)).toBe('accepted')
    expect(piece(PIECE_OFFERS_MAX + 1, 0)).toBe('BAD_SHAPE')
    expect(piece(1, 4096)).toBe('BAD_SHAPE')
  })

  it('made of junk are refused, or mean what they would be written as', () => {
    let refused = 0
    const read: readonly ((bytes: Uint8Array) => Uint8Array)[] = [
      (bytes) => encodePieceQuestion(decodePieceQuestion(bytes)),
      (bytes) => encodePieceHaves(decodePieceHaves(bytes, 2)),
      (bytes) => {
        const found = decodePieceHead(bytes)
        return found ? encodePieceHead(found.head) : bytes
      },
    ]
    const junk = fc
      .uint8Array({ maxLength: 80 })
      .map((bytes) => bytes.map((b, i) => (i ? b : b % 4)))
    fc.assert(
      fc.property(junk, (bytes) => {
        for (const again of read) {
          try {
            const written = again(bytes)
            expect(written).toEqual(bytes.slice(0, written.length))
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error
            refused++
          }
        }
      }),
      { numRuns: 2000 },
    )
    expect(refused).toBeGreaterThan(0)
  })
})
