/**
 * Checkpoints and their cosignatures (C2SP tlog-checkpoint, tlog-cosignature; SPEC §15.4).
 *
 * A checkpoint says how long a log is and what its root is. Nobody owns a gate log, so nobody signs
 * a checkpoint as its log: the voters cosign it, each with a key that signs nothing else, and each
 * says by that: this is the largest tree of this log that I have seen, and it grew out of the others.
 */
import { fromBase64, toBase64 } from './base64.ts'
import { concatBytes, fromHex, utf8 } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import type { KeyPair } from './identity.ts'
import type { FleetId, GroupName, HostName, KeyId, Session } from './ids.ts'
import { ORIGIN_CHARS_MAX } from './limits.ts'
import {
  NOTE_COSIGNATURE,
  type NoteKey,
  type NoteSignature,
  noteKeyId,
  parseNote,
  type SignedNote,
} from './note.ts'
import { ED25519, type Signer } from './signed.ts'

/** The head of a log: `size` leaves under `root`. */
export interface Checkpoint {
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
}

/** The name of a group's gate log. */
export function gateOrigin(fleet: FleetId, group: GroupName): string {
  return `nixfleet/${fleet}/g/${group}`
}

/** The name of a feed as a log. */
export function feedOrigin(fleet: FleetId, author: KeyId, session: Session): string {
  return `nixfleet/${fleet}/h/${author}/${session}`
}

/** A host and the key with which it cosigns. */
export interface Cosigner {
  readonly host: HostName
  readonly key: NoteKey
}

/** The host's cosigner, as a note knows it. `cosign` is the public key of that purpose. */
export function cosignerOf(fleet: FleetId, host: { name: HostName; cosign: KeyId }): NoteKey {
  const name = `nixfleet/${fleet}/w/${host.name}`
  return { name, type: NOTE_COSIGNATURE, publicKey: fromHex(host.cosign) }
}

/** The three lines of a checkpoint; it has no others here, because extension lines carry no promise. */
export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${toBase64(root)}\n`
}

/** The checkpoint in a note's text. Throws BAD_SHAPE. */
export function parseCheckpoint(text: string, whose: string): Checkpoint {
  const [origin = '', digits = '', base64 = '', end, ...more] = text.split('\n')
  const size = Number(digits)
  const fits = origin.length > 0 && origin.length <= ORIGIN_CHARS_MAX && more.length === 0
  if (fits && end === '' && String(size) === digits && Number.isSafeInteger(size) && size >= 0) {
    const root = fromBase64(base64)
    if (root.length === 32) return { origin, size, root }
  }
  throw new ProtocolError(
    'BAD_SHAPE',
    'reject',
    `expected a checkpoint of three lines from ${whose}, found ${JSON.stringify(text.slice(0, 120))}`,
  )
}

/** A checkpoint with the signatures under it, none of them checked. Throws TOO_LARGE, BAD_SHAPE. */
export function openCheckpoint(
  source: string,
  whose: string,
): { readonly checkpoint: Checkpoint; readonly note: SignedNote } {
  const note = parseNote(source, whose)
  return { checkpoint: parseCheckpoint(note.text, whose), note }
}

/** Cosigns a checkpoint's text at `timeS`, seconds since 1970. Whether it may is the witness's business. */
export function cosign(input: {
  readonly text: string
  readonly key: KeyPair
  readonly cosigner: NoteKey
  readonly timeS: number
  readonly signer?: Signer | undefined
}): NoteSignature {
  const { text, key, cosigner, timeS, signer = ED25519 } = input
  const message = utf8(cosignedText(text, timeS))
  const signature = signer.sign({ seed: key.seed, message })
  const bytes = concatBytes(encodeTime(timeS), signature)
  return { name: cosigner.name, keyId: noteKeyId(cosigner), bytes }
}

/** The seconds at which `cosigner` signed `note`, or undefined where it did not, or not well. */
export function cosignedAt(
  note: SignedNote,
  cosigner: NoteKey,
  signer: Signer = ED25519,
): number | undefined {
  const keyId = noteKeyId(cosigner)
  const times = note.signatures
    .filter((one) => one.name === cosigner.name && one.keyId === keyId)
    .map((one) => verifiedTime(note.text, one.bytes, { cosigner, signer }))
  return times.includes(undefined) ? undefined : times[0]
}

function verifiedTime(
  text: string,
  bytes: Uint8Array,
  { cosigner, signer }: { cosigner: NoteKey; signer: Signer },
): number | undefined {
  if (bytes.length !== TIME_BYTES + 64) return undefined
  const timeS = bytes.subarray(0, TIME_BYTES).reduce((sum, byte) => sum * 256 + byte, 0)
  if (!Number.isSafeInteger(timeS)) return undefined
  const message = utf8(cosignedText(text, timeS))
  const signature = bytes.subarray(TIME_BYTES)
  return signer.verify({ publicKey: cosigner.publicKey, message, signature }) ? timeS : undefined
}

const TIME_BYTES = 8

function cosignedText(text: string, timeS: number): string {
  return `cosignature/v1\ntime ${timeS}\n${text}`
}

function encodeTime(timeS: number): Uint8Array {
  const bytes = new Uint8Array(TIME_BYTES)
  for (let i = TIME_BYTES - 1, rest = timeS; i >= 0; i--, rest = Math.floor(rest / 256))
    bytes[i] = rest % 256
  return bytes
}
