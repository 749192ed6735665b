/** Tiles, notes, checkpoints and proofs: the examples of C2SP, and what must be refused. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bundlePath,
  checkpointText,
  cosign,
  cosignedAt,
  cosignerOf,
  decodeBundle,
  decodeWitnessAnswer,
  decodeWitnessQuestion,
  deriveHostKeys,
  ED25519,
  encodeBundle,
  encodeWitnessAnswer,
  encodeWitnessQuestion,
  entryId,
  entryOf,
  entryType,
  envelopeOf,
  formatNote,
  formatTlogProof,
  fromHex,
  gateOrigin,
  leafHash,
  MerkleTree,
  NOTE_ED25519,
  noteKeyId,
  openCheckpoint,
  parseCheckpoint,
  parseNote,
  parseTlogProof,
  parseVerifierKey,
  TILE_WIDTH,
  tileBytes,
  tilePath,
  tilesOf,
  toHex,
  utf8,
  verifierKey,
  type WitnessAnswer,
} from '../../../protocol/index.ts'
import { FLEET, golden, goldenNames, OTHER_FLEET } from './golden.ts'
import { codeOf } from './refusal.ts'

interface Examples {
  readonly verifierKey: string
  readonly signedNote: string
  readonly cosignedCheckpoint: string
  readonly cosignatureTime: number
  readonly tilePath: { readonly index: number; readonly path: string }
  readonly tilesOf70000: Record<string, readonly [number, number]>
  readonly tilesOf256: Record<string, readonly [number, number]>
}
const vendor = new URL('../../vendor/c2sp-notes.json', import.meta.url)
const examples = JSON.parse(readFileSync(vendor, 'utf8')) as Examples

describe('tiles', () => {
  it('are named as the specification names them', () => {
    const { index, path } = examples.tilePath
    expect(tilePath({ level: 3, index, width: TILE_WIDTH })).toBe(`tile/3/${path}`)
    expect(bundlePath({ index, width: 7 })).toBe(`tile/entries/${path}.p/7`)
    expect(tilePath({ level: 0, index: 0, width: 1 })).toBe('tile/0/000.p/1')
  })

  it.each([
    [70_000, examples.tilesOf70000],
    [256, examples.tilesOf256],
  ] as const)('of %i leaves are as many and as wide as there', (size, expected) => {
    const found: Record<string, [number, number]> = {}
    for (const { level, width } of tilesOf(size)) {
      const row = found[`level${level}`] ?? [0, 0]
      found[`level${level}`] = width === TILE_WIDTH ? [row[0] + 1, row[1]] : [row[0], width]
    }
    expect(found).toEqual(expected)
    expect(tilesOf(0)).toEqual([])
  })

  it('hold the hashes of the level below', () => {
    const tree = new MerkleTree()
    const whole = new MerkleTree()
    for (let i = 0; i < 300; i++) {
      tree.append(leafHash(Uint8Array.of(i & 0xff, i >> 8)))
      if (i < 256) whole.append(leafHash(Uint8Array.of(i & 0xff, i >> 8)))
    }
    const tiles = tilesOf(300).map((tile) => tileBytes(tree, tile))
    expect(tiles.map((bytes) => bytes.length / 32)).toEqual([256, 44, 1])
    expect(tiles[2]).toEqual(whole.root())
  })

  it('bundles give their entries back, and no half ones', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 40 }), (entries) => {
        const bundle = encodeBundle(entries)
        expect(decodeBundle(bundle, 'a bundle')).toEqual(entries)
        if (bundle.length > 0)
          expect(codeOf(() => decodeBundle(bundle.subarray(0, -1), 'a bundle'))).toBe('BAD_SHAPE')
      }),
    )
    const many = encodeBundle(Array.from({ length: 257 }, () => Uint8Array.of(1)))
    expect(codeOf(() => decodeBundle(many, 'a bundle'))).toBe('BAD_SHAPE')
    expect(codeOf(() => encodeBundle([new Uint8Array(65_536)]))).toBe('TOO_LARGE')
  })
})

describe('notes', () => {
  it("verify the specification's example under its key, and only that", () => {
    const key = parseVerifierKey(examples.verifierKey)
    expect(verifierKey(key)).toBe(examples.verifierKey)
    expect(key.type).toBe(NOTE_ED25519)
    const note = parseNote(examples.signedNote, 'the example')
    const [signature] = note.signatures
    expect(signature).toMatchObject({ name: 'example.com/foo', keyId: noteKeyId(key) })
    const claim = { publicKey: key.publicKey, signature: signature?.bytes ?? new Uint8Array(0) }
    expect(ED25519.verify({ ...claim, message: utf8(note.text) })).toBe(true)
    expect(ED25519.verify({ ...claim, message: utf8(`${note.text}.`) })).toBe(false)
    expect(formatNote(note)).toBe(examples.signedNote)
  })

  it('read a cosigned checkpoint', () => {
    const { checkpoint, note } = openCheckpoint(examples.cosignedCheckpoint, 'the example')
    expect(checkpoint).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20852163 })
    expect(note.signatures.map((one) => one.bytes.length)).toEqual([64, 72])
    const time = note.signatures[1]?.bytes.subarray(0, 8) ?? new Uint8Array(0)
    expect(Number.parseInt(toHex(time), 16)).toBe(examples.cosignatureTime)
    expect(formatNote(note)).toBe(examples.cosignedCheckpoint)
    expect(checkpointText(checkpoint)).toBe(note.text)
  })

  it.each([
    ['no signature', 'text\n\n'],
    ['no blank line', 'text\n— a AAAAAAA=\n'],
    ['no line feed at the end', 'text\n\n— a AAAAAAA='],
    ['a control character', 'te\rxt\n\n— a AAAAAAA=\n'],
    ['a plus in a name', 'text\n\n— a+b AAAAAAA=\n'],
    ['a blank in a name', 'text\n\n— a b AAAAAAA=\n'],
    ['a key id alone', 'text\n\n— a AAAAAA==\n'],
    ['base64 that has a second form', 'text\n\n— a AAAAAAB=\n'],
    ['a hyphen for a dash', 'text\n\n- a AAAAAAA=\n'],
    ['half a character', 'te\ud800xt\n\n— a AAAAAAA=\n'],
  ])('are refused with %s', (_, source) => {
    expect(codeOf(() => parseNote(source, 'somebody'))).toBe('BAD_SHAPE')
  })

  it('are refused above their bounds', () => {
    const many = `text\n\n${'— a AAAAAAA=\n'.repeat(65)}`
    expect(codeOf(() => parseNote(many, 'somebody'))).toBe('BAD_SHAPE')
    expect(codeOf(() => parseNote('x'.repeat(70_000), 'somebody'))).toBe('TOO_LARGE')
  })

  it.each([
    'example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
    'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=',
    'example.com foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
    '',
  ])('a verifier key that is not its own is refused: %s', (source) => {
    expect(codeOf(() => parseVerifierKey(source))).toBe('BAD_SHAPE')
  })
})

const keys = deriveHostKeys(fromHex(golden<{ seed: string }>('host-keys').seed))
const cosigner = cosignerOf(FLEET, { name: 'web-1', cosign: keys.cosign.publicKey })
const text = checkpointText({
  origin: gateOrigin(FLEET, 'berlin'),
  size: 7,
  root: leafHash(utf8('root')),
})

describe('checkpoints', () => {
  it.each([
    ['a size with a zero before it', text.replace('\n7\n', '\n07\n')],
    ['a negative size', text.replace('\n7\n', '\n-7\n')],
    ['a size beyond 2^53', text.replace('\n7\n', '\n9007199254740993\n')],
    ['an extension line', `${text}more\n`],
    ['no origin', text.replace(/^[^\n]+/, '')],
    ['a short root', `${text.split('\n').slice(0, 2).join('\n')}\nAAAA\n`],
    ['no last line feed', text.trimEnd()],
  ])('are refused with %s', (_, source) => {
    expect(codeOf(() => parseCheckpoint(source, 'somebody'))).toBe('BAD_SHAPE')
  })

  it('hold under the cosigner that signed them and no other', () => {
    const line = cosign({ text, key: keys.cosign, cosigner, timeS: 1_800_000_000 })
    const note = parseNote(formatNote({ text, signatures: [line] }), 'web-1')
    expect(cosignedAt(note, cosigner)).toBe(1_800_000_000)
    const other = cosignerOf(FLEET, { name: 'web-2', cosign: keys.cosign.publicKey })
    expect(cosignedAt(note, other)).toBeUndefined()
    const moved = { ...note, text: text.replace('\n7\n', '\n8\n') }
    expect(cosignedAt(moved, cosigner)).toBeUndefined()
    const later = Uint8Array.from(line.bytes)
    later[7] = (later[7] ?? 0) ^ 1
    const forged = { text, signatures: [{ ...line, bytes: later }] }
    expect(cosignedAt(forged, cosigner)).toBeUndefined()
    const both = { text, signatures: [line, ...forged.signatures] }
    expect(cosignedAt(both, cosigner)).toBeUndefined()
    const short = { text, signatures: [{ ...line, bytes: line.bytes.subarray(0, 64) }] }
    expect(cosignedAt(short, cosigner)).toBeUndefined()
  })

  it('are cosigned as the vector says', () => {
    const vector = golden<{ input: { text: string; timeS: number }; note: string; key: string }>(
      'tlog-checkpoint',
    )
    const { text: said, timeS } = vector.input
    const line = cosign({ text: said, key: keys.cosign, cosigner, timeS })
    expect(formatNote({ text: said, signatures: [line] })).toBe(vector.note)
    expect(verifierKey(cosigner)).toBe(vector.key)
  })
})

describe('proofs', () => {
  it('are read and written as the vector says', () => {
    const vector = golden<{ proof: string; extra: string; index: number; path: readonly string[] }>(
      'tlog-proof',
    )
    const proof = parseTlogProof(vector.proof, 'the vector')
    expect(proof.index).toBe(vector.index)
    expect(proof.path.map(toHex)).toEqual(vector.path)
    expect(toHex(proof.extra ?? new Uint8Array(0))).toBe(vector.extra)
    expect(formatTlogProof(proof)).toBe(vector.proof)
    const { extra: _, ...bare } = proof
    expect(parseTlogProof(formatTlogProof(bare), 'the vector')).toEqual(bare)
  })

  it.each([
    ['another first line', 'c2sp.org/tlog-proof@v2\nindex 0\n\nx\n'],
    ['no index', 'c2sp.org/tlog-proof@v1\n\nx\n'],
    ['an index with a zero before it', 'c2sp.org/tlog-proof@v1\nindex 01\n\nx\n'],
    ['a short hash', 'c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx\n'],
    ['no blank line', 'c2sp.org/tlog-proof@v1\nindex 1\n'],
  ])('are refused with %s', (_, source) => {
    expect(codeOf(() => parseTlogProof(source, 'somebody'))).toBe('BAD_SHAPE')
  })
})

describe('entries', () => {
  it.each(['fact-', 'gate-propose'].flatMap(goldenNames))(
    '%s is the signed bytes, and its envelope comes back',
    (name) => {
      const { type, bytes, signedBytes, id } = golden(name)
      const entry = entryOf(fromHex(bytes), type, FLEET)
      expect(toHex(entry.entry)).toBe(signedBytes)
      expect(entryId(entry.entry)).toBe(id)
      expect(entryType(entry.entry)).toBe(type)
      expect(toHex(envelopeOf(entry, FLEET))).toBe(bytes)
      expect(codeOf(() => envelopeOf(entry, OTHER_FLEET))).toBe('WRONG_FLEET')
      const cut = { ...entry, entry: entry.entry.subarray(1) }
      expect(codeOf(() => envelopeOf(cut, FLEET))).toBe('BAD_SHAPE')
    },
  )
})

describe('what witnesses say', () => {
  const vector = golden<{
    questions: readonly string[]
    answers: readonly { input: WitnessAnswer; bytes: string }[]
  }>('witness')

  it('is read and written as the vectors say', () => {
    expect(vector.questions).toHaveLength(2)
    for (const hex of vector.questions) {
      const question = decodeWitnessQuestion(fromHex(hex), 'the vector')
      expect(toHex(encodeWitnessQuestion(question))).toBe(hex)
    }
    expect(vector.answers).toHaveLength(5)
    for (const { input, bytes } of vector.answers) {
      expect(decodeWitnessAnswer(fromHex(bytes), 'the vector')).toEqual(input)
      expect(toHex(encodeWitnessAnswer(input))).toBe(bytes)
    }
  })

  it('takes no proof of other bytes than hashes', () => {
    const proof = [new Uint8Array(31)]
    const odd = encodeWitnessQuestion({ kind: 'cosign', checkpoint: text, from: 1, proof })
    expect(codeOf(() => decodeWitnessQuestion(odd, 'a peer'))).toBe('BAD_SHAPE')
  })
})
