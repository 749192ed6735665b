/**
 * Takes one node's whole log over the API into a folder. Nothing is believed on the way but that an
 * envelope has the form of one: `audit verify` judges all of it, and needs no network for that.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type {
  BlockPage,
  BodyPage,
  BodyRow,
  CheckpointPage,
  Documents,
  EnvelopePage,
  FeedRow,
  Stamped,
} from '../../node/index.ts'
import {
  decodeCanonical,
  entryId,
  entryOf,
  envelopeOf,
  type FleetId,
  feedOrigin,
  fleetIdOf,
  GATE_BYTES_MAX,
  gateOrigin,
  type LogEntry,
  MANIFEST_BYTES_MAX,
  openGateMessage,
  sha256,
  toHex,
  unpackDocument,
} from '../../protocol/index.ts'
import { callsForCheckpoint } from '../../rollout/index.ts'
import type { Client } from '../client.ts'
import { CliError } from '../errors.ts'
import { bodyAt, feedAt, gateAt, tailAt } from './layout.ts'
import { LogWriter, writeTail, writeWhole } from './log-files.ts'
import { writeVerifiers } from './verifiers.ts'

/** What a pull needs of its run. */
export interface PullWorld {
  readonly client: Client
  readonly signal: AbortSignal
  readonly sleep: (ms: number) => Promise<void>
  /** Called as it goes on; `total` grows while the node learns more. */
  readonly progress: (done: number, total: number) => void
}

/** What was taken. */
export interface Pulled {
  readonly from: string
  readonly fleetId: string
  readonly rootHash: string
  readonly feeds: number
  readonly facts: number
  readonly blocks: number
  /** Plans, manifests, configurations and proofs that facts name: all that a replay needs besides. */
  readonly bodies: number
  /** Facts and blocks that an earlier run had taken already. */
  readonly kept: number
}

/** How long a fresh close may wait for its cosignatures, and between two looks. */
const COSIGNED_LOOKS = 20
const COSIGNED_PAUSE_MS = 500

/** Takes what the node holds and the folder lacks. Throws CliError for another fleet's folder, NF-1014 for a fork. */
export async function pullInto(folder: string, world: PullWorld): Promise<Pulled> {
  const { client } = world
  const documents = await client.get<Stamped<'Documents', Documents>>('/api/v1/documents')
  keepDocuments(folder, documents)
  const fleet = fleetIdOf(documents.rootHash)
  let blocks = 0
  let kept = 0
  for (const group of new Set(documents.groups.map((one) => one.group))) {
    const geneses = genesesOf(documents, group)
    const taken = await pullGate(folder, { group, fleet, geneses }, world)
    blocks += taken.size
    kept += taken.kept
  }
  const { items: feeds } = await client.all<FeedRow>('/api/v1/log/feeds?limit=500')
  const total = feeds.reduce((sum, feed) => sum + feed.size, 0)
  let facts = 0
  for (const feed of feeds) {
    const taken = await pullFeed(folder, { feed, fleet }, world, (done) =>
      world.progress(facts + done, total),
    )
    facts += taken.size
    kept += taken.kept
  }
  const bodies = await pullBodies(folder, world)
  writeVerifiers(folder)
  const { observedBy: from, rootHash } = documents
  return { from, fleetId: fleet, rootHash, feeds: feeds.length, facts, blocks, bodies, kept }
}

/** Documents are taken once: a folder holds one fleet, whoever is asked. */
function keepDocuments(folder: string, { rootHash, root, roots, groups }: Documents): void {
  const rooms = join(folder, 'documents')
  mkdirSync(rooms, { recursive: true })
  const all = [
    ...[root, ...roots].map((text, i) => ({
      name: `root.${i + 1}.cbor`,
      bytes: Buffer.from(text, 'base64'),
    })),
    ...groups.map(({ group, epoch, config }) => ({
      name: `group.${safe(group)}.${epoch}.cbor`,
      bytes: Buffer.from(config, 'base64'),
    })),
  ]
  for (const { name, bytes } of all) {
    const file = join(rooms, name)
    if (!existsSync(file)) writeWhole(file, bytes)
    else if (!bytes.equals(readFileSync(file))) throw otherFleet(file, rootHash)
  }
}

/** What the first block of an epoch that a recovery began stands on; nothing of it is believed here. */
function genesesOf({ groups }: Documents, group: string): ReadonlySet<string> {
  const own = groups.filter((one) => one.group === group)
  return new Set(own.map(({ config }) => unpackDocument(bytesOf(config), 'a document').hash))
}

async function pullGate(
  folder: string,
  { group, fleet, geneses }: { group: string; fleet: FleetId; geneses: ReadonlySet<string> },
  world: PullWorld,
): Promise<{ size: number; kept: number }> {
  const place = gateAt(folder, safe(group))
  const writer = new LogWriter(place, gateOrigin(fleet, group), { certified: true })
  const kept = writer.size
  const held = writer.last === undefined ? undefined : blockOf(writer.last, fleet)
  let after: { epoch: number; view: number } = held?.body ?? { epoch: 0, view: 0 }
  let parent = held?.id
  let due = 0
  for (let more = true; more; ) {
    world.signal.throwIfAborted()
    const page = await world.client.get<BlockPage>(
      `/api/v1/log/blocks?epoch=${after.epoch}&view=${after.view}`,
    )
    for (const item of page.items) {
      const entry = entryOf(bytesOf(item.block), 'gate.propose', fleet)
      const block = blockOf(entry, fleet)
      const stands = [parent ?? block.body.parent, ...geneses].includes(block.body.parent)
      if (!stands) throw forked(place.name)
      keepTail(tailAt(folder, safe(group), item.epoch), item, fleet)
      writer.append({ ...entry, certificate: bytesOf(item.certificate) })
      if (callsForCheckpoint(block.body)) due = writer.size
      parent = block.id
      after = item
    }
    more = page.next !== null
  }
  writer.finish()
  await pullCheckpoints(folder, { group, size: writer.size, due }, world)
  return { size: writer.size, kept }
}

function keepTail(file: string, { tail = [] }: BlockPage['items'][number], fleet: FleetId): void {
  if (tail.length === 0) return
  writeTail(
    file,
    tail.map((one) => entryOf(bytesOf(one), 'gate.propose', fleet)),
  )
}

/** Checkpoints of what was taken; a close of a moment ago gets its cosignatures within seconds. */
async function pullCheckpoints(
  folder: string,
  gate: { group: string; size: number; due: number },
  world: PullWorld,
): Promise<void> {
  const rooms = join(gateAt(folder, safe(gate.group)).folder, 'checkpoints')
  for (let look = 0; look < COSIGNED_LOOKS; look++) {
    if (look > 0) await world.sleep(COSIGNED_PAUSE_MS)
    world.signal.throwIfAborted()
    let standing = 0
    for (let above: number | null = 0; above !== null; ) {
      const page: CheckpointPage = await world.client.get(`/api/v1/log/checkpoints?above=${above}`)
      for (const { size, note } of page.items) {
        if (size <= gate.size) writeWhole(join(rooms, String(size)), note)
      }
      standing = page.standing
      above = page.next
    }
    if (standing >= gate.due) return
  }
}

async function pullFeed(
  folder: string,
  { feed, fleet }: { feed: FeedRow; fleet: FleetId },
  world: PullWorld,
  progress: (done: number) => void,
): Promise<{ size: number; kept: number }> {
  const { author, session } = feed
  const place = feedAt(folder, hex(author, 64), hex(session, 32))
  const writer = new LogWriter(place, feedOrigin(fleet, author, session), { certified: false })
  const kept = writer.size
  let last = writer.last === undefined ? undefined : entryId(writer.last.entry)
  while (writer.size < feed.size) {
    world.signal.throwIfAborted()
    const path = `/api/v1/log/envelopes?author=${author}&session=${session}&from=${writer.size}`
    const { items } = await world.client.get<EnvelopePage>(path)
    if (items.length === 0) break
    for (const item of items) {
      const { entry, prev } = factEntry(bytesOf(item), fleet)
      if (last !== undefined && prev !== last) throw forked(place.name)
      writer.append(entry)
      last = entryId(entry.entry)
    }
    progress(writer.size)
  }
  writer.finish()
  return { size: writer.size, kept }
}

/** Bodies are named by what they hash to, so that one that is there is there for good. */
async function pullBodies(folder: string, world: PullWorld): Promise<number> {
  const { items } = await world.client.all<BodyRow>('/api/v1/log/bodies?limit=500')
  for (const row of items) {
    const hash = hex(row.hash, 64)
    if (existsSync(bodyAt(folder, hash))) continue
    writeWhole(bodyAt(folder, hash), await pullBody(hash, world))
  }
  return items.length
}

/** The bytes of one body. Throws NF-1103 unless they hash to `hash`. */
export async function pullBody(
  hash: string,
  world: Pick<PullWorld, 'client' | 'signal'>,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for (let from: number | null = 0; from !== null; ) {
    world.signal.throwIfAborted()
    const page: BodyPage = await world.client.get(`/api/v1/log/body?hash=${hash}&from=${from}`)
    const part = bytesOf(page.bytes)
    size += part.length
    if (size > MANIFEST_BYTES_MAX || (part.length === 0 && page.next !== null))
      throw new CliError('NF-1103', `the peer gave no end of the body ${hash}`)
    parts.push(part)
    from = page.next === null ? null : size
  }
  const bytes = Buffer.concat(parts)
  if (toHex(sha256(bytes)) === hash) return bytes
  throw new CliError('NF-1103', `the peer gave other bytes for the body ${hash}`)
}

/** The entry of a fact's envelope and the fact that it names before it. Throws ProtocolError on another form. */
function factEntry(envelope: Uint8Array, fleet: FleetId): { entry: LogEntry; prev: string } {
  const pair = decodeCanonical(envelope, GATE_BYTES_MAX, 'a fact')
  const inner = Array.isArray(pair) && pair[0] instanceof Uint8Array ? pair[0] : new Uint8Array(0)
  const payload = decodeCanonical(inner, GATE_BYTES_MAX, 'a fact')
  const { t, p } = payload as Record<string, unknown>
  if (typeof t !== 'string' || !(p instanceof Uint8Array))
    throw new CliError('NF-1103', 'the peer answered with something that is no fact')
  return { entry: entryOf(envelope, t, fleet), prev: Buffer.from(p).toString('hex') }
}

function blockOf(entry: LogEntry, fleet: FleetId) {
  const message = openGateMessage(envelopeOf(entry, fleet), { fleet, whose: 'a block of the pull' })
  if (message.kind === 'block') return message.block
  throw new CliError('NF-1103', 'the peer answered with something that is no block')
}

function bytesOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'))
}

/** Names become folders: nothing but what they may hold. */
function safe(name: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return name
  throw new CliError('NF-1103', `the peer named a group ${JSON.stringify(name.slice(0, 80))}`)
}

function hex(text: string, digits: number): string {
  if (text.length === digits && /^[0-9a-f]+$/.test(text)) return text
  throw new CliError('NF-1103', 'the peer named a feed that is none')
}

function otherFleet(file: string, rootHash: string): CliError {
  return new CliError('NF-1014', `${file} is not the document that this peer serves`, {
    why: [`the peer's root hash is ${rootHash}`],
    fix: ['pull into another folder; compare both root hashes with the one that your hosts pin'],
  })
}

function forked(log: string): CliError {
  return new CliError('NF-1014', `${log}: what the peer holds does not continue what is here`, {
    why: ['somebody signed two histories, or this folder was changed'],
    fix: ['pull into another folder, then: nixfleet audit verify DIR OTHER --root-hash HASH'],
  })
}
