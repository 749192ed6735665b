/**
 * Blobs: bytes too large for gossip, named by their SHA-256 and pulled over a stream (SPEC §6.1).
 */
import { toHex } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { sha256 } from './crypto.ts'
import type { SignedDocument } from './documents.ts'
import { ProtocolError } from './errors.ts'
import { type GroupConfig, readGroupConfig } from './group-config.ts'
import type { FleetId, Hash } from './ids.ts'
import { DOCUMENT_BYTES_MAX, MANIFEST_BYTES_MAX, PLAN_BYTES_MAX } from './limits.ts'
import { PLAN_BODY, type PlanBody } from './plan.ts'
import { MANIFEST, type Manifest } from './release.ts'
import { readRoot, type UnsignedRoot } from './root.ts'
import { type Schema, written } from './schema.ts'

/** A blob with the name that its bytes give it. */
export interface Blob {
  readonly hash: Hash
  readonly bytes: Uint8Array
}

/** The blob of a plan's body. Throws BAD_SHAPE or TOO_LARGE for what no reader would take. */
export function planBlob(body: PlanBody): Blob {
  return writeBlob(PLAN_BODY, body, { whose: 'plan', bytesMax: PLAN_BYTES_MAX })
}

/** The blob of a release's manifest. Throws BAD_SHAPE or TOO_LARGE for what no reader would take. */
export function manifestBlob(manifest: Manifest): Blob {
  return writeBlob(MANIFEST, manifest, { whose: 'manifest', bytesMax: MANIFEST_BYTES_MAX })
}

/** Names `bytes` by their hash. */
export function blobOf(bytes: Uint8Array): Blob {
  return { hash: toHex(sha256(bytes)), bytes }
}

/** The plan whose bytes hash to `hash`. Throws TOO_LARGE, BAD_BLOB, NOT_CANONICAL, BAD_SHAPE. */
export function openPlan(bytes: Uint8Array, hash: Hash): PlanBody {
  return openBlob(PLAN_BODY, { bytes, hash }, { whose: 'plan', bytesMax: PLAN_BYTES_MAX })
}

/** The manifest whose bytes hash to `hash`. Throws TOO_LARGE, BAD_BLOB, NOT_CANONICAL, BAD_SHAPE. */
export function openManifest(bytes: Uint8Array, hash: Hash): Manifest {
  return openBlob(MANIFEST, { bytes, hash }, { whose: 'manifest', bytesMax: MANIFEST_BYTES_MAX })
}

/**
 * The configuration whose document hashes to `hash`, whoever signed it: whether that is enough is judged
 * under the root in force (SPEC §7.7). Throws TOO_LARGE, BAD_BLOB, and what `readGroupConfig` throws.
 */
export function openConfigBlob(
  bytes: Uint8Array,
  hash: Hash,
  fleet: FleetId,
): SignedDocument<GroupConfig> {
  assertBlob({ bytes, hash }, { whose: 'group configuration', bytesMax: DOCUMENT_BYTES_MAX })
  return readGroupConfig(bytes, fleet)
}

/**
 * The root whose document hashes to `hash`, whoever signed it. Throws TOO_LARGE, BAD_BLOB, and what
 * `readRoot` throws.
 */
export function openRootBlob(bytes: Uint8Array, hash: Hash): UnsignedRoot {
  assertBlob({ bytes, hash }, { whose: 'root', bytesMax: DOCUMENT_BYTES_MAX })
  return readRoot(bytes)
}

interface BlobKind {
  readonly whose: string
  readonly bytesMax: number
}

function writeBlob<T>(schema: Schema<T>, value: T, kind: BlobKind): Blob {
  const bytes = encodeCanonical(written(schema, value, kind.whose).wire)
  assertSize(bytes, kind)
  return blobOf(bytes)
}

function openBlob<T>(schema: Schema<T>, blob: Blob, kind: BlobKind): T {
  assertBlob(blob, kind)
  return schema.decode(decodeCanonical(blob.bytes, kind.bytesMax, kind.whose), kind.whose)
}

function assertBlob(blob: Blob, kind: BlobKind): void {
  assertSize(blob.bytes, kind)
  const found = toHex(sha256(blob.bytes))
  if (found !== blob.hash) {
    throw new ProtocolError(
      'BAD_BLOB',
      'reject',
      `expected a ${kind.whose} with hash ${blob.hash}, found ${found}`,
    )
  }
}

function assertSize(bytes: Uint8Array, kind: BlobKind): void {
  if (bytes.length <= kind.bytesMax) return
  throw new ProtocolError(
    'TOO_LARGE',
    'reject',
    `expected at most ${kind.bytesMax} bytes of ${kind.whose}, found ${bytes.length}`,
  )
}
