/** Detectors that talk over a network of the test's making, in virtual time. */
import {
  type HostName,
  keyPair,
  openAnswer,
  type ReachNews,
  sealAnswer,
  sha256,
  toHex,
  utf8,
} from '../../../protocol/index.ts'
import {
  type DetectorEffect,
  type DetectorEvent,
  type DetectorState,
  detectorSettings,
  type News,
  type Reach,
  type Rumour,
  startDetector,
  stepDetector,
} from '../../../rollout/index.ts'

const TICK_MS = 1_000
const LATENCY_MS = 5

export interface WorldOptions {
  readonly members: number
  readonly seed?: number
  readonly probeMs?: number
}

/** What one member sent. */
export interface Sent {
  questions: number
  relays: number
  answers: number
  news: number
}

export class DetectorWorld {
  readonly names: readonly HostName[]
  readonly states = new Map<HostName, DetectorState>()
  readonly dead = new Set<HostName>()
  /** Share of messages to and from a member that are lost. */
  readonly loss = new Map<HostName, number>()
  /** How late a member's timers go off, and how late it reads what came. */
  readonly lag = new Map<HostName, number>()
  readonly sent = new Map<HostName, Sent>()
  readonly changes: { at: number; by: HostName; host: HostName; to: Reach }[] = []
  readonly #seed: number
  #now = 0
  #draws = 0
  readonly #probeMs: number
  readonly #timers = new Map<number, (() => void)[]>()

  constructor(options: WorldOptions) {
    this.#seed = options.seed ?? 1
    this.#probeMs = options.probeMs ?? 5_000
    this.names = Array.from({ length: options.members }, (_, i) => `h${i}`)
    for (const name of this.names) this.start(name)
  }

  get now(): number {
    return this.#now
  }

  get periodMs(): number {
    return 2 * this.#probeMs
  }

  /** Begins a life of `name`: it knows nothing of an earlier one. */
  start(name: HostName): void {
    this.dead.delete(name)
    const settings = detectorSettings({
      ...{ self: name, members: this.names, probeMs: this.#probeMs },
    })
    this.states.set(name, startDetector(settings, this.#now))
    this.sent.set(name, { questions: 0, relays: 0, answers: 0, news: 0 })
    this.#after(this.#draw(TICK_MS), () => this.#tick(name, this.states.get(name)?.settings))
  }

  reach(by: HostName, host: HostName): Reach | undefined {
    return this.states.get(by)?.hosts.get(host)?.state
  }

  /** Runs for `ms`, in steps; false when `done` did not hold by then. */
  run(ms: number, done: () => boolean = () => false): boolean {
    const end = this.#now + ms
    while (this.#now < end) {
      if (this.#now % TICK_MS === 0 && done()) return true
      const due = this.#timers.get(this.#now) ?? []
      this.#timers.delete(this.#now)
      for (const run of due) run()
      this.#now++
    }
    return done()
  }

  /** What the fleet hears when `from` lies about `host`. */
  inject(from: HostName, to: HostName, rumour: Rumour): void {
    this.#step(to, { kind: 'asked', from, news: { rumours: [rumour], seen: [] } })
  }

  #tick(name: HostName, life: unknown): void {
    const lateMs = this.lag.get(name) ?? 0
    this.#after(TICK_MS + lateMs, () => {
      if (this.states.get(name)?.settings !== life || this.dead.has(name)) return
      const random = this.#bytes()
      this.#step(name, { kind: 'tick', random, lateMs, members: this.names })
      this.#tick(name, life)
    })
  }

  #step(name: HostName, event: DetectorEvent): readonly DetectorEffect[] {
    const state = this.states.get(name)
    if (state === undefined || this.dead.has(name)) return []
    const step = stepDetector(state, event, this.#now)
    this.states.set(name, step.state)
    for (const effect of step.effects) this.#carry(name, effect)
    return step.effects
  }

  #carry(name: HostName, effect: DetectorEffect): void {
    const sent = this.sent.get(name)
    if (sent === undefined) throw new Error(name)
    switch (effect.kind) {
      case 'changed':
        this.changes.push({ at: this.#now, by: name, host: effect.host, to: effect.to })
        return
      case 'answer':
        sent.answers++
        sent.news += effect.news.rumours.length
        return
      case 'ask': {
        sent.questions++
        sent.news += effect.news.rumours.length
        const { question, host, timeoutMs, news } = effect
        const open = this.#patience(timeoutMs, () =>
          this.#step(name, { kind: 'unanswered', question, random: this.#bytes() }),
        )
        this.#ask(name, host, news, (answer) => {
          if (open()) this.#step(name, { ...answer, kind: 'answered', host })
        })
        return
      }
      case 'relay': {
        sent.relays++
        const { question, via, host, timeoutMs } = effect
        const open = this.#patience(timeoutMs, () => undefined)
        this.#carryMessage(name, via, () => {
          const back = this.#patience(timeoutMs / 2, () =>
            this.#carryMessage(via, name, () => {
              if (open()) this.#step(name, { kind: 'silent', question, via })
            }),
          )
          this.#ask(via, host, { rumours: [], seen: [] }, (answer) => {
            if (!back()) return
            this.#carryMessage(via, name, () => {
              if (open()) this.#step(name, { ...answer, kind: 'answered', host })
            })
          })
        })
      }
    }
  }

  #ask(
    from: HostName,
    to: HostName,
    news: News,
    answered: (answer: { incarnation: number; news: News }) => void,
  ): void {
    this.#carryMessage(from, to, () => {
      for (const effect of this.#step(to, { kind: 'asked', from, news })) {
        if (effect.kind === 'answer') this.#carryMessage(to, from, () => answered(effect))
      }
    })
  }

  #carryMessage(from: HostName, to: HostName, arrive: () => void): void {
    if (this.dead.has(from) || this.#isLost(from) || this.#isLost(to)) return
    const late = this.#draw(this.lag.get(to) ?? 0)
    this.#after(1 + this.#draw(LATENCY_MS) + late, () => {
      if (!this.dead.has(to)) arrive()
    })
  }

  #isLost(name: HostName): boolean {
    return this.#draw(1_000) < 1_000 * (this.loss.get(name) ?? 0)
  }

  /** Whether the time is not over yet; asked once it is answered. */
  #patience(ms: number, over: () => void): () => boolean {
    let open = true
    this.#after(ms, () => {
      if (open) over()
      open = false
    })
    return () => {
      const was = open
      open = false
      return was
    }
  }

  #after(ms: number, run: () => void): void {
    const at = this.#now + Math.max(1, Math.floor(ms))
    const due = this.#timers.get(at) ?? []
    due.push(run)
    this.#timers.set(at, due)
  }

  #bytes(): Uint8Array {
    return sha256(utf8(`${this.#seed}/${this.#draws++}`))
  }

  /** A whole number below `bound`, or 0. */
  #draw(bound: number): number {
    const [a = 0, b = 0, c = 0] = this.#bytes()
    return bound < 1 ? 0 : (a * 65_536 + b * 256 + c) % Math.floor(bound)
  }
}

const KEY = keyPair(sha256(utf8('detector-world')))
const AUTHOR = { fleet: '00'.repeat(16), key: KEY }

/** The size of a message on the wire that carries this much news about hosts with names of 10 letters. */
export function wireBytes(news: { rumours: number; seen: number }): number {
  const rumour = sealAnswer('reach.suspect', { host: 'h'.repeat(10), incarnation: 300 }, AUTHOR)
  const carried: ReachNews = {
    rumours: Array.from({ length: news.rumours }, () => toHex(rumour)),
    seen: Array.from({ length: news.seen }, () => ({ host: 'h'.repeat(10), ageMs: 100_000 })),
  }
  const body = { nonce: '00'.repeat(16), host: 'h'.repeat(10), incarnation: 300, ...carried }
  const bytes = sealAnswer('reach.rsp', body, AUTHOR)
  openAnswer('reach.rsp', bytes, { fleet: AUTHOR.fleet, whose: 'the world' })
  return bytes.length
}
