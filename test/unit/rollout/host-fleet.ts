/**
 * What the rest of the fleet may do to one host, at random: a gate log, three voters with their
 * books, facts that arrive late, and a daemon that dies.
 */
import fc from 'fast-check'
import type { HostName, RolloutId } from '../../../protocol/index.ts'
import { ENROLMENT } from '../../../rollout/host-state.ts'
import {
  answerLease,
  EMPTY_BOOK,
  type GrantBook,
  type LeaseQuestion,
  noteSkips,
} from '../../../rollout/lease.ts'
import type { RolloutOrders } from '../../../rollout/orders.ts'
import { HOST, ordersFor, RULES, rolloutId } from './host-setting.ts'
import { World } from './host-world.ts'

const ROLLOUTS = 3

/** One thing that happens. `n` picks a rollout. */
export type Deed =
  | { readonly kind: 'work'; readonly steps: number }
  | { readonly kind: 'tick'; readonly ms: number }
  | {
      readonly kind:
        | 'progress'
        | 'orders'
        | 'admit'
        | 'start'
        | 'soak'
        | 'skip'
        | 'close'
        | 'script'
    }
  | { readonly kind: 'fail' | 'halt' | 'revert' | 'lost'; readonly n: number }
  | { readonly kind: 'silence'; readonly voters: number }
  | { readonly kind: 'deaf' | 'sick'; readonly yes: boolean }
  | { readonly kind: 'crash'; readonly downMs: number }
  | { readonly kind: 'reboot'; readonly kept: boolean }

const n: fc.Arbitrary<number> = fc.integer({ min: 1, max: ROLLOUTS })

/** Deeds, the ordinary ones more often. */
export const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 24, arbitrary: fc.record({ kind: fc.constant('progress' as const) }) },
  {
    weight: 24,
    arbitrary: fc.record({
      kind: fc.constant('work' as const),
      steps: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('tick' as const),
      ms: fc.constantFrom(500, 1_000, 1_000, 15_000, 70_000),
    }),
  },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('orders' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('admit' as const, 'close' as const, 'script' as const),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constantFrom('start' as const, 'soak' as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('fail' as const, 'halt' as const, 'revert' as const, 'lost' as const),
      n,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('skip' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('silence' as const),
      voters: fc.integer({ min: 0, max: 2 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('deaf' as const, 'sick' as const),
      yes: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('crash' as const),
      downMs: fc.constantFrom(0, 0, 2_000, 100_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reboot' as const), kept: fc.boolean() }) },
)

export class Fleet {
  readonly world: World = new World()
  /** Skips that a quorum of voters voted for. */
  readonly skips: { rollout: RolloutId; round: number }[] = []
  #rollouts: RolloutOrders[] = []
  readonly #books = new Map<HostName, GrantBook>(RULES.voters.map((voter) => [voter, EMPTY_BOOK]))
  #silent = 0

  constructor() {
    this.world.grants = (voter, ask) => {
      if (RULES.voters.indexOf(voter) < this.#silent) return undefined
      const key = { rollout: ask.rollout, host: HOST, round: ask.round }
      const question = this.#question(ask.rollout, ask.round)
      const { book, answer } = answerLease(this.#books.get(voter) ?? EMPTY_BOOK, key, question)
      this.#books.set(voter, book)
      return answer
    }
    this.do({ kind: 'admit' })
  }

  do(deed: Deed): void {
    const { world } = this
    switch (deed.kind) {
      case 'work':
        for (let i = 0; i < deed.steps; i++) if (!world.perform()) world.deliver()
        return
      case 'tick':
        world.tick(deed.ms)
        return
      case 'progress':
        this.#progress()
        return
      case 'orders':
        world.orders(...this.#rollouts)
        return
      case 'script':
        world.finishScript()
        return
      case 'silence':
        this.#silent = deed.voters
        return
      case 'deaf':
        world.confirms = () => !deed.yes
        return
      case 'sick':
        world.sick = new Set(deed.yes ? ['gen-1', 'gen-2', 'gen-3'] : [])
        return
      case 'crash':
        world.crash()
        world.pass(deed.downMs)
        world.restart()
        return
      case 'reboot':
        world.reboot(deed.kept)
        world.restart()
        return
      default:
        this.#decide(deed)
    }
  }

  /** Everything arrives, everybody answers, and what flies is soaked. */
  settle(): void {
    const { world } = this
    world.confirms = () => true
    world.sick = new Set()
    this.#silent = 0
    this.#rollouts = this.#rollouts.map((one) => ({ ...one, soaked: [0, 1, 2] }))
    world.orders(...this.#rollouts)
    world.rest(300_000, 5_000)
  }

  /** The stack by the simplest rule: what was committed and was not told to go back. */
  stackTwin(): RolloutId[] {
    const { feed, state } = this.world
    const gone = new Set(
      feed.filter((one) => one.to === 'REVERTING').map((one) => `${one.rollout}/${one.round}`),
    )
    const stays = feed.filter(
      (one) => one.to === 'COMMITTED' && !gone.has(`${one.rollout}/${one.round}`),
    )
    const reverted = new Set(
      state.orders?.rollouts.filter((one) => one.revert).map((one) => one.rollout),
    )
    return [ENROLMENT, ...stays.map((one) => one.rollout).filter((one) => !reverted.has(one))]
  }

  #decide(deed: Deed): void {
    const last = this.#rollouts.at(-1)
    const round = last?.start?.round ?? 0
    switch (deed.kind) {
      case 'admit':
        this.#admit()
        return
      case 'start':
        if (last !== undefined) this.#start(last)
        return
      case 'soak':
        if (last?.start !== undefined)
          this.#change(last.rollout, { soaked: [...last.soaked, round] })
        return
      case 'close':
        if (last?.status === 'open') this.#change(last.rollout, { status: 'complete' })
        return
      case 'skip':
        if (last?.start !== undefined) this.#skip(last.rollout, round)
        return
      case 'fail':
        this.#change(rolloutId(deed.n), { failed: [round] })
        return
      case 'halt':
        this.#change(rolloutId(deed.n), { halted: true })
        return
      case 'revert':
        this.#change(rolloutId(deed.n), { halted: true, revert: true, revertWhy: 'halt' })
        return
      case 'lost':
        this.#change(rolloutId(deed.n), { lost: true })
        return
    }
  }

  /** What a healthy fleet would do next. */
  #progress(): void {
    const last = this.#rollouts.at(-1)
    const phase = this.world.state.rollouts.find((one) => one.rollout === last?.rollout)?.phase
    if (phase === 'COMMITTED') {
      this.do({ kind: 'close' })
      this.do({ kind: 'admit' })
    }
    this.do({ kind: phase === 'CONFIRMED' ? 'soak' : 'start' })
    this.do({ kind: 'orders' })
    this.do({ kind: 'work', steps: 3 })
    this.do({ kind: 'tick', ms: 1_000 })
  }

  #admit(): void {
    const count = this.#rollouts.length
    if (count === ROLLOUTS) return
    const older = this.#rollouts.map((one) => ({
      ...one,
      last: false,
      status: one.status === 'open' ? ('superseded' as const) : one.status,
    }))
    this.#rollouts = [...older, ordersFor(count + 1)]
  }

  #start(last: RolloutOrders): void {
    const round = last.start === undefined && last.skipped.length === 0 ? 0 : this.#nextRound(last)
    const live = last.status === 'open' || (round > 0 && last.status === 'complete')
    const ready = this.world.feed.some(
      (one) => one.rollout === last.rollout && one.round === round && one.to === 'READY',
    )
    if (round < 3 && live && ready && !last.halted && round !== last.start?.round) {
      this.#change(last.rollout, { start: { round, block: 'b'.repeat(64) } })
    }
  }

  #nextRound(last: RolloutOrders): number {
    return Math.max(last.start?.round ?? -1, ...last.skipped) + 1
  }

  /** A skip commits when a quorum may vote for it; those votes stand either way. */
  #skip(rollout: RolloutId, round: number): void {
    let votes = 0
    for (const voter of RULES.voters.slice(this.#silent)) {
      const book = noteSkips(this.#books.get(voter) ?? EMPTY_BOOK, [{ rollout, host: HOST, round }])
      if (book === undefined) continue
      votes += 1
      this.#books.set(voter, book)
    }
    if (votes < RULES.quorum) return
    const one = this.#rollouts.find((other) => other.rollout === rollout)
    this.skips.push({ rollout, round })
    this.#change(rollout, { start: undefined, skipped: [...(one?.skipped ?? []), round] })
  }

  #change(rollout: RolloutId, fields: Partial<RolloutOrders>): void {
    this.#rollouts = this.#rollouts.map((one) =>
      one.rollout === rollout ? { ...one, ...fields } : one,
    )
  }

  #question(rollout: RolloutId, round: number): LeaseQuestion {
    const one = this.#rollouts.find((other) => other.rollout === rollout)
    return {
      voter: true,
      ownPeer: true,
      started: one?.start?.round === round,
      ended: one === undefined || one.failed.includes(round) || one.lost,
      halted: one?.halted ?? false,
      breached: false,
      last: one?.last ?? false,
      forbidden: false,
    }
  }
}
