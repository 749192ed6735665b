/** The invariants of what follows from facts alone: S11, S16 and S18. */
import type { Fact, HostName, StorePath } from '../../../protocol/index.ts'
import {
  type Duty,
  digestOf,
  EMPTY_VIEW,
  type FleetView,
  foldFacts,
  type Knowledge,
  type Orders,
  type Trust,
  withAuthority,
} from '../../../rollout/index.ts'

/** S11: order, repetition and grouping of facts change nothing that is derived from them. */
export function s11Merge(
  facts: readonly Fact[],
  trust: Trust,
  random: () => number,
  fold: typeof foldFacts = foldFacts,
): readonly string[] {
  const plain = viewText(fold(EMPTY_VIEW, facts, trust))
  const shuffled = shuffle([...facts, ...facts.filter(() => random() < 0.2)], random)
  let view: FleetView = EMPTY_VIEW
  for (let at = 0; at < shuffled.length; ) {
    const size = 1 + Math.floor(random() * 40)
    view = fold(view, shuffled.slice(at, at + size), trust)
    at += size
  }
  return viewText(view) === plain
    ? []
    : [`${facts.length} facts fold to another view in another order`]
}

/** S16: two nodes that hold the same facts and the same log derive the same, to the byte. */
export function s16Determinism(
  nodes: readonly { readonly name: HostName; readonly facts: string; readonly digest: string }[],
): readonly string[] {
  const seen = new Map<string, { name: HostName; digest: string }>()
  return nodes.flatMap(({ name, facts, digest }) => {
    const other = seen.get(facts) ?? { name, digest }
    seen.set(facts, other)
    return other.digest === digest ? [] : [`${name} and ${other.name} hold the same and differ`]
  })
}

/** S16 against a fold that begins anew, in another order: what a node shows is what its disk says. */
export function s16Refold(
  name: HostName,
  live: Knowledge,
  facts: readonly Fact[],
  random: () => number,
): readonly string[] {
  const folded = foldFacts(EMPTY_VIEW, shuffle(facts, random), live.trust)
  const view = withAuthority(folded, live.trust, live.state)
  const broken: string[] = []
  if (digestOf({ ...live, view }) !== digestOf(live))
    broken.push(`${name} shows another state than its ${facts.length} facts give`)
  if (wordsText(view) !== wordsText(live.view))
    broken.push(`${name} counts other words of operators than its ${facts.length} facts give`)
  return broken
}

/** What counts of what operators said of the rollouts, by the ids of their facts. */
function wordsText({ rollouts }: FleetView): string {
  const words = [...rollouts].flatMap(([id, { halts, holds, losses }]) =>
    [...halts.keys(), ...holds.keys(), ...losses.keys()].map((fact) => `${id} ${fact}`),
  )
  return words.sort().join()
}

/** S16 against a derivation that begins anew: what a node acts on is what its knowledge asks of it now. */
export function s16Acts(
  name: HostName,
  told: { readonly orders: unknown; readonly duties: unknown },
  derived: { readonly orders: Orders; readonly duties: readonly Duty[] },
): readonly string[] {
  const kinds = ['orders', 'duties'] as const
  return kinds.flatMap((kind) =>
    JSON.stringify(told[kind]) === JSON.stringify(derived[kind])
      ? []
      : [`${name} acts on other ${kind} than its knowledge gives`],
  )
}

/** Where a host rests, and everything that may have brought it there. */
export interface Rest {
  readonly host: HostName
  readonly running: StorePath
  readonly bootDefault: StorePath
  /** Where facts and log alone put it. */
  readonly expected: StorePath
}

/** S18: a host rests where the facts put it, so that equal facts mean equal rest. */
export function s18SameRest(rests: readonly Rest[]): readonly string[] {
  return rests.flatMap(({ host, running, bootDefault, expected }) =>
    running === expected && bootDefault === expected
      ? []
      : [`${host} runs ${running} and boots ${bootDefault}, the facts put it at ${expected}`],
  )
}

function shuffle<T>(items: readonly T[], random: () => number): readonly T[] {
  const all = [...items]
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const [a, b] = [all[i], all[j]]
    if (a !== undefined && b !== undefined) {
      all[i] = b
      all[j] = a
    }
  }
  return all
}

/** A view as text: maps in the order of their keys, facts by their ids. */
function viewText(view: FleetView): string {
  return JSON.stringify(view, (_, value: unknown) => {
    if (value instanceof Map) return [...value].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
    if (typeof value === 'object' && value !== null && 'bytes' in value && 'id' in value)
      return value.id
    return value
  })
}
