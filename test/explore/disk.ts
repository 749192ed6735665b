/**
 * A voter's disk as `node/gate-log.ts` lays it out: the committed log, and the journal above it in
 * the order of views, blocks before certificates before votes.
 */
import type { Block, Certificate, GateMessage } from '../../protocol/index.ts'
import { NO_FLOOR, type VoteFloor } from '../../rollout/gate-machine.ts'
import { hashed } from '../unit/rollout/gate-fakes.ts'

/** Plain data, never changed in place. */
export interface Disk {
  readonly log: readonly { readonly block: Block; readonly certificate: Certificate }[]
  readonly journal: ReadonlyMap<string, GateMessage>
  /** Up to here the voter casts no votes again. */
  readonly floor: VoteFloor
}

export const EMPTY_DISK: Disk = { log: [], journal: new Map(), floor: NO_FLOOR }

export function withKept(disk: Disk, message: GateMessage): Disk {
  return { ...disk, journal: new Map(disk.journal).set(nameOf(message), message) }
}

/** A committed block with its proof; the journal up to its view goes in the same write. */
export function withCommitted(disk: Disk, block: Block, certificate: Certificate): Disk {
  const above = [...disk.journal].filter(([, message]) => viewOf(message) > block.body.view)
  return { ...disk, log: [...disk.log, { block, certificate }], journal: new Map(above) }
}

/** What was kept, in the order in which it is read again. */
export function kept(disk: Disk): readonly GateMessage[] {
  return [...disk.journal].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, message]) => message)
}

/** Equal texts mean equal disks. */
export function diskKey(disk: Disk): string {
  const names = [...disk.journal.keys()].sort()
  const log = disk.log.map(({ block, certificate }) => `${block.id}${certificate.body.view}`)
  const { notarize, skip, final } = disk.floor
  return `${notarize},${skip},${final};${log.join()};${names.join()}`
}

function viewOf(message: GateMessage): number {
  return message.kind === 'block' ? message.block.body.view : bodyOf(message).view
}

function bodyOf(message: Exclude<GateMessage, { kind: 'block' }>): { view: number } {
  return message.kind === 'vote' ? message.vote.body : message.certificate.body
}

/** Which votes make up a certificate is left out: any quorum proves the same. */
function nameOf(message: GateMessage): string {
  const view = String(viewOf(message)).padStart(4, '0')
  switch (message.kind) {
    case 'block':
      return `${view}/0-${message.block.id.slice(0, 16)}`
    case 'certificate': {
      const { kind, body } = message.certificate
      return `${view}/1-${hashed(`${kind}${body.block ?? ''}`).slice(0, 16)}`
    }
    case 'vote': {
      const { kind, body } = message.vote
      return `${view}/2-${hashed(`${kind}${body.block ?? ''}`).slice(0, 16)}`
    }
  }
}
