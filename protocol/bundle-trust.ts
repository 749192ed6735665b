/** The documents that a bundle carries, and whom they name: enough to verify it without a node. */
import type { BundleHeader } from './bundle-records.ts'
import { ProtocolError } from './errors.ts'
import { type GroupConfig, openUnderAny } from './group-config.ts'
import type { Hash, KeyId } from './ids.ts'
import { fleetIdOf, followRoot, openFirstRoot, type Root, readRoot } from './root.ts'
import type { Signer } from './signed.ts'

/** The kinds of documents, in the order of their tag bytes, from 1. Append only. */
export const BUNDLE_DOCUMENT_KINDS = ['root', 'group'] as const

/** Whom the bundle's own documents name, read so far. */
export interface BundleTrust {
  readonly header: BundleHeader
  /** The root chain, the first first. */
  readonly roots: Root[]
  readonly groups: { readonly config: GroupConfig; readonly hash: Hash }[]
  readonly authors: Set<KeyId>
}

/** Nobody is known before the documents have been read. Throws WRONG_FLEET. */
export function bundleTrust(header: BundleHeader): BundleTrust {
  const fleet = fleetIdOf(header.root)
  if (header.fleet !== fleet)
    throw wrongFleet(`fleet ${fleet} of root ${header.root}`, header.fleet)
  return { header, roots: [], groups: [], authors: new Set() }
}

/**
 * Opens a document (tag byte and bytes) and adds whom it names. The roots come first, in their order.
 * Throws BAD_ROOT, WRONG_FLEET, BAD_SHAPE, NOT_CANONICAL.
 */
export function openBundleDocument(trust: BundleTrust, body: Uint8Array, signer?: Signer): void {
  const kind = BUNDLE_DOCUMENT_KINDS[(body[0] ?? 0) - 1]
  const bytes = body.subarray(1)
  const { fleet, root: pinned } = trust.header
  const before = trust.roots.at(-1)
  if (kind === 'root' && trust.groups.length === 0) {
    const root =
      before === undefined
        ? openFirstRoot(bytes, pinned, signer).value
        : followRoot(readRoot(bytes), before, fleet, signer).value
    trust.roots.push(root)
    for (const key of root.admins) trust.authors.add(key)
    for (const { key } of [...root.operators, ...root.releaseKeys]) trust.authors.add(key)
    return
  }
  if (before === undefined) throw badShape('the root before other documents', String(kind))
  if (kind !== 'group') throw badShape('a group configuration', String(kind))
  const config = openUnderAny(bytes, { roots: trust.roots, fleet }, signer)
  trust.groups.push({ config: config.value, hash: config.hash })
  for (const host of config.value.hosts) trust.authors.add(host.fact)
}

/** Whether a feed of `key` may stand in the bundle. */
export function isAuthor(trust: BundleTrust, key: KeyId): boolean {
  return trust.authors.has(key)
}

/** The configuration of the bundle's group at `epoch`. Throws BAD_SHAPE when it does not carry it. */
export function groupAt(trust: BundleTrust, epoch: number): GroupConfig {
  const { group } = trust.header
  const found = trust.groups.find(({ config }) => config.group === group && config.epoch === epoch)
  if (found !== undefined) return found.config
  throw badShape(`the configuration of ${group} at epoch ${epoch}`, 'none in the bundle')
}

function badShape(expected: string, found: string): ProtocolError {
  return new ProtocolError('BAD_SHAPE', 'reject', `expected ${expected}, found ${found}`)
}

function wrongFleet(expected: string, found: string): ProtocolError {
  return new ProtocolError('WRONG_FLEET', 'reject', `expected ${expected}, found ${found}`)
}
