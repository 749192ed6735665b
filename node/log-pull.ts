/** What a node hands to whoever pulls its log: bounded pages of the bytes as they were signed. */
import { encodeCertificate, feedKey, formatNote, splitFeedKey } from '../protocol/index.ts'
import { PAGE_BYTES_MAX, PAGE_ROWS_MAX } from './api/limits.ts'
import type {
  BlockPage,
  BodyPage,
  CheckpointPage,
  EnvelopePage,
  FeedRow,
} from './api/log-schema.ts'
import type { Committed, LogPlace } from './gate-log.ts'
import type { Runtime } from './runtime.ts'

/** Every feed with facts here, by author and session. */
export function feedRows(node: Runtime): readonly FeedRow[] {
  return [...node.facts.vector()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([feed, head]) => ({ ...splitFeedKey(feed), size: head.seq + 1 }))
}

/** One page of a feed's envelopes. */
export async function envelopePage(
  node: Runtime,
  { author, session, from }: { author: string; session: string; from: number },
): Promise<EnvelopePage> {
  const feed = feedKey(author, session)
  const last = node.facts.head(feed)?.seq ?? -1
  const items = await pageOf(node.facts.envelopes(feed, from, last), base64, (item) => item.length)
  const next = from + items.length
  return { author, session, from, items, next: next <= last ? next : null }
}

/** One page of committed blocks after `after`; views begin anew in each epoch. */
export async function blockPage(node: Runtime, after: LogPlace): Promise<BlockPage> {
  const items = await pageOf(
    node.gate.log.committed(after),
    (one) => blockRow(node, one),
    (item) =>
      [item.block, item.certificate, ...(item.tail ?? [])].reduce(
        (sum, text) => sum + text.length,
        FRAME_BYTES,
      ),
  )
  const last = items.at(-1)
  const { epoch, view } = node.gate.state
  const more = last !== undefined && (last.epoch < epoch || last.view < view)
  const next = more ? { epoch: last.epoch, view: last.view } : null
  return { group: node.parts.trust.config.group, items, next }
}

/** A block; where it ended its epoch by a certificate of an empty block above it, with the way there. */
async function blockRow(
  node: Runtime,
  { block, certificate }: Committed,
): Promise<BlockPage['items'][number]> {
  const { view, epoch, commands } = block.body
  const ends = commands.some(({ kind }) => kind === 'reconfig')
  const above = ends && certificate.body.block !== block.id ? await node.gate.log.tail(epoch) : []
  return {
    ...{ view, epoch, block: base64(block.bytes) },
    certificate: base64(encodeCertificate(certificate)),
    ...(above.length === 0 ? {} : { tail: above.map(({ bytes }) => base64(bytes)) }),
  }
}

/** One page of cosigned checkpoints of more than `above` leaves. */
export async function checkpointPage(node: Runtime, above: number): Promise<CheckpointPage> {
  const items = await pageOf(
    node.cosign.notes(above),
    ({ size, note }) => ({ size, note: formatNote(note) }),
    (item) => item.note.length * 2,
  )
  const last = items.at(-1)?.size
  const { due, standing } = node.cosign.sizes
  const more = last !== undefined && last < due
  return { group: node.parts.trust.config.group, items, standing, next: more ? last : null }
}

/** Bytes of one body from `from` on; undefined where no held fact names it, or it is not held. */
export async function bodyPage(
  node: Runtime,
  hash: string,
  from: number,
): Promise<BodyPage | undefined> {
  if (!node.blobs.held().has(hash)) return undefined
  const bytes = await node.blobs.read(hash)
  if (bytes === undefined) return undefined
  const end = from + Math.floor((PAGE_BYTES_MAX * 3) / 4)
  const next = end < bytes.length ? end : null
  return { hash, from, bytes: base64(bytes.subarray(from, end)), next }
}

/** Keys and numbers around a row's bytes. */
const FRAME_BYTES = 100

/** At least one row, so that a client never stands still. */
async function pageOf<T, Row>(
  source: AsyncIterable<T>,
  rowOf: (one: T) => Row | Promise<Row>,
  bytesOf: (row: Row) => number,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  let bytes = 0
  for await (const one of source) {
    const row = await rowOf(one)
    bytes += bytesOf(row)
    if (rows.length > 0 && (bytes > PAGE_BYTES_MAX || rows.length === PAGE_ROWS_MAX)) break
    rows.push(row)
  }
  return rows
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
