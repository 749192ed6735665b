/**
 * Bounded-exhaustive search: every state that a few actors can reach, breadth first.
 *
 * A state is one local state for each actor; whatever was ever sent can be read off them, because
 * each remembers what it sent. A move changes one actor, so its outcome depends on the actor's local
 * state and the move alone: the shipped reducer runs once for each such pair, however many states it
 * occurs in. Actors of one class start alike and have no name in any rule, so a state and any
 * permutation of them within a class have the same futures; of these states one is kept, the one
 * whose local states are sorted.
 */
import { LOCAL_IDS_MAX, StateTable } from './state-table.ts'

/** A law that does not hold, and where. */
export interface Finding {
  readonly invariant: string
  readonly what: string
}

/** A finding and the moves that lead to it. */
export interface Violation extends Finding {
  readonly trace: readonly string[]
}

/** Actors that nothing tells apart. */
export interface ActorClass<L> {
  readonly names: readonly string[]
  readonly first: L
}

/** What is searched. `P` is what all actors' messages add up to. */
export interface Model<L, P> {
  readonly classes: readonly ActorClass<L>[]
  /** Equal texts mean equal futures. */
  keyOf(local: L): string
  pool(locals: readonly L[]): P
  /** Numbers of the moves that the actor may try now; trying one that changes nothing is cheap. */
  moves(local: L, pool: P, position: number): readonly number[]
  /** The actor's state after a move; the same object when nothing changed. */
  step(local: L, move: number): L
  /** Every law that this state breaks. */
  judge(locals: readonly L[], pool: P): readonly Finding[]
  tell(move: number): string
}

export interface Outcome {
  readonly states: number
  readonly transitions: number
  /** Distinct local states: how often the reducer had something new to do. */
  readonly locals: number
  /** The queue ran empty: no cap was hit, and no violation ended the search. */
  readonly exhaustive: boolean
  readonly violations: readonly Violation[]
  readonly seconds: number
}

/** How far a long search is: of `seen` states `done` have been left behind. */
export interface Progress {
  readonly done: number
  readonly seen: number
  readonly seconds: number
}

/** States between two reports of progress. */
const TELL_EVERY = 2 ** 22

/** Searches until the queue is empty, a violation is found, or `statesMax` states were seen. */
export function search<L, P>(
  model: Model<L, P>,
  statesMax: number,
  told: (progress: Progress) => void = () => {},
): Outcome {
  const started = performance.now()
  const space = new Space(model)
  let violations: readonly Violation[] = []
  let at = 0
  for (; at < space.size && violations.length === 0; at++) {
    if (space.size > statesMax) break
    if (at % TELL_EVERY === TELL_EVERY - 1) {
      told({ done: at, seen: space.size, seconds: (performance.now() - started) / 1000 })
    }
    violations = space.expand(at)
  }
  return {
    states: space.size,
    transitions: space.transitions,
    locals: space.localCount,
    exhaustive: at === space.size && violations.length === 0,
    violations,
    seconds: (performance.now() - started) / 1000,
  }
}

class Space<L, P> {
  readonly #model: Model<L, P>
  readonly #ends: readonly number[]
  readonly #ids = new Map<string, number>()
  readonly #locals: L[] = []
  readonly #after: Map<number, number>[] = []
  readonly #states: StateTable
  transitions = 0

  constructor(model: Model<L, P>) {
    this.#model = model
    let end = 0
    this.#ends = model.classes.map(({ names }) => {
      end += names.length
      return end
    })
    const first = model.classes.flatMap(({ names, first }) => {
      const id = this.#intern(first)
      return names.map(() => id)
    })
    this.#states = new StateTable(first.length)
    this.#states.add(first, 0)
  }

  get size(): number {
    return this.#states.size
  }

  get localCount(): number {
    return this.#locals.length
  }

  /** Judges one state, and adds the states after it. */
  expand(at: number): readonly Violation[] {
    const ids = this.#states.read(at)
    const locals = ids.map((id) => this.#local(id))
    const pool = this.#model.pool(locals)
    const findings = this.#model.judge(locals, pool)
    if (findings.length > 0) {
      const trace = this.#trace(at)
      return findings.map((finding) => ({ ...finding, trace }))
    }
    this.#spread(ids, pool, (after) => {
      this.transitions++
      this.#states.add(after, at)
    })
    return []
  }

  /** Every move of every actor that changes something, with the state after it. */
  #spread(
    ids: readonly number[],
    pool: P,
    visit: (after: readonly number[], mover: number, move: number) => void,
  ): void {
    let begin = 0
    for (const end of this.#ends) {
      for (let i = begin; i < end; i++) {
        const id = ids[i] ?? 0
        // The same local state twice in a class: its moves lead to the same states.
        if (i > begin && id === ids[i - 1]) continue
        for (const move of this.#model.moves(this.#local(id), pool, i)) {
          const next = this.#next(id, move)
          if (next !== id) visit(replaced(ids, { i, begin, end, next }), id, move)
        }
      }
      begin = end
    }
  }

  #next(id: number, move: number): number {
    const known = this.#after[id]?.get(move)
    if (known !== undefined) return known
    const local = this.#local(id)
    const after = this.#model.step(local, move)
    const next = after === local ? id : this.#intern(after)
    this.#after[id]?.set(move, next)
    return next
  }

  #intern(local: L): number {
    const key = this.#model.keyOf(local)
    const known = this.#ids.get(key)
    if (known !== undefined) return known
    const id = this.#locals.length
    if (id >= LOCAL_IDS_MAX) throw new Error(`more than ${LOCAL_IDS_MAX} local states`)
    this.#ids.set(key, id)
    this.#locals.push(local)
    this.#after.push(new Map())
    return id
  }

  #local(id: number): L {
    const local = this.#locals[id]
    if (local === undefined) throw new Error(`no local state ${id}`)
    return local
  }

  /** The moves from the first state to this one, each with a name that stays with its actor. */
  #trace(at: number): readonly string[] {
    const path: number[] = []
    for (let i = at; i > 0; i = this.#states.parentOf(i)) path.unshift(i)
    const names = this.#model.classes.flatMap((one) => one.names)
    const ids = this.#states.read(0)
    let from = 0
    return path.map((i) => {
      const { mover, move } = this.#stepTo(from, i)
      from = i
      const who = ids.indexOf(mover)
      ids[who] = this.#next(mover, move)
      return `${names[who]}: ${this.#model.tell(move)}`
    })
  }

  /** The first move that leads from one state to another; it is found again rather than kept. */
  #stepTo(from: number, to: number): { readonly mover: number; readonly move: number } {
    const ids = this.#states.read(from)
    const wanted = this.#states.read(to).join()
    const pool = this.#model.pool(ids.map((id) => this.#local(id)))
    let found: { readonly mover: number; readonly move: number } | undefined
    this.#spread(ids, pool, (after, mover, move) => {
      if (after.join() === wanted) found ??= { mover, move }
    })
    if (found === undefined) throw new Error(`no move leads from state ${from} to ${to}`)
    return found
  }
}

/** `ids` with position `i` changed to `next`, sorted again within the class from `begin` to `end`. */
function replaced(
  ids: readonly number[],
  change: { i: number; begin: number; end: number; next: number },
): number[] {
  const { begin, end, next } = change
  const copy = [...ids]
  let i = change.i
  for (; i + 1 < end && (copy[i + 1] ?? 0) < next; i++) copy[i] = copy[i + 1] ?? 0
  for (; i > begin && (copy[i - 1] ?? 0) > next; i--) copy[i] = copy[i - 1] ?? 0
  copy[i] = next
  return copy
}
