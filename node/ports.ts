/**
 * What the runtime needs of the world, as interfaces: everything that is not a decision.
 *
 * The daemon passes real adapters, the simulator virtual ones; the runtime cannot tell.
 */
import type {
  Hash,
  HealthCheck,
  HostName,
  KeyId,
  ManifestPath,
  StorePath,
} from '../protocol/index.ts'
import type { DialFault } from './network/dial-fault.ts'
import type { Membership } from './network/membership.ts'

export type Cancel = () => void

export interface Clock {
  /** Milliseconds of a clock that never jumps and counts suspend (CLOCK_BOOTTIME). */
  bootMs(): number
  /** Wall clock in ms since 1970; for people, never for safety. */
  wallMs(): number
  /** Calls `run` once after `ms`. */
  after(ms: number, run: () => void): Cancel
}

export interface Random {
  bytes(count: number): Uint8Array
}

export interface StoreOp {
  readonly key: string
  /** Absent: the key is deleted. */
  readonly value?: Uint8Array | undefined
}

/**
 * An ordered map of text keys to bytes. Batches are atomic; `sync` batches are on the disk when the
 * promise resolves. Throws NodeError STORE_FULL when the disk is full, STORE_LOCKED when it is open elsewhere.
 */
export interface Store {
  get(key: string): Promise<Uint8Array | undefined>
  /** Entries with `from` <= key < `to`, ascending. */
  range(from: string, to: string): AsyncIterable<readonly [string, Uint8Array]>
  write(ops: readonly StoreOp[], options: { readonly sync: boolean }): Promise<void>
  close(): Promise<void>
}

/**
 * Remembers 24 bytes beside the disk, where no snapshot of the disk takes them along. It may forget, with
 * a reboot; it never gives back anything but what was written last.
 */
export interface DiskWitness {
  /** Undefined when it has forgotten. */
  read(): Promise<Uint8Array | undefined>
  /** Remembered when this resolves. */
  write(bytes: Uint8Array): Promise<void>
}

/** The gossip topics of one group. */
export type Topic = 'ctl' | 'fact' | 'gate'
export type Acceptance = 'accept' | 'ignore' | 'reject'

/**
 * A peer's name, proven by its transport key; operators' clients come as `operator:<key>`, holders of a
 * ticket as `ticket:<key>`.
 */
export type PeerName = string

/** Question kinds of the `ask` protocol. */
export type Ask =
  | 'probe'
  | 'confirm'
  | 'lease'
  | 'sync'
  | 'gate'
  | 'api'
  | 'cosign'
  | 'reach'
  | 'relay'
  | 'current'

export interface Network {
  start(handlers: NetworkHandlers): Promise<void>
  stop(): Promise<void>
  /** Fire and forget: correctness never rests on gossip. */
  publish(topic: Topic, bytes: Uint8Array): void
  /** One question, one answer. Rejects with NodeError PEER_UNREACHABLE or PEER_TIMEOUT. */
  ask(peer: HostName, kind: Ask, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  /** A blob in chunks, from `offset`; rejects when the peer does not hold it. */
  pull(peer: HostName, hash: Hash, offset: number): AsyncIterable<Uint8Array>
  /** Lets in and dials these from now on, and hangs up on everybody else. Also before `start`. */
  setMembership(membership: Membership): Promise<void>
  /**
   * A question about pieces and its answer, of any length, as fast as it is taken; rejects when the
   * peer cannot be spoken to, and when `signal` ends it.
   */
  pieces(peer: HostName, question: Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Members connected now. */
  peers(): readonly HostName[]
  /** An address of the member as seen from here, for checks from outside (`{host}`). */
  addressOf(peer: HostName): string | undefined
  /** What was noticed of members that are not connected; absent where nothing can be. */
  absences?(): Absences
}

/** Why members are not connected, as far as this host can tell. */
export interface Absences {
  readonly members: readonly Absence[]
  /** Others on the LAN that announce themselves and are no members of this group. */
  readonly strangers: number
  /** Whether this host looks for members on the LAN. */
  readonly multicast: boolean
}

/** One member that is not connected. */
export interface Absence {
  readonly peer: HostName
  /** Where it is looked for. */
  readonly addresses: readonly string[]
  /** It announced itself on the LAN in this run. */
  readonly announced: boolean
  /** How the newest dial failed; undefined before the first. */
  readonly fault: DialFault | undefined
}

export interface NetworkHandlers {
  gossip(topic: Topic, bytes: Uint8Array, from: PeerName): Promise<Acceptance>
  answer(kind: Ask, bytes: Uint8Array, from: PeerName): Promise<Uint8Array>
  /** The blob's bytes from `offset`, or undefined when it is not held. */
  serve(hash: Hash, offset: number): Promise<AsyncIterable<Uint8Array> | undefined>
  /** The answer to a question about pieces; rejects on one that is none. Absent: none are given. */
  pieces?(question: Uint8Array, from: PeerName): Promise<AsyncIterable<Uint8Array>>
  /** The answer to the holder of a ticket, who may ask for nothing else. Absent: none is let speak. */
  enroll?(question: Uint8Array, ticket: KeyId): Promise<Uint8Array>
  /** A member's first connection came up, or its last went down. */
  peer(peer: HostName, up: boolean): void
}

export interface CheckOutcome {
  readonly name: string
  readonly ok: boolean
  readonly why?: string | undefined
}

/** What a generation's `switch-to-configuration` did. */
export interface ActivationOutcome {
  readonly ok: boolean
  /** Exit code or reason, and the last lines that it printed. */
  readonly detail: string
}

/** Where the bytes of a path come from: peers by blob hash, or the release's caches. */
export interface StageSource {
  readonly paths: readonly ManifestPath[]
  readonly caches: readonly string[]
  readonly cacheKeys: readonly string[]
  /** What will be asked for, so that all of it can be on its way at once. */
  expect?(paths: readonly ManifestPath[]): void
  /** The NAR's bytes from any peer that holds them; rejects when none does. */
  nar(path: ManifestPath): AsyncIterable<Uint8Array>
}

export type StageOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: 'fetch' | 'signature'; readonly detail: string }

/** The deadman's life: armed under a token, renewed, then fired or disarmed, never both. */
export interface DeadmanArming {
  readonly token: string
  readonly target: StorePath
  readonly afterMs: number
}

/**
 * A host's system: the store of generations, what runs, what boots, and the way back.
 * One contract for `nix`, `portable` and `memory` (design D7).
 */
export interface System {
  readonly kind: 'nix' | 'portable'
  /** Differs after every boot of the machine. */
  bootId(): Promise<string>
  /** The generation that runs now. */
  running(): Promise<StorePath>
  /** The generation that the next boot starts. */
  bootDefault(): Promise<StorePath>
  holds(generation: StorePath): Promise<boolean>
  /** Brings a closure in, verified; never changes what runs. Resumable; idempotent. */
  stage(generation: StorePath, source: StageSource): Promise<StageOutcome>
  /** `switch-to-configuration test`: runs it, leaves the boot default. */
  activate(generation: StorePath, timeoutMs: number): Promise<ActivationOutcome>
  /**
   * Ends the activation under way, all of it: its outcome is then not ok. One that has only just been
   * asked for may escape, so that the caller repeats it until the activation is over.
   */
  endActivation(): Promise<void>
  /** Makes it what boots. Atomic. */
  setBootDefault(generation: StorePath): Promise<void>
  /** Keeps these from garbage collection, and only these. */
  pin(generations: readonly StorePath[]): Promise<void>
  /** Removes what no pin needs, nor what runs, boots or is gone back to. Absent where the system does so itself. */
  collect?(): Promise<void>
  /**
   * The NAR of a held path, for peers; undefined when not held or not served by this adapter. With
   * `recycled` a chunk is good only until the next one is asked for: what is read fast and at once by
   * nobody but one reader need not cost new memory for each chunk.
   */
  nar(
    hash: Hash,
    offset: number,
    recycled?: boolean,
  ): Promise<AsyncIterable<Uint8Array> | undefined>
  /** Which of these NARs `nar` has now. */
  heldNars(hashes: readonly Hash[]): Promise<ReadonlySet<Hash>>
  /**
   * Whether the path is in the store with these very contents; then `nar` has it from now on. Absent
   * where nothing comes into the store but by staging.
   */
  adopt?(path: ManifestPath): Promise<boolean>
  /** One check as the host itself sees it. */
  check(check: HealthCheck): Promise<CheckOutcome>
  /** One check of a peer at `address`, from here. */
  checkPeer(check: HealthCheck, address: string): Promise<CheckOutcome>
  readonly deadman: Deadman
}

/** The timer that lives outside the daemon (SPEC §12). */
export interface Deadman {
  /** Armed and on disk when this resolves; it fires by itself if nobody renews or disarms. */
  arm(arming: DeadmanArming): Promise<void>
  /** Postpones the firing to `afterMs` from now, may change the target. False: it has fired. */
  renew(arming: DeadmanArming): Promise<boolean>
  /** Ends it. False: it has fired already, the host is on its way back. */
  disarm(token: string): Promise<boolean>
  /**
   * Ends a way back that it has begun and not finished, with all that belongs to it; that one then
   * counts as done and failed. When this resolves, nothing of it runs any more. Where nothing is on
   * its way back it does nothing: what is armed stays armed.
   */
  end(): Promise<void>
  /** What the disk says: also after a crash of the daemon. */
  state(): Promise<DeadmanState>
}

export type DeadmanState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'armed'; readonly token: string; readonly target: StorePath }
  /** It fired; `done` once the old generation was activated again. */
  | {
      readonly kind: 'fired'
      readonly token: string
      readonly target: StorePath
      readonly done: boolean
      readonly ok: boolean
    }

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
