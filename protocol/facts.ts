/**
 * A fact: a signed record in its author's feed (SPEC §5).
 *
 * `sealFact` writes one, `openFact` is the only way to read one. Types that this version does not
 * know are carried, not interpreted.
 */
import type { WireValue } from './codec.ts'
import { ProtocolError } from './errors.ts'
import { GROUP_CONFIG_FACT, type GroupConfigFact } from './group-config.ts'
import {
  ATTESTATION,
  type Attestation,
  CLOSURE_HELD,
  type ClosureHeld,
  HEALTH_CHANGE,
  type HealthChange,
  TRANSITION,
  type Transition,
} from './host-facts.ts'
import type { KeyPair } from './identity.ts'
import { FACT_ID, type FactId, type FleetId, type KeyId, SESSION, type Session } from './ids.ts'
import {
  ENROLL_DENY,
  ENROLL_REQUEST_FACT,
  type EnrollDeny,
  type EnrollRequestFact,
  INVITE,
  INVITE_REVOKE,
  type Invite,
  type InviteRevoke,
} from './invite.ts'
import { KEY_REVOKE, type KeyRevoke } from './key-revoke.ts'
import { FACT_BYTES_MAX } from './limits.ts'
import { type LogEntry, openEntry } from './log-entry.ts'
import {
  HALT,
  type Halt,
  HOLD,
  HOST_LOST,
  type Hold,
  type HostLost,
  PLAN_FACT,
  type PlanFact,
} from './plan.ts'
import { RELEASE_ANNOUNCE, type ReleaseAnnounce } from './release.ts'
import { FLEET_ROOT, type FleetRoot } from './root.ts'
import { type Schema, shape, uint, written } from './schema.ts'
import { type Opened, open, type Signer, seal } from './signed.ts'
import { EQUIVOCATION, type Equivocation, HALT_RELAY, type HaltRelay } from './witness-facts.ts'

/** Every fact type of this version with its body. */
export interface FactBodies {
  readonly 'release.announce': ReleaseAnnounce
  readonly 'rollout.plan': PlanFact
  readonly 'rollout.halt': Halt
  readonly 'rollout.hold': Hold
  readonly 'host.lost': HostLost
  readonly 'host.transition': Transition
  readonly 'health.change': HealthChange
  readonly 'obs.attest': Attestation
  readonly equivocation: Equivocation
  readonly 'halt.relay': HaltRelay
  readonly 'group.config': GroupConfigFact
  readonly 'closure.held': ClosureHeld
  readonly 'fleet.root': FleetRoot
  readonly 'key.revoke': KeyRevoke
  readonly 'invite.open': Invite
  readonly 'invite.revoke': InviteRevoke
  readonly 'enroll.request': EnrollRequestFact
  readonly 'enroll.deny': EnrollDeny
}
export type FactType = keyof FactBodies

interface FactHeader {
  readonly id: FactId
  readonly author: KeyId
  readonly session: Session
  readonly seq: number
  /** The fact before it in the feed; 32 zero bytes at sequence 0. */
  readonly prev: FactId
  /** The group configuration's epoch that the author knew. */
  readonly epoch: number
  /** The author's wall clock in ms; informational only. */
  readonly ts: number
  /** The envelope as received. */
  readonly bytes: Uint8Array
}

/** A fact of one known type. */
export type FactOf<T extends FactType> = FactHeader & {
  readonly type: T
  readonly body: FactBodies[T]
}
/** A fact of a type that a later version may know: stored and forwarded, never read. */
export type ForeignFact = FactHeader & { readonly type: 'foreign'; readonly foreignType: string }
/** A verified fact. */
export type Fact = { [T in FactType]: FactOf<T> }[FactType] | ForeignFact

/** What stands before sequence 0. */
export const NO_FACT: FactId = '0'.repeat(64)

const BODIES: { readonly [T in FactType]: Schema<FactBodies[T]> } = {
  'release.announce': RELEASE_ANNOUNCE,
  'rollout.plan': PLAN_FACT,
  'rollout.halt': HALT,
  'rollout.hold': HOLD,
  'host.lost': HOST_LOST,
  'host.transition': TRANSITION,
  'health.change': HEALTH_CHANGE,
  'obs.attest': ATTESTATION,
  equivocation: EQUIVOCATION,
  'halt.relay': HALT_RELAY,
  'group.config': GROUP_CONFIG_FACT,
  'closure.held': CLOSURE_HELD,
  'fleet.root': FLEET_ROOT,
  'key.revoke': KEY_REVOKE,
  'invite.open': INVITE,
  'invite.revoke': INVITE_REVOKE,
  'enroll.request': ENROLL_REQUEST_FACT,
  'enroll.deny': ENROLL_DENY,
}

/** Whether this version interprets facts of `type`. */
export function isFactType(type: string): type is FactType {
  return Object.hasOwn(BODIES, type)
}

interface PayloadHeader {
  readonly n: Session
  readonly s: number
  readonly p: FactId
  readonly e: number
  readonly ts: number
}
const HEADER: Schema<PayloadHeader> = shape<PayloadHeader>({
  n: SESSION,
  s: uint(),
  p: FACT_ID,
  e: uint(),
  ts: uint(),
})

/** What an author gives to write its next fact. */
export interface FactDraft<T extends FactType> {
  readonly type: T
  readonly body: FactBodies[T]
  readonly session: Session
  readonly seq: number
  readonly prev: FactId
  readonly epoch: number
  readonly ts: number
}

/**
 * Signs a draft. The caller keeps the chain: `seq` and `prev` follow its feed's head.
 *
 * Throws BAD_SHAPE for a body that no reader would take and TOO_LARGE above `FACT_BYTES_MAX`: a
 * feed cannot skip a fact, so one that is refused would end it.
 */
export function sealFact<T extends FactType>(
  draft: FactDraft<T>,
  author: { fleet: FleetId; key: KeyPair; signer?: Signer },
): FactOf<T> {
  const { type, session, seq, prev, epoch, ts } = draft
  const schema: Schema<FactBodies[T]> = BODIES[type]
  const { wire, value: body } = written(schema, draft.body, type)
  const header = written(HEADER, { n: session, s: seq, p: prev, e: epoch, ts }, type)
  const payload = { ...(header.wire as Record<string, WireValue>), b: wire }
  const { id, bytes } = seal({ type, payload, bytesMax: FACT_BYTES_MAX, ...author })
  return { id, author: author.key.publicKey, session, seq, prev, epoch, ts, bytes, type, body }
}

/**
 * The fact in `bytes`: size, form, signature and shape are checked, in this order.
 *
 * Throws ProtocolError as `open` does, BAD_SHAPE for a body that is not its type's, and BAD_CHAIN
 * for a first fact with a predecessor or a later one without.
 */
export function openFact(
  bytes: Uint8Array,
  options: { fleet: FleetId; whose: string; signer?: Signer },
): Fact {
  return factIn(open(bytes, { ...options, bytesMax: FACT_BYTES_MAX }), options.whose)
}

/** The fact of a log's entry, checked as `openFact` does. Throws as that does and as `openEntry`. */
export function openLoggedFact(
  stored: LogEntry,
  options: { fleet: FleetId; whose: string; signer?: Signer },
): Fact {
  return factIn(openEntry(stored, { ...options, bytesMax: FACT_BYTES_MAX }), options.whose)
}

function factIn(opened: Opened, whose: string): Fact {
  const { payload, type, bytes } = opened
  const { v: _v, t: _t, a: _a, b, ...header } = payload
  const { n, s, p, e, ts } = HEADER.decode(header, whose)
  if ((s === 0) !== (p === NO_FACT)) {
    throw new ProtocolError(
      'BAD_CHAIN',
      'reject',
      `expected a predecessor from sequence 1 on in ${type} of ${whose}, found ${p.slice(0, 16)} at ${s}`,
    )
  }
  const { id, author } = opened
  const common = { id, author, session: n, seq: s, prev: p, epoch: e, ts, bytes }
  if (!isFactType(type)) return { ...common, type: 'foreign', foreignType: type }
  const schema: Schema<FactBodies[FactType]> = BODIES[type]
  return { ...common, type, body: schema.decode(b, type) } as Fact
}

/** The rollout that a fact is about; undefined for one that is about none. */
export function rolloutOf(fact: Fact): string | undefined {
  switch (fact.type) {
    case 'rollout.plan':
      return fact.id
    case 'rollout.halt':
    case 'rollout.hold':
    case 'host.lost':
    case 'host.transition':
    case 'obs.attest':
    case 'closure.held':
      return fact.body.rollout
    default:
      return undefined
  }
}
