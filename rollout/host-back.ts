/**
 * Back is the host's own stack of committed generations (SPEC §12, S18).
 *
 * A `halt{revert}` of a rollout removes its entry wherever it is, and back is the newest entry that
 * remains. The result is the same in whatever order removals arrive, because removing is a filter;
 * provenance is the rollout, so two rollouts of one generation do not take each other's entry.
 */
import type { RolloutId, StorePath } from '../protocol/index.ts'
import { PINNED_GENERATIONS, STACK_ENTRIES_MAX } from './host-limits.ts'
import { ENROLMENT, type HostState, type StackEntry } from './host-state.ts'
import type { Orders } from './orders.ts'

/** Where back leads: the newest entry. */
export function topOf(stack: readonly StackEntry[]): StackEntry {
  const top = stack.at(-1)
  if (top === undefined) throw new Error('expected a stack with its enrolment, found none')
  return top
}

/** The stack without a rollout's entry; the enrolment always stays. */
export function withoutEntry(
  stack: readonly StackEntry[],
  rollout: RolloutId,
): readonly StackEntry[] {
  return stack.filter((entry) => entry.rollout === ENROLMENT || entry.rollout !== rollout)
}

/** The stack with a new top. Above the bound the oldest entry over the enrolment is forgotten. */
export function withEntry(stack: readonly StackEntry[], entry: StackEntry): readonly StackEntry[] {
  const [bottom, ...rest] = withoutEntry(stack, entry.rollout)
  const kept = [...rest, entry].slice(-STACK_ENTRIES_MAX)
  return bottom === undefined ? kept : [bottom, ...kept]
}

/** The newest distinct generations of the stack: what back may still need. */
export function generationsBack(stack: readonly StackEntry[]): readonly StorePath[] {
  const newestFirst = [...stack].reverse().map((entry) => entry.generation)
  return [...new Set(newestFirst)].slice(0, PINNED_GENERATIONS)
}

/** Where the host goes if the rollout in flight ends badly, or now if none is in flight. */
export function wayBack({ stack, flight }: HostState): StackEntry {
  return topOf(flight === undefined ? stack : withoutEntry(stack, flight.rollout))
}

/** What has to boot next: the way back, and while a rollout commits, its generation. */
export function wantedBoot(state: HostState): StorePath {
  const { flight } = state
  const commits = flight?.commit === 'boot' || flight?.commit === 'disarm'
  return commits ? flight.generation : wayBack(state).generation
}

/** The stack with entries barred that releases which ran after them forbid to go back to. */
export function barEntries(state: HostState, orders: Orders): readonly StackEntry[] {
  const stack = state.stack.map((entry) => {
    if (entry.barred) return entry
    const at = state.rollouts.findIndex((one) => one.rollout === entry.rollout)
    const later = state.rollouts.slice(at + 1).filter((one) => one.ran)
    const barred = later.some((one) => forbids(orders, one.rollout, entry.generation))
    return barred ? { ...entry, barred } : entry
  })
  return stack.every((entry, i) => entry === state.stack[i]) ? state.stack : stack
}

/** Whether the release of `rollout` says that `generation` must not run after it. */
export function forbids(
  orders: Orders | undefined,
  rollout: RolloutId,
  generation: StorePath,
): boolean {
  const found = orders?.rollouts.find((one) => one.rollout === rollout)
  return found?.notRevertable.includes(generation) ?? false
}
