/**
 * Carries the failure detector of the steady state (SPEC §9.4): its questions to members and relays,
 * and its answers. It needs neither disk nor mailbox: a host whose disk is slow is still there.
 */
import {
  ASK_BYTES_MAX,
  decodeCanonical,
  encodeCanonical,
  fromHex,
  type HostName,
  type Nonce,
  openAnswer,
  openRumour,
  REACH_REQUEST,
  RELAY_ANSWER,
  RELAY_REQUEST,
  type ReachAnswer,
  type ReachNews,
  sealAnswer,
  toHex,
} from '../protocol/index.ts'
import {
  type DetectorEffect,
  type DetectorEvent,
  type DetectorState,
  detectorSettings,
  hostNamed,
  hostOfKey,
  type News,
  type Reached,
  type Rumour,
  startDetector,
  stepDetector,
} from '../rollout/index.ts'
import { NodeError } from './errors.ts'
import type { Runtime } from './runtime.ts'

const RANDOM_BYTES = 16
const QUIET: ReachNews = { rumours: [], seen: [] }

export class DetectorService {
  readonly #node: Runtime
  #state: DetectorState
  #members: readonly HostName[]
  #config: unknown
  #tickedAt = Number.NEGATIVE_INFINITY

  constructor(node: Runtime) {
    this.#node = node
    const { trust, name, clock } = node.parts
    this.#config = trust.config
    this.#members = trust.config.hosts.map((host) => host.name)
    const { probeMs } = trust.config.timing
    const settings = detectorSettings({ self: name, members: this.#members, probeMs })
    this.#state = startDetector(settings, clock.bootMs())
  }

  /** What this node knows of a member; undefined for itself and for strangers. */
  of(host: HostName): Reached | undefined {
    return this.#state.hosts.get(host)
  }

  /** `lateMs`: how late the timer of this tick went off. A step each half time-out is exact enough. */
  tick(lateMs: number): void {
    const { clock, random, trust } = this.#node.parts
    const { timeoutMs } = this.#state.settings
    const now = clock.bootMs()
    if (now - this.#tickedAt < timeoutMs / 2) return
    this.#tickedAt = now
    if (this.#config !== trust.config) {
      this.#config = trust.config
      this.#members = trust.config.hosts.map((host) => host.name)
    }
    const late = Math.max(0, Math.floor(lateMs))
    const members = this.#members
    this.#step({ kind: 'tick', random: random.bytes(RANDOM_BYTES), lateMs: late, members })
  }

  /** Something of `host` arrived over its own connection. */
  heard(host: HostName): void {
    this.#step({ kind: 'heard', host })
  }

  /** "I am here", to a member that asks. */
  answerReach(bytes: Uint8Array, from: HostName): Uint8Array {
    const value = decodeCanonical(bytes, ASK_BYTES_MAX, `a reach question of ${from}`)
    const { nonce, ...news } = REACH_REQUEST.decode(value, 'reach')
    const effects = this.#step({ kind: 'asked', from, news: this.#opened(news) })
    const answer = effects.find((effect) => effect.kind === 'answer')
    if (answer === undefined) throw new TypeError('a question without an answer')
    const { incarnation } = answer
    const host = this.#node.parts.name
    const body = { nonce, host, incarnation, ...this.#sealed(answer.news) }
    return sealAnswer('reach.rsp', body, this.#author())
  }

  /** Asks a host in the place of `from`, and brings its answer as it came, or none. */
  async answerRelay(bytes: Uint8Array, from: HostName): Promise<Uint8Array> {
    const value = decodeCanonical(bytes, ASK_BYTES_MAX, `a relay question of ${from}`)
    const { nonce, host } = RELAY_REQUEST.decode(value, 'relay')
    const question = encodeCanonical(REACH_REQUEST.encode({ nonce, ...QUIET }))
    const { network } = this.#node.parts
    const answer = await network
      .ask(host, 'reach', question, this.#state.settings.timeoutMs)
      .catch(() => undefined)
    return encodeCanonical(RELAY_ANSWER.encode({ answer }))
  }

  #step(event: DetectorEvent): readonly DetectorEffect[] {
    const { state, effects } = stepDetector(this.#state, event, this.#node.parts.clock.bootMs())
    this.#state = state
    for (const effect of effects) this.#carry(effect)
    return effects
  }

  #carry(effect: DetectorEffect): void {
    switch (effect.kind) {
      case 'ask':
        this.#ask(effect)
        return
      case 'relay':
        this.#askRelay(effect)
        return
      case 'changed': {
        const { host, from, to, accusers } = effect
        this.#node.parts.log.info({ host, from, to, accusers }, 'what is heard of a host changed')
        return
      }
      case 'answer':
    }
  }

  #ask({ question, host, timeoutMs, news }: DetectorEffect & { kind: 'ask' }): void {
    const { network, random } = this.#node.parts
    const nonce = toHex(random.bytes(16))
    const bytes = encodeCanonical(REACH_REQUEST.encode({ nonce, ...this.#sealed(news) }))
    network
      .ask(host, 'reach', bytes, timeoutMs)
      .then((reply) => this.#answered(host, nonce, reply))
      .catch((error: unknown) => {
        if (this.#node.stopped) return
        // A refusal is a sign of life too.
        if (error instanceof NodeError && error.code === 'PEER_REFUSED') return this.heard(host)
        const fresh = random.bytes(RANDOM_BYTES)
        this.#step({ kind: 'unanswered', question, random: fresh })
      })
  }

  #askRelay({ question, via, host, timeoutMs }: DetectorEffect & { kind: 'relay' }): void {
    const { network, random, log } = this.#node.parts
    const nonce = toHex(random.bytes(16))
    const bytes = encodeCanonical(RELAY_REQUEST.encode({ nonce, host }))
    network
      .ask(via, 'relay', bytes, timeoutMs)
      .then((reply) => {
        const value = decodeCanonical(reply, ASK_BYTES_MAX, `a relay answer of ${via}`)
        const { answer } = RELAY_ANSWER.decode(value, 'relay')
        if (answer === undefined) this.#step({ kind: 'silent', question, via })
        else this.#answered(host, nonce, answer)
      })
      .catch((error: unknown) => log.debug({ via, host, error: String(error) }, 'a relay failed'))
  }

  /** Throws for an answer that is not the host's own over this nonce. */
  #answered(host: HostName, nonce: Nonce, bytes: Uint8Array): void {
    if (this.#node.stopped) return
    const { author, body } = openAnswer('reach.rsp', bytes, this.#options(`reach of ${host}`))
    const own = author === hostNamed(this.#node.parts.trust, host)?.fact
    if (!own || body.nonce !== nonce || body.host !== host)
      throw new Error(`expected an answer of ${host} over ${nonce}, found one of ${body.host}`)
    const { incarnation }: ReachAnswer = body
    this.#step({ kind: 'answered', host, incarnation, news: this.#opened(body) })
  }

  /** A rumour that cannot be read is left out: whoever passed it on did not make it. */
  #opened({ rumours, seen }: ReachNews): News {
    return { rumours: rumours.flatMap((sealed) => this.#rumour(sealed) ?? []), seen }
  }

  #rumour(sealed: string): Rumour | undefined {
    const { trust } = this.#node.parts
    try {
      const { author, ...said } = openRumour(fromHex(sealed), this.#options('a rumour'))
      const by = hostOfKey(trust, author)?.name
      if (by === undefined) return undefined
      if (said.type === 'reach.refute') return { kind: 'refute', host: by, ...said.body, sealed }
      return { kind: 'suspect', by, ...said.body, sealed }
    } catch {
      return undefined
    }
  }

  #sealed({ rumours, seen }: News): ReachNews {
    return { rumours: rumours.map((rumour) => rumour.sealed ?? this.#seal(rumour)), seen }
  }

  #seal(rumour: Rumour): string {
    const { host, incarnation } = rumour
    const author = this.#author()
    return toHex(
      rumour.kind === 'suspect'
        ? sealAnswer('reach.suspect', { host, incarnation }, author)
        : sealAnswer('reach.refute', { incarnation }, author),
    )
  }

  #options(whose: string): Parameters<typeof openAnswer>[2] {
    return { fleet: this.#node.parts.trust.fleet, whose, signer: this.#node.signer }
  }

  #author(): Parameters<typeof sealAnswer>[2] {
    const { trust, keys } = this.#node.parts
    return { fleet: trust.fleet, key: keys.fact, signer: this.#node.signer }
  }
}
