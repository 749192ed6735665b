/** A group's gate log in a pull: the chain of its blocks, and which certificate proves which. */
import {
  type Block,
  type Certificate,
  entryId,
  envelopeOf,
  type FeedKey,
  feedKey,
  gateOrigin,
  openGateMessage,
  readCertificate,
  toHex,
} from '../../protocol/index.ts'
import { callsForCheckpoint } from '../../rollout/index.ts'
import { configOf, type KnownConfig, type KnownTrust, messageOf, votersOf } from './documents.ts'
import type { Report } from './findings.ts'
import { gateAt, tailAt } from './layout.ts'
import { readTail } from './log-files.ts'
import { type PinBytes, PinWriter } from './pins.ts'
import { type SeenEntry, verifyLog } from './verify-log.ts'

/** What the rest of a verification needs of a gate log. */
export interface GateSummary {
  readonly group: string
  readonly size: number
  /** For each feed that blocks name: which facts of it. */
  readonly pins: ReadonlyMap<FeedKey, PinBytes>
  /** The root after each block, and the epoch in force there. Kept for the sizes that were asked for. */
  readonly roots: ReadonlyMap<number, { readonly root: string; readonly epoch: number }>
  /** Blocks up to the last one that calls for a checkpoint. */
  readonly due: number
}

interface Walk {
  readonly trust: KnownTrust
  readonly group: string
  readonly where: string
  readonly report: Report
  readonly pull: string
  parent: string | undefined
  view: number
  epoch: number
  /** Blocks that carry commands or anchor, and the configuration that the newest reconfig names. */
  slot: number
  named: string | undefined
  readonly pins: Map<FeedKey, PinWriter>
  /** Blocks whose certificate is of a later one, by that one's id. */
  readonly promised: Map<string, number[]>
  /** The certificate checked last: neighbours often share one. */
  proven: string
}

/** Verifies blocks, what proves them, and files, but no vote; `sizes` are those of which roots are wanted. */
export function verifyGate(
  pull: string,
  input: {
    readonly trust: KnownTrust
    readonly group: string
    readonly sizes: ReadonlySet<number>
  },
  report: Report,
): GateSummary {
  const { trust, group, sizes } = input
  const place = gateAt(pull, group)
  const walk: Walk = {
    ...{ trust, group, where: place.name, report },
    ...{ pull, parent: undefined, view: 0, epoch: 0, slot: 0, named: undefined, proven: '' },
    pins: new Map(),
    promised: new Map(),
  }
  const roots = new Map<number, { root: string; epoch: number }>()
  let size = 0
  let due = 0
  const origin = gateOrigin(trust.fleet, group)
  for (const seen of verifyLog(
    place,
    { origin, certified: true, whose: `the gate log of ${group}` },
    report,
  )) {
    size++
    const block = openBlock(walk, seen)
    if (block !== undefined) {
      follow(walk, block, seen)
      if (callsForCheckpoint(block.body)) due = size
    }
    if (sizes.has(size)) roots.set(size, { root: toHex(seen.root()), epoch: walk.epoch })
  }
  const newest = Math.max(
    ...trust.configs.map(({ config }) => (config.group === group ? config.epoch : 0)),
  )
  enter(walk, newest)
  for (const [id, indexes] of walk.promised) {
    const text = `expected the block ${id.slice(0, 16)}… that proves block ${indexes[0]}, found none`
    report({ code: 'CERTIFICATE', where: walk.where, text })
  }
  const pins = new Map([...walk.pins].map(([feed, writer]) => [feed, writer.bytes()]))
  return { group, size, pins, roots, due }
}

function openBlock({ trust, where, report }: Walk, seen: SeenEntry): Block | undefined {
  try {
    const envelope = envelopeOf(seen, trust.fleet)
    const message = openGateMessage(envelope, { fleet: trust.fleet, whose: `block ${seen.index}` })
    if (message.kind !== 'block') throw new Error(`expected a block, found a ${message.kind}`)
    if (message.block.id === entryId(seen.entry)) return message.block
    throw new Error('the signature is of other bytes than these')
  } catch (error) {
    report({ code: 'BLOCK', where, text: `block ${seen.index}: ${messageOf(error)}` })
  }
  return undefined
}

/** Parent, place, leader, basis and certificate of one block. */
function follow(walk: Walk, block: Block, seen: SeenEntry): void {
  const { trust, group, where, report } = walk
  const { body } = block
  const known = configOf(trust, group, body.epoch)
  enter(walk, body.epoch)
  const { parent } = walk
  if (known === undefined || body.group !== group)
    report({
      code: 'BLOCK',
      where,
      text: `block ${seen.index} is of group ${body.group} and epoch ${body.epoch}, of which no configuration is here`,
    })
  if (parent !== undefined && body.parent !== parent) {
    const text = `expected block ${seen.index} to follow ${parent.slice(0, 16)}…, found ${body.parent.slice(0, 16)}…`
    report({ code: 'BLOCK_ORDER', where, text })
  }
  if (body.epoch < walk.epoch || body.view <= walk.view)
    report({
      code: 'BLOCK_ORDER',
      where,
      text: `block ${seen.index} is of view ${body.view}, after view ${walk.view}`,
    })
  const change = body.commands.find(({ kind }) => kind === 'reconfig')
  walk.parent = block.id
  walk.view = body.view
  walk.epoch = body.epoch
  walk.slot += body.commands.length + body.basis.length > 0 ? 1 : 0
  walk.named = change?.kind === 'reconfig' ? change.config : undefined
  for (const { author, session, seq, head } of body.basis) {
    const feed = feedKey(author, session)
    const pins = walk.pins.get(feed) ?? new PinWriter()
    walk.pins.set(feed, pins)
    pins.add(seq, head)
  }
  if (known === undefined) return
  if (!votersOf(known).includes(block.leader))
    report({ code: 'BLOCK', where, text: `block ${seen.index} was proposed by no voter` })
  prove(walk, { block, known, seen })
  if (walk.named !== undefined) followTail(walk, block, known)
}

/** The epochs up to `epoch` begin: by the reconfig that the log has just held, or by a recovery from here. */
function enter(walk: Walk, epoch: number): void {
  const { trust, group, where, report } = walk
  while (walk.epoch < epoch) {
    const known = configOf(trust, group, walk.epoch + 1)
    if (known === undefined) return
    const { recover } = known.config
    if (recover !== undefined && (recover.head !== walk.parent || recover.slot !== walk.slot)) {
      const text = `the recovery of epoch ${walk.epoch + 1} goes on from ${recover.head.slice(0, 16)}… at slot ${recover.slot}, expected ${walk.parent?.slice(0, 16)}… at slot ${walk.slot}`
      report({ code: 'BLOCK_ORDER', where, text })
    } else if (recover === undefined && walk.epoch > 0 && walk.named !== known.document) {
      const text = `expected a reconfig before epoch ${walk.epoch + 1} that names its configuration ${known.document.slice(0, 16)}…, found ${walk.named?.slice(0, 16) ?? 'none'}`
      report({ code: 'CONFIG', where, text })
    }
    if (recover !== undefined || walk.epoch === 0) walk.parent = known.hash
    walk.epoch++
    walk.view = 0
    walk.named = undefined
  }
}

/** Empty blocks of voters lead from the end of an epoch to the one whose certificate committed it. */
function followTail(walk: Walk, last: Block, known: KnownConfig): void {
  const { trust, group, where, report } = walk
  const file = tailAt(walk.pull, group, known.config.epoch)
  let at = last
  try {
    for (const stored of readTail(file) ?? []) {
      const envelope = envelopeOf(stored, trust.fleet)
      const message = openGateMessage(envelope, { fleet: trust.fleet, whose: 'a block of a tail' })
      const block = message.kind === 'block' ? message.block : undefined
      if (block === undefined || !isTail(block, at, known))
        throw new Error(`expected an empty block of a voter on ${at.id.slice(0, 16)}…`)
      walk.promised.delete(block.id)
      at = block
    }
  } catch (error) {
    const text = `the way from the end of epoch ${known.config.epoch}: ${messageOf(error)}`
    report({ code: 'CERTIFICATE', where, text })
  }
}

function isTail({ body, leader }: Block, below: Block, known: KnownConfig): boolean {
  const { group, epoch, parent, view, commands, basis } = body
  const placed = group === known.config.group && epoch === known.config.epoch
  const above = parent === below.id && view > below.body.view
  return placed && above && commands.length + basis.length === 0 && votersOf(known).includes(leader)
}

/** A final certificate of this block, or of a later one that must then come. Its votes are verified apart. */
function prove(walk: Walk, at: { block: Block; known: KnownConfig; seen: SeenEntry }): void {
  const { where, report } = walk
  const { block, seen } = at
  const bytes = seen.certificate ?? new Uint8Array(0)
  const id = entryId(bytes)
  try {
    const certificate = id === walk.proven ? undefined : readCertificate(bytes)
    if (certificate !== undefined) assertPlace(certificate, at)
    const proves = certificate?.body.block ?? [...walk.promised.keys()].at(-1) ?? block.id
    walk.proven = proves === block.id ? '' : id
    if (proves !== block.id)
      walk.promised.set(proves, [...(walk.promised.get(proves) ?? []), seen.index])
  } catch (error) {
    const text = `block ${seen.index}: ${messageOf(error)}`
    report({ code: 'CERTIFICATE', where, text })
  }
  walk.promised.delete(block.id)
}

function assertPlace(
  { kind, body }: Certificate,
  { block, known }: { block: Block; known: KnownConfig },
): void {
  const { config } = known
  const fits =
    kind === 'final' &&
    body.group === config.group &&
    body.epoch === config.epoch &&
    body.view >= block.body.view &&
    (body.view === block.body.view) === (body.block === block.id)
  if (fits) return
  throw new Error(
    `expected a final certificate of it or of a later block, found ${kind} of ${body.block?.slice(0, 16)}… in view ${body.view}`,
  )
}
