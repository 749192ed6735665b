/**
 * Blocks against facts: what the gate machine asks about every proposal (SPEC §7.1 R1, R2, §7.4).
 *
 * `judge` is R2: true over the basis alone, and still true with everything held. `draft` is what a
 * leader proposes, and, for everybody, whether there is a request at all.
 */
import {
  BASIS_FEEDS_MAX,
  type BasisFeed,
  type Block,
  basisFeed,
  COMMANDS_MAX,
  type Command,
  type Fact,
  type FactId,
  type FeedKey,
  feedKey,
  GATE_BYTES_MAX,
  NO_FACT,
} from '../protocol/index.ts'
import { withAuthority } from './authority.ts'
import { trustAt } from './epochs.ts'
import type { Bodies, FleetView } from './fleet-view.ts'
import { foldFacts } from './fold.ts'
import { applyCommand, countsAsSlot, enterBlock } from './gate-apply.ts'
import { draftCommands } from './gate-draft.ts'
import type { Accused, Draft, GateRules, Judgement } from './gate-machine.ts'
import { judgeCommand } from './gate-rules.ts'
import type { GateState } from './gate-state.ts'
import { accusedIn, frozenBy } from './lies.ts'
import { sinceMs } from './local-times.ts'
import { movesRevoked, revokedLimit } from './revocations.ts'
import type { LocalScene, Scene } from './scene.ts'
import type { Trust } from './trust.ts'

/** Bytes of a block around its lists: envelope, header and signature take about 400. */
const BLOCK_FRAME_BYTES = 1024
/** A feed of the basis: 119 bytes with the longest sequence. */
const BASIS_FEED_BYTES = 120
/** A command without its hosts: at most 90 bytes. */
const COMMAND_BYTES = 96
/** The CBOR head before a name. */
const NAME_FRAME_BYTES = 2

/** Everything that this node holds, as the gate sees it. */
export interface Held {
  readonly trust: Trust
  /** The fold of everything held, whoever said it. */
  readonly view: FleetView
  readonly bodies: Bodies
  readonly local: LocalScene
  /**
   * A held fact by its place; undefined below what the committed basis has pruned from memory. Where
   * the feed forked, the one with this id, also if it was dropped from the feed.
   */
  factAt(feed: FeedKey, seq: number, id: FactId): Fact | undefined
}

/** The gate's rules over what is held now. */
export function gateRules(held: Held): GateRules {
  return {
    judge: (block, parent) => judge(held, block, parent),
    apply: (block, parent) => {
      const evidence = evidenceOf(held, block, parent)
      return evidence.kind === 'held' ? applyBlock(held, block, parent, evidence.view) : undefined
    },
    draft: (parent) => draft(held, parent),
    accused: (state) => accusedAt(held, state),
  }
}

function accusedAt(held: Held, state: GateState): Accused {
  return accusedIn(trustAt(held.trust, state), state.evidence, held.view)
}

function judge(held: Held, block: Block, parent: GateState): Judgement {
  const { body } = block
  const misplaced = refusedByPlace(body, parent) ?? movesFork(held.view, block)
  if (misplaced !== undefined) return { kind: 'invalid', why: misplaced }
  const evidence = evidenceOf(held, block, parent)
  if (evidence.kind !== 'held') return { kind: evidence.kind, why: evidence.why }
  const scene = sceneAt(held, block, parent, evidence.view)
  const passed = movesPastRevocation(scene, held, block, parent)
  if (passed !== undefined) return { kind: 'invalid', why: passed }
  const stopped = refusedByLie(scene, held, body.commands)
  if (stopped !== undefined) return { kind: 'invalid', why: stopped }
  return judgeCommands(held, scene, body.commands)
}

/** What the block's own form says against its place, whatever its commands are about. */
function refusedByPlace(body: Block['body'], parent: GateState): string | undefined {
  if (parent.next !== undefined && countsAsSlot(body)) {
    return 'the group is about to change: only empty blocks stand on that'
  }
  const alone = body.commands.find(({ kind }) => kind === 'reconfig' || kind === 'root')
  if (alone !== undefined && body.commands.length > 1)
    return `a ${alone.kind} shares its block with nothing`
  const version = versionAfter(parent, body.commands)
  if (body.rootVersion === version) return undefined
  return `expected root version ${version}, found ${body.rootVersion}`
}

/** A block says the root version after it, so that whoever reads one block alone knows the root. */
function versionAfter(parent: GateState, commands: readonly Command[]): number {
  return parent.rootVersion + (commands[0]?.kind === 'root' ? 1 : 0)
}

/** R2: each command over the basis alone and over everything held, on the state that those before it leave. */
function judgeCommands(held: Held, scene: Scene, commands: readonly Command[]): Judgement {
  let { state } = scene
  const all = withAuthority(held.view, scene.trust, state)
  for (const command of commands) {
    for (const view of [scene.view, all]) {
      const ruling = judgeCommand({ ...scene, state, view }, command)
      if (ruling.kind === 'wait') return { kind: 'wait', why: ruling.why }
      if (ruling.kind === 'no') return { kind: 'invalid', why: ruling.why }
    }
    const next = applyCommand({ ...scene, state }, command)
    if (next === undefined)
      return { kind: 'wait', why: `a body that ${command.kind} needs is not held` }
    state = next
  }
  return { kind: 'valid', state }
}

/**
 * In a group that bears no liar, a voter that is proven to lie ends everything but the change that
 * takes it out: nothing else is decided with its votes (SPEC §7.8). An empty block decides nothing.
 */
function refusedByLie(scene: Scene, held: Held, commands: readonly Command[]): string | undefined {
  const decides = commands.some((command) => command.kind !== 'reconfig')
  return decides
    ? (frozenBy(scene.trust, scene.view) ?? frozenBy(scene.trust, held.view))
    : undefined
}

/** A feed whose fork is known moves no further in the log (SPEC §6.7): nobody knows which branch is its. */
function movesFork({ forks }: FleetView, { body }: Block): string | undefined {
  const forked = body.basis.find(({ author, session }) => forks.has(feedKey(author, session)))
  if (forked === undefined) return undefined
  return `the basis moves ${forked.author.slice(0, 12)}, whose feed forked`
}

/** A key that is revoked, as the basis knows it or this voter, speaks no further in the log (SPEC §6.12). */
function movesPastRevocation(
  scene: Scene,
  held: Held,
  { body }: Block,
  parent: GateState,
): string | undefined {
  const pinned = parent.evidence.vector
  const all = withAuthority(held.view, scene.trust, parent)
  return movesRevoked(scene.view, body, pinned) ?? movesRevoked(all, body, pinned)
}

function applyBlock(
  held: Held,
  block: Block,
  parent: GateState,
  evidence: FleetView,
): GateState | undefined {
  if (parent.next !== undefined && countsAsSlot(block.body)) return undefined
  const scene = sceneAt(held, block, parent, evidence)
  let state: GateState | undefined = scene.state
  for (const command of block.body.commands) {
    if (state === undefined) return undefined
    state = applyCommand({ ...scene, state }, command)
  }
  return state
}

function sceneAt(held: Held, block: Block, parent: GateState, evidence: FleetView): Scene {
  const place = { id: block.id, view: block.body.view, counts: countsAsSlot(block.body) }
  const { bodies, local } = held
  const trust = trustAt(held.trust, parent)
  const state = enterBlock(parent, place, evidence)
  return { trust, bodies, local, view: withAuthority(evidence, trust, state), state }
}

type Evidence =
  | { readonly kind: 'held'; readonly view: FleetView }
  | { readonly kind: 'wait' | 'invalid'; readonly why: string }

/** The fold of every fact under the block's basis: all of them count, so a leader cannot pick or omit. */
function evidenceOf(held: Held, block: Block, parent: GateState): Evidence {
  const fresh: Fact[] = []
  for (const feed of block.body.basis) {
    const facts = factsUnder(held, feed, parent)
    if (facts.kind !== 'held') return facts
    fresh.push(...facts.facts)
  }
  if (fresh.length === 0) return { kind: 'held', view: parent.evidence }
  return { kind: 'held', view: foldFacts(parent.evidence, fresh, trustAt(held.trust, parent)) }
}

type Missing = { readonly kind: 'wait' | 'invalid'; readonly why: string }

/** The facts of one feed from the parent's basis up to this one, as one unbroken chain. */
function factsUnder(
  held: Held,
  feed: BasisFeed,
  parent: GateState,
): { readonly kind: 'held'; readonly facts: readonly Fact[] } | Missing {
  const key = feedKey(feed.author, feed.session)
  const name = key.slice(0, 12)
  const before = parent.evidence.vector.get(key)
  if (before !== undefined && before.seq >= feed.seq) {
    return { kind: 'invalid', why: `the basis of ${name} went back to ${feed.seq}` }
  }
  const facts: Fact[] = []
  let id = feed.head
  for (let seq = feed.seq; seq > (before?.seq ?? -1); seq--) {
    const fact = held.factAt(key, seq, id)
    if (fact === undefined) return { kind: 'wait', why: `fact ${seq} of ${name} is not held` }
    if (fact.id !== id) return { kind: 'wait', why: `fact ${seq} of ${name} is another one here` }
    facts.push(fact)
    id = fact.prev
  }
  if (id === (before?.id ?? NO_FACT)) return { kind: 'held', facts: facts.reverse() }
  return { kind: 'wait', why: `the facts of ${name} are on another branch than its parent's basis` }
}

function draft(held: Held, parent: GateState): Draft | undefined {
  if (parent.next !== undefined) return undefined
  const basis = movedFeeds(held, parent)
  const whole = basis.length <= BASIS_FEEDS_MAX
  const commands = whole ? draftCommands(draftScene(held, parent), COMMANDS_MAX) : []
  const rootVersion = versionAfter(parent, commands)
  const wish = asMuchAsFits({ commands, rootVersion, basis: basis.slice(0, BASIS_FEEDS_MAX) })
  const crowded = !whole || wish.commands.length < commands.length
  if (wish.commands.length > 0 || crowded || anchorDue(held, parent, basis.length)) return wish
  return undefined
}

/**
 * As much of a draft as a block carries: the first commands, which are valid without the rest; when
 * none fits, the basis alone, so that the next block has a shorter one.
 */
function asMuchAsFits(wish: Draft): Draft {
  let room = GATE_BYTES_MAX - BLOCK_FRAME_BYTES - wish.basis.length * BASIS_FEED_BYTES
  const taken = wish.commands.findIndex((command) => {
    const hosts = 'hosts' in command ? command.hosts : []
    room -= COMMAND_BYTES + hosts.reduce((sum, host) => sum + host.length + NAME_FRAME_BYTES, 0)
    return room < 0
  })
  return taken < 0 ? wish : { ...wish, commands: wish.commands.slice(0, taken) }
}

/** A leader drafts over everything that it holds, on a block whose id is not known yet. */
function draftScene(held: Held, parent: GateState): Scene {
  const { bodies, local, view } = held
  const trust = trustAt(held.trust, parent)
  const place = {
    id: 'f'.repeat(64),
    view: parent.view + 1,
    counts: true,
  }
  const state = enterBlock(parent, place, view)
  return { trust, bodies, local, view: withAuthority(view, trust, state), state }
}

function movedFeeds(held: Held, parent: GateState): readonly BasisFeed[] {
  if (held.view.vector === parent.evidence.vector) return []
  const moved: BasisFeed[] = []
  const view = withAuthority(held.view, trustAt(held.trust, parent), parent)
  for (const [key, head] of held.view.vector) {
    const before = parent.evidence.vector.get(key)
    const limit = revokedLimit(view, key, before)
    if (held.view.forks.has(key) || (limit !== undefined && head.seq > limit)) continue
    if (before === undefined || before.seq < head.seq) moved.push(basisFeed(key, head))
  }
  return moved.sort((a, b) =>
    feedKey(a.author, a.session) < feedKey(b.author, b.session) ? -1 : 1,
  )
}

function anchorDue(held: Held, parent: GateState, moved: number): boolean {
  if (moved === 0) return false
  // Nobody decides anything before the log itself shows the proof (SPEC §7.8).
  if (moved > BASIS_FEEDS_MAX || accusedAt(held, parent).owed) return true
  const sight = { kind: 'anchor', slot: parent.slot } as const
  return (
    sinceMs(held.local.times, sight, held.local.now) >=
    trustAt(held.trust, parent).config.timing.anchorMs
  )
}
