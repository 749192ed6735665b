/**
 * The same search with the fewest local states: a voter is a finite automaton, and automata can be
 * minimised.
 *
 * What others see of a voter is what it sent, and what it has told against itself. Two local states
 * that show the same now, and after every sequence of moves, can stand for each other: no state of the
 * whole group, and no law that is judged on what was sent, tells them apart (bisimulation is a
 * congruence, because what a voter may take next depends on others through what they sent alone).
 *
 * So first one voter is followed through *all* messages there are, in any order, whether or not the
 * others would ever send them: more local states than the group can reach, each worked out by the
 * shipped reducer. Then they are merged as far as can be (Moore's algorithm), and the group is searched
 * with one of each class.
 *
 * Two things that a voter alone would remember are judged elsewhere, so that they keep no states apart.
 * That no two certificates contradict each other is judged on the group, by all votes that were sent, in
 * every state: a move that shows a voter such a pair is left out here, because the group has broken the
 * law before. And what a voter commits is judged on each of its local states (`life.ts`), so that members
 * of one class may have told their hosts different blocks.
 */
import type { Voter } from './gate-setting.ts'
import type { ActorClass, Finding, Model } from './search.ts'

/** A model of voters that can be followed alone. */
export interface VoterModel<P> extends Model<Voter, P> {
  /** Every move that a voter may ever try, whatever the others send. */
  readonly allMoves: readonly number[]
  /** What all stand on: the head of a log in which nothing was decided. */
  readonly origin: string
  /** No two certificates that contradict each other can be made of what was sent. */
  judgeCertificates(pool: P): readonly Finding[]
}

/** A class of local states, with one of them in its place. */
export interface ClassOfStates {
  readonly number: number
  readonly voter: Voter
  /** Number of the class after each move that leads out of this one. */
  readonly after: ReadonlyMap<number, number>
}

/** Local states of one voter, worked out without the others. */
interface Automaton {
  readonly voters: readonly Voter[]
  readonly after: readonly ReadonlyMap<number, number>[]
}

export class MinimalModel<P> implements Model<ClassOfStates, P> {
  readonly classes: readonly ActorClass<ClassOfStates>[]
  /** Local states before and after merging. */
  readonly merged: { readonly from: number; readonly to: number }
  readonly #model: VoterModel<P>
  readonly #all: readonly ClassOfStates[]

  constructor(model: VoterModel<P>) {
    const [one, ...others] = model.classes
    if (one === undefined || others.length > 0) {
      throw new Error('expected voters that nothing tells apart')
    }
    this.#model = model
    const automaton = follow(model, one.first)
    this.#all = merge(automaton, model.origin)
    this.merged = { from: automaton.voters.length, to: this.#all.length }
    this.classes = [{ names: one.names, first: this.#class(0) }]
  }

  keyOf({ number }: ClassOfStates): string {
    return String(number)
  }

  pool(locals: readonly ClassOfStates[]): P {
    return this.#model.pool(locals.map(({ voter }) => voter))
  }

  moves({ voter }: ClassOfStates, pool: P, position: number): readonly number[] {
    return this.#model.moves(voter, pool, position)
  }

  step(local: ClassOfStates, move: number): ClassOfStates {
    const next = local.after.get(move)
    return next === undefined ? local : this.#class(next)
  }

  judge(locals: readonly ClassOfStates[], pool: P): readonly Finding[] {
    const voters = locals.map(({ voter }) => voter)
    return [...this.#model.judge(voters, pool), ...this.#model.judgeCertificates(pool)]
  }

  tell(move: number): string {
    return this.#model.tell(move)
  }

  #class(number: number): ClassOfStates {
    const found = this.#all[number]
    if (found === undefined) throw new Error(`no class ${number}`)
    return found
  }
}

/** Every local state that `first` comes to by any moves at all. */
function follow<P>(model: VoterModel<P>, first: Voter): Automaton {
  const moves = model.allMoves
  const numbers = new Map([[model.keyOf(first), 0]])
  const voters = [first]
  const after: Map<number, number>[] = []
  for (let at = 0; at < voters.length; at++) {
    const ways = new Map<number, number>()
    after.push(ways)
    const voter = voters[at]
    if (voter === undefined || voter.life.faults.length > 0) continue
    for (const move of moves) {
      const next = model.step(voter, move)
      if (next === voter || next.life.machine.frozen) continue
      const key = model.keyOf(next)
      const known = numbers.get(key) ?? voters.length
      if (known === voters.length) {
        numbers.set(key, known)
        voters.push(next)
      }
      if (known !== at) ways.set(move, known)
    }
  }
  return { voters, after }
}

/** Moore's algorithm: begin with what shows, and split until every move keeps classes together. */
function merge({ voters, after }: Automaton, origin: string): readonly ClassOfStates[] {
  let classes = numbered(voters.map(shownBy))
  for (;;) {
    const before = classes
    const split = numbered(before.map((own, at) => `${own}|${waysOf(after[at], before, own)}`))
    if (count(split) === count(before)) break
    classes = split
  }
  const found: ClassOfStates[] = []
  for (const [at, number] of classes.entries()) {
    const voter = voters[at]
    if (voter === undefined || found[number] !== undefined) continue
    const ways = [...(after[at] ?? [])].map(([move, next]) => [move, classes[next] ?? 0] as const)
    const out = new Map(ways.filter(([, next]) => next !== number))
    found[number] = { number, voter: untold(voter, origin), after: out }
  }
  return found
}

/** What others see of a voter. */
function shownBy({ life }: Voter): string {
  return `${life.sent.join()}/${life.proposed.join()}/${life.faults.map((one) => one.what).join()}`
}

/** Where the moves that leave the class lead. All others stay in it. */
function waysOf(
  ways: ReadonlyMap<number, number> | undefined,
  classes: readonly number[],
  own: number,
): string {
  return [...(ways ?? [])]
    .filter(([, next]) => classes[next] !== own)
    .sort(([a], [b]) => a - b)
    .map(([move, next]) => `${move}>${classes[next]}`)
    .join()
}

/** Equal texts get equal numbers, in the order in which they come. */
function numbered(texts: readonly string[]): readonly number[] {
  const numbers = new Map<string, number>()
  return texts.map((text) => {
    const known = numbers.get(text) ?? numbers.size
    numbers.set(text, known)
    return known
  })
}

function count(classes: readonly number[]): number {
  return new Set(classes).size
}

/** Members of a class may have told their hosts different blocks; that was judged before. */
function untold(voter: Voter, origin: string): Voter {
  return { ...voter, life: { ...voter.life, told: origin } }
}
