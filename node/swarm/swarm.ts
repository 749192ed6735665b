/**
 * The swarm: takes NARs piece by piece from every peer that has some of them, and gives to everybody
 * what it has so far.
 *
 * `swarm-machine.ts` decides what to ask whom; this file asks, compares each piece with its hash
 * before anything else is done with it, and puts it on the disk, from where a later run goes on.
 */
import { setMaxListeners } from 'node:events'
import {
  concatBytes,
  decodePieceHaves,
  encodePieceQuestion,
  type Hash,
  type HostName,
  PIECE_BYTES,
  PIECE_HAVE_BYTES_MAX,
  type PieceHave,
  type PieceId,
  ProtocolError,
  pieceHaveOf,
  pieceSpan,
  sha256,
  toHex,
} from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { SWARM_STALL_MS, SWARM_STARTS_MAX, SWARM_TICK_MS } from '../limits.ts'
import { backoffMs, Pauses } from '../pause.ts'
import type { Clock, Logger, Network, PeerName, Random } from '../ports.ts'
import { shuffled } from '../shuffle.ts'
import type { PieceFiles } from './piece-files.ts'
import type { PieceLists, RootedNar } from './piece-lists.ts'
import { PieceServer } from './piece-server.ts'
import { Rate } from './rate.ts'
import { receivePiece } from './receive-piece.ts'
import { stepSwarm } from './swarm-machine.ts'
import { emptySwarm, type SwarmEffect, type SwarmEvent, type SwarmState } from './swarm-state.ts'

export interface SwarmParts {
  readonly network: Pick<Network, 'peers' | 'pieces'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly files: PieceFiles
  readonly lists: PieceLists
  /** Bytes a second that may leave and come; 0 is without a bound. */
  readonly uploadRate: number
  readonly downloadRate: number
  /** Whether a peer is of this host's own group. */
  isNear(peer: HostName): boolean
  /** Which of these NARs this node holds whole, outside of the swarm. */
  heldNars(hashes: readonly Hash[]): Promise<ReadonlySet<Hash>>
  /** Bytes of pieces came or left. */
  passed(): void
  /** The bytes of such a NAR from `from` on. */
  whole(hash: Hash, from: number): Promise<AsyncIterable<Uint8Array> | undefined>
}

/** A wish for some NARs; they come for as long as somebody holds a lease on them. */
export interface SwarmLease {
  /**
   * The bytes of one of them, once all its pieces are there; empty chunks meanwhile, as long as
   * pieces come. Throws BLOB_MISSING when none has come for long, and what is wrong with the list.
   */
  nar(hash: Hash): AsyncIterable<Uint8Array>
  /** The wish is over. What has come is kept for the next, unless the node's store has it now. */
  end(): Promise<void>
}

/** What has passed so far, for people and figures. */
export interface SwarmCounts {
  /** Bytes of good pieces. */
  readonly received: number
  readonly sent: number
  readonly duplicates: number
}

/** A NAR that some lease wants. */
interface Entry {
  readonly nar: RootedNar
  leases: number
  /** The hashes of its pieces, once its file is open. */
  hashes: readonly Hash[] | undefined
  /** Why it cannot come: for good when the list is wrong, for now when the disk is full. */
  failure: Error | undefined
}

const NOTHING = new Uint8Array(0)

export class Swarm {
  readonly #parts: SwarmParts
  readonly #server: PieceServer
  readonly #download: Rate
  readonly #pauses: Pauses
  readonly #entries = new Map<Hash, Entry>()
  readonly #fetches = new Map<number, AbortController>()
  readonly #watchers = new Set<() => void>()
  readonly #stop = new AbortController()
  readonly #starting: Entry[] = []
  #starts = 0
  #state: SwarmState
  #ticking = false
  #received = 0
  #sent = 0

  constructor(parts: SwarmParts) {
    this.#parts = parts
    const salt = parts.random.bytes(4).reduce((sum, byte) => sum * 256 + byte, 0)
    this.#state = emptySwarm(salt)
    // One listener for each question under way: there may be as many as there are peers.
    setMaxListeners(0, this.#stop.signal)
    this.#download = new Rate(parts.clock, parts.downloadRate)
    this.#pauses = new Pauses(parts.clock)
    this.#server = new PieceServer({
      clock: parts.clock,
      upload: new Rate(parts.clock, parts.uploadRate),
      sent: (bytes) => {
        this.#sent += bytes
        parts.passed()
      },
      source: {
        have: (nars) => this.#have(nars),
        read: (nar, from) => this.#read(nar, from),
      },
    })
  }

  get counts(): SwarmCounts {
    return { received: this.#received, sent: this.#sent, duplicates: this.#state.duplicates }
  }

  /** Peers that sent a wrong piece since this process began. */
  get liars(): ReadonlySet<HostName> {
    return this.#state.liars
  }

  /** A peer's first connection came up, or its last went down. */
  peer(peer: HostName, up: boolean): void {
    if (up) this.#take({ kind: 'up', peer, near: this.#parts.isNear(peer) })
    else this.#take({ kind: 'down', peer })
    this.#pauses.wake()
  }

  /** Answers a peer's question. Throws BAD_SHAPE on one that is none. */
  answer(question: Uint8Array, _from: PeerName): Promise<AsyncIterable<Uint8Array>> {
    return this.#server.answer(question)
  }

  /** Begins to bring these NARs in. */
  lease(nars: readonly RootedNar[]): SwarmLease {
    const mine = new Set<Hash>()
    for (const nar of nars) {
      if (mine.has(nar.narHash)) continue
      mine.add(nar.narHash)
      this.#enter(nar)
    }
    const release = async (hashes: readonly Hash[]): Promise<void> => {
      for (const hash of hashes) if (mine.delete(hash)) await this.#leave(hash)
    }
    return {
      nar: (hash) => this.#nar(hash),
      end: () => release([...mine]),
    }
  }

  /** Drops everything that came in for NARs that nobody needs any more. */
  async keepOnly(needed: ReadonlySet<Hash>): Promise<void> {
    await this.#parts.files.keepOnly(new Set([...needed, ...this.#entries.keys()]))
  }

  /** Drops what came in of a NAR that the node's own store has by now. */
  async settle(hash: Hash): Promise<void> {
    if (this.#entries.has(hash) || !(await this.#parts.heldNars([hash])).has(hash)) return
    if (!this.#entries.has(hash)) await this.#parts.files.remove(hash)
  }

  stop(): void {
    this.#stop.abort()
    this.#pauses.stop()
    for (const fetch of this.#fetches.values()) fetch.abort()
  }

  #enter(nar: RootedNar): void {
    const known = this.#entries.get(nar.narHash)
    if (known !== undefined) {
      known.leases++
      return
    }
    const entry: Entry = { nar, leases: 1, hashes: undefined, failure: undefined }
    this.#entries.set(nar.narHash, entry)
    this.#starting.push(entry)
    this.#startSome()
  }

  async #leave(hash: Hash): Promise<void> {
    const entry = this.#entries.get(hash)
    if (entry === undefined || --entry.leases > 0) return
    this.#entries.delete(hash)
    this.#take({ kind: 'forget', nar: hash })
    await this.settle(hash)
  }

  /** A few at a time: each reads what an earlier run left. */
  #startSome(): void {
    while (this.#starts < SWARM_STARTS_MAX) {
      const entry = this.#starting.shift()
      if (entry === undefined) return
      this.#starts++
      this.#start(entry)
        .catch((error: unknown) =>
          this.#parts.log.error({ error: String(error) }, 'a download could not begin'),
        )
        .finally(() => {
          this.#starts--
          this.#startSome()
        })
    }
  }

  /** Gets the list, looks what is there already, and lets the machine ask for the rest. */
  async #start(entry: Entry): Promise<void> {
    const { lists, files, network, random, log } = this.#parts
    const { nar } = entry
    for (let tries = 1; this.#isWanted(entry); tries++) {
      try {
        const peers = shuffled(network.peers(), random)
        const hashes = await lists.hashesOf(nar, { peers, signal: this.#stop.signal })
        const held = await files.resume(nar, hashes)
        if (!this.#isWanted(entry)) return
        entry.hashes = hashes
        this.#take({ kind: 'want', nar: nar.narHash, held })
        return this.#progress()
      } catch (error) {
        if (error instanceof ProtocolError) {
          entry.failure = error
          return this.#progress()
        }
        log.debug({ nar: nar.narHash, error: String(error) }, 'a download has to wait')
        await this.#pauses.wait(backoffMs(tries))
      }
    }
  }

  #isWanted(entry: Entry): boolean {
    return !this.#stop.signal.aborted && this.#entries.get(entry.nar.narHash) === entry
  }

  async *#nar(hash: Hash): AsyncGenerator<Uint8Array> {
    for (;;) {
      this.#assertComing(hash)
      if (this.#state.nars.get(hash)?.lacking === 0) break
      if (!(await this.#nextProgress())) throw this.#standsStill(hash)
      yield NOTHING
    }
    yield* this.#parts.files.whole(hash)
  }

  /** Throws what keeps a NAR from coming; what may pass is said once and then tried again. */
  #assertComing(hash: Hash): void {
    const entry = this.#entries.get(hash)
    const failure = entry?.failure
    if (entry === undefined || failure === undefined) return
    if (!(failure instanceof ProtocolError)) entry.failure = undefined
    throw failure
  }

  #take(event: SwarmEvent): void {
    if (this.#stop.signal.aborted) return
    const { state, effects } = stepSwarm(this.#state, event, this.#parts.clock.bootMs())
    this.#state = state
    for (const effect of effects) this.#carryOut(effect)
    this.#tickSoon()
  }

  #carryOut(effect: SwarmEffect): void {
    switch (effect.kind) {
      case 'ask':
        void this.#ask(effect.id, effect.peer, effect.offers)
        return
      case 'look':
        void this.#look(effect.peer, effect.nars)
        return
      case 'abort':
        this.#fetches.get(effect.id)?.abort()
        return
      case 'drop': {
        const { peer, piece } = effect
        const fields = { peer, nar: piece.nar, piece: piece.index }
        this.#parts.log.warn(fields, 'a peer sent a wrong piece: it is asked for no more')
        return
      }
      default:
        effect satisfies never
    }
  }

  async #ask(id: number, peer: HostName, offers: readonly PieceId[]): Promise<void> {
    const fetch = new AbortController()
    this.#fetches.set(id, fetch)
    try {
      const question = encodePieceQuestion({ kind: 'piece', offers })
      const got = await receivePiece(this.#parts.network.pieces(peer, question, fetch.signal), {
        begun: (choice, have) => {
          const piece = offers[choice]
          const entry = piece && this.#entries.get(piece.nar)
          this.#take({ kind: 'chosen', ask: id, choice, have })
          // Aborted meanwhile: nobody needs what follows.
          if (entry === undefined || piece === undefined || fetch.signal.aborted) return undefined
          const { from, to } = pieceSpan(piece.index, entry.nar.narSize)
          return to - from
        },
        pass: (bytes) => {
          this.#parts.passed()
          return this.#download.pass(bytes)
        },
      })
      if (fetch.signal.aborted) return
      if (got.kind !== 'piece') return this.#take({ kind: 'ended', ask: id, why: got.kind })
      const piece = offers[got.choice]
      if (piece !== undefined) await this.#judge({ id, peer, piece }, got.bytes)
    } catch (error) {
      if (fetch.signal.aborted) return
      this.#parts.log.debug({ peer, error: String(error) }, 'a piece did not come')
      this.#take({ kind: 'ended', ask: id, why: 'broken' })
    } finally {
      this.#fetches.delete(id)
    }
  }

  async #judge(
    { id, peer, piece }: { id: number; peer: HostName; piece: PieceId },
    bytes: Uint8Array,
  ): Promise<void> {
    const entry = this.#entries.get(piece.nar)
    const expected = entry?.hashes?.[piece.index]
    if (entry === undefined || expected === undefined) return
    const good = toHex(sha256(bytes)) === expected
    if (good) {
      const { from } = pieceSpan(piece.index, entry.nar.narSize)
      await this.#parts.files.write(piece.nar, from, bytes).catch((error: unknown) => {
        entry.failure = error instanceof Error ? error : new Error(String(error))
        this.#progress()
        throw error
      })
      this.#received += bytes.length
    }
    this.#take({ kind: 'piece', ask: id, peer, piece, good })
    if (good) this.#progress()
  }

  async #look(peer: HostName, nars: readonly Hash[]): Promise<void> {
    try {
      const question = encodePieceQuestion({ kind: 'have', nars })
      const chunks: Uint8Array[] = []
      let size = 0
      for await (const chunk of this.#parts.network.pieces(peer, question, this.#stop.signal)) {
        size += chunk.length
        if (size > PIECE_HAVE_BYTES_MAX) throw new Error('an answer that is too long')
        chunks.push(chunk)
      }
      const haves = decodePieceHaves(concatBytes(...chunks), nars.length)
      this.#take({ kind: 'looked', peer, nars, haves })
    } catch (error) {
      this.#parts.log.debug({ peer, error: String(error) }, 'a peer did not say what it holds')
      this.#take({ kind: 'looked', peer, nars })
    }
  }

  async #have(nars: readonly Hash[]): Promise<readonly PieceHave[]> {
    const others = nars.filter((nar) => this.#state.nars.get(nar)?.lacking !== 0)
    const held = others.length === 0 ? new Set<Hash>() : await this.#parts.heldNars(others)
    return nars.map((nar): PieceHave => {
      if (held.has(nar)) return { kind: 'all' }
      const wanted = this.#state.nars.get(nar)
      if (wanted === undefined) return { kind: 'none' }
      return pieceHaveOf(wanted.held.length, (index) => wanted.held[index] === true)
    })
  }

  async #read(nar: Hash, from: number): Promise<AsyncIterable<Uint8Array> | undefined> {
    const entry = this.#entries.get(nar)
    const wanted = this.#state.nars.get(nar)
    if (entry === undefined || wanted === undefined) return await this.#parts.whole(nar, from)
    const whole = wanted.lacking > 0 ? await this.#parts.whole(nar, from) : undefined
    if (whole !== undefined) return whole
    // Cut to its piece: what follows may be a hole.
    const span = pieceSpan(Math.floor(from / PIECE_BYTES), entry.nar.narSize)
    return this.#parts.files.read(entry.nar, span)
  }

  #progress(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }

  /** True when a piece or a list came, false when none did for long. */
  #nextProgress(): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (came: boolean): void => {
        cancel()
        this.#watchers.delete(watcher)
        resolve(came)
      }
      const watcher = (): void => done(true)
      const cancel = this.#parts.clock.after(SWARM_STALL_MS, () => done(false))
      this.#watchers.add(watcher)
    })
  }

  #standsStill(hash: Hash): NodeError {
    const wanted = this.#state.nars.get(hash)
    const found = wanted === undefined ? 'no piece list of it' : `${wanted.lacking} lacking pieces`
    return new NodeError(
      'BLOB_MISSING',
      `expected the NAR ${hash} at a peer, found ${found} at ${this.#state.peers.size} peers`,
      'Bring a host up that holds it, or create the release again on the machine that built it.',
    )
  }

  /** The machine hears of the time for as long as something is lacking. */
  #tickSoon(): void {
    if (this.#ticking || ![...this.#state.nars.values()].some(({ lacking }) => lacking > 0)) return
    this.#ticking = true
    this.#parts.clock.after(SWARM_TICK_MS, () => {
      this.#ticking = false
      this.#take({ kind: 'tick' })
    })
  }
}
