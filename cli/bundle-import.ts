/**
 * The parts of a verified bundle, brought to a peer in the order in which it can use them: facts, the
 * blobs that these name, the gate log, NARs.
 *
 * Whatever was brought before is not wanted again, so that an import which was cut goes on where it
 * ended, and a repeated one changes nothing.
 */
import type { BundleGate, BundleTaken, WantedBlob } from '../node/index.ts'
import {
  BATCH_BYTES_MAX,
  encodeCanonical,
  encodeSyncQuestion,
  SYNC_FACTS_MAX,
} from '../protocol/index.ts'
import { type BundleIndex, type BundleSource, narBytes, type Span } from './bundle-file.ts'
import type { Upload } from './operator.ts'

/** The peer that takes the parts. */
export interface BundleSink {
  readonly facts: (batch: Uint8Array) => Promise<BundleTaken>
  readonly gate: (batch: Uint8Array) => Promise<BundleGate>
  /** Hashes of blobs and NARs that the peer would take. */
  readonly wanted: () => Promise<readonly Pick<WantedBlob, 'hash'>[]>
  readonly put: (upload: Upload) => Promise<void>
}

/** What an import did. */
export interface BundleImport {
  readonly facts: Omit<BundleTaken, 'firstGap'>
  readonly firstGap: BundleTaken['firstGap']
  /** Sent, because they were missing at the peer. */
  readonly blobs: number
  readonly nars: number
  readonly narBytes: number
  /** Null where the bundle has no blocks for the peer's group. */
  readonly gate: BundleGate | null
}

/** What is going on, with its share of the whole from 0 to 1. */
export type Step = (what: 'facts' | 'blobs' | 'log' | 'closures', share: number) => void

/** Messages of one gate batch: what a peer's own repair answer holds at most. */
const GATE_MESSAGES = 128
/** Bytes of one gate batch: below the largest question of the API (124 KiB), with its framing. */
const GATE_BATCH_BYTES = 112 * 1024

/** Brings everything that the peer lacks. `group` is the peer's; blocks of another stay where they are. */
export async function importBundle(
  bundle: { readonly source: BundleSource; readonly index: BundleIndex },
  peer: { readonly sink: BundleSink; readonly group: string },
  step: Step = () => undefined,
): Promise<BundleImport> {
  const { source, index } = bundle
  const { sink } = peer
  const facts = await bringFacts(source, index.facts, sink, step)
  const blobs = await bringBlobs(bundle, sink, step)
  const ours = index.header.group === peer.group
  const gate = ours ? await bringGate(source, index.gate, sink, step) : null
  const nars = await bringNars(bundle, sink, step)
  const { firstGap, ...counts } = facts
  return { facts: counts, firstGap, blobs, ...nars, gate }
}

async function bringFacts(
  source: BundleSource,
  spans: readonly Span[],
  sink: BundleSink,
  step: Step,
): Promise<BundleTaken> {
  let sum = NOTHING_TAKEN
  let done = 0
  for (const some of batches(spans, { bytes: BATCH_BYTES_MAX, count: SYNC_FACTS_MAX, unit: 1 })) {
    const facts = await Promise.all(some.map((span) => source.read(span)))
    sum = added(sum, await sink.facts(encodeSyncQuestion({ kind: 'give', facts })))
    done += some.length
    step('facts', done / spans.length)
  }
  return sum
}

async function bringBlobs(
  { source, index }: { source: BundleSource; index: BundleIndex },
  sink: BundleSink,
  step: Step,
): Promise<number> {
  if (index.blobs.length === 0) return 0
  const wanted = new Set((await sink.wanted()).map((blob) => blob.hash))
  const missing = index.blobs.filter((blob) => wanted.has(blob.hash))
  for (const [i, blob] of missing.entries()) {
    await sink.put({
      hash: blob.hash,
      size: blob.length,
      open: async function* () {
        yield await source.read(blob)
      },
    })
    step('blobs', (i + 1) / missing.length)
  }
  return missing.length
}

async function bringGate(
  source: BundleSource,
  spans: readonly Span[],
  sink: BundleSink,
  step: Step,
): Promise<BundleGate | null> {
  let reached: BundleGate | null = null
  let done = 0
  const bounds = { bytes: GATE_BATCH_BYTES, count: GATE_MESSAGES, unit: 2 }
  for (const some of batches(spans, bounds)) {
    const messages = await Promise.all(some.map((span) => source.read(span)))
    reached = await sink.gate(encodeCanonical(messages))
    done += some.length
    step('log', done / spans.length)
  }
  return reached
}

async function bringNars(
  { source, index }: { source: BundleSource; index: BundleIndex },
  sink: BundleSink,
  step: Step,
): Promise<{ nars: number; narBytes: number }> {
  if (index.nars.length === 0) return { nars: 0, narBytes: 0 }
  const wanted = new Set((await sink.wanted()).map((blob) => blob.hash))
  const missing = index.nars.filter((nar) => wanted.has(nar.hash))
  const total = missing.reduce((sum, nar) => sum + nar.size, 0)
  let done = 0
  for (const nar of missing) {
    const open = async function* (): AsyncGenerator<Uint8Array, void> {
      let sent = 0
      for await (const chunk of narBytes(source, nar)) {
        yield chunk
        sent += chunk.length
        step('closures', (done + sent) / total)
      }
    }
    await sink.put({ hash: nar.hash, size: nar.size, open })
    done += nar.size
  }
  return { nars: missing.length, narBytes: total }
}

/** Spans in batches that keep the bounds; `unit` of them stay together. */
function* batches(
  spans: readonly Span[],
  bounds: { readonly bytes: number; readonly count: number; readonly unit: number },
): Generator<readonly Span[], void> {
  let some: Span[] = []
  let bytes = 0
  for (let i = 0; i < spans.length; i += bounds.unit) {
    const unit = spans.slice(i, i + bounds.unit)
    const length = unit.reduce((sum, span) => sum + span.length, 0)
    const full = bytes + length > bounds.bytes || some.length + unit.length > bounds.count
    if (some.length > 0 && full) {
      yield some
      some = []
      bytes = 0
    }
    some.push(...unit)
    bytes += length
  }
  if (some.length > 0) yield some
}

const NOTHING_TAKEN: BundleTaken = {
  taken: 0,
  known: 0,
  gaps: 0,
  forks: 0,
  unknown: 0,
  refused: 0,
  firstGap: null,
}

function added(a: BundleTaken, b: BundleTaken): BundleTaken {
  return {
    taken: a.taken + b.taken,
    known: a.known + b.known,
    gaps: a.gaps + b.gaps,
    forks: a.forks + b.forks,
    unknown: a.unknown + b.unknown,
    refused: a.refused + b.refused,
    firstGap: a.firstGap ?? b.firstGap,
  }
}
