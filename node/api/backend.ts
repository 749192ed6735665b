/**
 * What the API needs of the node: one method for each route.
 *
 * The server adds the stamp, the paging, the limits and the errors, so that an implementation only
 * answers. Rows come whole and sorted; an absent thing is undefined, never an error.
 */
import type { BundleGate, BundleTaken } from './bundle-schema.ts'
import type { CacheList } from './cache-schema.ts'
import type { InviteRow, RequestRow } from './enrol-schema.ts'
import type { ForkRow } from './fork-schema.ts'
import type {
  BlockPage,
  BodyPage,
  BodyRow,
  CheckpointPage,
  EnvelopePage,
  FeedRow,
} from './log-schema.ts'
import type {
  AuditRow,
  Doctor,
  Documents,
  EventRow,
  FleetStatus,
  HostDetail,
  HostRow,
  Page,
  PeerRow,
  PlanBase,
  ReleaseDetail,
  ReleaseDiff,
  ReleaseRow,
  RolloutRow,
  RolloutStatus,
  Submitted,
  ViewStamp,
  WantedBlob,
  WhyHost,
} from './schema.ts'

/** An answer that may need the disk. */
export type Answer<T> = T | Promise<T>

/** A slice of a log, after the cursor `since` (absent: from its beginning). */
export interface LogQuery {
  readonly since?: string | undefined
  readonly limit: number
  readonly type?: string | undefined
  /** Only what is about this host. */
  readonly host?: string | undefined
  /** Only what this name signed, as the documents give it. */
  readonly actor?: string | undefined
  /** Only what names a rollout whose id begins so. */
  readonly rollout?: string | undefined
  /** Newest first, and `since` then means before. */
  readonly newestFirst?: boolean | undefined
}

export interface ApiBackend {
  stamp(): ViewStamp

  fleet(): Answer<FleetStatus>
  /** By name. */
  hosts(): Answer<readonly HostRow[]>
  host(name: string): Answer<HostDetail | undefined>
  /** Newest first. */
  rollouts(): Answer<readonly RolloutRow[]>
  rollout(id: string): Answer<RolloutStatus | undefined>
  why(rollout: string, host: string): Answer<WhyHost | undefined>
  /** Newest first. */
  releases(): Answer<readonly ReleaseRow[]>
  release(id: string): Answer<ReleaseDetail | undefined>
  /** Undefined unless both manifests are held. */
  diff(from: string, to: string): Answer<ReleaseDiff | undefined>
  eventPage(query: LogQuery): Answer<Page<EventRow>>
  auditPage(query: LogQuery): Answer<Page<AuditRow>>
  /** Every member with this node among them, by name. */
  peers(): Answer<readonly PeerRow[]>
  /** Every proven contradiction that this node holds. */
  forks(): Answer<readonly ForkRow[]>
  /** Every invite that counts, by id. */
  invites(): Answer<readonly InviteRow[]>
  /** Every request under them, in the order in which they count. */
  requests(): Answer<readonly RequestRow[]>
  doctor(): Answer<Doctor>
  /** Where this node takes store paths from besides its peers. */
  caches(): Answer<CacheList>
  /** Undefined for a group that this node is no member of. */
  planBase(group: string | undefined): Answer<PlanBase | undefined>
  documents(): Answer<Documents>

  /** Every feed, by author and session. */
  feeds(): Answer<readonly FeedRow[]>
  /** Envelopes of a feed from a sequence on, as many as fit a page. */
  envelopes(query: {
    readonly author: string
    readonly session: string
    readonly from: number
  }): Answer<EnvelopePage>
  /** Committed blocks after `after`, epoch before view. */
  blocks(after: { readonly epoch: number; readonly view: number }): Answer<BlockPage>
  /** Bodies that held facts name and that are held, by hash. */
  bodies(): Answer<readonly BodyRow[]>
  /** The bytes of one of them from `from` on, as many as fit a page; undefined where it is not held. */
  body(hash: string, from: number): Answer<BodyPage | undefined>
  /** Cosigned checkpoints of more than `above` leaves. */
  checkpoints(above: number): Answer<CheckpointPage>

  /** Whether the node can answer and take facts; `why` says what is missing. */
  ready(): Answer<{ readonly ready: boolean; readonly why: string }>

  /**
   * Takes one signed envelope of at most FACT_BYTES_MAX, by the same path as every other fact (D4).
   * Resolves when the fact is on the disk. Throws ProtocolError for bytes that are refused, NodeError
   * STORE_FULL, and ApiError.
   */
  submit(bytes: Uint8Array): Promise<Submitted>
  /** Blobs that held facts name and that are missing here; `closures`: also the NARs of Nix releases. */
  wanted(closures?: boolean): Answer<readonly WantedBlob[]>
  /** The blob of that hash, if this node takes it. */
  takesBlob(hash: string): Answer<WantedBlob | undefined>
  /**
   * Stores a wanted blob. The stream throws at its end unless its bytes hash to `hash`, so nothing may
   * be kept before it ended well.
   */
  putBlob(hash: string, stream: AsyncIterable<Uint8Array>): Promise<void>
  /** What this node holds, as a vector file (SPEC §8.5). */
  vectorFile(): Answer<AsyncIterable<Uint8Array>>
  /**
   * A bundle of what this node holds and the holder of the vector file `since` does not. Throws
   * ProtocolError for a file that is none; the stream throws when it cannot be finished.
   */
  exportBundle(
    since: Uint8Array | undefined,
    options: { readonly closures: boolean },
  ): Answer<AsyncIterable<Uint8Array>>
  /** Takes a batch of envelopes, as a sync's `give`. Throws ProtocolError, and NodeError STORE_FULL. */
  takeBundleFacts(bytes: Uint8Array): Promise<BundleTaken>
  /** Takes blocks and certificates, as a list of gate messages. Throws ProtocolError. */
  takeBundleGate(bytes: Uint8Array): Promise<BundleGate>
  /**
   * Events after the cursor `since` (absent: from now on), then each new one as it is learned. Ends
   * when `signal` aborts.
   */
  events(since: string | undefined, signal: AbortSignal): AsyncIterable<EventRow>
}
