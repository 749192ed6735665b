/**
 * The gate log in a bundle: blocks in a chain, each followed by a final certificate of itself or of a
 * later one (SPEC §8.5).
 */
import type { BundleReach } from './bundle-records.ts'
import { type BundleRecord, broken } from './bundle-stream.ts'
import { type BundleTrust, groupAt } from './bundle-trust.ts'
import { openCertificate } from './certificate.ts'
import { type GateMessage, openGateMessage } from './gate.ts'
import type { GroupConfig } from './group-config.ts'
import type { BlockId, KeyId } from './ids.ts'
import type { Signer } from './signed.ts'

/** How far the reading of the log has come. */
export interface GateProgress {
  view: number
  head: BlockId
  /** The block whose certificate comes next, and its epoch. */
  open: { readonly block: BlockId; readonly epoch: number } | undefined
  readonly blocks: Set<BlockId>
  /** Blocks that certificates name and that come later. */
  readonly named: Set<BlockId>
}

/** The tag bytes of gate messages (SPEC §7.2). */
const ENVELOPE = 0
const CERTIFICATE = 1

/** The log from where the other side's ends. */
export function gateProgress(since: BundleReach): GateProgress {
  const { view, block } = since
  return { view, head: block, open: undefined, blocks: new Set(), named: new Set() }
}

interface Rules {
  readonly trust: BundleTrust
  readonly signer: Signer
}

/** The next block: of a voter, on the one before. Throws BAD_BUNDLE and what opening it throws. */
export function checkBlock(
  gate: GateProgress,
  record: BundleRecord,
  { trust, signer }: Rules,
): GateMessage {
  if (record.body[0] !== ENVELOPE) throw broken(record, 'a block', `tag ${record.body[0]}`)
  const { fleet, group } = trust.header
  const message = openGateMessage(record.body.subarray(1), { fleet, whose: 'a bundle', signer })
  if (message.kind !== 'block') throw broken(record, 'a block', `a ${message.kind}`)
  const { id, body, leader } = message.block
  if (body.group !== group) throw broken(record, `a block of ${group}`, `one of ${body.group}`)
  if (!votersOf(groupAt(trust, body.epoch)).includes(leader)) {
    throw broken(record, 'a block of a voter', `one of ${leader.slice(0, 16)}…`)
  }
  if (gate.view === 0 && !trust.groups.some(({ hash }) => hash === gate.head)) {
    throw broken(record, 'a log from a genesis that the bundle carries', gate.head)
  }
  if (body.parent !== gate.head || body.view <= gate.view) {
    throw broken(
      record,
      `a block on ${gate.head.slice(0, 16)}… of view ${gate.view}`,
      `one on ${body.parent.slice(0, 16)}… in view ${body.view}`,
    )
  }
  gate.view = body.view
  gate.head = id
  gate.blocks.add(id)
  gate.open = { block: id, epoch: body.epoch }
  return message
}

/** The certificate of the block before, or of one that comes later. Throws BAD_BUNDLE, BAD_CERTIFICATE. */
export function checkCertificate(
  gate: GateProgress,
  record: BundleRecord,
  { trust, signer }: Rules,
): GateMessage {
  const { open } = gate
  if (open === undefined || record.body[0] !== CERTIFICATE) {
    throw broken(record, 'the certificate of the block before', `tag ${record.body[0]}`)
  }
  const config = groupAt(trust, open.epoch)
  const certificate = openCertificate(record.body.subarray(1), {
    fleet: trust.header.fleet,
    voters: votersOf(config),
    quorum: config.quorum,
    signer,
  })
  const { kind, body } = certificate
  const block = body.block ?? ''
  const placed = body.group === config.group && body.epoch === config.epoch
  const proves = block === open.block || !gate.blocks.has(block)
  if (kind !== 'final' || !placed || !proves) {
    throw broken(record, 'a final certificate of this block or a later one', `${kind} ${block}`)
  }
  if (block !== open.block) gate.named.add(block)
  gate.open = undefined
  return { kind: 'certificate', certificate }
}

/** What is missing when the log's section is over; undefined when every block is proven. */
export function unprovenBlock(
  gate: GateProgress,
  until: BundleReach,
): { readonly expected: string; readonly found: string } | undefined {
  if (gate.open !== undefined) return { expected: 'a certificate of the last block', found: 'none' }
  const missing = [...gate.named].find((block) => !gate.blocks.has(block))
  if (missing !== undefined) return { expected: `the block ${missing}`, found: 'none' }
  if (gate.head === until.block && gate.view === until.view) return undefined
  return { expected: `the log up to ${until.block}`, found: gate.head }
}

function votersOf(config: GroupConfig): readonly KeyId[] {
  return config.hosts.filter((host) => config.voters.includes(host.name)).map((host) => host.fact)
}
