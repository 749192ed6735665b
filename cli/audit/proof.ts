/**
 * That one fact was logged, as a text of its own (SPEC §15.6): the facts from it up to the head that a
 * block names, that block, its path, and the checkpoint that the voters cosigned.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Block,
  decodeCanonical,
  encodeCanonical,
  entryId,
  entryOf,
  envelopeOf,
  type Fact,
  type FeedKey,
  feedKey,
  feedOf,
  formatTlogProof,
  gateOrigin,
  leafHash,
  MerkleTree,
  openCheckpoint,
  openFact,
  openGateMessage,
  PROOF_EXTRA_CHARS_MAX,
  parseTlogProof,
  verifyInclusion,
} from '../../protocol/index.ts'
import { standingOf } from '../../rollout/index.ts'
import { type KnownTrust, personOf } from './documents.ts'
import { feedAt, feedsIn, gateAt, gatesIn } from './layout.ts'
import { readBundles, readHead, type StoredEntry } from './log-files.ts'
import { checkpointSizes } from './verify-checkpoints.ts'

/** What a proof shows once it is verified. */
export interface Proven {
  readonly factId: string
  readonly author: string
  readonly seq: number
  readonly group: string
  readonly block: number
  readonly size: number
  readonly by: readonly string[]
}

/** The proof of the fact whose id begins with `given`. Throws Error with what is missing. */
export function proveFact(pull: string, trust: KnownTrust, given: string): string {
  const found = findFact(pull, given)
  for (const group of gatesIn(pull)) {
    const anchored = findAnchor(pull, { group, trust }, found)
    if (anchored === undefined) continue
    const { block, index, seq, tree } = anchored
    const size = Math.max(0, ...[...checkpointSizes(pull, group)].filter((one) => one <= tree.size))
    if (size <= index)
      throw new Error(
        `no checkpoint covers block ${index}, which anchors the fact: pull again later`,
      )
    const facts = entriesFrom(pull, found, seq).map((one) => envelopeOf(one, trust.fleet))
    return formatTlogProof({
      extra: encodeCanonical([envelopeOf(block, trust.fleet), facts]),
      index,
      path: tree.inclusion(index, size),
      checkpoint: readFileSync(
        join(gateAt(pull, group).folder, 'checkpoints', String(size)),
        'utf8',
      ),
    })
  }
  throw new Error(
    'no block stands on this fact yet: the next anchor will, within an hour by default',
  )
}

/** Judges a proof by the documents alone. Throws Error or ProtocolError with what is wrong. */
export function verifyProof(text: string, trust: KnownTrust): Proven {
  const proof = parseTlogProof(text, 'the proof')
  const extra = decodeCanonical(
    proof.extra ?? new Uint8Array(0),
    PROOF_EXTRA_CHARS_MAX,
    'the proof',
  )
  const [blockBytes, list] = Array.isArray(extra) ? extra : []
  if (!(blockBytes instanceof Uint8Array) || !Array.isArray(list))
    throw new Error('expected a block and its facts beside the proof')
  const block = blockIn(blockBytes, trust)
  const { checkpoint, note } = openCheckpoint(proof.checkpoint, 'the proof')
  const { group, epoch } = block.body
  // Voters of a later epoch hold what those of the block's own have decided.
  const known = trust.configs.filter(
    ({ config }) => config.group === group && config.epoch >= epoch,
  )
  if (known.length === 0 || checkpoint.origin !== gateOrigin(trust.fleet, block.body.group))
    throw new Error(`expected a checkpoint of ${block.body.group}, found ${checkpoint.origin}`)
  const leaf = leafHash(entryOf(blockBytes, 'gate.propose', trust.fleet).entry)
  if (
    !verifyInclusion({
      leaf,
      index: proof.index,
      size: checkpoint.size,
      root: checkpoint.root,
      path: proof.path,
    })
  )
    throw new Error('the path does not lead from the block to the root')
  const verdicts = known.map(({ config }) => standingOf(note, { fleet: trust.fleet, config }))
  const { stands, by } = verdicts.find((one) => one.stands) ?? { stands: false, by: [] }
  if (!stands) throw new Error('expected cosignatures of a quorum of voters, found fewer')
  const facts = list.map((bytes) =>
    openFact(bytes as Uint8Array, { fleet: trust.fleet, whose: 'the proof' }),
  )
  const first = assertChain(facts, block)
  const author = personOf(trust, first.author)?.name ?? first.author
  const { id: factId, seq } = first
  return {
    factId,
    author,
    seq,
    group: block.body.group,
    block: proof.index,
    size: checkpoint.size,
    by,
  }
}

/** Each names the one before it, and the block names the last. */
function assertChain(facts: readonly Fact[], block: Block): Fact {
  const [first] = facts
  const last = facts.at(-1)
  if (first === undefined || last === undefined) throw new Error('expected a fact beside the proof')
  facts.slice(1).forEach((fact, i) => {
    if (fact.prev !== facts[i]?.id || feedOf(fact) !== feedOf(first))
      throw new Error(`fact ${fact.seq} does not follow the one before it`)
  })
  const named = block.body.basis.find((one) => feedKey(one.author, one.session) === feedOf(last))
  if (named?.head === last.id) return first
  throw new Error('the block does not stand on the last of these facts')
}

interface Found {
  readonly feed: FeedKey
  readonly author: string
  readonly session: string
  readonly seq: number
}

function findFact(pull: string, given: string): Found {
  const all: Found[] = []
  for (const { author, session } of feedsIn(pull)) {
    let seq = 0
    for (const { entry } of entriesOf(pull, { author, session })) {
      if (entryId(entry).startsWith(given))
        all.push({ feed: feedKey(author, session), author, session, seq })
      seq++
    }
  }
  const [one] = all
  if (one === undefined) throw new Error(`no fact of this pull begins with ${given}`)
  if (all.length === 1) return one
  throw new Error(`${all.length} facts of this pull begin with ${given}: give more digits`)
}

function* entriesOf(pull: string, feed: Pick<Found, 'author' | 'session'>): Generator<StoredEntry> {
  const place = feedAt(pull, feed.author, feed.session)
  for (const bundle of readBundles(place, readHead(place)?.size ?? 0, false)) yield* bundle.entries
}

function entriesFrom(pull: string, found: Found, to: number): readonly StoredEntry[] {
  return [...entriesOf(pull, found)].slice(found.seq, to + 1)
}

interface Anchored {
  readonly block: StoredEntry
  readonly index: number
  /** The sequence that the block's basis names. */
  readonly seq: number
  readonly tree: MerkleTree
}

/** The first block that stands on the fact, and the tree of the whole log. */
function findAnchor(
  pull: string,
  { group, trust }: { group: string; trust: KnownTrust },
  { feed, seq }: Found,
): Anchored | undefined {
  const place = gateAt(pull, group)
  const tree = new MerkleTree()
  let found: Omit<Anchored, 'tree'> | undefined
  for (const bundle of readBundles(place, readHead(place)?.size ?? 0, true)) {
    for (const stored of bundle.entries) {
      tree.append(leafHash(stored.entry))
      if (found !== undefined) continue
      const { basis } = blockIn(envelopeOf(stored, trust.fleet), trust).body
      const named = basis.find((one) => feedKey(one.author, one.session) === feed && one.seq >= seq)
      if (named !== undefined) found = { block: stored, index: tree.size - 1, seq: named.seq }
    }
  }
  return found && { ...found, tree }
}

function blockIn(envelope: Uint8Array, { fleet }: KnownTrust): Block {
  const message = openGateMessage(envelope, { fleet, whose: 'the proof' })
  if (message.kind === 'block') return message.block
  throw new Error(`expected a block, found a ${message.kind}`)
}
