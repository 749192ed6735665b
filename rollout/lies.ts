/**
 * What proofs of equivocation do (SPEC §6.7): which voters stand accused, whether the group is frozen
 * by one, and how far a forked feed counts.
 *
 * All of it only ever says stop, so that it is judged over everything held and never taken back.
 */
import {
  type Equivocation,
  type FactOf,
  type FeedHead,
  type FeedKey,
  feedKey,
  feedOf,
  judgeAccusation,
  type KeyId,
  LIES_PER_KEY_MAX,
  type Lie,
} from '../protocol/index.ts'
import type { Bodies, FleetView, ProvenLie } from './fleet-view.ts'
import type { Accused } from './gate-machine.ts'
import { isKnownAuthor, type Trust, voterKeys } from './trust.ts'

/** The proofs of a view, while it is being folded. */
export interface LieMaps {
  readonly forks: Map<FeedKey, ProvenLie>
  readonly lies: Map<string, ProvenLie>
}

/** Fact keys of voters of this group that are proven to have signed two messages that exclude each other (E2–E4). */
export function accusedVoters(trust: Trust, view: FleetView): ReadonlySet<KeyId> {
  const accused = new Set([...view.lies.values()].map(({ lie }) => lie.accused))
  return new Set(voterKeys(trust).filter((key) => accused.has(key)))
}

/**
 * Why nothing may be decided any more, or undefined: where no lying voter is tolerated, one proof
 * against a voter stops every `go` until another configuration holds. Going back and halting need no
 * decision and go on.
 */
export function frozenBy(trust: Trust, view: FleetView): string | undefined {
  if (trust.config.faultModel !== 'crash' || view.lies.size === 0) return undefined
  const accused = accusedVoters(trust, view)
  if (accused.size === 0) return undefined
  const names = trust.config.hosts.filter((host) => accused.has(host.fact)).map(({ name }) => name)
  return `${names.join(', ')} signed two votes that exclude each other, and fault model crash tolerates no liar: only a change of voters goes on`
}

/** Nobody is accused of anything, or the group bears it. */
export const NOBODY: Accused = { pinned: new Set(), held: new Set(), owed: false }

/**
 * Whose votes decide nothing where no liar is borne: by the evidence that a block pins, and by everything
 * held. A basis brings facts alone, so that a proof whose messages lie in a blob, or whose feed forked,
 * is never owed to it.
 */
export function accusedIn(trust: Trust, pins: FleetView, holds: FleetView): Accused {
  const none = pins.lies.size + holds.lies.size === 0
  if (none || trust.config.faultModel !== 'crash') return NOBODY
  const pinned = accusedVoters(trust, pins)
  const held = new Set([...pinned, ...accusedVoters(trust, holds)])
  const owed = [...holds.lies.values()].some(({ lie, fact }) => {
    const missing = held.has(lie.accused) && !pinned.has(lie.accused)
    return missing && fact.body.proof.kind === 'inline' && !holds.forks.has(feedOf(fact))
  })
  return { pinned, held, owed }
}

/**
 * The sequence up to which a forked feed counts, −1 for nothing of it: what the committed basis pins,
 * else what stands below the fork. Undefined for a feed without a proof.
 */
export function forkLimit(
  forks: FleetView['forks'],
  feed: FeedKey,
  pinned: FeedHead | undefined,
): number | undefined {
  const fork = forks.get(feed)
  if (fork?.lie.place.in !== 'feed') return undefined
  return Math.max(fork.lie.place.seq - 1, pinned?.seq ?? -1)
}

/** Takes an accusation into the maps if it proves anything about a key that this fleet knows. */
export function noteLie(
  maps: LieMaps,
  fact: FactOf<'equivocation'>,
  trust: Trust,
  pair?: Parameters<typeof judgeAccusation>[1]['pair'],
): void {
  if (!isKnownAuthor(trust, fact.body.accused)) return
  const { fleet, signer } = trust
  const lie = judgeAccusation(fact.body, { fleet, signer, pair })
  if (lie === undefined) return
  if (lie.place.in === 'feed') noteFork(maps, { lie, fact })
  else if (lie.place.group === trust.config.group) noteVoter(maps, { lie, fact })
}

/** The view with every accusation judged whose proof is held by now; the same view when there is none. */
export function judgeAccusations(view: FleetView, bodies: Bodies, trust: Trust): FleetView {
  const maps = { forks: new Map(view.forks), lies: new Map(view.lies) }
  for (const fact of view.accusations.values()) {
    const hash = blobOf(fact.body)
    const pair = hash === undefined ? undefined : bodies.proof?.(hash)
    if (pair !== undefined && !isCounted(view, fact)) noteLie(maps, fact, trust, pair)
  }
  const same = isSameMap(maps.forks, view.forks) && isSameMap(maps.lies, view.lies)
  return same ? view : { ...view, ...maps }
}

function blobOf({ proof }: Equivocation): string | undefined {
  return proof.kind === 'blob' ? proof.hash : undefined
}

/** A signature costs more than a look: what stands already is not checked again. */
function isCounted(view: FleetView, fact: FactOf<'equivocation'>): boolean {
  const standing = [...view.forks.values(), ...view.lies.values()]
  return standing.some((one) => one.fact.id === fact.id)
}

/** Of one feed the lowest place counts: everything above it is in doubt. */
function noteFork({ forks }: LieMaps, proven: ProvenLie): void {
  const { place, accused } = proven.lie
  if (place.in !== 'feed') return
  const feed = feedKey(accused, place.session)
  const before = forks.get(feed)
  if (before === undefined || comesFirst(proven, before)) forks.set(feed, proven)
}

/** One voter's lies are bounded by keeping the first: any of them accuses it. */
function noteVoter({ lies }: LieMaps, proven: ProvenLie): void {
  const key = lieKey(proven.lie)
  const before = lies.get(key)
  if (before !== undefined && !comesFirst(proven, before)) return
  lies.set(key, proven)
  const own = [...lies.keys()].filter((one) => one.startsWith(proven.lie.accused)).sort()
  for (const beyond of own.slice(LIES_PER_KEY_MAX)) lies.delete(beyond)
}

function comesFirst(a: ProvenLie, b: ProvenLie): boolean {
  const [here, there] = [placeNumber(a.lie), placeNumber(b.lie)]
  return here !== there ? here < there : a.fact.id < b.fact.id
}

function placeNumber({ place }: Lie): number {
  return place.in === 'feed' ? place.seq : place.view
}

function lieKey({ accused, kind, place }: Lie): string {
  if (place.in === 'feed') return `${accused}/${kind}/${place.session}`
  return `${accused}/${digits(place.epoch)}/${digits(place.view)}/${kind}`
}

function digits(value: number): string {
  return String(value).padStart(16, '0')
}

function isSameMap<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  return a.size === b.size && [...a].every(([key, one]) => b.get(key) === one)
}
