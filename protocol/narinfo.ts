/**
 * narinfo: what a binary cache says about one store path, and who vouches for it.
 *
 *     StorePath: /nix/store/<hash>-<name>
 *     URL: nar/<file hash>.nar.zst
 *     Compression: zstd
 *     FileHash: sha256:<base 32>
 *     FileSize: 1234
 *     NarHash: sha256:<base 32>
 *     NarSize: 5678
 *     References: <hash>-<name> <hash>-<name>
 *     Deriver: <hash>-<name>.drv
 *     Sig: cache.example.org-1:<base64>
 *     CA: fixed:r:sha256:<base 32>
 *
 * Signed are path, NarHash, NarSize and References; the rest is a hint of whoever serves the file.
 * Source: `NarInfo` in Nix's libstore; Nix manual, "Binary cache".
 */
import { utf8 } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import { NAR_BYTES_MAX } from './limits.ts'
import { NARINFO_BYTES_MAX } from './nar-limits.ts'
import { malformedNarinfo, NarinfoFields } from './narinfo-fields.ts'
import { parseSha256, printSha256 } from './nix-hash.ts'
import {
  type NixSignature,
  printNixSignature,
  type SignedPathInfo,
  type TrustedNixKeys,
  verifyPathInfo,
} from './nix-signature.ts'
import { parseStoreName, parseStorePath, type StoreName } from './store-path.ts'

/** One narinfo. `url` is relative to the cache; `references` come sorted from `parseNarinfo`. */
export interface Narinfo extends SignedPathInfo {
  readonly url: string
  readonly compression: string
  readonly fileHash?: Uint8Array | undefined
  readonly fileSize?: number | undefined
  readonly deriver?: StoreName | undefined
  readonly signatures: readonly NixSignature[]
  readonly ca?: string | undefined
}

/** Who vouches for a narinfo, or why nobody whom we trust does. */
export type NarinfoVerdict =
  | { readonly ok: true; readonly keyName: string }
  | { readonly ok: false; readonly code: 'NO_SIGNATURE' | 'NO_TRUSTED_KEY' | 'BAD_SIGNATURE' }

/**
 * Whether a key of `trusted` signed `info`, and which: the first whose signature holds.
 *
 * NO_TRUSTED_KEY: only keys that we do not know signed. BAD_SIGNATURE: a key that we know is named,
 * and its signature is over something else. A content address (`CA`) never stands in for a signature.
 */
export function verifyNarinfo(info: Narinfo, trusted: TrustedNixKeys): NarinfoVerdict {
  if (info.signatures.length === 0) return { ok: false, code: 'NO_SIGNATURE' }
  const known = info.signatures.filter(({ keyName }) => trusted.has(keyName))
  if (known.length === 0) return { ok: false, code: 'NO_TRUSTED_KEY' }
  const good = known.find((signature) => verifyPathInfo(info, signature, trusted))
  return good ? { ok: true, keyName: good.keyName } : { ok: false, code: 'BAD_SIGNATURE' }
}

/**
 * The narinfo in `bytes`; `whose` names it in errors.
 *
 * As Nix: unknown keys are skipped, a missing Compression is bzip2. Stricter: a known key stands
 * there once (Sig excepted), hashes are SHA-256, the URL stays inside the cache. Throws TOO_LARGE
 * above 64 KiB before anything is read, else NARINFO_MALFORMED with the cause.
 */
export function parseNarinfo(bytes: Uint8Array, whose: string): Narinfo {
  if (bytes.length > NARINFO_BYTES_MAX) {
    throw new ProtocolError(
      'TOO_LARGE',
      'reject',
      `expected at most ${NARINFO_BYTES_MAX} bytes for ${whose}, found ${bytes.length}`,
    )
  }
  const fields = new NarinfoFields(bytes, whose)
  return {
    storePath: fields.required('StorePath', parseStorePath),
    url: fields.required('URL', parseUrl),
    compression: fields.optional('Compression', parseCompression) ?? 'bzip2',
    fileHash: fields.optional('FileHash', (text) => parseSha256(text, 'FileHash')),
    fileSize: fields.optional('FileSize', (text) => parseSize(text, 0)),
    narHash: fields.required('NarHash', (text) => parseSha256(text, 'NarHash')),
    narSize: fields.required('NarSize', (text) => parseSize(text, 1)),
    references: fields.optional('References', parseReferences) ?? [],
    deriver: fields.optional('Deriver', parseDeriver),
    signatures: fields.signatures(),
    ca: fields.optional('CA', parseContentAddress),
  }
}

/**
 * The text of `info`, as Nix prints it. Throws what `parseNarinfo` throws if that could not read it
 * back: a URL with a line break must not become a field.
 */
export function printNarinfo(info: Narinfo): string {
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['StorePath', info.storePath],
    ['URL', info.url],
    ['Compression', info.compression],
    ['FileHash', info.fileHash && printSha256(info.fileHash, 'base32')],
    ['FileSize', info.fileSize?.toString()],
    ['NarHash', printSha256(info.narHash, 'base32')],
    ['NarSize', info.narSize.toString()],
    ['References', [...info.references].sort().join(' ')],
    ['Deriver', info.deriver],
    ...info.signatures.map((signature) => ['Sig', printNixSignature(signature)] as const),
    ['CA', info.ca],
  ]
  const present = lines.filter(([, value]) => value !== undefined)
  const text = present.map(([key, value]) => `${key}: ${value}\n`).join('')
  parseNarinfo(utf8(text), `the narinfo of ${info.storePath} that we wrote`)
  return text
}

/** A relative path of plain segments: joined to a directory or a URL it cannot leave it. */
function parseUrl(text: string): string {
  const segments = text.split('/')
  const plain = segments.every((part) => /^[0-9A-Za-z+\-._?=&]+$/.test(part) && !/^\.+$/.test(part))
  if (plain) return text
  throw malformedNarinfo('a URL relative to the cache', JSON.stringify(text.slice(0, 200)))
}

function parseCompression(text: string): string {
  if (/^[a-z0-9-]{1,16}$/.test(text)) return text
  throw malformedNarinfo('the name of a compression', JSON.stringify(text.slice(0, 80)))
}

/** A decimal in its one form: no sign, no leading zero, within what a NAR may have. */
function parseSize(text: string, min: number): number {
  const size = Number(text)
  if (/^(0|[1-9][0-9]{0,15})$/.test(text) && size >= min && size <= NAR_BYTES_MAX) return size
  throw malformedNarinfo(
    `a size from ${min} to ${NAR_BYTES_MAX}`,
    JSON.stringify(text.slice(0, 40)),
  )
}

function parseReferences(text: string): readonly StoreName[] {
  const names = text.split(' ').filter((part) => part !== '')
  if (new Set(names).size < names.length) throw malformedNarinfo('each reference once', 'one twice')
  return names.map(parseStoreName).sort()
}

function parseDeriver(text: string): StoreName | undefined {
  return text === 'unknown-deriver' ? undefined : parseStoreName(text)
}

function parseContentAddress(text: string): string {
  if (/^(text|fixed(:r|:git)?):[a-z0-9]{1,16}:[0-9a-df-np-sv-z]{26,103}$/.test(text)) return text
  throw malformedNarinfo('a content address', JSON.stringify(text.slice(0, 200)))
}
