/** This node's log of what it learned, page by page and as a stream. The cursor is the place in it. */
import { type Block, type Fact, rolloutOf } from '../protocol/index.ts'
import type { LogQuery } from './api/backend.ts'
import type { AuditRow, EventRow, Page } from './api/schema.ts'
import type { Arrival } from './fact-store.ts'
import type { LogPlace } from './gate-log.ts'
import { FOLLOW_EVENTS_MAX, LOG_LINES_PER_PAGE_MAX } from './limits.ts'
import { auditRow, blockEvent, factEvent, isAbout } from './projection/log.ts'
import { authorOf } from './projection/people.ts'
import type { Runtime } from './runtime.ts'

export class NodeLog {
  readonly #node: Runtime
  /** When this node learned a fact, by its own clock; only of this run. */
  readonly #learned = new Map<string, number>()

  constructor(node: Runtime) {
    this.#node = node
    node.watch((event) => {
      if (event.kind === 'fact') this.#learned.set(event.fact.id, node.parts.clock.bootMs())
      if (this.#learned.size > FOLLOW_EVENTS_MAX)
        this.#learned.delete(this.#learned.keys().next().value ?? '')
    })
  }

  /** Milliseconds since this node learned a fact; null when that was in an earlier run. */
  ageMs(fact: string): number | null {
    const at = this.#learned.get(fact)
    return at === undefined ? null : this.#node.parts.clock.bootMs() - at
  }

  async events(query: LogQuery): Promise<Page<EventRow>> {
    return await this.#page(query, (arrival, id) => this.#event(arrival, id))
  }

  async audit(query: LogQuery): Promise<Page<AuditRow>> {
    return await this.#page(query, async (arrival, id) => {
      const fact = arrival.kind === 'fact' ? await this.#factOf(arrival) : undefined
      return fact === undefined ? undefined : auditRow(this.#node.knowledge(), fact, id)
    })
  }

  /** Events after the cursor, then each new one. Ends when `signal` aborts. */
  async *follow(since: string | undefined, signal: AbortSignal): AsyncGenerator<EventRow> {
    const end = this.#node.facts.arrivalCount
    // A cursor from before this node lost its disk lies beyond the end: it goes on from now.
    let next = since === undefined ? end : Math.min(cursorOf(since) + 1, end)
    while (!signal.aborted) {
      const arrival = await this.#node.facts.arrival(next)
      if (arrival === undefined) {
        await this.#arrived(signal)
        continue
      }
      const row = await this.#event(arrival, idOf(next))
      next++
      if (row !== undefined) yield row
    }
  }

  #arrived(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        unwatch()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const unwatch = this.#node.watch(done)
      signal.addEventListener('abort', done)
    })
  }

  /** A page ends when it is full, or when it has looked at enough lines: `next` then goes on from there. */
  async #page<Row extends { id: string }>(
    query: LogQuery,
    rowOf: (arrival: Arrival, id: string) => Promise<Row | undefined>,
  ): Promise<Page<Row>> {
    const { arrivalCount } = this.#node.facts
    const step = query.newestFirst === true ? -1 : 1
    const first = query.newestFirst === true ? arrivalCount - 1 : 0
    let at = query.since === undefined ? first : cursorOf(query.since) + step
    if (at > arrivalCount && step > 0) {
      return { items: [], next: arrivalCount === 0 ? null : idOf(arrivalCount - 1) }
    }
    const items: Row[] = []
    let looks = 0
    const isIn = (): boolean => at >= 0 && at < arrivalCount
    for (; isIn() && items.length < query.limit && looks < LOG_LINES_PER_PAGE_MAX; at += step) {
      looks++
      const arrival = await this.#node.facts.arrival(at)
      if (arrival === undefined || !(await this.#matches(arrival, query))) continue
      const row = await rowOf(arrival, idOf(at))
      if (row !== undefined) items.push(row)
    }
    return { items, next: isIn() ? idOf(at - step) : null }
  }

  async #factOf({ feed, seq }: Arrival & { kind: 'fact' }): Promise<Fact | undefined> {
    return await this.#node.facts.find(feed, seq)
  }

  async #matches(arrival: Arrival, query: LogQuery): Promise<boolean> {
    const { type, host, actor, rollout } = query
    if ([type, host, actor, rollout].every((filter) => filter === undefined)) return true
    if (arrival.kind === 'block') return await this.#blockMatches(arrival, query)
    const fact = await this.#factOf(arrival)
    if (fact === undefined) return false
    const name = fact.type === 'foreign' ? fact.foreignType : fact.type
    const author = authorOf(this.#node.parts.trust, fact.author).name
    return (
      (type === undefined || name === type) &&
      (host === undefined || isAbout(fact, author, host)) &&
      (actor === undefined || author === actor) &&
      (rollout === undefined || rolloutOf(fact)?.startsWith(rollout) === true)
    )
  }

  async #blockMatches(
    arrival: Arrival & { kind: 'block' },
    { type, host, actor, rollout }: LogQuery,
  ): Promise<boolean> {
    if ((type !== undefined && type !== 'gate.commit') || actor !== undefined) return false
    const commands = (await this.#block(arrival))?.body.commands ?? []
    return (
      (host === undefined || commands.some((one) => 'hosts' in one && one.hosts.includes(host))) &&
      (rollout === undefined ||
        commands.some((one) => 'rollout' in one && one.rollout.startsWith(rollout)))
    )
  }

  async #event(arrival: Arrival, id: string): Promise<EventRow | undefined> {
    const knowledge = this.#node.knowledge()
    if (arrival.kind === 'fact') {
      const fact: Fact | undefined = await this.#factOf(arrival)
      return fact === undefined ? undefined : factEvent(knowledge, fact, id)
    }
    const block = await this.#block(arrival)
    return block === undefined
      ? undefined
      : blockEvent(knowledge, block, id, this.#node.parts.clock.wallMs())
  }

  async #block({ epoch, view }: LogPlace): Promise<Block | undefined> {
    for await (const { block } of this.#node.gate.log.committed({ epoch, view: view - 1 })) {
      return block.body.view === view && block.body.epoch === epoch ? block : undefined
    }
    return undefined
  }
}

function idOf(index: number): string {
  return String(index).padStart(12, '0')
}

function cursorOf(id: string): number {
  return /^\d{1,15}$/.test(id) ? Number(id) : -1
}
