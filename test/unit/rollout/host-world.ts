/**
 * A host's world in memory: disk, deadman, peers and clock around the shipped machine.
 *
 * Every step is journaled through the real schema, every effect is carried out on a disk that
 * survives, and every invariant of the host is checked after every step.
 */
import { expect } from 'vitest'
import {
  decodeCanonical,
  encodeCanonical,
  type HostName,
  type LeaseAnswer,
  type StorePath,
  type Transition,
} from '../../../protocol/index.ts'
import { topOf } from '../../../rollout/host-back.ts'
import type { DeadmanReport, HostEffect, HostEvent } from '../../../rollout/host-events.ts'
import { stepHost } from '../../../rollout/host-machine.ts'
import { HOST_STATE, type HostState, initialHost } from '../../../rollout/host-state.ts'
import type { Orders, RolloutOrders } from '../../../rollout/orders.ts'
import { HOST, OLD, RULES, rolloutId } from './host-setting.ts'

const JOURNAL_BYTES_MAX = 1 << 20

type Question = Extract<HostEffect, { readonly kind: 'askLease' }>
type Asked = { readonly ask: Question; readonly at: number; readonly granted: Set<HostName> }
type DiskDeadman =
  | { kind: 'idle' }
  | { kind: 'armed'; token: string; target: StorePath; at: number }
  | (DeadmanReport & { kind: 'fired' })

export class World {
  state: HostState
  now = 1_000
  boot = 'boot-1'
  running: StorePath = OLD
  bootDefault: StorePath = OLD
  deadman: DiskDeadman = { kind: 'idle' }
  readonly feed: Transition[] = []
  effects: HostEffect[] = []
  answers: HostEvent[] = []
  /** Everything that was ever asked of the system, for tests that look at what was done. */
  readonly done: HostEffect[] = []
  pinned: readonly StorePath[] = []
  /** False while a switch that was cut short has left half a system. */
  whole = true

  /** How peers and system behave; tests replace these. */
  grants: (voter: HostName, ask: Question) => Partial<LeaseAnswer> | undefined = () => ({})
  confirms: (observer: HostName) => boolean = () => true
  broken: ReadonlySet<StorePath> = new Set()
  missing: ReadonlySet<StorePath> = new Set()
  sick: ReadonlySet<StorePath> = new Set()
  stages: 'ok' | 'fetch' | 'signature' = 'ok'
  arms = true
  /** The node begins a switch although the deadman has fired. */
  careless = false
  /** The deadman's script does not come to an end by itself. */
  hangs = false

  #journal: Uint8Array
  #nonces = 0
  #boots = 1
  #down = false
  #drifted = false
  /** A boot ended the script that fired: it is never done. */
  #cut = false
  readonly #said = new Set<string>()
  readonly #asked = new Map<string, Asked>()

  /** A world at rest on the top of `state`, or of a host that was just enrolled. */
  constructor(orders: readonly RolloutOrders[] = [], state?: HostState) {
    this.state = state ?? initialHost({ generation: OLD, boot: this.boot })
    this.running = this.top
    this.bootDefault = this.top
    this.#journal = encodeCanonical(HOST_STATE.encode(this.state))
    this.restart()
    if (orders.length > 0) this.orders(...orders)
  }

  /** One event through the machine: step, journal, queue the effects. */
  send(event: HostEvent): void {
    const before = this.state
    if (event.kind === 'leaseAnswer') this.#noteGrant(event.voter, event.answer)
    const { state, effects } = stepHost(before, event, this.now, RULES)
    this.#journal = encodeCanonical(HOST_STATE.encode(state))
    this.state = state
    this.#checkStep(before, effects)
    if (event.kind !== 'restarted') this.#checkSaidOnce(effects)
    this.effects.push(...effects)
    this.checkWayBack()
  }

  orders(...rollouts: RolloutOrders[]): void {
    const orders: Orders = { host: HOST, rollouts }
    this.send({ kind: 'orders', orders, fresh: this.#nonce() })
  }

  /** Time passes, the deadman may fire, the node polls it and ticks. */
  tick(ms: number = RULES.timing.probeMs): void {
    this.pass(ms)
    this.poll()
    this.send({ kind: 'tick', fresh: this.#nonce() })
  }

  /** Time passes without the daemon. */
  pass(ms: number): void {
    this.now += ms
    if (this.deadman.kind !== 'armed' || this.now < this.deadman.at) return
    const { token, target } = this.deadman
    this.deadman = { kind: 'fired', token, target, done: false, ok: false }
    this.#cut = false
    this.checkWayBack()
  }

  /** The fired script does its work. */
  finishScript(ok: boolean = true): void {
    if (this.deadman.kind !== 'fired' || this.deadman.done || this.#cut) return
    if (this.hangs) return
    const { token, target } = this.deadman
    const good = ok && !this.missing.has(target)
    if (good) {
      this.running = target
      this.whole = true
      this.bootDefault = target
    }
    this.deadman = { kind: 'fired', token, target, done: true, ok: good }
  }

  poll(): void {
    const { deadman } = this
    if (deadman.kind === 'fired') this.send({ ...deadman, kind: 'deadmanFired' })
  }

  /** Carries out the next effect; its answer waits in `answers`. */
  perform(): boolean {
    const effect = this.effects.shift()
    if (effect === undefined) return false
    this.done.push(effect)
    this.#carryOut(effect)
    this.checkWayBack()
    return true
  }

  /** Hands the machine the next answer. */
  deliver(): boolean {
    const answer = this.answers.shift()
    if (answer === undefined) return false
    this.send(answer)
    return true
  }

  /** Everything that is due now. */
  run(): void {
    for (let i = 0; i < 500; i++) {
      if (!this.perform() && !this.deliver()) return
    }
    throw new Error('expected the host to come to rest, found it still busy after 500 steps')
  }

  /** One effect or answer after the other, and time where there is none, until `done`. */
  until(done: () => boolean): void {
    for (let i = 0; i < 5_000; i++) {
      if (done()) return
      if (!this.perform() && !this.deliver()) this.tick(100)
    }
    throw new Error('expected it to come to pass, found nothing after 5000 steps')
  }

  /** Lets time pass until nothing moves any more, with everybody answering. */
  rest(ms: number = 400_000, stepMs: number = RULES.timing.probeMs): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.run()
      this.finishScript()
      this.tick(stepMs)
      this.run()
    }
  }

  /** kill −9: what was not carried out and what was not answered is lost. */
  crash(): void {
    this.effects = []
    this.answers = []
    this.state = HOST_STATE.decode(
      decodeCanonical(this.#journal, JOURNAL_BYTES_MAX, 'journal'),
      'journal',
    )
    this.#down = true
  }

  /** kill −9 in the middle of the next effect: a switch is then done by half. */
  crashAmid(): void {
    const next = this.effects[0]
    if (next?.kind === 'activate' || next?.kind === 'revert') {
      this.running = next.generation
      this.whole = false
    }
    this.crash()
  }

  /** Power cut: what boots runs, timers are gone; what the disk says of the deadman may remain. */
  reboot(keepsDeadman: boolean): void {
    this.crash()
    this.#boots += 1
    this.boot = `boot-${this.#boots}`
    this.now = 500
    this.running = this.bootDefault
    this.whole = true
    this.#cut = this.deadman.kind === 'fired'
    if (this.deadman.kind === 'armed') {
      this.deadman = keepsDeadman
        ? { ...this.deadman, at: Number.MAX_SAFE_INTEGER }
        : { kind: 'idle' }
    }
  }

  restart(): void {
    const { boot, running, bootDefault, deadman } = this
    const report: DeadmanReport =
      deadman.kind === 'armed'
        ? { kind: 'armed', token: deadman.token, target: deadman.target }
        : deadman
    this.#down = false
    this.send({ kind: 'restarted', boot, running, bootDefault, deadman: report })
  }

  /** Somebody switches by hand; from then on S9 is not ours to keep. */
  drift(generation: StorePath): void {
    this.running = generation
    this.#drifted = true
    this.send({ kind: 'running', generation })
  }

  /** The phases that a rollout signed, in order. */
  phases(n: number, round: number = 0): string[] {
    return this.feed
      .filter((one) => one.rollout === rolloutId(n) && one.round === round)
      .map((one) => (one.why === undefined ? one.to : `${one.to}(${one.why})`))
  }

  /** The newest thing a rollout said. */
  last(n: number, round: number = 0): string | undefined {
    return this.phases(n, round).at(-1)
  }

  get top(): StorePath {
    return topOf(this.state.stack).generation
  }

  /** S9: whatever runs or boots, there is a way back to the top of the stack. */
  checkWayBack(): void {
    const { deadman } = this
    const home = this.running === this.top && this.bootDefault === this.top
    const fires = deadman.kind === 'fired' && !deadman.done && !this.#cut
    const watched = deadman.kind === 'armed' || fires
    const returning = this.state.rollouts.some(
      (one) => one.phase === 'REVERTING' || one.phase === 'STUCK',
    )
    if (home || watched || returning || this.#down || this.#drifted) return
    const found = { running: this.running, boots: this.bootDefault, top: this.top, deadman }
    throw new Error(
      `S9: expected a way back, found ${JSON.stringify({ found, state: this.state })}`,
    )
  }

  #nonce(): string {
    this.#nonces += 1
    return this.#nonces.toString(16).padStart(32, '0')
  }

  /** S3, S4, S5 at every entry into ACTIVATING; one in flight; one transition per rank. */
  #checkStep(before: HostState, effects: readonly HostEffect[]): void {
    const { flight } = this.state
    const same =
      before.flight?.rollout === flight?.rollout && before.flight?.round === flight?.round
    if (flight !== undefined && !same) {
      expect(before.flight, 'at most one rollout is in flight').toBeUndefined()
      const orders = this.state.orders?.rollouts.find((one) => one.rollout === flight.rollout)
      expect(orders?.start?.round, 'S3: the start is committed').toBe(flight.round)
      expect(orders?.halted || orders?.revert, 'S5: no halt is known').toBe(false)
      expect(this.deadman.kind, 'the deadman is armed').toBe('armed')
      const leased = [...this.#asked.values()].some(
        ({ ask, at, granted }) =>
          ask.rollout === flight.rollout &&
          ask.round === flight.round &&
          this.now - at <= RULES.timing.leaseMs &&
          granted.size >= RULES.quorum,
      )
      expect(leased, 'S4: q fresh grants are held').toBe(true)
    }
    const flies = this.state.rollouts.filter((one) => IN_FLIGHT.has(one.phase))
    expect(flies.map((one) => one.rollout)).toEqual(flight === undefined ? [] : [flight.rollout])
    for (const effect of effects) {
      if (effect.kind === 'activate') expect(effect.rollout).toBe(flight?.rollout)
      if (effect.kind === 'revert') expect(effect.generation).toBe(this.top)
    }
  }

  /** Only a restart may say again what was said. */
  #checkSaidOnce(effects: readonly HostEffect[]): void {
    for (const effect of effects) {
      if (effect.kind !== 'sign') continue
      const { rollout, round, to } = effect.transition
      const what = `${rollout}/${round}/${to}`
      expect(this.#said, 'one transition per rank, rollout and round').not.toContain(what)
      this.#said.add(what)
    }
  }

  #carryOut(effect: HostEffect): void {
    const { answers } = this
    switch (effect.kind) {
      case 'sign':
        this.#sign(effect.transition)
        return
      case 'stage':
        answers.push(
          this.stages === 'ok'
            ? { kind: 'staged', rollout: effect.rollout, ok: true }
            : {
                kind: 'staged',
                rollout: effect.rollout,
                ok: false,
                why: this.stages,
                detail: 'no',
              },
        )
        return
      case 'askLease':
        this.#lease(effect)
        return
      case 'armDeadman':
        if (!this.arms) {
          answers.push({ kind: 'deadmanDisarmed', token: effect.token, won: true })
          return
        }
        this.deadman = {
          kind: 'armed',
          token: effect.token,
          target: effect.target,
          at: this.now + effect.afterMs,
        }
        answers.push({ kind: 'deadmanArmed', token: effect.token })
        return
      case 'renewDeadman': {
        const ok = this.#holds(effect.token)
        if (ok)
          this.deadman = {
            kind: 'armed',
            token: effect.token,
            target: effect.target,
            at: this.now + effect.afterMs,
          }
        answers.push({ kind: 'deadmanRenewed', token: effect.token, ok })
        return
      }
      case 'disarmDeadman': {
        const won = this.#holds(effect.token)
        if (won) this.deadman = { kind: 'idle' }
        answers.push({ kind: 'deadmanDisarmed', token: effect.token, won })
        return
      }
      case 'activate': {
        const { rollout, round, generation } = effect
        if (this.deadman.kind !== 'armed' && !this.careless) {
          answers.push({ kind: 'activated', rollout, round, ok: false, detail: 'too late' })
          return
        }
        this.running = generation
        this.whole = true
        answers.push({
          kind: 'activated',
          rollout,
          round,
          ok: !this.broken.has(generation),
          detail: 'exit 1\nsorry',
        })
        return
      }
      case 'setBootDefault':
        if (this.missing.has(effect.generation)) return
        this.bootDefault = effect.generation
        answers.push({ kind: 'bootDefaultSet', generation: effect.generation })
        return
      case 'revert':
        if (effect.overtakes) this.#endScript()
        this.#revert(effect.generation)
        return
      case 'askConfirm':
        for (const observer of effect.observers) {
          const { rollout, round, nonce, generation, boot } = effect
          const ok = this.confirms(observer)
          answers.push({
            kind: 'confirmAnswer',
            observer,
            answer: { rollout, round, nonce, generation, boot, host: HOST, ok },
          })
        }
        return
      case 'runChecks':
        answers.push({
          kind: 'checks',
          results: [{ name: 'http', ok: !this.sick.has(this.running) }],
          generation: this.running,
        })
        return
      case 'pin':
        this.pinned = effect.generations
        return
    }
  }

  #sign(transition: Transition): void {
    const { rollout, round, to } = transition
    const same = this.feed.find(
      (one) => one.rollout === rollout && one.round === round && one.to === to,
    )
    if (same !== undefined) expect(transition, 'one transition per rank').toEqual(same)
    else this.feed.push(transition)
    this.answers.push({ kind: 'signed', rollout, round, to })
  }

  #lease(ask: Question): void {
    this.#asked.set(ask.nonce, { ask, at: this.now, granted: new Set() })
    for (const voter of ask.voters) {
      const said = this.grants(voter, ask)
      if (said === undefined) continue
      const { nonce, rollout, round } = ask
      const answer: LeaseAnswer = {
        nonce,
        rollout,
        round,
        host: HOST,
        head: 'c'.repeat(64),
        ttlMs: RULES.timing.leaseMs,
        granted: true,
        ...said,
      }
      this.answers.push({ kind: 'leaseAnswer', voter, answer })
    }
  }

  /** Counts grants apart from the machine: by what was really asked. */
  #noteGrant(voter: HostName, answer: LeaseAnswer): void {
    const asked = this.#asked.get(answer.nonce)
    const { rollout, round, host, granted } = answer
    if (asked?.ask.rollout !== rollout || asked.ask.round !== round) return
    if (granted && host === HOST && RULES.voters.includes(voter)) asked.granted.add(voter)
  }

  /** The script that fired may come to its end at any time, unless it is ended. */
  #endScript(): void {
    if (this.deadman.kind !== 'fired' || this.deadman.done) return
    this.deadman = { ...this.deadman, done: true, ok: false }
  }

  #revert(generation: StorePath): void {
    const missing = this.missing.has(generation)
    const ok = !missing && !this.broken.has(generation)
    if (!missing) this.running = generation
    if (ok) this.whole = true
    if (ok) this.bootDefault = generation
    this.answers.push({ kind: 'reverted', generation, ok, missing, detail: 'no' })
  }

  #holds(token: string): boolean {
    return this.deadman.kind === 'armed' && this.deadman.token === token
  }
}

const IN_FLIGHT: ReadonlySet<string> = new Set(['ACTIVATING', 'PROBATION', 'CONFIRMED', 'SOAKED'])
