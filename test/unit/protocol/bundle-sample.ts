/** The golden bundle as a sample: its records, and files of other records. */

import { type BundleItem, type BundleRules, checkBundle } from '../../../protocol/bundle-check.ts'
import type { BundleFileKind, BundleHeader } from '../../../protocol/bundle-records.ts'
import {
  type BundleRecord,
  BundleWriter,
  readBundleRecords,
} from '../../../protocol/bundle-stream.ts'
import { concatBytes, fromHex, toHex } from '../../../protocol/bytes.ts'
import { golden } from './golden.ts'

/** The vector `bundle-file`. */
export const BUNDLE: { rootHash: string; header: BundleHeader; bytes: Uint8Array } = (() => {
  const vector = golden<{ rootHash: string; header: BundleHeader; bytes: string }>('bundle-file')
  return { ...vector, bytes: fromHex(vector.bytes) }
})()

export type Part = Pick<BundleRecord, 'kind' | 'body'>

/** The records of a file; bodies are copies. */
export async function recordsOf(
  kind: BundleFileKind,
  chunks: Iterable<Uint8Array>,
): Promise<readonly BundleRecord[]> {
  const records: BundleRecord[] = []
  for await (const record of readBundleRecords(kind, chunks)) {
    records.push({ ...record, body: record.body.slice() })
  }
  return records
}

/** A file of these records with good checks; the end counts them. */
export function fileOf(parts: readonly Part[], kind: BundleFileKind = 'bundle'): Uint8Array {
  const writer = new BundleWriter(kind)
  return concatBytes(
    ...parts.map((part) =>
      part.kind === 'end' ? writer.end() : writer.write(part.kind, part.body),
    ),
  )
}

/** Everything that the check gives out; throws what it throws. */
export async function itemsOf(
  bytes: Uint8Array,
  rules: BundleRules = { rootHash: BUNDLE.rootHash },
): Promise<readonly BundleItem[]> {
  const items: BundleItem[] = []
  for await (const item of checkBundle(readBundleRecords('bundle', [bytes]), rules)) {
    items.push(item)
  }
  return items
}

/** The code and text of the refusal. Throws when there is none, or another error. */
export async function faultOf(bytes: Uint8Array, rules?: BundleRules): Promise<string> {
  try {
    await itemsOf(bytes, rules)
  } catch (error) {
    const { name, code, message } = error as Error & { code?: string }
    if (name === 'ProtocolError') return `${code} ${message}`
    throw error
  }
  throw new Error(`expected a refusal of ${toHex(bytes).slice(0, 40)}…`)
}
