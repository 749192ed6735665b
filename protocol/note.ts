/**
 * Signed notes: a text, a blank line, and a line for each signature (C2SP signed-note, SPEC §15.3).
 *
 * A note is read strictly: the same note has one text. Who signed is told by name and key id; a
 * signature of a key that the reader does not know is left alone.
 */
import { fromBase64, toBase64 } from './base64.ts'
import { concatBytes, type Hex, toHex, utf8 } from './bytes.ts'
import { sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import { NOTE_CHARS_MAX, NOTE_SIGNATURES_MAX } from './limits.ts'

/** One signature line. */
export interface NoteSignature {
  readonly name: string
  /** Four bytes that tell the signer's keys apart. */
  readonly keyId: Hex
  /** What the algorithm of that key made. */
  readonly bytes: Uint8Array
}

export interface SignedNote {
  /** With its last line feed, without the blank line after it. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** The algorithms of C2SP that are used here: plain Ed25519, and timestamped cosignatures with it. */
export const NOTE_ED25519 = 0x01
export const NOTE_COSIGNATURE = 0x04

/** A key that signs notes, as its owner publishes it. */
export interface NoteKey {
  readonly name: string
  readonly type: number
  readonly publicKey: Uint8Array
}

/** The first four bytes of SHA-256 over name, line feed, type and key. */
export function noteKeyId({ name, type, publicKey }: NoteKey): Hex {
  const hash = sha256(concatBytes(utf8(`${name}\n`), Uint8Array.of(type), publicKey))
  return toHex(hash.subarray(0, 4))
}

/** `<name>+<key id>+<base64 of type and key>`: how a verifier is told of a key. */
export function verifierKey(key: NoteKey): string {
  const material = concatBytes(Uint8Array.of(key.type), key.publicKey)
  return `${key.name}+${noteKeyId(key)}+${toBase64(material)}`
}

/** The key in a verifier key's text. Throws BAD_SHAPE, also for an id that is not its key's. */
export function parseVerifierKey(source: string): NoteKey {
  const [, name = '', id, base64 = ''] = /^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/.exec(source) ?? []
  const material = fromBase64(base64)
  const key = { name, type: material[0] ?? 0, publicKey: material.subarray(1) }
  if (material.length === 33 && isNoteName(name) && noteKeyId(key) === id) return key
  throw badNote('a verifier key', source)
}

/** The note as text. Throws BAD_SHAPE for a text or a name that no reader would take. */
export function formatNote({ text, signatures }: SignedNote): string {
  const lines = signatures.map(({ name, keyId, bytes }) => {
    const id = Uint8Array.from(keyId.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16))
    return `— ${name} ${toBase64(concatBytes(id, bytes))}\n`
  })
  const note = `${text}\n${lines.join('')}`
  parseNote(note, 'the note to write')
  return note
}

/** The note in `source`. Throws TOO_LARGE, BAD_SHAPE. */
export function parseNote(source: string, whose: string): SignedNote {
  if (source.length > NOTE_CHARS_MAX) {
    throw new ProtocolError(
      'TOO_LARGE',
      'reject',
      `expected a note of at most ${NOTE_CHARS_MAX} characters from ${whose}, found ${source.length}`,
    )
  }
  const end = source.lastIndexOf('\n\n')
  if (end < 0 || !isNoteText(source)) throw badNote(`a text and signatures from ${whose}`, source)
  const lines = source.slice(end + 2).split('\n')
  const last = lines.pop()
  if (last !== '' || lines.length === 0 || lines.length > NOTE_SIGNATURES_MAX)
    throw badNote(`1 to ${NOTE_SIGNATURES_MAX} signature lines from ${whose}`, source)
  return { text: source.slice(0, end + 1), signatures: lines.map(parseSignature) }
}

function parseSignature(line: string): NoteSignature {
  const [, name = '', base64 = ''] = /^— ([^ ]+) ([^ ]+)$/.exec(line) ?? []
  if (!isNoteName(name)) throw badNote('a signature line', line)
  const bytes = fromBase64(base64)
  if (bytes.length < 5) throw badNote('a key id and a signature', line)
  return { name, keyId: toHex(bytes.subarray(0, 4)), bytes: bytes.subarray(4) }
}

function isNoteName(name: string): boolean {
  return name !== '' && !/[\s+\p{Z}]/u.test(name)
}

/** No control characters but line feeds, and nothing that has no UTF-8. */
function isNoteText(text: string): boolean {
  return !/[\p{Cs}]/u.test(text) && ![...text].some((one) => one < ' ' && one !== '\n')
}

function badNote(expected: string, found: string): ProtocolError {
  const shown = JSON.stringify(found.slice(0, 80))
  return new ProtocolError('BAD_SHAPE', 'reject', `expected ${expected}, found ${shown}`)
}
