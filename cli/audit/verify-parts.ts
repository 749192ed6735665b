/** The parts that a verification falls into. Each is judged by itself, by whichever thread is free. */
import type { Fact, KeyId, Session } from '../../protocol/index.ts'
import type { KnownTrust } from './documents.ts'
import { Findings, type Found, type Report } from './findings.ts'
import { feedAt } from './layout.ts'
import { type ProvenLieRow, ProvenLies } from './proven-lies.ts'
import { verifyCertificates } from './verify-certificates.ts'
import { checkpointSizes, type Standing, verifyCheckpoints } from './verify-checkpoints.ts'
import { type SeenFeed, verifyFeed } from './verify-feed.ts'
import { type GateSummary, verifyGate } from './verify-gate.ts'

/** What every part needs: the pull, and whom to believe. */
export interface Scene {
  readonly pull: string
  readonly trust: KnownTrust
}

/** The blocks of a group's gate log. */
export interface GatePart {
  readonly kind: 'gate'
  readonly group: string
}

/** What was seen of a gate log. */
export interface GateSeen {
  readonly gate: GateSummary
  readonly found: Found
}

/** The votes of a group's gate log. */
export interface VotesPart {
  readonly kind: 'votes'
  readonly group: string
}

/** What was seen of votes: findings, or none. */
export interface VotesSeen {
  readonly found: Found
}

/** The checkpoints over a group's gate log. Without its pins, which are the feeds'. */
export interface CheckpointsPart {
  readonly kind: 'checkpoints'
  readonly gate: Omit<GateSummary, 'pins'>
}

/** What was seen of checkpoints. */
export interface CheckpointsSeen {
  readonly checkpoints: number
  readonly standing: Standing | undefined
  readonly found: Found
}

/** One feed. Whether it is the one that the gate logs stand on is judged when those are read. */
export interface FeedPart {
  readonly kind: 'feed'
  readonly author: KeyId
  readonly session: Session
}

/** What was seen of a feed. */
export interface FeedSeen extends SeenFeed {
  readonly lies: readonly ProvenLieRow[]
  readonly found: Found
}

/** Every kind of part with what comes of it. */
export interface Parts {
  readonly gate: { readonly part: GatePart; readonly seen: GateSeen }
  readonly votes: { readonly part: VotesPart; readonly seen: VotesSeen }
  readonly checkpoints: { readonly part: CheckpointsPart; readonly seen: CheckpointsSeen }
  readonly feed: { readonly part: FeedPart; readonly seen: FeedSeen }
}
export type PartKind = keyof Parts
export type Part = Parts[PartKind]['part']
export type Seen = Parts[PartKind]['seen']

/** Judges one part. */
export function judge(scene: Scene, part: Part): Seen {
  const findings = new Findings()
  const seen = look(scene, part, findings.reporter())
  const { kept, count } = findings
  return { ...seen, found: { kept, count } }
}

type Unreported = { [K in PartKind]: Omit<Parts[K]['seen'], 'found'> }[PartKind]

function look({ pull, trust }: Scene, part: Part, report: Report): Unreported {
  switch (part.kind) {
    case 'gate': {
      const sizes = checkpointSizes(pull, part.group)
      return { gate: verifyGate(pull, { trust, group: part.group, sizes }, report) }
    }
    case 'votes':
      verifyCertificates(pull, { trust, group: part.group }, report)
      return {}
    case 'checkpoints': {
      const { gate } = part
      const sizes = checkpointSizes(pull, gate.group)
      const standing = verifyCheckpoints(pull, { trust, gate, sizes }, report)
      return { checkpoints: sizes.size, standing }
    }
    case 'feed': {
      const lies = new ProvenLies(pull, trust)
      const place = feedAt(pull, part.author, part.session)
      const noted = (fact: Fact): void => lies.note(fact)
      return { ...verifyFeed(place, { trust, noted }, report), lies: lies.rows }
    }
  }
}
