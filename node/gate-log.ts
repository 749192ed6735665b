/**
 * The gate log on the disk: committed blocks with what proves them, the voter's journal, and proofs
 * that somebody lied.
 *
 * Votes are on the disk before they leave (`sync`), so that no crash makes a voter vote twice. A
 * proof stays for good: a log that froze is frozen after a restart. Everything lies under the epoch
 * that it belongs to, and is read under that epoch's configuration.
 */
import {
  type Block,
  type Certificate,
  concatBytes,
  type GateMessage,
  type GatePlace,
  type KeyId,
  ProtocolError,
  type Signer,
  sha256Hex,
  type UnsignedRoot,
  utf8,
} from '../protocol/index.ts'
import {
  type DiskMemory,
  type GateEpoch,
  type RootEra,
  type Trust,
  trustAt,
  type VoteFloor,
} from '../rollout/index.ts'
import { diskMemoryOp } from './disk-memory.ts'
import { corruptRecord, epochOp, readEpoch, readRootEra, rootOp } from './epoch-record.ts'
import { decodeGateMessage, encodeGateMessage } from './gate-wire.ts'
import type { Store, StoreOp } from './ports.ts'
import type { StoredBlock } from './replay-source.ts'

/** One committed block and the final certificate of it or of a descendant. */
export interface Committed {
  readonly block: Block
  readonly certificate: Certificate
}

/** A place in the log: a view of an epoch. Before all of it: `LOG_START`. */
export interface LogPlace {
  readonly epoch: number
  readonly view: number
}

/** Before the first block. */
export const LOG_START: LogPlace = { epoch: 0, view: 0 }

/** Where in an epoch this voter may have said what its disk does not know, and what it knew of the disk. */
export interface ForgottenFloor {
  readonly epoch: number
  readonly floor: VoteFloor
  readonly disk: DiskMemory
}

/** Two signed messages of one voter that exclude each other. */
export interface Lies {
  readonly author: KeyId
  readonly messages: readonly [Uint8Array, Uint8Array]
}

export class GateLog {
  readonly #store: Store
  readonly #trust: Trust
  readonly #signer: Signer
  /** The trust of each epoch that was read or begun. */
  readonly #trusts = new Map<number, Trust>()
  /** The epoch of the journal, of conflicts and of the floor. */
  #epoch: number

  /** `trust` is that of the first epoch. */
  constructor(store: Store, trust: Trust, signer: Signer) {
    this.#store = store
    this.#trust = trust
    this.#signer = signer
    this.#epoch = trust.config.epoch
    this.#trusts.set(trust.config.epoch, trust)
  }

  /** The epochs after the first that the disk knows of, the oldest first. Throws STORE_CORRUPT. */
  async epochs(roots: readonly RootEra[]): Promise<readonly GateEpoch[]> {
    const found: GateEpoch[] = []
    const trust = trustAt(this.#trust, { epochs: [], roots })
    for await (const [key, bytes] of this.#store.range('gate/epoch/', 'gate/epoch0')) {
      found.push(await readEpoch(this.#store, trust, { key, bytes }))
    }
    this.begin(found)
    return found
  }

  /**
   * The roots after the first that the disk knows of, the oldest first. What the log had pinned when they
   * came, its replay tells. Throws STORE_CORRUPT.
   */
  async roots(): Promise<readonly RootEra[]> {
    const found: RootEra[] = []
    for await (const [key, bytes] of this.#store.range('gate/root/', 'gate/root0')) {
      const before = found.at(-1)?.root ?? this.#trust.root
      found.push(readRootEra(before, this.#trust.fleet, { key, bytes }))
    }
    return found
  }

  /** The journal and the other rooms are those of the last of `epochs` from now on. */
  begin(epochs: readonly GateEpoch[]): void {
    for (const { epoch, config } of epochs) this.#trusts.set(epoch, { ...this.#trust, config })
    this.#epoch = epochs.at(-1)?.epoch ?? this.#trust.config.epoch
  }

  /** Committed blocks after a place, in order, through all epochs. Throws STORE_CORRUPT. */
  async *committed(after: LogPlace): AsyncGenerator<Committed> {
    const from = `gate/log/${number(after.epoch)}/${number(after.view + 1)}`
    for await (const stored of storedBlocks(this.#store, from)) {
      const block = this.#decode(stored.where, stored.block)
      const certificate = this.#decode(stored.where, stored.certificate)
      if (block.kind === 'block' && certificate.kind === 'certificate') {
        yield { block: block.block, certificate: certificate.certificate }
      }
    }
  }

  /** The empty blocks between the end of an epoch and the certificate that committed it. */
  async tail(epoch: number): Promise<readonly Block[]> {
    const blocks: Block[] = []
    const prefix = `gate/tail/${number(epoch)}/`
    for await (const [key, bytes] of this.#store.range(prefix, `${prefix}~`)) {
      const message = this.#decode(key, bytes)
      if (message.kind === 'block') blocks.push(message.block)
    }
    return blocks
  }

  /**
   * A committed block goes on the disk with its proof; the journal below it is dropped in the same
   * batch. One that ends its epoch brings the next one and the way to its certificate with it, and
   * whether this voter may have been there before. One that brings a root brings its document.
   */
  async commit(
    { block, certificate, root }: Committed & { readonly root?: UnsignedRoot | undefined },
    end?: {
      readonly next: GateEpoch
      readonly tail: readonly Block[]
      readonly disk: DiskMemory
    },
  ): Promise<void> {
    const encoded = encodeGateMessage({ kind: 'block', block })
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, encoded.length)
    const proof = encodeGateMessage({ kind: 'certificate', certificate })
    const value = concatBytes(length, encoded, proof)
    const { view, epoch } = block.body
    const journal = roomOf('journal', epoch)
    const upTo = end === undefined ? `${journal}${number(view)}` : `${journal}~`
    const stale: string[] = []
    for await (const [key] of this.#store.range(journal, upTo)) stale.push(key)
    await this.#store.write(
      [
        { key: `${roomOf('log', epoch)}${number(view)}`, value },
        ...stale.map((key) => ({ key })),
        ...(root === undefined ? [] : [rootOp(root)]),
        ...(end === undefined
          ? []
          : [epochOp(end.next), ...end.tail.map(tailOp), diskMemoryOp(end.disk)]),
      ],
      { sync: true },
    )
  }

  /** An epoch begins without a block: the admins recovered the group. */
  async recovered(epoch: GateEpoch, disk: DiskMemory): Promise<void> {
    await this.#store.write([epochOp(epoch), diskMemoryOp(disk)], { sync: true })
  }

  /** Keeps a block, a certificate or an own vote for the next start. */
  async keep(message: GateMessage): Promise<void> {
    const bytes = encodeGateMessage(message)
    const name = `${ORDER[message.kind]}-${sha256Hex(bytes).slice(0, 16)}`
    const { epoch, view } = placeOf(message)
    const key = `${roomOf('journal', epoch)}${number(view)}/${name}`
    await this.#store.write([{ key, value: bytes }], { sync: true })
  }

  /** What was kept of this epoch, by view; blocks before certificates before votes. Throws STORE_CORRUPT. */
  async *kept(): AsyncGenerator<GateMessage> {
    const prefix = this.#prefix('journal')
    for await (const [key, bytes] of this.#store.range(prefix, `${prefix}~`)) {
      yield this.#decode(key, bytes)
    }
  }

  /** Keeps the certificates that contradict each other; the first proof stands. */
  async keepConflict(certificates: readonly Certificate[]): Promise<void> {
    const ops = certificates.map((certificate, i) => ({
      key: `${this.#prefix('conflict')}${i}`,
      value: encodeGateMessage({ kind: 'certificate', certificate }),
    }))
    if (ops.length > 0) await this.#store.write(ops, { sync: true })
  }

  /** The certificates that froze this log; none while it is not frozen. Throws STORE_CORRUPT. */
  async conflict(): Promise<readonly Certificate[]> {
    const certificates: Certificate[] = []
    const prefix = this.#prefix('conflict')
    for await (const [key, bytes] of this.#store.range(prefix, `${prefix}~`)) {
      const message = this.#decode(key, bytes)
      if (message.kind === 'certificate') certificates.push(message.certificate)
    }
    return certificates
  }

  /** Keeps the first proof against each voter: two signed messages that exclude each other. */
  async keepLie(author: KeyId, messages: readonly [Uint8Array, Uint8Array]): Promise<void> {
    const key = `${this.#prefix('lie')}${author}`
    if ((await this.#store.get(key)) !== undefined) return
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, messages[0].length)
    await this.#store.write([{ key, value: concatBytes(length, ...messages) }], { sync: true })
  }

  /** Voters against whom a proof is held, with the two messages. */
  async lies(): Promise<readonly Lies[]> {
    const found: Lies[] = []
    for await (const [key, bytes] of this.#store.range('gate/lie/', 'gate/lie0')) {
      const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
      const messages = [bytes.subarray(4, 4 + length), bytes.subarray(4 + length)] as const
      found.push({ author: key.slice(key.lastIndexOf('/') + 1), messages })
    }
    return found
  }

  /** Where this voter does not speak in this epoch; undefined while its disk forgot nothing. Throws STORE_CORRUPT. */
  async floor(): Promise<ForgottenFloor | undefined> {
    const key = `${this.#prefix('floor')}view`
    const bytes = await this.#store.get(key)
    if (bytes === undefined) return undefined
    const [final = '', skip = final, notarize = final, disk = 'lost'] = new TextDecoder()
      .decode(bytes)
      .split(' ')
    const floor = { final: Number(final), skip: Number(skip), notarize: Number(notarize) }
    if (!Object.values(floor).every(Number.isSafeInteger)) throw corruptRecord(key, 'no views')
    return { epoch: this.#epoch, floor, disk: disk === 'doubtful' ? 'doubtful' : 'lost' }
  }

  /** What was in doubt is settled: this voter speaks above `forgotten`, or everywhere. */
  async settle(forgotten: ForgottenFloor | undefined): Promise<void> {
    const ops = [diskMemoryOp('kept')]
    if (forgotten !== undefined) {
      const { floor, disk } = forgotten
      const text = `${floor.final} ${floor.skip} ${floor.notarize} ${disk}`
      ops.push({ key: `${this.#prefix('floor')}view`, value: utf8(text) })
    }
    await this.#store.write(ops, { sync: true })
  }

  #decode(key: string, bytes: Uint8Array): GateMessage {
    const trust = this.#trusts.get(epochOfKey(key))
    if (trust === undefined) throw corruptRecord(key, 'an epoch whose configuration is not held')
    const whose = 'the gate log of this node'
    try {
      return decodeGateMessage(bytes, { trust, whose, signer: this.#signer })
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      throw corruptRecord(key, error.message, error)
    }
  }

  #prefix(room: Room): string {
    return roomOf(room, this.#epoch)
  }
}

/** Committed blocks from a key on as they lie there, each with its certificate; nothing is verified. */
export async function* storedBlocks(
  store: Store,
  from: string = 'gate/log/',
): AsyncGenerator<StoredBlock> {
  for await (const [where, bytes] of store.range(from, 'gate/log0')) {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
    yield { where, block: bytes.subarray(4, 4 + length), certificate: bytes.subarray(4 + length) }
  }
}

type Room = 'log' | 'journal' | 'conflict' | 'lie' | 'floor' | 'tail'

function roomOf(room: Room, epoch: number): string {
  return `gate/${room}/${number(epoch)}/`
}

function epochOfKey(key: string): number {
  return Number(key.split('/')[2])
}

function tailOp(block: Block): StoreOp {
  const { epoch, view } = block.body
  const value = encodeGateMessage({ kind: 'block', block })
  return { key: `${roomOf('tail', epoch)}${number(view)}`, value }
}

const ORDER = { block: 0, certificate: 1, vote: 2 } as const

function placeOf(message: GateMessage): GatePlace {
  switch (message.kind) {
    case 'block':
      return message.block.body
    case 'vote':
      return message.vote.body
    case 'certificate':
      return message.certificate.body
  }
}

function number(value: number): string {
  return String(value).padStart(16, '0')
}
