/**
 * Carries the question whether this host may write to its own feed (SPEC §7.6).
 *
 * No message of its own is needed: a sync brings everything that a peer holds of this host, each fact
 * with this host's signature. All methods run inside the mailbox, but for `answered`.
 */
import {
  decodeCanonical,
  encodeCanonical,
  type Fact,
  feedKey,
  fromHex,
  type HostName,
  list,
  type Schema,
  SESSIONS_PER_HOUR_MAX,
  type Session,
  toHex,
  uint,
} from '../protocol/index.ts'
import {
  maySpeak,
  type OwnFeedEvent,
  type OwnFeedState,
  startOwnFeed,
  stepOwnFeed,
} from '../rollout/index.ts'
import { NodeError } from './errors.ts'
import { OWN_FEED_PROBES } from './limits.ts'
import type { Runtime } from './runtime.ts'

const SESSION_KEY = 'meta/session'
const OPENED_KEY = 'meta/sessions-opened'
const OPENED: Schema<readonly number[]> = list(uint(), SESSIONS_PER_HOUR_MAX)
const OPENED_BYTES_MAX = 1024

export class OwnFeed {
  readonly #node: Runtime
  #state: OwnFeedState

  constructor(node: Runtime) {
    this.#node = node
    const { session } = node.parts
    this.#state = startOwnFeed({ session, fresh: true, others: [], opened: [], until: 0 })
  }

  /** The session that facts are signed in. */
  get session(): Session {
    return this.#state.session
  }

  /** Whether facts are signed now; else the host listens to what it wrote before. */
  get speaks(): boolean {
    return maySpeak(this.#state)
  }

  /** Reads the session of this disk. A disk without one is new: its session stands nowhere else. */
  async load(): Promise<void> {
    const { store, session, trust, name, clock } = this.#node.parts
    const held = await store.get(SESSION_KEY)
    if (held === undefined) {
      await store.write([{ key: SESSION_KEY, value: fromHex(session) }], { sync: true })
    }
    const bytes = await store.get(OPENED_KEY)
    this.#state = startOwnFeed({
      session: held === undefined ? session : toHex(held),
      fresh: held === undefined,
      others: trust.config.hosts.map((host) => host.name).filter((host) => host !== name),
      opened: bytes === undefined ? [] : decodeOpened(bytes),
      until: clock.bootMs() + trust.config.timing.probeMs * OWN_FEED_PROBES,
    })
    if (!this.speaks) {
      this.#node.parts.log.info({}, 'listening to what this host wrote before it was started')
    }
  }

  /** Throws while nothing may be signed. Whoever wanted to sign tries again. */
  assertSpeaks(): void {
    if (this.speaks) return
    throw new NodeError(
      'FEED_IN_DOUBT',
      'this host was started and does not sign facts before its peers have said what it wrote before',
      'Wait: it goes on by itself, in a new session if a member stays out of reach.',
    )
  }

  /** A sync with this peer is complete. */
  answered(peer: HostName): void {
    if (this.speaks) return
    this.#node.post(() => this.#step({ kind: 'answered', peer }))
  }

  /** Facts that came from others. One of this host's own shows that its disk is older than its word. */
  async noteTaken(facts: readonly Fact[]): Promise<void> {
    const { publicKey } = this.#node.parts.keys.fact
    for (const { author, session } of facts) {
      if (author === publicKey) await this.#step({ kind: 'forgot', session })
    }
  }

  /** Also hears of a proof that the feed forked: nobody takes another fact of it. */
  async tick(): Promise<void> {
    const { session } = this
    const feed = feedKey(this.#node.parts.keys.fact.publicKey, session)
    if (this.#node.forks.limit(feed) !== undefined) await this.#step({ kind: 'forgot', session })
    await this.#step({ kind: 'tick' })
  }

  async #step(event: OwnFeedEvent): Promise<void> {
    const { clock } = this.#node.parts
    const spoke = this.speaks
    const times = { now: clock.bootMs(), wallMs: clock.wallMs() }
    const { state, effects } = stepOwnFeed(this.#state, event, times)
    this.#state = state
    for (const { opened } of effects) await this.#open(opened)
    if (!spoke && this.speaks) this.#node.touch()
  }

  /** On the disk before anything is signed in it: a crash between the two costs a session, never a fork. */
  async #open(opened: readonly number[]): Promise<void> {
    const { store, random, log } = this.#node.parts
    const session = toHex(random.bytes(16))
    const ops = [
      { key: SESSION_KEY, value: fromHex(session) },
      { key: OPENED_KEY, value: encodeCanonical(OPENED.encode(opened)) },
    ]
    await store.write(ops, { sync: true })
    log.warn(
      { session, before: this.session },
      'the disk of this host may be older than what it said: it goes on in a new session',
    )
    await this.#step({ kind: 'opened', session, opened })
  }
}

function decodeOpened(bytes: Uint8Array): readonly number[] {
  return OPENED.decode(decodeCanonical(bytes, OPENED_BYTES_MAX, OPENED_KEY), OPENED_KEY)
}
