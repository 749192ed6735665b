/**
 * The published JSON contract of the API, with the checks that the tests run over every answer.
 *
 * Types first, checks below. A field is null when nothing is known of it: no default looks healthy.
 */
import { z } from 'zod'
import { AUTHOR, type Author, COUNT, HEX32, RELEASE_REF, type ReleaseRef } from './contract.ts'
import { FRESHNESS_ROW, type FreshnessRow, REACH_ROW, type ReachRow } from './reach-schema.ts'
import { ROLLOUT_ROW, type RolloutRow } from './rollout-schema.ts'

export * from './bundle-schema.ts'
export * from './contract.ts'
export * from './reach-schema.ts'
export * from './rollout-schema.ts'

/** What a host is, as this node sees it. The words are the CLI's and the dashboard's too. */
export type HostState =
  | 'unseen'
  | 'healthy'
  | 'unhealthy'
  | 'drifted'
  | 'behind'
  | 'staging'
  | 'waiting-lease'
  | 'activating'
  | 'probation'
  | 'confirmed'
  | 'soaked'
  | 'reverting'
  | 'reverted'
  | 'stuck'
  | 'unknown'

/** Every host state, in the order in which `status` counts them. */
export const HOST_STATES: readonly HostState[] = [
  'healthy',
  'staging',
  'waiting-lease',
  'activating',
  'probation',
  'confirmed',
  'soaked',
  'behind',
  'unhealthy',
  'drifted',
  'reverting',
  'reverted',
  'stuck',
  'unseen',
  'unknown',
]

/** One host in one line. */
export interface HostRow {
  readonly name: string
  readonly state: HostState
  readonly voter: boolean
  readonly tags: readonly string[]
  /** What it runs, by its own newest word. */
  readonly generation: string | null
  /** What it should rest on: derived, never stored. */
  readonly target: string | null
  /** The release whose generation it runs, if one that this node knows. */
  readonly release?: ReleaseRef | undefined
  readonly targetRelease?: ReleaseRef | undefined
  readonly health: { readonly ok: number; readonly total: number } | null
  readonly path: 'local' | 'direct' | 'none'
  readonly seenAgeMs: number | null
  readonly reach: ReachRow
  readonly rollout?: string | undefined
  readonly phase?: string | undefined
  readonly why?: string | undefined
  readonly boot?: string | undefined
}

/** One host, whole. */
export interface HostDetail extends HostRow {
  readonly addresses: readonly string[]
  readonly keys: { readonly transport: string; readonly fact: string; readonly cosign: string }
  readonly checks: readonly { readonly name: string; readonly ok: boolean }[]
  /** Generations it committed, newest first: the first is where a revert of the newest leads from. */
  readonly committed: readonly { readonly rollout: string; readonly generation: string }[]
  /** Its last transitions, newest first. */
  readonly transitions: readonly {
    readonly rollout: string
    readonly round: number
    readonly phase: string
    readonly why?: string | undefined
    readonly detail?: string | undefined
    readonly ts: number
    readonly fact: string
  }[]
}

/** The fleet as one node sees it. */
export interface FleetStatus {
  readonly name: string
  readonly fleetId: string
  readonly rootHash: string
  readonly group: string
  readonly epoch: number
  /** The timing preset's name, and the two numbers of it that people wait for. */
  readonly preset: string
  readonly timing: { readonly probeMs: number; readonly leaseMs: number }
  readonly voters: readonly { readonly name: string; readonly reachable: boolean }[]
  readonly quorum: number
  readonly faultModel: 'crash' | 'byzantine'
  readonly crashesSurvived: number
  /** The voter whose turn it is to propose; it changes with every view, and none is needed. */
  readonly leader: string | null
  /** One hash over the feeds that this node holds: equal digests, equal knowledge. */
  readonly digest: string
  readonly facts: number
  readonly gateSlot: number
  readonly hosts: readonly HostRow[]
  readonly openRollouts: readonly RolloutRow[]
  /** What an operator should know and nobody asked: two voters, a fork proof, a stale anchor. */
  readonly warnings: readonly string[]
  readonly freshness: FreshnessRow
}

export interface ReleaseRow extends ReleaseRef {
  readonly minVersion: number
  readonly author: Author
  readonly ts: number
  readonly manifest: string
  /** Null while the manifest is not held here. */
  readonly system: 'nix' | 'portable' | null
  readonly hosts: number | null
  readonly revision?: string | undefined
}

export interface ReleaseDetail extends ReleaseRow {
  readonly generations: readonly {
    readonly host: string
    readonly generation: string
    readonly paths: number
    readonly bytes: number
  }[]
  readonly paths: number | null
  readonly bytes: number | null
  readonly caches: readonly string[]
  readonly notRevertable: readonly string[]
}

/** What changes for each host from one release to another. */
export interface ReleaseDiff {
  readonly from: ReleaseRef
  readonly to: ReleaseRef
  readonly hosts: readonly {
    readonly host: string
    readonly from: string | null
    readonly to: string | null
    readonly added: readonly string[]
    readonly removed: readonly string[]
  }[]
}

/** One thing that happened, in words. `id` is the cursor: later events have greater ones. */
export interface EventRow {
  readonly id: string
  /** The author's wall clock. */
  readonly ts: number
  readonly author: Author
  readonly type: string
  /** The host, rollout or release that it is about. */
  readonly subject: string
  readonly text: string
  /** The fact or block that says so. */
  readonly fact: string
}

/** One signed act, with its place in its author's feed. */
export interface AuditRow {
  readonly id: string
  readonly ts: number
  readonly author: Author
  readonly action: string
  readonly target: string
  /** What became of it: `admitted`, `rejected: conflict`, `recorded`, … */
  readonly outcome: string
  readonly factId: string
  readonly session: string
  readonly seq: number
  readonly prev: string
}

export interface PeerRow {
  readonly name: string
  readonly state: 'self' | 'connected' | 'disconnected'
  readonly path: 'local' | 'direct' | 'none'
  readonly voter: boolean
  readonly address: string | null
  /** Multiaddrs with `/p2p/` at which the peer offers this same API. */
  readonly api: readonly string[]
  readonly rttMs: number | null
  readonly seenAgeMs: number | null
  /** It sent a wrong piece of a store path: this node asks it for none until it starts again. */
  readonly liar: boolean
  readonly reach: ReachRow
}

/** What a plan for this group must know of the gate log. */
export interface PlanBase {
  readonly group: string
  readonly epoch: number
  /** The group's genesis: the base of a plan whose hosts no block ever touched. */
  readonly genesis: string
  readonly hosts: readonly {
    readonly host: string
    /** The last admit or close that named the host. The plan's base is the one of highest slot. */
    readonly base: { readonly block: string; readonly slot: number } | null
    readonly last: string | null
    /** The last rollout has a halt: a new plan must supersede it. */
    readonly lastHalted: boolean
    readonly claimedBy: string | null
  }[]
  readonly channels: readonly { readonly channel: string; readonly version: number }[]
}

/** The signed documents in base64: a client verifies them against the root hash that it pins. */
export interface Documents {
  readonly rootHash: string
  readonly root: string
  /** The roots after the first that came into force, in their order. */
  readonly roots: readonly string[]
  readonly groups: readonly {
    readonly group: string
    readonly epoch: number
    readonly config: string
  }[]
}

export interface Doctor {
  readonly checks: readonly {
    readonly name: string
    readonly state: 'ok' | 'warn' | 'fail' | 'skipped'
    readonly found: string
    readonly fix?: string | undefined
  }[]
}

/** The answer to one signed envelope. `known` is a fact that was already held. */
export interface Submitted {
  readonly id: string
  readonly state: 'accepted' | 'known'
}

/** A blob that a held fact names and that is missing here. */
export interface WantedBlob {
  readonly hash: string
  readonly kind: 'plan' | 'manifest' | 'config' | 'root' | 'nar'
  readonly bytesMax: number
}

/** An error (RFC 9457) with its catalogue code: what, why, and what to do. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly why: string
  readonly fix: string
}

export const HOST_STATE: z.ZodType<HostState> = z.enum(HOST_STATES)

const hostRow = {
  name: z.string(),
  state: HOST_STATE,
  voter: z.boolean(),
  tags: z.array(z.string()),
  generation: z.string().nullable(),
  target: z.string().nullable(),
  release: RELEASE_REF.optional(),
  targetRelease: RELEASE_REF.optional(),
  health: z.strictObject({ ok: COUNT, total: COUNT }).nullable(),
  path: z.enum(['local', 'direct', 'none']),
  seenAgeMs: COUNT.nullable(),
  reach: REACH_ROW,
  rollout: HEX32.optional(),
  phase: z.string().optional(),
  why: z.string().optional(),
  boot: z.string().optional(),
}
export const HOST_ROW: z.ZodType<HostRow> = z.strictObject(hostRow)

export const HOST_DETAIL: z.ZodType<HostDetail> = z.object({
  ...hostRow,
  addresses: z.array(z.string()),
  keys: z.strictObject({ transport: HEX32, fact: HEX32, cosign: HEX32 }),
  checks: z.array(z.strictObject({ name: z.string(), ok: z.boolean() })),
  committed: z.array(z.strictObject({ rollout: z.string(), generation: z.string() })),
  transitions: z.array(
    z.strictObject({
      rollout: HEX32,
      round: COUNT,
      phase: z.string(),
      why: z.string().optional(),
      detail: z.string().optional(),
      ts: COUNT,
      fact: HEX32,
    }),
  ),
})

export const FLEET_STATUS: z.ZodType<FleetStatus> = z.object({
  name: z.string(),
  fleetId: z.string(),
  rootHash: HEX32,
  group: z.string(),
  epoch: COUNT,
  preset: z.string(),
  timing: z.strictObject({ probeMs: COUNT, leaseMs: COUNT }),
  voters: z.array(z.strictObject({ name: z.string(), reachable: z.boolean() })),
  quorum: COUNT,
  faultModel: z.enum(['crash', 'byzantine']),
  crashesSurvived: COUNT,
  leader: z.string().nullable(),
  digest: HEX32,
  facts: COUNT,
  gateSlot: COUNT,
  hosts: z.array(HOST_ROW),
  openRollouts: z.array(ROLLOUT_ROW),
  warnings: z.array(z.string()),
  freshness: FRESHNESS_ROW,
})

const releaseRow = {
  id: HEX32,
  name: z.string(),
  channel: z.string(),
  version: COUNT,
  minVersion: COUNT,
  author: AUTHOR,
  ts: COUNT,
  manifest: HEX32,
  system: z.enum(['nix', 'portable']).nullable(),
  hosts: COUNT.nullable(),
  revision: z.string().optional(),
}
export const RELEASE_ROW: z.ZodType<ReleaseRow> = z.strictObject(releaseRow)

export const RELEASE_DETAIL: z.ZodType<ReleaseDetail> = z.object({
  ...releaseRow,
  generations: z.array(
    z.strictObject({ host: z.string(), generation: z.string(), paths: COUNT, bytes: COUNT }),
  ),
  paths: COUNT.nullable(),
  bytes: COUNT.nullable(),
  caches: z.array(z.string()),
  notRevertable: z.array(z.string()),
})

export const RELEASE_DIFF: z.ZodType<ReleaseDiff> = z.object({
  from: RELEASE_REF,
  to: RELEASE_REF,
  hosts: z.array(
    z.strictObject({
      host: z.string(),
      from: z.string().nullable(),
      to: z.string().nullable(),
      added: z.array(z.string()),
      removed: z.array(z.string()),
    }),
  ),
})

export const EVENT_ROW: z.ZodType<EventRow> = z.strictObject({
  id: z.string().min(1),
  ts: COUNT,
  author: AUTHOR,
  type: z.string(),
  subject: z.string(),
  text: z.string(),
  fact: z.string(),
})

export const AUDIT_ROW: z.ZodType<AuditRow> = z.strictObject({
  id: z.string().min(1),
  ts: COUNT,
  author: AUTHOR,
  action: z.string(),
  target: z.string(),
  outcome: z.string(),
  factId: HEX32,
  session: z.string(),
  seq: COUNT,
  prev: HEX32,
})

export const PEER_ROW: z.ZodType<PeerRow> = z.strictObject({
  name: z.string(),
  state: z.enum(['self', 'connected', 'disconnected']),
  path: z.enum(['local', 'direct', 'none']),
  voter: z.boolean(),
  address: z.string().nullable(),
  api: z.array(z.string()),
  rttMs: z.number().min(0).nullable(),
  seenAgeMs: COUNT.nullable(),
  liar: z.boolean(),
  reach: REACH_ROW,
})

export const PLAN_BASE: z.ZodType<PlanBase> = z.object({
  group: z.string(),
  epoch: COUNT,
  genesis: HEX32,
  hosts: z.array(
    z.strictObject({
      host: z.string(),
      base: z.strictObject({ block: HEX32, slot: COUNT }).nullable(),
      last: HEX32.nullable(),
      lastHalted: z.boolean(),
      claimedBy: HEX32.nullable(),
    }),
  ),
  channels: z.array(z.strictObject({ channel: z.string(), version: COUNT })),
})

export const DOCUMENTS: z.ZodType<Documents> = z.object({
  rootHash: HEX32,
  root: z.base64(),
  roots: z.array(z.base64()),
  groups: z.array(z.strictObject({ group: z.string(), epoch: COUNT, config: z.base64() })),
})

export const DOCTOR: z.ZodType<Doctor> = z.object({
  checks: z.array(
    z.strictObject({
      name: z.string(),
      state: z.enum(['ok', 'warn', 'fail', 'skipped']),
      found: z.string(),
      fix: z.string().optional(),
    }),
  ),
})

export const SUBMITTED: z.ZodType<Submitted> = z.object({
  id: HEX32,
  state: z.enum(['accepted', 'known']),
})

export const WANTED_BLOB: z.ZodType<WantedBlob> = z.strictObject({
  hash: HEX32,
  kind: z.enum(['plan', 'manifest', 'config', 'root', 'nar']),
  bytesMax: COUNT,
})

export const PROBLEM: z.ZodType<Problem> = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int().min(400).max(599),
  code: z.string().regex(/^NF-\d{4}$/),
  why: z.string(),
  fix: z.string(),
})
