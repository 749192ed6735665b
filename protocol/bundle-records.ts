/**
 * What stands in a bundle and in a vector file: kinds of records and their bodies (SPEC §8.5).
 *
 * A new thing that travels is a new kind at the end of the list, with a count of its own in the
 * header of a later version.
 */
import { utf8 } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import {
  BLOCK_ID,
  type BlockId,
  FACT_ID,
  type FactId,
  FLEET_ID,
  type FleetId,
  type GroupName,
  HASH,
  type Hash,
  type HostName,
  KEY_ID,
  type KeyId,
  NAME,
  SESSION,
  type Session,
} from './ids.ts'
import { BUNDLE_HAVES_MAX, BUNDLE_RECORD_BYTES_MAX, NAR_BYTES_MAX } from './limits.ts'
import { list, oneOf, type Schema, shape, sortedList, tagged, uint } from './schema.ts'
import type { FeedState } from './sync-tree.ts'

/** The kinds of records, in the order of their bytes, from 1. Append only. */
export const BUNDLE_RECORD_KINDS = [
  'header',
  'document',
  'feed',
  'fact',
  'blob',
  'gate',
  'nar',
  'chunk',
  'have',
  'end',
] as const
export type BundleRecordKind = (typeof BUNDLE_RECORD_KINDS)[number]

/** The two files: what one side sends, and what the other side says that it holds. */
export type BundleFileKind = 'bundle' | 'vector'

/** The first bytes of each file; the number is the version of the format. */
export const BUNDLE_MAGIC: Readonly<Record<BundleFileKind, Uint8Array>> = {
  bundle: utf8('nixfleet bundle 1\n'),
  vector: utf8('nixfleet vector 1\n'),
}

/** Whose knowledge a file is about. */
export interface BundlePlace {
  readonly fleet: FleetId
  /** Hash of root version 1. */
  readonly root: Hash
  readonly group: GroupName
  readonly epoch: number
  /** The host that made the file; for people. */
  readonly maker: HostName
}

/** How far somebody's knowledge reaches: the root of its vector's tree, and the committed log. */
export interface BundleReach {
  readonly vector: Hash
  readonly view: number
  readonly block: BlockId
}

/** The contents table: how many of each follow. */
export interface BundleContents {
  readonly documents: number
  readonly feeds: number
  readonly facts: number
  readonly blobs: number
  /** Committed blocks, each with its certificate. */
  readonly blocks: number
  readonly nars: number
  readonly narBytes: number
}

/** The first record of a bundle. */
export interface BundleHeader extends BundlePlace {
  /** What the other side holds already: the file goes on from there. */
  readonly since: BundleReach
  /** What the maker held: whoever holds `since` holds this after the import. */
  readonly until: BundleReach
  readonly contents: BundleContents
}

/** The first record of a vector file. */
export interface VectorHeader extends BundlePlace {
  readonly view: number
  readonly block: BlockId
  readonly contents: {
    readonly feeds: number
    readonly blobs: number
    readonly nars: number
  }
}

/** The beginning of a feed's facts: `count` of them, from sequence `from` on, after the fact `prev`. */
export interface BundleFeed {
  readonly author: KeyId
  readonly session: Session
  readonly from: number
  readonly prev: FactId
  readonly count: number
}

/** The beginning of a NAR's chunks. */
export interface BundleNar {
  readonly hash: Hash
  readonly size: number
}

/** A part of what somebody holds. */
export type BundleHave =
  | { readonly kind: 'feeds'; readonly feeds: readonly FeedState[] }
  | { readonly kind: 'blobs' | 'nars'; readonly hashes: readonly Hash[] }

/** The last record: how many stand before it. */
export interface BundleEnd {
  readonly records: number
}

const PLACE = {
  fleet: FLEET_ID,
  root: HASH,
  group: NAME,
  epoch: uint(2 ** 32, 1),
  maker: NAME,
}
const REACH: Schema<BundleReach> = shape<BundleReach>({
  vector: HASH,
  view: uint(),
  block: BLOCK_ID,
})
/** The body of a bundle's header. */
export const BUNDLE_HEADER: Schema<BundleHeader> = shape<BundleHeader>({
  ...PLACE,
  since: REACH,
  until: REACH,
  contents: shape<BundleContents>({
    documents: uint(),
    feeds: uint(),
    facts: uint(),
    blobs: uint(),
    blocks: uint(),
    nars: uint(),
    narBytes: uint(),
  }),
})
/** The body of a vector file's header. */
export const VECTOR_HEADER: Schema<VectorHeader> = shape<VectorHeader>({
  ...PLACE,
  view: uint(),
  block: BLOCK_ID,
  contents: shape<VectorHeader['contents']>({ feeds: uint(), blobs: uint(), nars: uint() }),
})
export const BUNDLE_FEED: Schema<BundleFeed> = shape<BundleFeed>({
  author: KEY_ID,
  session: SESSION,
  from: uint(),
  prev: FACT_ID,
  count: uint(Number.MAX_SAFE_INTEGER, 1),
})
export const BUNDLE_NAR: Schema<BundleNar> = shape<BundleNar>({
  hash: HASH,
  size: uint(NAR_BYTES_MAX, 1),
})
export const BUNDLE_END: Schema<BundleEnd> = shape<BundleEnd>({ records: uint() })

const FEED_STATE: Schema<FeedState> = shape<FeedState>({
  author: KEY_ID,
  session: SESSION,
  seq: uint(),
  head: FACT_ID,
})
const HASHES: Schema<readonly Hash[]> = sortedList(HASH, (hash) => hash, BUNDLE_HAVES_MAX, 1)
type HaveOf<K extends BundleHave['kind']> = Extract<BundleHave, { kind: K }>
export const BUNDLE_HAVE: Schema<BundleHave> = tagged<BundleHave>('kind', {
  feeds: shape<HaveOf<'feeds'>>({
    kind: oneOf('feeds'),
    feeds: list(FEED_STATE, BUNDLE_HAVES_MAX, 1),
  }) as Schema<BundleHave>,
  blobs: hashes('blobs'),
  nars: hashes('nars'),
})

function hashes(kind: 'blobs' | 'nars'): Schema<BundleHave> {
  return shape<HaveOf<'blobs' | 'nars'>>({
    kind: oneOf(kind),
    hashes: HASHES,
  }) as Schema<BundleHave>
}

/** A record's body that is CBOR. */
export function encodeBundleBody<T>(schema: Schema<T>, value: T): Uint8Array {
  return encodeCanonical(schema.encode(value))
}

/** The inverse. Throws NOT_CANONICAL, BAD_SHAPE, TOO_LARGE. */
export function decodeBundleBody<T>(schema: Schema<T>, body: Uint8Array, whose: string): T {
  return schema.decode(decodeCanonical(body, BUNDLE_RECORD_BYTES_MAX, whose), whose)
}
