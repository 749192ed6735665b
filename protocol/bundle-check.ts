/**
 * Whether a bundle is whole, in order, of this fleet, and true: every signature, link, certificate and
 * hash in it, with nothing but the root's hash (SPEC §8.5).
 *
 * Nobody uses anything of a bundle before all of it went through here. What a node does with it then
 * is judged again by the node, the ordinary way.
 */

import { openManifest, openPlan } from './blobs.ts'
import {
  checkBlock,
  checkCertificate,
  type GateProgress,
  gateProgress,
  unprovenBlock,
} from './bundle-gate.ts'
import {
  BUNDLE_END,
  BUNDLE_FEED,
  BUNDLE_HEADER,
  BUNDLE_NAR,
  type BundleContents,
  type BundleFeed,
  type BundleHeader,
  type BundleNar,
  type BundleRecordKind,
  decodeBundleBody,
} from './bundle-records.ts'
import { type BundlePosition, type BundleRecord, broken, brokenAt } from './bundle-stream.ts'
import { type BundleTrust, bundleTrust, isAuthor, openBundleDocument } from './bundle-trust.ts'
import { toHex } from './bytes.ts'
import { createSha256, type Sha256, sha256 } from './crypto.ts'
import { ProtocolError } from './errors.ts'
import { type Fact, openFact } from './facts.ts'
import type { GateMessage } from './gate.ts'
import { readGroupConfig } from './group-config.ts'
import type { Hash } from './ids.ts'
import { BUNDLE_CHUNK_BYTES_MAX } from './limits.ts'
import { readRoot } from './root.ts'
import { ED25519, type Signer } from './signed.ts'

/** The kinds of blobs, in the order of their tag bytes, from 1. Append only. */
export const BUNDLE_BLOB_KINDS = ['plan', 'manifest', 'config', 'root'] as const
export type BundleBlobKind = (typeof BUNDLE_BLOB_KINDS)[number]

/** One checked thing out of a bundle, in the order of the file. */
export type BundleItem =
  | { readonly kind: 'header'; readonly header: BundleHeader }
  | { readonly kind: 'document' }
  | { readonly kind: 'feed'; readonly feed: BundleFeed }
  | { readonly kind: 'fact'; readonly fact: Fact }
  | {
      readonly kind: 'blob'
      readonly blob: BundleBlobKind
      readonly hash: Hash
      readonly bytes: Uint8Array
    }
  /** A block, or the certificate that follows it. `bytes` as they travel in repair (SPEC §7.2). */
  | { readonly kind: 'gate'; readonly message: GateMessage; readonly bytes: Uint8Array }
  | { readonly kind: 'nar'; readonly nar: BundleNar }
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }

export interface BundleRules {
  /** The hash of the fleet's first root: what the reader pins. Absent: the file's own word, to look only. */
  readonly rootHash?: Hash | undefined
  readonly signer?: Signer | undefined
}

/** The sections in their order; each kind of record belongs to one. */
const SECTION: Readonly<Record<BundleRecordKind, number>> = {
  header: 0,
  document: 1,
  feed: 2,
  fact: 2,
  blob: 3,
  gate: 4,
  nar: 5,
  chunk: 5,
  have: 6,
  end: 7,
}

/**
 * The items of a bundle. The file is good when the last of them, `end`, came; before that nothing of
 * it may be used.
 *
 * Throws BAD_BUNDLE and what the parts of a bundle throw, each with the byte offset and the number of
 * the record that is wrong; WRONG_FLEET for a bundle of another root.
 */
export async function* checkBundle(
  records: AsyncIterable<BundleRecord>,
  rules: BundleRules = {},
): AsyncGenerator<BundleItem, void> {
  const check = new BundleCheck(rules)
  for await (const record of records) {
    try {
      yield check.take(record)
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.message.startsWith('at byte ')) throw error
      throw brokenAt(record, error)
    }
  }
}

class BundleCheck {
  readonly #rules: BundleRules
  readonly #signer: Signer
  readonly #counts = { ...NOTHING }
  #section = -1
  #header: BundleHeader | undefined
  #trust: BundleTrust | undefined
  #gate: GateProgress | undefined
  #feed: { readonly key: string; seq: number; prev: string; left: number } | undefined
  #lastHash = ''
  #nar: { readonly hash: Hash; left: number; readonly sha: Sha256 } | undefined

  constructor(rules: BundleRules) {
    this.#rules = rules
    this.#signer = rules.signer ?? ED25519
  }

  take(record: BundleRecord): BundleItem {
    const section = SECTION[record.kind]
    if ((record.kind === 'header') !== this.#section < 0) {
      throw broken(record, 'one header, at the beginning', `a ${record.kind}`)
    }
    if (section < this.#section) throw broken(record, 'the order of the format', record.kind)
    if (section !== this.#section) this.#leave(record)
    this.#section = section
    return this.#item(record)
  }

  #item(record: BundleRecord): BundleItem {
    switch (record.kind) {
      case 'header':
        return this.#head(record)
      case 'document':
        return this.#document(record)
      case 'feed':
        return this.#begin(record)
      case 'fact':
        return this.#fact(record)
      case 'blob':
        return this.#blob(record)
      case 'gate':
        return this.#message(record)
      case 'nar':
        return this.#beginNar(record)
      case 'chunk':
        return this.#chunk(record)
      case 'end':
        return this.#end(record)
      case 'have':
        throw broken(record, 'a record of a bundle', 'one of a vector file')
    }
  }

  #head(record: BundleRecord): BundleItem {
    const header = decodeBundleBody(BUNDLE_HEADER, record.body, 'the header')
    const { rootHash = header.root } = this.#rules
    if (header.root !== rootHash) {
      throw new ProtocolError(
        'WRONG_FLEET',
        'reject',
        `expected a bundle of the fleet with root ${rootHash}, found one of ${header.root}`,
      )
    }
    this.#header = header
    this.#trust = bundleTrust(header)
    this.#gate = gateProgress(header.since)
    return { kind: 'header', header }
  }

  #document(record: BundleRecord): BundleItem {
    this.#count(record, 'documents')
    openBundleDocument(this.#its.trust, record.body, this.#signer)
    return { kind: 'document' }
  }

  #begin(record: BundleRecord): BundleItem {
    this.#closeFeed(record)
    this.#count(record, 'feeds')
    const feed = decodeBundleBody(BUNDLE_FEED, record.body, 'a feed')
    const key = `${feed.author}/${feed.session}`
    if (key <= (this.#feed?.key ?? '')) {
      throw broken(record, 'feeds in ascending order', `${key.slice(0, 16)}… again or late`)
    }
    if (!isAuthor(this.#its.trust, feed.author)) {
      throw broken(record, 'a feed of a member', `one of ${feed.author.slice(0, 16)}…`)
    }
    this.#feed = { key, seq: feed.from, prev: feed.prev, left: feed.count }
    return { kind: 'feed', feed }
  }

  #fact(record: BundleRecord): BundleItem {
    this.#count(record, 'facts')
    const feed = this.#feed
    if (feed === undefined || feed.left === 0) {
      throw broken(record, 'the beginning of a feed', 'a fact')
    }
    const { fleet } = this.#its.header
    const fact = openFact(record.body, { fleet, whose: 'a bundle', signer: this.#signer })
    const key = `${fact.author}/${fact.session}`
    if (key !== feed.key || fact.seq !== feed.seq || fact.prev !== feed.prev) {
      throw broken(
        record,
        `sequence ${feed.seq} of ${feed.key.slice(0, 16)}… after ${feed.prev.slice(0, 16)}…`,
        `sequence ${fact.seq} of ${key.slice(0, 16)}… after ${fact.prev.slice(0, 16)}…`,
      )
    }
    feed.seq++
    feed.prev = fact.id
    feed.left--
    return { kind: 'fact', fact }
  }

  #blob(record: BundleRecord): BundleItem {
    this.#count(record, 'blobs')
    const blob = BUNDLE_BLOB_KINDS[(record.body[0] ?? 0) - 1]
    if (blob === undefined)
      throw broken(
        record,
        'a plan, a manifest, a configuration or a root',
        `kind ${record.body[0]}`,
      )
    const bytes = record.body.subarray(1)
    const hash = toHex(sha256(bytes))
    this.#ascending(record, hash)
    if (blob === 'plan') openPlan(bytes, hash)
    else if (blob === 'manifest') openManifest(bytes, hash)
    else if (blob === 'root') readRoot(bytes)
    else readGroupConfig(bytes, this.#its.trust.header.fleet)
    return { kind: 'blob', blob, hash, bytes }
  }

  #message(record: BundleRecord): BundleItem {
    const { trust, gate } = this.#its
    const rules = { trust, signer: this.#signer }
    if (gate.open === undefined) {
      this.#count(record, 'blocks')
      const message = checkBlock(gate, record, rules)
      return { kind: 'gate', message, bytes: record.body }
    }
    const message = checkCertificate(gate, record, rules)
    return { kind: 'gate', message, bytes: record.body }
  }

  #beginNar(record: BundleRecord): BundleItem {
    this.#closeNar(record)
    this.#count(record, 'nars')
    const nar = decodeBundleBody(BUNDLE_NAR, record.body, 'a NAR')
    this.#ascending(record, nar.hash)
    this.#nar = { hash: nar.hash, left: nar.size, sha: createSha256() }
    return { kind: 'nar', nar }
  }

  #chunk(record: BundleRecord): BundleItem {
    const nar = this.#nar
    const expected = Math.min(nar?.left ?? 0, BUNDLE_CHUNK_BYTES_MAX)
    if (nar === undefined || expected === 0 || record.body.length !== expected) {
      throw broken(record, `a chunk of ${expected} bytes`, `one of ${record.body.length}`)
    }
    nar.left -= expected
    nar.sha.update(record.body)
    this.#counts.narBytes += expected
    if (nar.left === 0) {
      const found = toHex(nar.sha.digest())
      if (found !== nar.hash) throw broken(record, `a NAR with hash ${nar.hash}`, found)
    }
    return { kind: 'chunk', bytes: record.body }
  }

  #end(record: BundleRecord): BundleItem {
    const { records } = decodeBundleBody(BUNDLE_END, record.body, 'the end')
    if (records !== record.index)
      throw broken(record, `${records} records before it`, `${record.index}`)
    const { contents } = this.#its.header
    for (const [name, expected] of Object.entries(contents)) {
      const found = this.#counts[name as keyof BundleContents]
      if (found !== expected)
        throw broken(record, `${expected} ${name} as the header says`, `${found}`)
    }
    return { kind: 'end' }
  }

  get #its(): { header: BundleHeader; trust: BundleTrust; gate: GateProgress } {
    const [header, trust, gate] = [this.#header, this.#trust, this.#gate]
    if (header === undefined || trust === undefined || gate === undefined) {
      throw new TypeError('a record before the header')
    }
    return { header, trust, gate }
  }

  /** A section is over: what it began must be complete. */
  #leave(record: BundlePosition): void {
    this.#closeFeed(record)
    this.#closeNar(record)
    this.#lastHash = ''
    this.#feed = undefined
    if (this.#section !== SECTION.gate) return
    const { gate, header } = this.#its
    const unproven = unprovenBlock(gate, header.until)
    if (unproven !== undefined) throw broken(record, unproven.expected, unproven.found)
  }

  #closeFeed(record: BundlePosition): void {
    const left = this.#feed?.left ?? 0
    if (left > 0) throw broken(record, `${left} more facts of the feed before`, 'none')
  }

  #closeNar(record: BundlePosition): void {
    const left = this.#nar?.left ?? 0
    if (left > 0) throw broken(record, `${left} more bytes of the NAR before`, 'none')
  }

  #count(record: BundlePosition, what: keyof BundleContents): void {
    this.#counts[what]++
    const expected = this.#its.header.contents[what]
    if (this.#counts[what] > expected) {
      throw broken(record, `${expected} ${what} as the header says`, 'more')
    }
  }

  #ascending(record: BundlePosition, hash: Hash): void {
    if (hash <= this.#lastHash) throw broken(record, 'hashes in ascending order', hash)
    this.#lastHash = hash
  }
}

const NOTHING: { -readonly [K in keyof BundleContents]: number } = {
  documents: 0,
  feeds: 0,
  facts: 0,
  blobs: 0,
  blocks: 0,
  nars: 0,
  narBytes: 0,
}
